"""Which sheet of a workbook holds a table, and where in it the names of the columns stand."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ingestd.errors import FileRefused
from ingestd.formats.content import unreadable
from ingestd.formats.convert.excel import name_in
from ingestd.formats.convert.sheets import Cell, Workbook, opened_workbook
from ingestd.infer.dialects import Record
from ingestd.infer.outline import draw_outline

_MOST_RECORDS = 400


def find_table(path: Path, sheet: str | None) -> dict[str, Any]:
    """What ``[excel]`` has to say beside the defaults; ``sheet``: the one to look at.

    Raises:
        FileRefused: it is no workbook, damaged, empty, or lacks the sheet.
    """
    try:
        with path.open("rb") as stream, opened_workbook(stream) as workbook:
            chosen = sheet or _first_filled(workbook)
            is_first = workbook.sheet_names[:1] == [chosen]
            outline = draw_outline(_records(workbook, chosen))
            skipped = outline.skip_lines + outline.upper_lines  # one row names the columns
    except OSError as error:
        raise unreadable(path, error) from error
    return ({} if is_first else {"sheet": chosen}) | ({"skip_lines": skipped} if skipped else {})


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
