"""Files that hold more than one table."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ingestd.infer.cells import is_value, is_valued
from ingestd.infer.dialects import Record
from ingestd.infer.outline import Outline


@dataclass(frozen=True, slots=True)
class OtherTable:
    """A table beside the one that is read: above it, below it, or below it and just as wide."""

    line: int
    """Where it begins, from 1."""
    place: Literal["above", "below", "below, as wide"]


def find_other_table(records: Sequence[Record], outline: Outline) -> OtherTable | None:
    """The first one, told by a header above values, with blank lines around it."""
    above = [record for record in records if record.last_line <= outline.skip_lines]
    if len(above) > 2 and _are_table(above[:3]):
        return OtherTable(above[0].first_line + 1, "above")
    headers = {record.key for record in records if record.last_line <= outline.data_line}
    rows = [record for record in records if record.first_line >= outline.data_line]
    for place, (before, record) in enumerate(pairwise(rows), 1):
        if record.first_line > before.last_line:
            block = rows[place : place + 3]
            table = block[1:] if len(record.cells) == 1 else block[:2]
            if not _is_table(table) or table[0].key in headers:
                continue
            if len(table[0].cells) != outline.width:
                return OtherTable(record.first_line + 1, "below")
            if _is_unlike(table[0], rows[:place]):
                return OtherTable(record.first_line + 1, "below, as wide")
    return None


def _is_table(records: Sequence[Record]) -> bool:
    """Whether names stand above as many values, one of which is no text."""
    if len(records) < 2:
        return False
    header, row = records
    places = range(len(header.cells))
    return (
        len(header.cells) == len(row.cells) > 1
        and not any(is_value(header, place) for place in places)
        and any(is_value(row, place) for place in places)
    )


def _are_table(records: Sequence[Record]) -> bool:
    """Whether these are a whole header and rows, and not keys with one value each."""
    header, *rows = records
    is_keyed = len(header.cells) == 2 and not is_value(rows[0], 0)
    return _is_whole(header) and not is_keyed and all(_is_table((header, row)) for row in rows)


def _is_unlike(header: Record, rows: Sequence[Record]) -> bool:
    """Whether it is whole, and has names where all rows above it have values."""
    places = range(len(header.cells))
    return _is_whole(header) and any(is_valued(rows, place) for place in places)


def _is_whole(header: Record) -> bool:
    return all(map(str.strip, header.cells))
