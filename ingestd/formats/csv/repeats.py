"""Headers that come again inside a file, as in files put one behind the other: they are no rows."""

from collections.abc import Collection

import numpy as np

from ingestd.formats.csv.dialect import NEWLINE, RETURN, Dialect, split_text
from ingestd.formats.csv.lines import Lines
from ingestd.formats.text import Positions

_BOM = "\ufeff".encode()
_BLANKS = b" \t"
_MOST_SKIPPED = 8
"""Bytes before a first name that are looked through."""
_COMPARED = 8
"""Bytes of a first name by which most rows are told from a header."""


def find_repeats(lines: Lines, headers: Collection[bytes], dialect: Dialect) -> tuple[int, ...]:
    """Indexes of the records that say the same as one of the header's, given without their ends.

    Byte order marks, quotes, blanks around names, and case are no difference, but for a header of a
    single name: a row may well say that.
    """
    keys = {_key(header, dialect) for header in headers}
    alike = {index for header in headers for index in _find_alike(lines, header, dialect).tolist()}
    return tuple(i for i in sorted(alike) if _key(lines.record(i).rstrip(b"\r\n"), dialect) in keys)


def _key(record: bytes, dialect: Dialect) -> tuple[str, ...] | bytes:
    """What two records have in common that are the same header."""
    bare = record.removeprefix(_BOM)
    try:
        cells = split_text(_unpadded(bare, dialect) + b"\n", dialect)
    except ValueError:
        return bare
    names = tuple(cell.strip().casefold() for cell in cells)
    return names if sum(map(bool, names)) > 1 else bare


def _unpadded(record: bytes, dialect: Dialect) -> bytes:
    """The record without blanks around quotes, which are no CSV without ``csv.trim``."""
    return record.strip(_BLANKS) if dialect.delimiter not in _BLANKS else record


def _find_alike(lines: Lines, header: bytes, dialect: Dialect) -> Positions:
    """The records that begin with the first name of the header, or nearly so."""
    octets = np.frombuffer(lines.octets, np.uint8)
    skipped = _skipped(dialect)
    name = header.lstrip(bytes(skipped)).partition(bytes([dialect.delimiter]))[0]
    name = (name.rstrip(bytes(skipped)) or bytes([dialect.delimiter]))[:_COMPARED].lower()
    may_begin = _table({*skipped, name[0], name[:1].upper()[0]})
    found = np.flatnonzero(may_begin[octets[lines.starts]])
    places, is_skipped = lines.starts[found], _table(skipped)
    for _ in range(_MOST_SKIPPED):
        if not (is_padded := is_skipped[octets[places]]).any():
            break
        places = places + is_padded
    for place, byte in reversed([*enumerate(name)]):  # the ends of names differ most
        at = octets[np.minimum(places + place, octets.size - 1)]
        is_alike = _table({byte, bytes([byte]).upper()[0]})[at]
        found, places = found[is_alike], places[is_alike]
    return found


def _skipped(dialect: Dialect) -> frozenset[int]:
    quote = set() if dialect.quote is None else {dialect.quote}
    return frozenset({*_BOM, *_BLANKS, *quote} - {dialect.delimiter, NEWLINE, RETURN})


def _table(octets: Collection[int]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """For each byte whether it is one of these."""
    table = np.zeros(256, np.bool_)
    table[list(octets)] = True
    return table
