"""What stands around the rows of a table: lines before it, its header, lines after it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ingestd.infer.dialects import Record

_MOST_PREAMBLE_LINES = 100
_MOST_FOOTER_LINES = 20
_ENOUGH_RECORDS = 100
_COMMENTS = ("#", "%", "//", "--")
_VALUE = re.compile(
    r"""(?x)
    [+-]? [$€£]? [+-]? [\d.,\ ]* \d [\d.,]* (?:[eE][+-]?\d+)? \s? [%€$£]?   # numbers
    | \d{1,4}[./-]\d{1,2}[./-]\d{1,4} .*                              # dates
    | \d{1,2}:\d{2} .*
    | (?i:true|false) | NaN | NULL | [-?]
    """
)
"""Cells that are hardly ever the name of a column."""
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d")


@dataclass(frozen=True, slots=True)
class Outline:
    """The parts of a file, in physical lines, and the header's cells, joined line by line."""

    comment: str
    skip_lines: int
    """Before the header."""
    header_lines: int
    """Records of the header; 0 without one."""
    data_line: int
    """Physical lines before the first row."""
    names: tuple[str, ...]
    width: int
    """Fields of a row."""


def comment_prefix(lines: Sequence[str]) -> str:
    """What the lines that are not part of the table begin with, if they are marked so."""
    first = next((line for line in lines if line.strip()), "")
    return next((prefix for prefix in _COMMENTS if first.startswith(prefix)), "")


def draw_outline(records: Sequence[Record], comment: str = "") -> Outline:
    """The parts of the file that begins with these records."""
    width = _width(records)
    start = _table_start(records, width)
    table = records[start:]
    header_lines = _header_lines(table, width)
    header = table[:header_lines]
    names = _joined_names(header, width)
    before = table[0].first_line if table else 0
    data_line = header[-1].last_line if header else before
    return Outline(comment, before, header_lines, data_line, names, width)


def footer_lines(records: Sequence[Record], width: int) -> int:
    """How many of the last lines are no rows: notes and sums below the table."""
    count = 0
    for record in reversed(records[-_MOST_FOOTER_LINES:]):
        if len(record.cells) >= max(width / 2, 2) or len(record.cells) == width:
            break
        count += 1
    return count if count < len(records[-_MOST_FOOTER_LINES:]) else 0


def _width(records: Sequence[Record]) -> int:
    """The number of fields that most records have; a wider row stays a damaged one."""
    widths = Counter(len(record.cells) for record in records)
    return max(widths, key=lambda width: (widths[width], width), default=1)


def _table_start(records: Sequence[Record], width: int) -> int:
    """The first record that is as wide as the rows, or one narrower right above one that is."""
    start = records[:_MOST_PREAMBLE_LINES]
    return next((place for place, record in enumerate(start) if _is_full(record, width)), 0)


def _is_full(record: Record, width: int) -> bool:
    filled = sum(cell.strip() != "" for cell in record.cells)
    is_wide = len(record.cells) >= width or (width > 2 and len(record.cells) == width - 1)
    return is_wide and (filled * 2 >= width or width < 3)


def _header_lines(table: Sequence[Record], width: int) -> int:
    """How many records of the table are names; more than one where they interrupt the values."""
    if not table or not _is_header(table, width):
        return 0
    body = table[3:_ENOUGH_RECORDS]
    valued = [place for place in range(width) if _is_valued(body, place)]
    for lines, record in enumerate(table[1:3], 1):
        if not body or not valued or any(_is_value(record, place) for place in valued):
            return lines
        if 2 * sum(_cell(record, place) != "" for place in valued) < len(valued):
            return lines
    return 3 if len(body) > 1 else 1


def _is_header(table: Sequence[Record], width: int) -> bool:
    """Whether the first record names the columns.

    It does where names stand above values, and unless a cell of it is a value like those below.
    Numbers are names where they go up from column to column, as years do, and rows do not.
    """
    first, body = table[0], table[1:]
    cells = [cell.strip() for cell in first.cells]
    if not any(cells):
        return False
    valued = [place for place in range(width) if _is_value(first, place)]
    if valued:
        if len(valued) == width or not _is_rising(first, valued):
            return False
        are_years = all(_YEAR.fullmatch(cells[place]) for place in valued)
        return are_years or not any(_is_rising(record, valued) for record in body)
    return any(_is_valued(body, place) for place in range(width)) or _is_unlike(cells, body)


def _is_unlike(cells: list[str], body: Sequence[Record]) -> bool:
    """Whether the cells could be names: different ones that do not come again below."""
    filled = [cell for cell in cells if cell]
    again = sum(
        any(_cell(record, place) == cell for record in body)
        for place, cell in enumerate(cells)
        if cell
    )
    return len(set(filled)) * 2 > len(filled) and again * 2 <= len(filled)


def _is_rising(record: Record, places: Sequence[int]) -> bool:
    """Whether these cells are numbers, each greater than the one before it."""
    try:
        numbers = [float(_cell(record, place)) for place in places]
    except ValueError:
        return False
    return len(numbers) > 2 and all(a < b for a, b in pairwise(numbers))


def _cell(record: Record, place: int) -> str:
    return record.cells[place].strip() if place < len(record.cells) else ""


def _is_value(record: Record, place: int) -> bool:
    return _VALUE.fullmatch(_cell(record, place)) is not None


def _is_valued(body: Sequence[Record], place: int) -> bool:
    """Whether a column holds values that no name looks like."""
    filled = [record for record in body if _cell(record, place)]
    return bool(filled) and all(_is_value(record, place) for record in filled)


def _joined_names(header: Sequence[Record], width: int) -> tuple[str, ...]:
    """The names of the columns; those of several lines are joined with ``_``."""
    width = max([width, *(len(record.cells) for record in header)])
    return tuple(
        "_".join(filter(None, (_cell(record, place) for record in header)))
        for place in range(width)
        if header
    )
