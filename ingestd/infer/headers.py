"""Which records of a table name its columns, and what the names are."""

import re
from collections.abc import Sequence
from itertools import pairwise

from ingestd.formats.csv.header import joined_names
from ingestd.infer.cells import cell_of, is_value, is_valued
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
        values = [place for place in valued if is_value(record, place, but="-?")]
        if values and not _are_years(record, values, body):
            return lines
        if 2 * sum(cell_of(record, place) != "" for place in valued) < len(valued):
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
    valued = [place for place in range(width) if is_value(first, place)]
    if valued:
        if _are_years(first, valued, body):
            return True
        is_rising = 2 < len(valued) < width and _is_rising(first, valued)
        return is_rising and not any(_is_rising(record, valued) for record in body)
    return _is_above_values(table, width) or _is_unlike(cells, body)


def _are_years(record: Record, places: Sequence[int], body: Sequence[Record]) -> bool:
    """Whether these cells are years that follow each other, which no row below has there."""

    def has_years(other: Record) -> bool:
        return all(_YEAR.fullmatch(cell_of(other, place)) for place in places)

    if len(places) < 2 or not has_years(record) or any(map(has_years, body)):
        return False
    return _is_rising(record, places)


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
    names = joined_names([[cell.strip() for cell in record.cells] for record in header])
    missing = ("",) * (width - len(names))
    has_row_names = any(cell_of(record, width - 1) for record in body)
    return (*missing, *names) if has_row_names else (*names, *missing)
