"""What people see: tables on a terminal, plain aligned lines elsewhere.

Names and values come from files and may be hostile: they are shown as text, never read as
markup, and what is not plain text in them is escaped.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ingestd.files import displayable
from ingestd.records import FileState

_LONGEST_CELL = 200
_STYLES: dict[str, str] = {
    FileState.ARCHIVED: "green", FileState.LOADED: "green", FileState.DUPLICATE: "yellow",
    FileState.HELD: "red", FileState.FAILED: "red", FileState.UNDONE: "yellow",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table. Numbers stand on the right; they and keys stay on one line."""

    title: str
    is_number: bool = False
    is_key: bool = False
    """People copy it into other commands: it is not broken, however narrow the terminal is."""


def stdout() -> Console:
    """Where results go."""
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=not sys.stdout.isatty())


def stderr() -> Console:
    """Where errors, hints and progress go."""
    return Console(
        stderr=True, highlight=False, markup=False, emoji=False,
        soft_wrap=not sys.stderr.isatty(),
    )  # fmt: skip


def is_live(console: Console) -> bool:
    """Whether lines on it can be drawn over: a terminal that is not a dumb one."""
    return console.is_terminal and not console.is_dumb_terminal


def clean(value: object) -> str:
    """The value as plain text on one line."""
    return "" if value is None else displayable(str(value))


def short(value: object, length: int = _LONGEST_CELL) -> str:
    """The value as plain text on one line, cut where it is too long for a table."""
    text = clean(value)
    return text if len(text) <= length else text[: length - 1] + "…"


def state_text(state: str) -> Text:
    """A file's state, in its colour."""
    return Text(state, _STYLES.get(state, "dim"))


def local_time(moment: datetime | None) -> str:
    """A moment as this machine's clock shows it, to the second."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def show_json(value: object) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def show_table(
    console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Text | str]]
) -> None:
    """The rows as a table; where there is no terminal, in columns between blanks."""
    if not console.is_terminal:
        _show_plain(console, columns, rows)
        return
    console.print(as_table(columns, rows))


def as_table(columns: Sequence[Column], rows: Sequence[Sequence[Text | str]]) -> Table:
    """The rows for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0))
    for place, column in enumerate(columns):
        key_width = max((cell_len(str(row[place])) for row in rows), default=0)
        table.add_column(
            column.title, justify="right" if column.is_number else "left",
            no_wrap=column.is_number or column.is_key, overflow="fold",
            min_width=key_width if column.is_key else None,
        )  # fmt: skip
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return table


def _show_plain(
    console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Text | str]]
) -> None:
    lines = [[column.title for column in columns], *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(columns))]
    for line in lines:
        cells = (
            cell.rjust(width) if column.is_number else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        )  # fmt: skip
        console.print("  ".join(cells).rstrip())
