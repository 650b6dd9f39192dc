"""The bytes of BSON documents as pieces, column by column, and the join that interleaves them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Octets = npt.NDArray[np.uint8]
Lengths = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MAX_DOCUMENT_BYTES = 16 * 2**20
"""BSON documents larger than this are refused by MongoDB."""

NULL = 0x0A
"""The type byte of an element without value bytes."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Documents one after the other; ``ends[i]`` is where document ``i`` ends, in bytes."""

    octets: pa.Buffer
    ends: Lengths

    def __len__(self) -> int:
        return int(self.ends.size)


class UnencodableRows(Exception):
    """Rows that no BSON document can hold: frame index → (column, reason)."""

    def __init__(self, rows: dict[int, tuple[str | None, str]]) -> None:
        super().__init__(rows)
        self.rows = rows


@dataclass(slots=True)
class Elements:
    """The elements of ``height`` documents, as pieces in the order of their bytes."""

    height: int
    pieces: list["Octets | bytes | pa.Array"] = field(default_factory=list)
    """Of fixed width: an array (rows by bytes), or bytes that are the same in every row."""
    lengths: "Lengths | int" = 0
    """Bytes of the elements of each document so far."""

    def constant(self, octets: bytes) -> None:
        """The same bytes in every row."""
        self.pieces.append(octets)
        self.lengths = self.lengths + len(octets)

    def rows(self, octets: Octets) -> None:
        """Bytes of one width, row by row."""
        self.pieces.append(octets)
        self.lengths = self.lengths + octets.shape[1]

    def variable(self, values: pa.Array, lengths: Lengths) -> None:
        """Bytes of differing length; a null has none."""
        self.pieces.append(values)
        self.lengths = self.lengths + lengths

    def header(self, name: str, kind: int, is_valid: Mask | None) -> None:
        """Type byte and name, without the name's NUL."""
        if is_valid is None:
            self.constant(bytes([kind]) + name.encode())
            return
        self.rows(np.where(is_valid, np.uint8(kind), np.uint8(NULL)).reshape(-1, 1))
        self.constant(name.encode())

    def fixed(self, name: str, kind: int, octets: Octets, is_valid: Mask | None = None) -> None:
        """An element whose value has the same width in every row."""
        self.header(name, kind, is_valid)
        self.constant(b"\0")
        self.optional(octets, is_valid)

    def optional(self, octets: Octets, is_valid: Mask | None) -> None:
        """Bytes of fixed width that are left out where the value is null."""
        if is_valid is None:
            self.rows(octets)
        else:
            self.variable(_as_binary(octets, is_valid), is_valid * octets.shape[1])

    def embed(self, name: str, inner: "Elements") -> None:
        """An embedded document."""
        self.constant(b"\x03" + name.encode() + b"\0")
        self.append_document(inner)

    def append_document(self, inner: "Elements") -> None:
        """Length, elements and final NUL of a whole document."""
        size = np.broadcast_to(np.asarray(inner.lengths + 5, "<i4"), inner.height)
        self.rows(np.ascontiguousarray(size).view(np.uint8).reshape(-1, 4))
        self.pieces += inner.pieces
        self.lengths = self.lengths + inner.lengths
        self.constant(b"\0")

    def join(self) -> Encoded:
        """The finished documents."""
        lengths = np.broadcast_to(np.asarray(self.lengths + 5, np.int64), self.height)
        too_large = np.flatnonzero(lengths > MAX_DOCUMENT_BYTES)
        if too_large.size:
            reason = "the document would have {} bytes; MongoDB takes 16 MiB"
            raise UnencodableRows({int(i): (None, reason.format(lengths[i])) for i in too_large})
        whole = Elements(self.height)
        whole.append_document(self)
        joined = pc.binary_join_element_wise(
            *_merge_fixed(whole.pieces, self.height),
            _NOTHING,
            null_handling="replace",
            null_replacement="",
        )
        return Encoded(joined.buffers()[2], np.cumsum(lengths))


def _merge_fixed(pieces: Sequence["Octets | bytes | pa.Array"], height: int) -> list[pa.Array]:
    """Neighbouring pieces of fixed width become one array."""
    merged: list[pa.Array] = []
    waiting: list[Octets | bytes] = []
    for piece in pieces:
        if isinstance(piece, pa.Array):
            if waiting:
                merged.append(_as_binary(_beside(waiting, height), None))
                waiting = []
            merged.append(piece)
        else:
            waiting.append(piece)
    if waiting:
        merged.append(_as_binary(_beside(waiting, height), None))
    return merged


def _beside(pieces: Sequence["Octets | bytes"], height: int) -> Octets:
    widths = [len(p) if isinstance(p, bytes) else p.shape[1] for p in pieces]
    octets = np.empty((height, sum(widths)), np.uint8)
    at = 0
    for piece, width in zip(pieces, widths, strict=True):
        is_same = isinstance(piece, bytes)
        octets[:, at : at + width] = np.frombuffer(piece, np.uint8) if is_same else piece
        at += width
    return octets


def _as_binary(octets: Octets, is_valid: Mask | None) -> pa.Array:
    """Rows of fixed width as an Arrow array that shares their memory."""
    height, width = octets.shape
    offsets = np.arange(height + 1, dtype=np.int64) * width
    validity = None
    if is_valid is not None:
        validity = pa.py_buffer(np.packbits(is_valid, bitorder="little"))
    data = pa.py_buffer(np.ascontiguousarray(octets))
    return pa.Array.from_buffers(
        pa.large_binary(), height, [validity, pa.py_buffer(offsets), data]
    )  # fmt: skip


# Not pa.scalar: that imports pandas wherever it is installed, 0.1 s and 35 MB in every worker.
_NOTHING = _as_binary(np.empty((1, 0), np.uint8), None)[0]
