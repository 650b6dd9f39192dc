"""Where records end, found for a whole block at once, and whether its quotes are well formed.

The quote rule (RFC 4180, section 2): a quoted field begins with a quote right after a delimiter
or a record end and ends with a quote right before one; inside, a quote is doubled. Where all
quotes of a block obey it, a newline ends a record exactly when an even number of quotes lies
before it. Blocks where one does not obey are read record by record (``records.py``).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ingestd.formats.csv.dialect import NEWLINE, RETURN, Dialect

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Structure:
    """Positions in one block that starts at a record. ``ends``: the byte after each record."""

    ends: Positions
    newlines: Positions
    quotes: Positions
    is_regular: bool
    """Quotes are well formed and no line is blank, up to the last of ``ends``."""


def read_structure(block: memoryview, dialect: Dialect) -> Structure:
    """Find the ends of all complete records in ``block``."""
    octets = np.frombuffer(block, np.uint8)
    newlines = np.flatnonzero(octets == NEWLINE)
    quotes = _NONE if dialect.quote is None else np.flatnonzero(octets == dialect.quote)
    ends = newlines + 1
    if quotes.size:
        ends = ends[np.searchsorted(quotes, newlines) & 1 == 0]
    used = quotes[: np.searchsorted(quotes, ends[-1])] if ends.size else _NONE
    is_regular = _obeys_quote_rule(octets, used, dialect) and not _has_blank_line(octets, ends)
    return Structure(ends, newlines, used, is_regular)


_NONE = np.empty(0, np.int64)


def _obeys_quote_rule(octets: npt.NDArray[np.uint8], quotes: Positions, dialect: Dialect) -> bool:
    """Whether each opening quote follows a border or a closing one, and each closing one leads."""
    if not quotes.size:
        return True
    if quotes.size % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    before = octets[np.maximum(opening - 1, 0)]
    after = octets[np.minimum(closing + 1, octets.size - 1)]
    doubled = opening[1:] == closing[:-1] + 1
    is_start = (before == dialect.delimiter) | (before == NEWLINE) | (opening == 0)
    is_end = (after == dialect.delimiter) | (after == NEWLINE) | (closing == octets.size - 1)
    is_end |= _is_crlf(octets, closing + 1)
    is_start[1:] |= doubled
    is_end[:-1] |= doubled
    return bool(is_start.all() and is_end.all())


def _is_crlf(octets: npt.NDArray[np.uint8], at: Positions) -> npt.NDArray[np.bool_]:
    last = octets.size - 1
    is_return = octets[np.minimum(at, last)] == RETURN
    follows = (octets[np.minimum(at + 1, last)] == NEWLINE) | (at == last)
    crlf: npt.NDArray[np.bool_] = is_return & follows
    return crlf


def _has_blank_line(octets: npt.NDArray[np.uint8], ends: Positions) -> bool:
    if not ends.size:
        return False
    lengths = np.diff(ends, prepend=0)
    if int(lengths.min()) > 2:
        return False
    starts = ends - lengths
    return bool(((lengths == 1) | ((lengths == 2) & (octets[starts] == RETURN))).any())


def multiline_records(structure: Structure) -> Positions:
    """Indexes of the records that hold a newline inside quotes."""
    if structure.newlines.size == structure.ends.size:
        return _NONE
    before = np.searchsorted(structure.newlines, structure.ends)
    return np.flatnonzero(np.diff(before, prepend=0) > 1)


def field_counts(block: memoryview, structure: Structure, dialect: Dialect) -> Positions:
    """The number of fields of each record, for a regular block."""
    octets = np.frombuffer(block, np.uint8)
    delimiters = np.flatnonzero(octets == dialect.delimiter)
    if structure.quotes.size:
        delimiters = delimiters[np.searchsorted(structure.quotes, delimiters) & 1 == 0]
    before = np.searchsorted(delimiters, structure.ends)
    counts: Positions = np.diff(before, prepend=0) + 1
    return counts
