"""What stands around the rows of a table: lines before it, its header, lines after it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ingestd.infer.cells import cell_of, has_text, is_value
from ingestd.infer.dialects import Record
from ingestd.infer.headers import count_header_lines, names_in
from ingestd.infer.samples import lines_of

_MOST_PREAMBLE_LINES = 100
_MOST_FOOTER_LINES = 20
_COMMENTS = ("#", "%", "//", "--")
_TOTAL = re.compile(r"(?i)(?:(?:sub|grand|all)[ -]?)?(?:totals?|totale|sum|summe|gesamt|somme)\b")


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
    header_lines = count_header_lines(table, width)
    header, body = table[:header_lines], table[header_lines:]
    before = records[start - 1].last_line if start else 0
    names = names_in(header, body, width)
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
    is_told = any(
        has_text(cell) for record in records[len(records) - count :] for cell in record.cells
    )
    return count if is_told else 0


def _is_note(record: Record, width: int) -> bool:
    is_short = len(record.cells) < max(width / 2, 2) and width > 1
    return is_short and not (cell_of(record, 0) and is_value(record, 0))


def _is_total(record: Record, width: int, valued: Sequence[int]) -> bool:
    """Whether a word for a sum, or the only text of all, stands where the rows have values."""
    filled = [place for place in range(width) if cell_of(record, place)]
    if len(filled) * 2 > width or not filled or filled[0] not in valued:
        return False
    is_word = _TOTAL.match(cell_of(record, filled[0])) is not None
    return is_word or (len(filled) == 1 and not is_value(record, filled[0]))


def _is_mostly_valued(records: Sequence[Record], place: int) -> bool:
    filled = [record for record in records if cell_of(record, place)]
    return 2 * sum(is_value(record, place) for record in filled) > len(filled)


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
