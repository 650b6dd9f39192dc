"""Which records of a table name its columns, and what the names are."""

import re
from collections.abc import Sequence
from itertools import pairwise

from ingestd.formats.csv.header import clean_name, joined_names
from ingestd.infer.cells import cell_of, is_blank, is_date, is_unit, is_value, is_valued
from ingestd.infer.dialects import Record

_ENOUGH_RECORDS = 100
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d")


def count_header_lines(table: Sequence[Record], width: int) -> int:
    """How many records of the table are names; more than one where they interrupt the values."""
    if not table or not _is_header(table, width):
        return 0
    body = _without_repeats(table[3:_ENOUGH_RECORDS], table[:3])
    valued = [place for place in range(width) if is_valued(body, place)]
    for lines, record in enumerate(table[1:3], 1):
        if record.key == table[0].key or not body or not valued:
            return lines
        if not (
            _is_lower(record, valued, body) or _has_missing_names(record, table[:lines], width)
        ):
            return lines
    return 3 if len(body) > 1 else 1


def _is_lower(record: Record, valued: Sequence[int], body: Sequence[Record]) -> bool:
    """Whether it says more of the names above it: years, units, or words where rows have values.

    A single word may be that of a row.
    """
    values = [place for place in valued if is_value(record, place, but="-?")]
    if values:
        return _are_years(record, values, body)
    words = [place for place in valued if not is_blank(record, place)]
    return 2 * len(words) >= len(valued) and (len(words) > 1 or is_unit(record))


def _has_missing_names(record: Record, header: Sequence[Record], width: int) -> bool:
    """Whether it has names for just those columns that have none yet."""
    nameless = [p for p in range(width) if not any(cell_of(names, p) for names in header)]
    return 0 < len(nameless) < width and nameless == [p for p in range(width) if cell_of(record, p)]


def _is_header(table: Sequence[Record], width: int) -> bool:
    """Whether the first record names the columns.

    It does where names stand above values, and unless a cell of it is a value like those below.
    """
    first, body = table[0], table[1:]
    cells = [cell.strip() for cell in first.cells]
    if not any(cells):
        return False
    valued = [place for place in range(width) if is_value(first, place)]
    if valued:
        return _are_labels(first, valued, body)
    return _is_above_values(table, width) or _is_unlike(cells, body)


def _are_labels(record: Record, places: Sequence[int], body: Sequence[Record]) -> bool:
    """Whether these values are names: years, dates above numbers, or numbers that go up from
    column to column as those of no row do."""
    if _are_years(record, places, body) or _are_dates(record, places, body):
        return True
    is_rising = 2 < len(places) < len(record.cells) and _is_rising(record, places)
    return is_rising and not any(_is_rising(other, places) for other in body)


def _are_years(record: Record, places: Sequence[int], body: Sequence[Record]) -> bool:
    """Whether these cells are years in order, which no row below has there."""

    def have_years(other: Record) -> bool:
        return all(_YEAR.fullmatch(cell_of(other, place)) for place in places)

    years = [cell_of(record, place) for place in places]
    if not have_years(record) or len({*years}) < 2 or sorted(years) not in (years, years[::-1]):
        return False
    is_counting = _is_counting(record, places)
    return not any(
        have_years(other) and (not is_counting or _is_counting(other, places)) for other in body
    )


def _is_counting(record: Record, places: Sequence[int]) -> bool:
    """Whether these cells are whole numbers, each the next one."""
    cells = [cell_of(record, place) for place in places]
    steps = {int(b) - int(a) for a, b in pairwise(cells)} if all(map(str.isdigit, cells)) else ()
    return steps in ({1}, {-1})


def _are_dates(record: Record, places: Sequence[int], body: Sequence[Record]) -> bool:
    """Whether these cells are dates, and numbers all that stands below them."""
    return all(is_date(record, place) for place in places) and all(
        is_valued(body, place) and not any(is_date(other, place) for other in body)
        for place in places
    )


def _is_above_values(table: Sequence[Record], width: int) -> bool:
    """Whether values stand below one to three lines of names, but for repeated ones."""
    body = _without_repeats(table[1:_ENOUGH_RECORDS], table[:1])
    return any(is_valued(body[skipped:], place) for skipped in range(3) for place in range(width))


def _without_repeats(body: Sequence[Record], header: Sequence[Record]) -> list[Record]:
    """The records below a header without those that repeat it."""
    repeated = {record.key for record in header}
    return [record for record in body if record.key not in repeated]


def _is_unlike(cells: list[str], body: Sequence[Record]) -> bool:
    """Whether the cells could be names: different ones that do not come again below."""
    filled = [cell for cell in cells if cell]
    again = sum(
        any(cell_of(record, place) == cell for record in body)
        for place, cell in enumerate(cells)
        if cell
    )
    return len(set(filled)) * 2 > len(filled) and again * 2 <= len(filled)


def _is_rising(record: Record, places: Sequence[int]) -> bool:
    """Whether these cells are numbers, each greater than the one before it."""
    try:
        numbers = [float(cell_of(record, place)) for place in places]
    except ValueError:
        return False
    return all(a < b for a, b in pairwise(numbers))


def names_in(
    header: Sequence[Record], body: Sequence[Record], width: int
) -> tuple[str, ...]:  # fmt: skip
    """The names of the columns; where one is missing, it is that of the row names or of nothing."""
    if not header:
        return ()
    names = joined_names([list(map(clean_name, record.cells)) for record in header])
    missing = ("",) * (width - len(names))
    has_row_names = any(cell_of(record, width - 1) for record in body)
    return (*missing, *names) if has_row_names else (*names, *missing)
