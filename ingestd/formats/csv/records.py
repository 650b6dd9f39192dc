"""Where the records of a block begin and end, found for all of them at once.

A line is a record, unless its quotes say otherwise. A record of several lines must obey the
quote rule and keep within the largest size; otherwise the damage is confined to its first line and
reading goes on at the next. So an open quote costs one row, not the rest of the file; and what
stands inside quotes that do close is never read as rows, however many fields its record has.
Lines without content (blank, or delimiters and blanks alone) are no records, nor are comments.

What becomes of a line depends on the bytes from there on, never on how the file is cut.
"""

from dataclasses import dataclass

import numpy as np

from ingestd.formats.csv.dialect import NEWLINE, RETURN, Dialect
from ingestd.formats.csv.quotes import Mask, Octets, odd_lines, paired_ends
from ingestd.formats.text import Positions

_FIRST_BYTES = 8
"""Of a line, by which nearly all that have content are told."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What to scan with: the dialect, and the largest size of a record."""

    dialect: Dialect
    max_record_bytes: int


@dataclass(frozen=True, slots=True)
class Found:
    """The records of a block, which with the idle lines (blank ones and comments) between them
    make up its beginning."""

    starts: Positions
    ends: Positions
    """After the record end."""
    faults: dict[int, str]
    """Rules that records break, by their index."""
    end: int
    """Bytes of that beginning."""
    line_count: int
    """Physical lines in it."""


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines of a block, on their way to become records."""

    block: bytes
    starts: Positions
    ends: Positions
    """Of the record that begins on each line."""
    is_start: Mask
    """Whether a record begins on the line."""
    faults: dict[int, str]


def find_records(block: bytes, scan: Scan, *, is_final: bool) -> Found:
    """The records of ``block``, which starts at a record.

    An unfinished line at the end is left alone. Unless ``is_final``, so is all from the first
    record on of which only bytes behind the block can tell where it ends.
    """
    octets = np.frombuffer(block, np.uint8)
    line_ends = np.flatnonzero(octets == NEWLINE) + 1
    if not line_ends.size:
        return Found(line_ends, line_ends, {}, 0, 0)
    odd = odd_lines(octets, line_ends, scan.dialect)
    if odd.size and (found := _find_joined(octets, line_ends, scan, is_final=is_final)):
        return found
    lines = _lines(block, octets, line_ends, scan)
    if not odd.size and not lines.faults and lines.is_start.all():
        return Found(lines.starts, lines.ends, {}, int(line_ends[-1]), line_ends.size)
    return _found(lines, _join_lines(lines, odd.tolist(), scan, is_final=is_final))


def _find_joined(
    octets: Octets, line_ends: Positions, scan: Scan, *, is_final: bool
) -> Found | None:
    """All records at once where no quote is amiss, though records may have several lines."""
    ends = paired_ends(octets, line_ends, scan.dialect)
    rest = octets.size - (int(ends[-1]) if ends.size else 0)
    if not ends.size or rest >= (1 if is_final else scan.max_record_bytes):
        return None
    lengths = np.diff(ends, prepend=0)
    starts = ends - lengths
    is_sound = _has_content(octets, starts, lengths, scan) & (lengths <= scan.max_record_bytes)
    if not is_sound.all():
        return None
    line_count = int(np.searchsorted(line_ends, ends[-1])) + 1
    return Found(starts, ends, {}, int(ends[-1]), line_count)


def _has_content(octets: Octets, starts: Positions, lengths: Positions, scan: Scan) -> Mask:
    """Which lines are neither without content nor comments."""
    has_content: Mask = lengths > 2
    if not has_content.all():
        has_content |= (lengths == 2) & (octets[starts] != RETURN)
    if scan.dialect.comment:
        has_content &= ~_is_comment(octets, starts, scan.dialect.comment)
    has_content[_find_empty(octets, starts, starts + lengths, scan.dialect)] = False
    return has_content


def _find_empty(octets: Octets, starts: Positions, ends: Positions, dialect: Dialect) -> Positions:
    """Lines of delimiters and blanks alone, such as spreadsheets write below a table."""
    is_idle = np.zeros(256, np.bool_)
    is_idle[[dialect.delimiter, *b" \t"]] = True
    lines = np.flatnonzero(is_idle[octets[starts]])
    last = ends[lines] - 2  # before the line end
    last -= octets[last] == RETURN
    for place in range(1, _FIRST_BYTES):
        is_kept = is_idle[octets[np.minimum(starts[lines] + place, last)]]
        lines, last = lines[is_kept], last[is_kept]
    is_long = last - starts[lines] >= _FIRST_BYTES
    is_empty = [
        dialect.empty.match(octets.data, start) is not None
        for start in starts[lines[is_long]].tolist()
    ]
    return np.concatenate((lines[~is_long], lines[is_long][is_empty]))


def _is_comment(octets: Octets, starts: Positions, prefix: bytes) -> Mask:
    is_comment = np.ones(starts.size, np.bool_)
    for place, byte in enumerate(prefix):  # beyond a short line there is its end, which differs
        is_comment &= octets[np.minimum(starts + place, octets.size - 1)] == byte
    return is_comment


def _lines(block: bytes, octets: Octets, ends: Positions, scan: Scan) -> _Lines:
    lengths = np.diff(ends, prepend=0)
    starts = ends - lengths
    is_start = _has_content(octets, starts, lengths, scan)
    too_large = np.flatnonzero(is_start & (lengths > scan.max_record_bytes))
    faults = dict.fromkeys(too_large.tolist(), "record_too_large")
    return _Lines(block, starts, ends.copy(), is_start, faults)


def _join_lines(lines: _Lines, odd: list[int], scan: Scan, *, is_final: bool) -> int:
    """Join the lines of records of several, mark damaged ones; returns how many are decided."""
    position = 0
    for line in odd:
        start = int(lines.starts[line])
        if start < position or line in lines.faults or not lines.is_start[line]:
            continue
        end = _end_of_several(lines.block, start, scan)
        if end:
            after = int(np.searchsorted(lines.starts, end))
            lines.is_start[line + 1 : after] = False
            lines.ends[line] = position = end
        elif not is_final and _may_go_on(lines.block, start, scan):
            return line
        else:
            lines.faults[line] = _fault_of(lines.block[start : int(lines.ends[line])], scan)
    return lines.starts.size


def _end_of_several(block: bytes, start: int, scan: Scan) -> int:
    """Where the record of several lines ends that begins here; 0 if none does."""
    match = scan.dialect.record.match(block, start, start + scan.max_record_bytes)
    return match.end() if match else 0


def _may_go_on(block: bytes, start: int, scan: Scan) -> bool:
    """Whether all is well with the record that begins here but for its end, which is missing."""
    has_room = len(block) - start < scan.max_record_bytes
    return has_room and scan.dialect.unfinished.match(block, start) is not None


def _fault_of(line: bytes, scan: Scan) -> str:
    """``unclosed_quote`` when closing the last field would mend the line, else ``stray_quote``."""
    quote = scan.dialect.quote
    assert quote is not None, "without quotes every line is well formed"
    mended = line.rstrip(b"\r\n") + bytes([quote]) + b"\n"
    return "unclosed_quote" if scan.dialect.record.fullmatch(mended) else "stray_quote"


def _found(lines: _Lines, decided: int) -> Found:
    kept = np.flatnonzero(lines.is_start[:decided])
    faulty = [line for line in lines.faults if line < decided]
    places = np.searchsorted(kept, faulty).tolist()
    faults = {place: lines.faults[line] for place, line in zip(places, faulty, strict=True)}
    is_whole = decided == lines.starts.size
    end = lines.ends[-1] if is_whole else lines.starts[decided]
    return Found(lines.starts[kept], lines.ends[kept], faults, int(end), decided)
