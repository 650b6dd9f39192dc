"""Concatenated BSON documents as bytes that numpy reads at any place.

What is read of one document is read of all of them at once: an array of places in, an array of
values out. A BSON document (bsonspec.org, version 1.1) is its int32 length, its elements and a
NUL; an element is a type byte, a NUL-terminated name and the value's bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]
"""One place in the bytes, or the number of one row, per document."""
Values = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

_WORD_BYTES = 8
_LENGTH = Struct("<i")

_FIXED = {
    0x01: 8, 0x02: 4, 0x03: 0, 0x04: 0, 0x05: 5, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x0D: 4,
    0x0E: 4, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16, 0x7F: 0, 0xFF: 0,
}  # fmt: skip
"""Bytes of a value by its type byte, but for those that it says itself."""
_MEASURED = (0x02, 0x03, 0x04, 0x05, 0x0D, 0x0E)
"""Types whose values begin with how many bytes they have."""

_WIDTHS = np.full(256, -1, np.int64)
_WIDTHS[list(_FIXED)] = list(_FIXED.values())
_IS_MEASURED = np.zeros(256, np.bool_)
_IS_MEASURED[list(_MEASURED)] = True


def document_edges(documents: bytes) -> list[int]:
    """Where each document begins, and where the last one ends."""
    edges, place, end, length_at = [0], 0, len(documents), _LENGTH.unpack_from
    while place < end:
        place += length_at(documents, place)[0]
        edges.append(place)
    return edges


@dataclass(frozen=True)
class Octets:
    """The bytes of the documents."""

    documents: bytes

    @cached_property
    def _padded(self) -> bytes:
        """A word can be read at every place."""
        return self.documents + bytes(2 * _WORD_BYTES)

    def read(self, places: Places, dtype: str) -> Values:
        """The values of that numpy type that stand there, aligned or not."""
        count = len(self._padded) - np.dtype(dtype).itemsize + 1
        values: Values = np.ndarray(count, dtype, self._padded, strides=(1,))[places]
        return values

    def has(self, text: bytes, places: Places) -> Mask:
        """Where exactly that text stands, compared a word at a time."""
        is_there = np.ones(places.size, np.bool_)
        for begin in range(0, len(text), _WORD_BYTES):
            part = text[begin : begin + _WORD_BYTES]
            words = self.read(np.minimum(places + begin, len(self.documents)), "<u8")
            if len(part) < _WORD_BYTES:
                words = words & np.uint64(2 ** (8 * len(part)) - 1)
            is_there &= words == np.uint64(int.from_bytes(part, "little"))
        return is_there


@dataclass(frozen=True, slots=True)
class Field:
    """The elements of one name: per document the type byte, and where the value begins."""

    kinds: npt.NDArray[np.uint8]
    places: Places

    def of(self, is_taken: Mask) -> "Field":
        """Those of some documents only."""
        return Field(self.kinds[is_taken], self.places[is_taken])


def find_fields(
    octets: Octets, begins: Places, ends: Places, names: Sequence[str]
) -> tuple[dict[str, Field], Mask]:
    """The elements of the documents that have just these names in this order.

    Returns:
        the elements by name, and which documents are so; of others nothing found means anything.
    """
    fields, place, last = {}, begins + 4, ends - 1
    is_alike = np.ones(ends.size, np.bool_)
    for name in names:
        header = name.encode() + b"\0"
        is_alike &= (place < last) & octets.has(header, place + 1)
        place = np.where(is_alike, place, 0)
        field = Field(octets.read(place, "u1"), np.where(is_alike, place + 1 + len(header), 0))
        widths = _widths(octets, field)
        is_alike &= (widths >= 0) & (field.places + widths <= last)
        place = field.places + widths
        fields[name] = field
    return fields, is_alike & (place == last)


def _widths(octets: Octets, field: Field) -> Values:
    """Bytes of each value; negative for types that are not read here."""
    widths: Values = _WIDTHS[field.kinds]
    is_measured = _IS_MEASURED[field.kinds]
    if is_measured.all():
        return widths + octets.read(field.places, "<i4")
    if is_measured.any():
        widths[is_measured] += octets.read(field.places[is_measured], "<i4")
    return widths
