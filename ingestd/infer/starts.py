"""Where a table begins: which of the lines above its rows name the columns, and which are no part
of it.

What names the columns stands right above the first row like most of them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ingestd.formats.csv.header import joined_names
from ingestd.infer.cells import cell_of, filled_places, is_unit, is_value
from ingestd.infer.dialects import Record
from ingestd.infer.headers import count_header_lines
from ingestd.infer.usual import UsualRows, usual_rows

_MOST_PREAMBLE_LINES = 100
_MOST_UPPER_LINES = 2
_MOST_LINES_BETWEEN = 3
"""Between the names and the first row."""


@dataclass(frozen=True, slots=True)
class Start:
    """The first record of the table, and how many of its records stand above the names."""

    place: int
    upper_lines: int = 0


def width_of(records: Sequence[Record]) -> int:
    """The number of fields that most records have, or those below a longer preamble.

    A wider row stays a damaged one.
    """
    widths = Counter(len(record.cells) for record in records)
    most = max(widths, key=lambda width: (widths[width], width), default=1)
    wider = (width for width in sorted(widths) if width > most and _is_below(records, width))
    return next(wider, most)


def _is_below(records: Sequence[Record], width: int) -> bool:
    """Whether the first record so wide names the columns of those below it, which are its like."""
    first = next(n for n, record in enumerate(records) if len(record.cells) == width)
    block = records[first:]
    like = sum(len(record.cells) == width for record in block)
    if like < 2 or 2 * like <= len(block):
        return False
    rows = usual_rows(block, width)
    return rows.are_named_by(block[0]) and (bool(rows.valued) or _is_apart(records, first))


def find_start(records: Sequence[Record], width: int) -> Start:
    """Where the table begins whose rows have so many fields."""
    if not records:
        return Start(0)
    rows = usual_rows(records, width)
    first = _first_row(records, rows)
    names = _names_apart(records, rows) or _names_above(records, first, rows)
    if names is None or len(records[names].cells) < width:
        above = enumerate(records[:first])
        first = next((n for n, record in above if rows.are_damaged_in(record)), first)
        names = _names_above(records, first, rows)
    if names is None:
        return Start(first)
    upper = _upper_lines(records, names, rows)
    return Start(names - upper, upper)


def _first_row(records: Sequence[Record], rows: UsualRows) -> int:
    """The first record like most, or at least as wide; years above names are none."""
    begin = records[:_MOST_PREAMBLE_LINES]
    wide = next((place for place, record in enumerate(begin) if len(record.cells) >= rows.width), 0)
    first = next((place for place, record in enumerate(begin) if rows.have(record)), wide)
    names = records[first + 1 : first + 2]
    is_named = any(rows.are_named_by(record) and rows.are_sure_of(record) for record in names)
    return first + (is_named and _is_upper(records[first], names, rows))


def _names_apart(records: Sequence[Record], rows: UsualRows) -> int | None:
    """The first record behind a blank line that names the columns of rows right below it."""
    most = min(_MOST_PREAMBLE_LINES, len(records) // 3)
    for place in range(1, most if rows.valued else 0):
        is_above_row = rows.have(records[place + 1])
        if is_above_row and _is_apart(records, place) and rows.are_named_by(records[place]):
            return place
    return None


def _names_above(records: Sequence[Record], first: int, rows: UsualRows) -> int | None:
    """The record above the first row that names the columns, or above a few damaged rows.

    Nothing tells names from rows of texts, unless one of them is missing.
    """
    if not rows.valued:
        return first - _is_name_missing(records, first, rows)
    for place in range(first - 1, max(-1, first - 2 - _MOST_LINES_BETWEEN), -1):
        is_apart = _is_apart(records, place + 1)
        is_whole = len(records[place].cells) >= rows.width
        if rows.are_named_by(records[place]) and (is_whole or not is_apart):
            return place - _rows_of_texts(records, place, rows)
        if is_apart:
            break
    return first - 1 if first and _are_labels_above(records, first, rows) else None


def _are_labels_above(records: Sequence[Record], first: int, rows: UsualRows) -> bool:
    """Whether years or the like right above the first row name the columns."""
    names = records[first - 1]
    is_fit = len(names.cells) == rows.width and not _is_apart(records, first)
    return is_fit and count_header_lines(records[first - 1 :], rows.width) > 0


def _is_name_missing(records: Sequence[Record], first: int, rows: UsualRows) -> bool:
    """Whether the record above the first row of texts is a header that lacks one name."""
    if first == 0 or _is_apart(records, first) or rows.is_prose(records[first - 1]):
        return False
    names = records[first - 1]
    missing = {*range(rows.width)}.difference(filled_places(names, rows.width))
    return rows.are_named_by(names) and len(missing) == 1 and (rows.width > 2 or missing == {0})


def _rows_of_texts(records: Sequence[Record], names: int, rows: UsualRows) -> int:
    """How many records from this one up may be rows just as well as names."""
    count = 0
    while count < names and _may_be_row(records[names - count], records[names - count - 1], rows):
        count += 1
    return count


def _may_be_row(record: Record, upper: Record, rows: UsualRows) -> bool:
    """Whether it has too few texts to be sure, and the record above it names all columns, too."""
    if rows.are_sure_of(record) or record.first_line > upper.last_line:
        return False
    is_whole = len(filled_places(upper, rows.width)) == rows.width
    return is_whole and rows.are_named_by(upper) and not _is_upper(upper, [record], rows)


def _upper_lines(records: Sequence[Record], names: int, rows: UsualRows) -> int:
    """How many records above the names say more of them."""
    count = 0
    while count < min(_MOST_UPPER_LINES, names):
        place = names - count - 1
        lower = records[place + 1 : names + 1]
        if _is_apart(records, place + 1) or not _is_upper(records[place], lower, rows):
            break
        count += 1
    return count


def _is_upper(upper: Record, lower: Sequence[Record], rows: UsualRows) -> bool:
    """Whether these names complete those below: tell them apart, stand over several of them, or
    say the same again where no row could be meant."""
    filled = filled_places(upper, rows.width)
    if len(upper.cells) != rows.width or len(filled) < 2 or rows.is_prose(upper):
        return False
    cells = [record.cells for record in lower]
    if _count_names([upper.cells, *cells]) > _count_names(cells):
        return True
    if len(filled) < rows.width:
        return filled != [*range(len(filled))]
    if not rows.are_sure_of(lower[0]):
        return False
    if len({cell_of(upper, place) for place in filled}) < len(filled):
        return True
    is_named = not any(is_value(upper, place) for place in filled)
    return is_named and (rows.width > 2 or is_unit(lower[0]))


def _count_names(lines: Sequence[Sequence[str]]) -> int:
    return len({*filter(None, joined_names(lines))})


def _is_apart(records: Sequence[Record], place: int) -> bool:
    """Whether blank lines stand above the record."""
    return place > 0 and records[place - 1].last_line < records[place].first_line
