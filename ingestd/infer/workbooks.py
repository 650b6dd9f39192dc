"""Which sheet of a workbook holds a table, where its columns have their names, and which."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ingestd.errors import FileRefused
from ingestd.formats.content import unreadable
from ingestd.formats.convert.excel import name_in
from ingestd.formats.convert.sheets import Cell, Workbook, opened_workbook
from ingestd.formats.drift import distinct_names
from ingestd.infer.cells import cell_of
from ingestd.infer.dialects import Record
from ingestd.infer.outline import draw_outline

_MOST_RECORDS = 400


@dataclass(frozen=True, slots=True)
class Table:
    """What ``[excel]`` has to say beside the defaults, and a name of its own for each column."""

    options: Mapping[str, Any]
    names: tuple[str, ...]


def find_table(path: Path, sheet: str | None) -> Table:
    """The table of a workbook; ``sheet``: the one to look at.

    Raises:
        FileRefused: it is no workbook, damaged, empty, or lacks the sheet.
    """
    try:
        with path.open("rb") as stream, opened_workbook(stream) as workbook:
            chosen = sheet or _first_filled(workbook)
            is_first = workbook.sheet_names[:1] == [chosen]
            records = _records(workbook, chosen)
            outline = draw_outline(records)
            skipped = outline.skip_lines + outline.upper_lines  # one row names the columns
    except OSError as error:
        raise unreadable(path, error) from error
    options = ({} if is_first else {"sheet": chosen}) | ({"skip_lines": skipped} if skipped else {})
    return Table(options, tuple(_names(records[skipped:])))


def _names(table: Sequence[Record]) -> Iterator[str]:
    """Of the columns that have a name or a value."""
    width = max((len(record.cells) for record in table), default=0)
    written = [cell_of(table[0], place) for place in range(width)]
    for place, (name, distinct) in enumerate(zip(written, distinct_names(written), strict=True)):
        if name or any(cell_of(row, place) for row in table):
            yield distinct


def _first_filled(workbook: Workbook) -> str:
    for name in workbook.sheet_names:
        if len(list(islice(workbook.rows(name), 2))) > 1:
            return name
    raise FileRefused(
        "empty_file", "no sheet of the workbook has two rows with content",
        "infer needs a row of names, and rows below it",
    )  # fmt: skip


def _records(workbook: Workbook, sheet: str) -> list[Record]:
    rows = islice(workbook.rows(sheet), _MOST_RECORDS)
    return [Record(place, place + 1, _cells(row)) for place, row in enumerate(rows)]


def _cells(row: Sequence[Cell]) -> tuple[str, ...]:
    """As far as there is content."""
    cells = [name_in(cell) for cell in row]
    while not cells[-1]:
        cells.pop()
    return tuple(cells)
