"""``ingestd try``: what would become of a file, with carets under the values that are refused."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from ingestd.cli.configured import require_compiled
from ingestd.cli.endings import show_error
from ingestd.cli.reading import named_source
from ingestd.cli.screen import Column, clean, show_json, show_table, stdout
from ingestd.documents import extended_json
from ingestd.errors import ExitCode
from ingestd.pipeline.desk import limits_of
from ingestd.pipeline.trial import Trial, try_file

_COLUMNS = (
    Column("rows", is_number=True), Column("would load", is_number=True),
    Column("refused", is_number=True), Column("filtered", is_number=True),
    Column("seconds", is_number=True), Column("rows/s", is_number=True),
)  # fmt: skip
_INDENT = 4
_NEW_COLUMNS = {
    "ignore": "are left out", "add": "are stored as strings", "rescue": "are kept in _extra",
}  # fmt: skip


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
    trial = anyio.run(try_file, file.resolve(), source, limits, most)
    if options.as_json:
        show_json(_as_document(trial, options.most_shown))
    else:
        _show(stdout(), trial, options.most_shown)
    return ExitCode.DATA_REFUSED if trial.counts.error_count else ExitCode.OK


def _show(console: Console, trial: Trial, most_shown: int) -> None:
    counts = trial.counts
    console.print(f"{clean(trial.path.name)} in source {trial.source.name}")
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
        console.print(Text(" " * _INDENT + _cut(field, console.width - _INDENT)))


def _show_rest(console: Console, trial: Trial, most_shown: int) -> None:
    """What was refused in all, where not all of it is shown."""
    rest = trial.counts.error_count - most_shown
    if rest > 0:
        rules = ", ".join(f"{rule} {count:,}" for rule, count in trial.rules.most_common())
        console.print(f"and {rest:,} more; by rule: {rules}")


def _show_refused(console: Console, error: Mapping[str, Any], trial: Trial) -> None:
    """The reasons, and the line with carets under the values that they are about."""
    place = Text(f"line {error['line']}, row {error['row']}: ", "bold red")
    for violation in error["violations"]:
        column = f"{clean(violation['column'])}: " if violation["column"] else ""
        console.print(place + Text(column, "yellow") + Text(clean(violation["message"])))
    raw = _text_of(error["raw"], trial.layout.shape.encoding)
    spans = list(_spans(raw, error["violations"], trial))
    for line in _underlined(raw, spans, console.width - _INDENT):
        console.print(Text(" " * _INDENT) + line, no_wrap=True, overflow="ignore", crop=False)


def _text_of(raw: str | bytes | None, encoding: str) -> str:
    """The record; bytes that are not of its encoding show as such."""
    return raw.decode(encoding, "backslashreplace") if isinstance(raw, bytes) else raw or ""


def _spans(
    raw: str, violations: list[Mapping[str, Any]], trial: Trial
) -> Iterator[tuple[int, int]]:  # fmt: skip
    """Where in the record the refused values stand, as far as that can be told."""
    columns = trial.layout.shape.columns
    for violation in violations:
        value, column = violation["value"], violation["column"]
        if value and column in columns:
            start = _find(raw, value, columns.index(column), trial.source.csv.delimiter)
            if start >= 0:
                yield start, start + len(value)


def _find(raw: str, value: str, place: int, delimiter: str) -> int:
    """The value in its own field; one that occurs only once needs no counting of fields."""
    if raw.count(value) == 1:
        return raw.index(value)
    before = raw.split(delimiter)[:place]
    return raw.find(value, sum(map(len, before)) + len(before) * len(delimiter))


def _underlined(raw: str, spans: list[tuple[int, int]], width: int) -> Iterator[Text]:
    """The record, or the part of it where the first span is, and the carets below."""
    first = 0
    if spans and cell_len(clean(raw[: spans[0][1]])) > width:
        first = max(0, spans[0][0] - width // 2)
    shown = ("…" if first else "") + clean(raw[first:])
    yield Text(_cut(shown, width), "default")
    carets = ""
    for start, end in sorted(set(spans)):
        if start >= first:
            margin = cell_len(clean(raw[first:start])) + bool(first)
            carets = carets.ljust(margin) + "^" * cell_len(clean(raw[start:end]))
    if carets:
        yield Text(carets[:width], "bold red")


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else text[: width - 1] + "…"


def _as_document(trial: Trial, most_shown: int) -> dict[str, object]:
    return {
        "file": clean(trial.path.name), "path": clean(trial.path), "source": trial.source.name,
        **asdict(trial.counts), "seconds": round(trial.seconds, 3),
        "rows_per_s": round(trial.rows_per_s), "rules": dict(trial.rules),
        "drift": trial.layout.drift.summary,
        "is_held": trial.held is not None, "held_because": trial.held and trial.held.message,
        "errors": [json.loads(extended_json(error)) for error in trial.errors[:most_shown]],
        "documents": [json.loads(extended_json(document)) for document in trial.documents],
    }  # fmt: skip
