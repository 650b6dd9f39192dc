"""Files that hold more than one table."""

from collections.abc import Sequence
from itertools import pairwise

from ingestd.infer.cells import is_value
from ingestd.infer.dialects import Record


def line_of_second_table(records: Sequence[Record], width: int) -> int | None:
    """Where, behind blank lines, rows of another width begin, below a title or a header."""
    for place, (before, record) in enumerate(pairwise(records), 1):
        if record.first_line > before.last_line:
            block = records[place : place + 3]
            table = block[1:] if len(record.cells) == 1 else block[:2]
            if _is_table(table) and len(table[0].cells) != width:
                return record.first_line + 1
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
