"""Cells of a record, and what they look like: a value, or rather the name of a column."""

import re
from collections.abc import Sequence

from ingestd.infer.dialects import Record

_VALUE = re.compile(
    r"""(?x)
    [+-]? [$€£]? [+-]? [\d.,\ ]* \d [\d.,]* (?:[eE][+-]?\d+)? \s? [%€$£]?   # numbers
    | \d{1,4}[./-]\d{1,2}[./-]\d{1,4} .*                              # dates
    | \d{1,2}:\d{2} .*
    | (?i:true|false) | NaN | NULL | [-?]
    """
)
"""Cells that are hardly ever the name of a column."""


def cell_of(record: Record, place: int) -> str:
    """The cell without blanks around it; empty where the record has none."""
    return record.cells[place].strip() if place < len(record.cells) else ""


def is_value(record: Record, place: int, but: str = "") -> bool:
    """Whether the cell is hardly a name; ``but`` are characters that stand for none here."""
    cell = cell_of(record, place).strip(but)
    return _VALUE.fullmatch(cell) is not None


def is_valued(body: Sequence[Record], place: int) -> bool:
    """Whether a column holds values that no name looks like."""
    filled = [record for record in body if cell_of(record, place)]
    return bool(filled) and all(is_value(record, place) for record in filled)


def has_text(cell: str) -> bool:
    """Whether anything in it can be seen."""
    return any(character.isprintable() and not character.isspace() for character in cell)
