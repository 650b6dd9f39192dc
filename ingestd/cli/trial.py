"""``ingestd try``: what would become of a file, with carets under the values that are refused."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import anyio
from rich.console import Console
from rich.text import Text

from ingestd.cli.archives import opened_archives
from ingestd.cli.carets import cut, spans_of, underlined
from ingestd.cli.configured import require_compiled
from ingestd.cli.endings import show_error
from ingestd.cli.reading import named_source
from ingestd.cli.screen import Column, clean, show_json, show_table, stdout
from ingestd.config.source import SourceSpec
from ingestd.documents import extended_json
from ingestd.errors import ExitCode, FileRefused
from ingestd.formats.limits import Limits
from ingestd.pipeline.desk import limits_of
from ingestd.pipeline.trial import Trial, try_file
from ingestd.records import FoundFile

_COLUMNS = (
    Column("rows", is_number=True), Column("would load", is_number=True),
    Column("refused", is_number=True), Column("filtered", is_number=True),
    Column("seconds", is_number=True), Column("rows/s", is_number=True),
)  # fmt: skip
_INDENT = 4
_FORMATS_OF_LINES = ("csv", "tsv", "fixed", "ndjson")
_NEW_COLUMNS = {
    "ignore": "are left out", "add": "are stored as strings", "rescue": "are kept in _extra",
}  # fmt: skip


Outcome: TypeAlias = Trial | FileRefused
"""What would become of a file."""


@dataclass(frozen=True, slots=True)
class TrialOptions:
    """What the command line asked for."""

    source_name: str
    most_shown: int
    as_json: bool


def show_trial(location: Path | None, file: Path, options: TrialOptions) -> int:
    """Try the file and report; returns the exit code."""
    settings, sources = require_compiled(location)
    source = named_source(options.source_name, sources)
    limits, most = limits_of(settings.refine), max(options.most_shown, 1)
    with opened_archives([file.resolve()], limits, are_single=source.manifest is not None) as files:
        tried = [(found.name, _try(found, source, limits, most)) for found in files]
    if options.as_json:
        documents = [_as_document(name, outcome, options.most_shown) for name, outcome in tried]
        is_archive = files[0].name_in_archive is not None
        own = {"file": clean(file.name), "path": clean(file.resolve())}
        show_json({**own, "files": documents} if is_archive else {**documents[0], **own})
    else:
        for name, outcome in tried:
            _show(stdout(), name, outcome, options.most_shown)
    return _exit_code([outcome for _, outcome in tried])


def _try(found: FoundFile, source: SourceSpec, limits: Limits, most_shown: int) -> Outcome:
    """A file in an archive that would not be loaded keeps no other; alone, it ends the command."""
    try:
        return anyio.run(try_file, found.path, source, limits, most_shown)
    except FileRefused as refusal:
        if found.name_in_archive is None:
            raise
        return refusal


def _exit_code(outcomes: Sequence[Outcome]) -> int:
    trials = [outcome for outcome in outcomes if isinstance(outcome, Trial)]
    if len(trials) < len(outcomes):
        return ExitCode.FAILED
    has_refused = any(trial.counts.error_count for trial in trials)
    return ExitCode.DATA_REFUSED if has_refused else ExitCode.OK


def _show(console: Console, name: str, outcome: Outcome, most_shown: int) -> None:
    if isinstance(outcome, Trial):
        console.print(f"{clean(name)} in source {outcome.source.name}")
        _show_trial(console, outcome, most_shown)
    else:
        show_error(console, f"{name} would not be loaded: {outcome.message}", outcome.hint)


def _show_trial(console: Console, trial: Trial, most_shown: int) -> None:
    counts = trial.counts
    row = [counts.record_count, counts.success_count, counts.error_count, counts.filtered_count]
    speed = [f"{trial.seconds:.2f}", f"{trial.rows_per_s:,.0f}"]
    show_table(console, _COLUMNS, [[*(f"{count:,}" for count in row), *speed]])
    for error in trial.errors[:most_shown]:
        _show_refused(console, error, trial)
    _show_rest(console, trial, most_shown)
    for note in _drift_notes(trial):
        show_error(console, note, label="note")
    for document in trial.documents[:1]:
        console.print(Text("the first document, as it would be stored:", "bold green"))
        _show_document(console, document)
    if trial.held is not None:
        message = f"the file would be held: {trial.held.message}"
        show_error(console, message, trial.held.hint)


def _drift_notes(trial: Trial) -> Iterator[str]:
    """What is different about the columns, and what that leads to."""
    summary, load = trial.layout.drift.summary, trial.source.load
    if new := summary.get("new"):
        yield f"new columns, which {_NEW_COLUMNS[load.on_new_column]}: {_names(new)}"
    if missing := summary.get("missing"):
        yield f"missing columns, which are null in all rows: {_names(missing)}"
    if duplicated := summary.get("duplicated"):
        yield f"columns that are there more than once: {_names(duplicated)}"
    for missing_name, new_name in summary.get("renamed", {}).items():
        yield f"did {clean(new_name)} mean {clean(missing_name)}? Aliases of the column may say so"


def _names(names: list[str]) -> str:
    return ", ".join(map(clean, names))


def _show_document(console: Console, document: Mapping[str, Any]) -> None:
    """Field by field, as Extended JSON."""
    for name, value in json.loads(extended_json(document)).items():
        field = f"{clean(name)}: {clean(json.dumps(value, ensure_ascii=False))}"
        console.print(Text(" " * _INDENT + cut(field, console.width - _INDENT)))


def _show_rest(console: Console, trial: Trial, most_shown: int) -> None:
    """What was refused in all, where not all of it is shown."""
    rest = trial.counts.error_count - most_shown
    if rest > 0:
        rules = ", ".join(f"{rule} {count:,}" for rule, count in trial.rules.most_common())
        console.print(f"and {rest:,} more; by rule: {rules}")


def _show_refused(console: Console, error: Mapping[str, Any], trial: Trial) -> None:
    """The reasons, and the line with carets under the values that they are about."""
    at_line = f"line {error['line']}, " if trial.source.format in _FORMATS_OF_LINES else ""
    place = Text(f"{at_line}row {error['row']}: ", "bold red")
    for violation in error["violations"]:
        column = f"{clean(violation['column'])}: " if violation["column"] else ""
        console.print(place + Text(column, "yellow") + Text(clean(violation["message"])))
    raw = _text_of(error["raw"], trial.layout.shape.encoding)
    spans = list(spans_of(raw, error["violations"], trial.source, trial.layout.shape.columns))
    for line in underlined(raw, spans, console.width - _INDENT):
        console.print(Text(" " * _INDENT) + line, no_wrap=True, overflow="ignore", crop=False)


def _text_of(raw: str | bytes | None, encoding: str) -> str:
    """The record; bytes that are not of its encoding show as such."""
    return raw.decode(encoding, "backslashreplace") if isinstance(raw, bytes) else raw or ""


def _as_document(name: str, trial: Outcome, most_shown: int) -> dict[str, object]:
    if not isinstance(trial, Trial):
        return {"file": clean(name), "error": trial.message, "hint": trial.hint}
    return {
        "file": clean(name), "source": trial.source.name,
        **asdict(trial.counts), "seconds": round(trial.seconds, 3),
        "rows_per_s": round(trial.rows_per_s), "rules": dict(trial.rules),
        "drift": trial.layout.drift.summary,
        "is_held": trial.held is not None, "held_because": trial.held and trial.held.message,
        "errors": [json.loads(extended_json(error)) for error in trial.errors[:most_shown]],
        "documents": [json.loads(extended_json(document)) for document in trial.documents],
    }  # fmt: skip
