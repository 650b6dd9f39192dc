"""What stands around the rows of a table: lines before it, its header, lines after it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ingestd.formats.csv.header import joined_names
from ingestd.infer.dialects import Record
from ingestd.infer.samples import lines_of

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
_TOTAL = re.compile(r"(?i)(?:(?:sub|grand|all)[ -]?)?(?:totals?|totale|sum|summe|gesamt|somme)\b")
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d")


@dataclass(frozen=True, slots=True)
class Commented:
    """A text without its comments: lines that begin with ``prefix`` are blank."""

    prefix: str
    text: str


@dataclass(frozen=True, slots=True)
class Outline:
    """The parts of a file, in physical lines, and the names that its header gives the columns."""

    comment: str
    skip_lines: int
    """Before the header."""
    header_lines: int
    """Records of the header; 0 without one."""
    data_line: int
    """Physical lines before the first row."""
    names: tuple[str, ...]
    """One for each column, or none."""
    width: int
    """Columns."""
    is_aligned: bool
    """Whether the header has a name for every field of the rows."""
    has_blank_extras: bool
    """Whether rows end with more delimiters than they should."""


def find_comments(text: str) -> Commented:
    """The lines before the table that are marked as no part of it."""
    lines = lines_of(text)
    first = next((line for line in lines if line.strip()), "")
    prefix = next((prefix for prefix in _COMMENTS if first.startswith(prefix)), "")
    return without_comments(text, prefix)


def without_comments(text: str, prefix: str) -> Commented:
    """The text without the lines that begin so."""
    if not prefix:
        return Commented("", text)
    lines = lines_of(text)
    return Commented(prefix, "".join("\n" if line.startswith(prefix) else line for line in lines))


def draw_outline(records: Sequence[Record], comment: str = "") -> Outline:
    """The parts of the file that begins with these records."""
    width = _width(records)
    start = _table_start(records, width)
    table = records[start:]
    header_lines = _header_lines(table, width)
    header, body = table[:header_lines], table[header_lines:]
    before = records[start - 1].last_line if start else 0
    names = _names(header, body, width)
    return Outline(
        comment=comment, skip_lines=before, header_lines=header_lines,
        data_line=header[-1].last_line if header else before,
        names=names, width=len(names) or width,
        is_aligned=not header or len(header[-1].cells) >= width,
        has_blank_extras=any(_has_blank_extras(record, len(names) or width) for record in body),
    )  # fmt: skip


def footer_records(records: Sequence[Record], width: int) -> int:
    """How many of the last records are no rows: notes or totals below the table.

    What is skipped below one file is skipped below all, where it may be a row. So a cut-off row
    is none, nor are blanks and control characters that happen to end a file.
    """
    last = records[-_MOST_FOOTER_LINES:]
    valued = [place for place in range(width) if _is_mostly_valued(records, place)]
    are_below = [_is_note(record, width) or _is_total(record, width, valued) for record in last]
    count = next((n for n, is_below in enumerate(reversed(are_below)) if not is_below), 0)
    has_text = any(
        _has_text(cell) for record in records[len(records) - count :] for cell in record.cells
    )
    return count if has_text else 0


def _is_note(record: Record, width: int) -> bool:
    is_short = len(record.cells) < max(width / 2, 2) and width > 1
    return is_short and not (_cell(record, 0) and _is_value(record, 0))


def _is_total(record: Record, width: int, valued: Sequence[int]) -> bool:
    """Whether a word for a sum, or the only text of all, stands where the rows have values."""
    filled = [place for place in range(width) if _cell(record, place)]
    if len(filled) * 2 > width or not filled or filled[0] not in valued:
        return False
    is_word = _TOTAL.match(_cell(record, filled[0])) is not None
    return is_word or (len(filled) == 1 and not _is_value(record, filled[0]))


def _is_mostly_valued(records: Sequence[Record], place: int) -> bool:
    filled = [record for record in records if _cell(record, place)]
    return 2 * sum(_is_value(record, place) for record in filled) > len(filled)


def _has_text(cell: str) -> bool:
    return any(character.isprintable() and not character.isspace() for character in cell)


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


def _has_blank_extras(record: Record, width: int) -> bool:
    return len(record.cells) > width and not any(map(str.strip, record.cells[width:]))


def _header_lines(table: Sequence[Record], width: int) -> int:
    """How many records of the table are names; more than one where they interrupt the values."""
    if not table or not _is_header(table, width):
        return 0
    body = _without_repeats(table[3:_ENOUGH_RECORDS], table[:3])
    valued = [place for place in range(width) if _is_valued(body, place)]
    for lines, record in enumerate(table[1:3], 1):
        if record.key == table[0].key or not body or not valued:
            return lines
        values = [place for place in valued if _is_value(record, place, but="-?")]
        if values and not _are_years(record, values, body):
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
        if _are_years(first, valued, body):
            return True
        is_rising = 2 < len(valued) < width and _is_rising(first, valued)
        return is_rising and not any(_is_rising(record, valued) for record in body)
    return _is_above_values(table, width) or _is_unlike(cells, body)


def _are_years(record: Record, places: Sequence[int], body: Sequence[Record]) -> bool:
    """Whether these cells are years that follow each other, which no row below has there."""

    def has_years(other: Record) -> bool:
        return all(_YEAR.fullmatch(_cell(other, place)) for place in places)

    if len(places) < 2 or not has_years(record) or any(map(has_years, body)):
        return False
    return _is_rising(record, places)


def _is_above_values(table: Sequence[Record], width: int) -> bool:
    """Whether values stand below one to three lines of names, but for repeated ones."""
    body = _without_repeats(table[1:_ENOUGH_RECORDS], table[:1])
    return any(_is_valued(body[skipped:], place) for skipped in range(3) for place in range(width))


def _without_repeats(body: Sequence[Record], header: Sequence[Record]) -> list[Record]:
    """The records below a header without those that repeat it."""
    repeated = {record.key for record in header}
    return [record for record in body if record.key not in repeated]


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
    return all(a < b for a, b in pairwise(numbers))


def _cell(record: Record, place: int) -> str:
    return record.cells[place].strip() if place < len(record.cells) else ""


def _is_value(record: Record, place: int, but: str = "") -> bool:
    """Whether the cell is hardly a name; ``but`` are characters that stand for none here."""
    cell = _cell(record, place).strip(but)
    return _VALUE.fullmatch(cell) is not None


def _is_valued(body: Sequence[Record], place: int) -> bool:
    """Whether a column holds values that no name looks like."""
    filled = [record for record in body if _cell(record, place)]
    return bool(filled) and all(_is_value(record, place) for record in filled)


def _names(
    header: Sequence[Record], body: Sequence[Record], width: int
) -> tuple[str, ...]:  # fmt: skip
    """The names of the columns; where one is missing, it is that of the row names or of nothing."""
    if not header:
        return ()
    names = joined_names([[cell.strip() for cell in record.cells] for record in header])
    missing = ("",) * (width - len(names))
    has_row_names = any(_cell(record, width - 1) for record in body)
    return (*missing, *names) if has_row_names else (*names, *missing)
