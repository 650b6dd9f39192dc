"""Which lines of a block are not whole records by themselves, judged by their quotes.

The quote rule (RFC 4180, section 2): a quoted field begins with a quote right after a delimiter
or a record end, and ends with a quote right before one; inside, a quote is doubled. A line that
obeys it from its first to its last byte is a record. All others begin a record of several
lines, go on with one, or are damaged: only those need a closer look.
"""

import numpy as np
import numpy.typing as npt

from ingestd.formats.csv.dialect import NEWLINE, RETURN, Dialect
from ingestd.formats.text import Positions

Octets = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_NONE = np.empty(0, np.int64)


def odd_lines(octets: Octets, line_ends: Positions, dialect: Dialect) -> Positions:
    """Indexes, ascending, of the lines that break the quote rule when they are read alone."""
    if dialect.quote is None:
        return _NONE
    quotes = np.flatnonzero(octets[: line_ends[-1]] == dialect.quote)
    if not quotes.size:
        return _NONE
    counts = np.diff(np.searchsorted(quotes, line_ends), prepend=0)
    is_odd = counts & 1 == 1
    if is_odd.any():
        quotes = quotes[~np.repeat(is_odd, counts)]
    broken = _broken_pairs(octets, quotes[::2], quotes[1::2], dialect)
    is_odd[np.searchsorted(line_ends, broken, side="right")] = True
    return np.flatnonzero(is_odd)


def paired_ends(octets: Octets, line_ends: Positions, dialect: Dialect) -> Positions:
    """The line ends that lie outside quotes, if all quotes up to the last of them obey the rule.

    None of them otherwise: one stray quote would turn what follows inside out.
    """
    quotes = np.flatnonzero(octets[: line_ends[-1]] == dialect.quote)
    before = np.searchsorted(quotes, line_ends)
    is_outside = before & 1 == 0
    if not is_outside.any():
        return _NONE
    quotes = quotes[: before[is_outside][-1]]
    if _broken_pairs(octets, quotes[::2], quotes[1::2], dialect).size:
        return _NONE
    ends: Positions = line_ends[is_outside]
    return ends


def _broken_pairs(
    octets: Octets, opening: Positions, closing: Positions, dialect: Dialect
) -> Positions:
    """The opening quotes of pairs that neither enclose a field nor are part of one that is.

    Two pairs that touch are one field with a doubled quote.
    """
    before, after = octets[opening - 1], octets[closing + 1]
    is_start = (before == dialect.delimiter) | (before == NEWLINE) | (opening == 0)
    is_end = (after == dialect.delimiter) | (after == NEWLINE)
    if not is_end.all():
        after_next = octets[np.minimum(closing + 2, octets.size - 1)]
        is_end |= (after == RETURN) & (after_next == NEWLINE)
    is_doubled = opening[1:] == closing[:-1] + 1
    is_start[1:] |= is_doubled
    is_end[:-1] |= is_doubled
    broken: Positions = opening[~(is_start & is_end)]
    return broken


def count_fields(
    octets: Octets, starts: Positions, ends: Positions, dialect: Dialect
) -> Positions:  # fmt: skip
    """The number of fields of each record; of damaged records it means nothing."""
    delimiters = np.flatnonzero(octets == dialect.delimiter)
    if dialect.quote is not None:
        is_quote = octets == dialect.quote
        if is_quote.any():
            delimiters = delimiters[_is_outside(is_quote, delimiters, starts, ends)]
    # between records there are blank lines at most, and no delimiter in them
    counts: Positions = np.diff(np.searchsorted(delimiters, ends), prepend=0) + 1
    return counts


def _is_outside(
    is_quote: Mask, at: Positions, starts: Positions, ends: Positions
) -> Mask:  # fmt: skip
    """Whether an even number of quotes lies between each position and its record's start."""
    parity = np.bitwise_xor.accumulate(is_quote.view(np.uint8))
    before = parity[starts - 1]
    before[starts == 0] = 0
    if before.any():
        # what follows the last record counts as its own
        parity ^= np.repeat(before, np.diff(ends[:-1], prepend=0, append=parity.size))
    outside: Mask = parity[at] == 0
    return outside
