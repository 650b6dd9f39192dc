"""``ingestd check``: all mistakes of a configuration at once, or what it says when it has none."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import anyio
from rich.text import Text

from ingestd.access import access_problems
from ingestd.api.asked import PARAMETERS_OF_ROWS, filter_name
from ingestd.cli.configured import read_compiled
from ingestd.cli.endings import show_problems
from ingestd.cli.online import (
    Finding,
    Grade,
    as_documents,
    exit_code_of,
    has_failed,
    show_findings,
    try_out,
)
from ingestd.cli.screen import Column, clean, show_json, show_table, stdout
from ingestd.config.reading import Reading
from ingestd.config.source import SourceSpec
from ingestd.errors import ExitCode
from ingestd.refine import schema_of

_COLUMNS = (
    Column("source"), Column("pattern"), Column("columns", is_number=True),
    Column("rules", is_number=True), Column("checks", is_number=True),
    Column("steps", is_number=True), Column("mode"), Column("described in"),
)  # fmt: skip


def check_configuration(location: Path | None, *, is_online: bool, as_json: bool) -> int:
    """Report on stdout; the exit code says whether there are mistakes.

    ``is_online``: what is configured is tried as well, unless there are mistakes.
    """
    reading = _with_access(read_compiled(location))
    notices = [notice for source in reading.sources for notice in _shadowed(source)]
    trial: list[Finding] = []
    if is_online and reading.settings is not None and not reading.problems:
        trial = anyio.run(try_out, reading.settings, reading.sources)
    if as_json:
        document = _as_document(reading) | ({"tried": as_documents(trial)} if is_online else {})
        document["notices"] = as_documents(notices)
        show_json(document | {"is_ok": not reading.problems and not has_failed(trial)})
    elif reading.problems:
        show_problems(stdout(), reading.problems)
    else:
        _show_summary(reading)
        show_findings(stdout(), [*notices, *trial])
    return ExitCode.CONFIG if reading.problems else exit_code_of(trial)


def _with_access(reading: Reading) -> Reading:
    """What would keep the daemon, and no other command, from starting."""
    if reading.settings is None:
        return reading
    return replace(reading, problems=(*reading.problems, *access_problems(reading.settings)))


def _shadowed(source: SourceSpec) -> Iterator[Finding]:
    """Columns that the query string of the API takes for its own parameters."""
    for name, spec in schema_of(source).items():
        if name in PARAMETERS_OF_ROWS:
            message = f"column {name} has the name of a query parameter of the HTTP API"
            hint = f"there its filter is {filter_name(name, spec)}=value"
            yield Finding(f"source {source.name}", Grade.NOTICE, message, hint)


def _show_summary(reading: Reading) -> None:
    console = stdout()
    show_table(console, _COLUMNS, [_row(source, reading) for source in reading.sources])
    console.print(Text("no mistakes", "bold green").append(f" in {_place(reading)}", "default"))


def _place(reading: Reading) -> str:
    if reading.config_file is None:
        return "the configuration"
    return clean(reading.config_file)


def _row(source: SourceSpec, reading: Reading) -> list[str]:
    file = reading.source_files[source.name]
    base = reading.config_file.parent if reading.config_file else file.parent
    shown = file.relative_to(base) if file.is_relative_to(base) else file
    return [
        source.name, clean(source.file_pattern), str(len(source.columns)),
        str(_rule_count(source)), str(len(source.checks)), str(len(source.transform)),
        _mode(source), clean(shown),
    ]  # fmt: skip


def _rule_count(source: SourceSpec) -> int:
    return sum(len(rules.model_fields_set) for rules in source.validation_rules.values())


def _mode(source: SourceSpec) -> str:
    key = f" by {', '.join(map(clean, source.load.key))}" if source.load.key else ""
    return f"{source.load.mode}{key}"


def _as_document(reading: Reading) -> dict[str, object]:
    return {
        "is_ok": not reading.problems,
        "config_file": None if reading.config_file is None else str(reading.config_file),
        "problems": [asdict(problem) for problem in reading.problems],
        "sources": [
            {
                "name": source.name, "file": str(reading.source_files[source.name]),
                "file_pattern": source.file_pattern, "columns": list(source.columns),
                "rules": _rule_count(source), "checks": len(source.checks),
                "steps": [next(iter(step)) for step in source.transform],
                "mode": source.load.mode, "key": list(source.load.key),
            }
            for source in reading.sources
        ],
    }  # fmt: skip
