"""How loading gets on: bars on a terminal, a plain line now and then elsewhere. All on stderr."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from ingestd.cli.screen import clean, is_live, short

_PLAIN_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class FileProgress:
    """How far one file is. ``done_bytes`` is missing while the file is looked through."""

    size_bytes: int
    done_bytes: int | None = None
    rows: int = 0
    refused: int = 0
    rows_per_s: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimated by the bytes per row so far."""
        if not self.done_bytes or not self.rows or not self.rows_per_s:
            return None
        return (self.size_bytes - self.done_bytes) / (self.done_bytes / self.rows) / self.rows_per_s


class Display(Protocol):
    """Something that shows how loading gets on."""

    def update(self, files: Mapping[Path, FileProgress], note: str) -> None:
        """Show the files at work, and a remark on all of it; called several times a second."""
        ...


@contextmanager
def open_display(console: Console, *, is_plain: bool) -> Iterator[Display]:
    """The display that fits the console."""
    if is_plain or not is_live(console):
        yield PlainLines(console)
        return
    columns = (
        TextColumn("{task.fields[name]}", markup=False, style="bold"),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TextColumn("{task.fields[rate]}", markup=False, style="cyan", justify="right"),
        TextColumn("{task.fields[refused]}", markup=False, style="red"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[note]}", markup=False, style="yellow"),
    )
    with Progress(*columns, console=console, transient=True, expand=True) as bars:
        yield Bars(bars)


class Bars:
    """One bar per file at work."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[Path, TaskID] = {}

    def update(self, files: Mapping[Path, FileProgress], note: str) -> None:
        """Draw; files that are no longer at work disappear."""
        for path in self._tasks.keys() - files.keys():
            self._bars.remove_task(self._tasks.pop(path))
        for path, progress in files.items():
            if path not in self._tasks:
                self._tasks[path] = self._add(path)
            self._bars.update(
                self._tasks[path],
                total=None if progress.done_bytes is None else progress.size_bytes,
                completed=progress.done_bytes or 0,
                rate=_rate(progress),
                refused=f"{progress.refused:,} refused" if progress.refused else "",
                note=note,
            )

    def _add(self, path: Path) -> TaskID:
        name = short(path.name, 32)
        return self._bars.add_task("", total=None, name=name, rate="", refused="", note="")


class PlainLines:
    """One line per file every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown_at = time.monotonic()

    def update(self, files: Mapping[Path, FileProgress], note: str) -> None:
        """Print, when it is time."""
        if time.monotonic() - self._shown_at < _PLAIN_EVERY_S:
            return
        self._shown_at = time.monotonic()
        for path, progress in files.items():
            self._console.print(f"{clean(path.name)}: {_described(progress)}")
        if note:
            self._console.print(note)


def _described(progress: FileProgress) -> str:
    if progress.done_bytes is None:
        return f"looking through {decimal(progress.size_bytes)}"
    parts = [
        f"{decimal(progress.done_bytes)} of {decimal(progress.size_bytes)}",
        f"{progress.rows:,} rows", f"{progress.refused:,} refused", _rate(progress),
    ]  # fmt: skip
    if (left_s := progress.seconds_left) is not None:
        parts.append(f"{left_s:.0f} s left")
    return ", ".join(filter(None, parts))


def _rate(progress: FileProgress) -> str:
    return f"{progress.rows_per_s:,.0f} rows/s" if progress.rows_per_s else ""
