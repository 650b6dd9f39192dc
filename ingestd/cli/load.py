"""``ingestd load``: files through the daemon's pipeline, once, and what became of them."""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
from rich.text import Text

from ingestd import logs
from ingestd.cli.configured import require_compiled
from ingestd.cli.endings import show_error
from ingestd.cli.oneshot import Ended, OneShot, store_away
from ingestd.cli.progress import open_display
from ingestd.cli.reading import named_source
from ingestd.cli.screen import (
    Column,
    clean,
    short,
    show_json,
    show_table,
    state_text,
    stderr,
    stdout,
)
from ingestd.config.naming import counted
from ingestd.config.settings import Settings
from ingestd.config.source import SourceSpec
from ingestd.daemon import make_directories
from ingestd.engine import open_engine
from ingestd.errors import ExitCode
from ingestd.events import Events
from ingestd.metrics import Metrics
from ingestd.records import COMMITTED, FileState

_COLUMNS = (
    Column("file"), Column("state"), Column("rows", is_number=True),
    Column("loaded", is_number=True), Column("refused", is_number=True),
    Column("filtered", is_number=True), Column("seconds", is_number=True),
    Column("rows/s", is_number=True),
)  # fmt: skip


_FINE = (*COMMITTED, FileState.DUPLICATE)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What the command line asked for."""

    is_archiving: bool
    wait_s: float
    is_verbose: bool
    as_json: bool
    replaces: str | None = None
    """The id of a file in whose place the rows are to be seen."""
    ignores_budget: bool = False


def load_files(
    location: Path | None, source_name: str, files: Sequence[Path], options: LoadOptions
) -> int:
    """Load the files and report; returns the exit code."""
    settings, sources = require_compiled(location)
    source = _tried_once(named_source(source_name, sources))
    level = settings.logs.level if options.is_verbose else "critical"
    logs.configure(level, settings.logs.format, None, sys.stderr)
    make_directories(settings)
    paths = list(dict.fromkeys(path.resolve() for path in files))
    started = time.monotonic()
    shot = anyio.run(_load, settings, source, paths, options)
    ended = [shot.ended[path] for path in paths if path in shot.ended]
    if options.as_json:
        show_json({"files": [_as_document(one) for one in ended]})
    else:
        _show_summary(ended, time.monotonic() - started)
    _show_troubles(ended)
    _show_unfinished(shot, [path for path in paths if path not in shot.ended])
    return _exit_code(shot, ended)


def _tried_once(source: SourceSpec) -> SourceSpec:
    """Who asked is here to try again: a failure ends a file at once."""
    errors = source.errors.model_copy(update={"retries": 0})
    return source.model_copy(update={"errors": errors})


async def _load(
    settings: Settings, source: SourceSpec, paths: Sequence[Path], options: LoadOptions
) -> OneShot:
    events = Events(Metrics())
    opening = open_engine(settings, [source], events, is_moving=options.is_archiving)
    async with opening as engine:
        with anyio.move_on_after(options.wait_s) as waiting:
            await engine.prepare()
        if waiting.cancelled_caught:
            raise store_away(options.wait_s)
        shot = OneShot(engine, source, options.wait_s, options.replaces, options.ignores_budget)
        with open_display(stderr(), is_plain=options.is_verbose) as display:
            await shot.run(paths, display)
    return shot


def _show_summary(ended: Sequence[Ended], seconds: float) -> None:
    console = stdout()
    if ended:
        show_table(console, _COLUMNS, [_row(one) for one in ended])
    if len(ended) > 1:
        rows = sum(one.counts.record_count for one in ended)
        console.print(f"{len(ended)} files, {counted(rows, 'row')} in {seconds:.1f} s")
    for one in ended:
        if one.result is not None and one.result.rejects_file is not None:
            rejects = clean(one.result.rejects_file)
            console.print(f"refused rows of {clean(one.path.name)}: {rejects}")


def _row(one: Ended) -> list[Text | str]:
    counts = one.counts
    return [
        short(one.path.name, 60), state_text(one.state.value), f"{counts.record_count:,}",
        f"{counts.success_count:,}", f"{counts.error_count:,}", f"{counts.filtered_count:,}",
        f"{one.seconds:.2f}", f"{_rate(one):,.0f}",
    ]  # fmt: skip


def _rate(one: Ended) -> float:
    return one.counts.record_count / one.seconds if one.seconds else 0.0


def _show_troubles(ended: Sequence[Ended]) -> None:
    for one in ended:
        if one.message:
            is_fine = one.state is FileState.DUPLICATE
            told = f"{one.path.name}: {one.message}"
            show_error(stderr(), told, one.hint, label="note" if is_fine else "error")


def _show_unfinished(shot: OneShot, paths: Sequence[Path]) -> None:
    console = stderr()
    for path in paths:
        stored = counted(shot.rows_stored(path), "row")
        console.print(f"{clean(path.name)}: not finished, {stored} stored")
    if paths:
        console.print("readers see none of these; run the same command again to go on")


def _as_document(one: Ended) -> dict[str, object]:
    result, counts = one.result, asdict(one.counts)
    return {
        "file": clean(one.path.name), "path": clean(one.path),
        "file_id": (result and result.file_id) or None, "state": one.state.value, **counts,
        "seconds": round(one.seconds, 3), "rows_per_s": round(_rate(one)),
        "rejects_file": _path_text(result.rejects_file if result else None),
        "moved_to": _path_text(result.moved_to if result else None),
        "message": one.message, "hint": one.hint,
    }  # fmt: skip


def _path_text(path: Path | None) -> str | None:
    return None if path is None else clean(path)


def _exit_code(shot: OneShot, ended: Sequence[Ended]) -> int:
    if shot.stopped_by is not None:
        return 128 + shot.stopped_by
    if any(one.state not in _FINE or one.is_left_undone for one in ended):
        return ExitCode.FAILED
    return ExitCode.DATA_REFUSED if any(one.counts.error_count for one in ended) else ExitCode.OK
