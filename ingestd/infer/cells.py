"""Cells of a record, and what they look like: a value, or rather the name of a column."""

import re
from collections.abc import Sequence

from ingestd.infer.dialects import Record
from ingestd.infer.kinds import NULL_SPELLINGS

_VALUE = re.compile(
    r"""(?x)
    [+-]? [$€£]? \s? [+-]? [\d.,\ \u00a0\u202f]* \d [\d.,]* (?:[eE][+-]?\d+)? \s?
        [%€$£]?                                                       # numbers
    | \( [\d.,\ \u00a0\u202f]* [.,]\d+ \)                            # negative ones
    | \d{1,4}[./-]\d{1,2}[./-]\d{1,4} .*                              # dates
    | \d{1,2}:\d{2} .*
    | (?i:true|false) | NaN | NULL | [-?]
    """
)
"""Cells that are hardly ever the name of a column."""

_DATE = re.compile(r"\d{1,4}[./-]\d{1,2}(?:[./-]\d{1,4}.*)?")
_UNIT = re.compile(
    r"""(?x)
    (?!\([\d.,\s]*[.,]\d+\)) [\[(<].*[\])>] | [-%‰]? | °[CFK]? | [A-Z]{3}
    | [cdhkmµnM]?(?:m|g|l|L|s|h|W|V|A|J|N|Pa|Hz|Wh)[²³23]? (?:/ [cdhkmµ]?(?:m|g|l|s|h)[²³23]?)?
    | min | in | ft | lb | mi | mph | € | \$ | £
    """
)


def cell_of(record: Record, place: int) -> str:
    """The cell without blanks around it; empty where the record has none."""
    return record.cells[place].strip() if place < len(record.cells) else ""


def filled_places(record: Record, width: int) -> list[int]:
    """Where the first so many cells say something."""
    return [place for place in range(width) if cell_of(record, place)]


def is_value(record: Record, place: int, but: str = "") -> bool:
    """Whether the cell is hardly a name; ``but`` are characters that stand for none here."""
    cell = cell_of(record, place).strip(but)
    return _VALUE.fullmatch(cell) is not None


def is_valued(body: Sequence[Record], place: int) -> bool:
    """Whether a column holds values that no name looks like."""
    filled = [record for record in body if cell_of(record, place)]
    return bool(filled) and all(is_value(record, place) for record in filled)


def is_blank(record: Record, place: int) -> bool:
    """Whether the cell says nothing: it is empty, or means "no value"."""
    cell = cell_of(record, place)
    return not cell or cell in NULL_SPELLINGS


def is_date(record: Record, place: int) -> bool:
    """Whether the cell is a day or, unlike in most numbers, a month."""
    return _DATE.fullmatch(cell_of(record, place)) is not None


def is_unit(record: Record) -> bool:
    """Whether the cells tell what is counted in the columns."""
    return all(_UNIT.fullmatch(cell.strip()) for cell in record.cells)


def has_text(cell: str) -> bool:
    """Whether anything in it can be seen."""
    return any(character.isprintable() and not character.isspace() for character in cell)
