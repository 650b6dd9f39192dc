"""A source as a file that a person likes to read, with what was seen of each column as comments."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ingestd.config.naming import counted
from ingestd.config.source import FormatName
from ingestd.infer.columns import Column
from ingestd.infer.rows import Reading
from ingestd.infer.toml import as_comment, toml_key, toml_value

_MOST_CHOICES = 12
_WIDEST_KEY = 32
_LEAST_ALIKE = 10
"""So many different values to one that is of another type are worth a word."""


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the sample files told."""

    name: str
    format_name: FormatName
    readings: tuple[Reading, ...]
    columns: tuple[Column, ...]
    aliases: Mapping[str, str]
    """Columns that have another name in the files."""
    left_out: tuple[str, ...] = ()
    """Columns that only some files have."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the format, those that are not at their default."""
    doubts: tuple[str, ...] = ()
    """What a person should look at."""
    trailer: str = ""
    """How the last record begins if it is no row."""

    @property
    def section(self) -> str:
        """Where in a source the options of the format stand."""
        return "csv" if self.format_name == "tsv" else self.format_name


def source_lines(findings: Findings, file_pattern: str) -> Iterator[str]:
    """The whole file, line by line."""
    columns = findings.columns
    yield from _preface(findings)
    yield f"name = {toml_value(findings.name)}"
    yield f"file_pattern = {toml_value(file_pattern)}"
    if findings.format_name != "csv":
        yield f"format = {toml_value(findings.format_name)}"
    if findings.options:
        yield from ("", f"[{findings.section}]")
        yield from (f"{key} = {toml_value(value)}" for key, value in findings.options.items())
    if findings.trailer:
        yield from ("", "[trailer]", f"prefix = {toml_value(findings.trailer)}")
    yield from ("", "[schema]", *_schema_lines(columns, findings.aliases))
    yield from ("", "[validation_rules]  # all rows seen keep these; uncomment what has to hold")
    yield from _rule_lines(columns)
    if indexes := _index_line(columns):
        yield from ("", "[load]", indexes)


def _preface(findings: Findings) -> Iterator[str]:
    """Which files this was made from, and what is uncertain."""
    yield f"# Inferred by ingestd on {datetime.now(UTC):%Y-%m-%d} from"
    for reading in findings.readings:
        whole = "all" if reading.rows > 1 else "only"
        extent = whole if reading.is_whole else "the first"
        yield as_comment(
            f"#   {reading.path.name}: {extent} {counted(reading.rows, 'row')}, "
            f"{counted(reading.read_bytes, 'byte')}"
        )
    yield from (as_comment(f"# {note}.") for note in notes(findings))
    yield ""


def notes(findings: Findings) -> Iterator[str]:
    """What a person should know before the source is used."""
    for reading in findings.readings:
        yield from _notes_of_file(reading)
    yield from findings.doubts
    if ambiguous := [column.name for column in findings.columns if column.is_ambiguous]:
        yield f"AMBIGUOUS columns, each says why: {', '.join(ambiguous)}"
    if findings.left_out:
        yield f"Left out, because not all files have them: {', '.join(findings.left_out)}"


def _notes_of_file(reading: Reading) -> Iterator[str]:
    name, encoding = reading.path.name, reading.encoding
    if encoding is not None and not encoding.is_sure:
        yield f"{name} is probably {encoding.name}: {encoding.why}"
    for row, fault in reading.first_faults.items():
        yield f"{name}, row {row}, cannot be read: {fault.message}"
    if reading.faults:
        yield f"Rows that cannot be read: {reading.faults.total():,} of {reading.rows:,}"


def _schema_lines(columns: Sequence[Column], aliases: Mapping[str, str]) -> Iterator[str]:
    """``column = "type"``, with what was seen of it."""
    keys = [toml_key(column.name) for column in columns]
    width = min(max(map(len, keys)), _WIDEST_KEY)
    for key, column in zip(keys, columns, strict=True):
        described = column.description | _aliased(aliases.get(column.name))
        value = described if len(described) > 1 else column.type
        notes = "; ".join((*column.doubts, *_seen(column)))
        yield f"{key:<{width}} = {toml_value(value)}" + (
            f"  # {as_comment(notes)}" if notes else ""
        )


def _rule_lines(columns: Sequence[Column]) -> Iterator[str]:
    """Rules that all values seen keep, as comments."""
    for column in columns:
        rules = dict(_rules(column))
        if rules:
            yield f"# {toml_key(column.name)} = {toml_value(rules)}"


def _aliased(alias: str | None) -> dict[str, Any]:
    return {} if alias is None else {"aliases": [alias]}


def _index_line(columns: Sequence[Column]) -> str | None:
    """Indexes that queries are likely to want."""
    keys = [c.name for c in columns if c.is_unique and c.type in ("string", "int64")][:1]
    keys += [c.name for c in columns if c.type in ("date", "datetime")][:3]
    return f"# indexes = {toml_value([[key] for key in keys])}" if keys else None


def _seen(column: Column) -> Iterator[str]:
    """Facts about the values, in a few words."""
    evidence = column.evidence
    low, high = column.bounds
    if not evidence.filled:
        yield "no value was seen"
    elif column.is_text or column.type in ("json", "binary"):
        yield f"e.g. {_short(evidence.example or '')}"
        yield from _nearly(column)
    elif column.type != "bool":
        yield _shown(low) if low == high else f"{_shown(low)} to {_shown(high)}"
    if column.is_unique:
        yield "all different"
    elif evidence.filled and evidence.distinct is not None and column.type != "bool":
        yield f"{evidence.distinct:,} different"
    if column.empty:
        yield f"{column.empty:,} empty"
    if evidence.null_spellings.total() > column.nulls:
        yield f"{', '.join(evidence.null_spellings)} may mean no value"


def _nearly(column: Column) -> Iterator[str]:
    """Of which type the column would be but for a few values."""
    evidence = column.evidence
    nearly, distinct = evidence.nearly, evidence.distinct or evidence.filled
    if nearly and distinct >= _LEAST_ALIKE * len(nearly.others):
        others = ", ".join(map(_short, nearly.others))
        yield f"all {nearly.kind.spec.type} but {others} (see null_values, csv.skip_rows)"


def _rules(column: Column) -> Iterator[tuple[str, Any]]:
    evidence = column.evidence
    if not evidence.filled:
        return
    if not column.empty:
        yield "not_null", True
    if column.is_unique:
        yield "unique", True
    if column.is_text:
        is_choice = _is_choice(column)
        yield ("one_of", sorted(evidence.values or ())) if is_choice else (
            "max_length", evidence.longest
        )  # fmt: skip
    elif column.type not in ("bool", "json", "duration", "binary"):
        yield from (
            (rule, limit)
            for rule, bound in zip(("min", "max"), column.bounds, strict=True)
            if (limit := _limit(bound)) is not None
        )


def _limit(bound: Any) -> Any:
    """A bound as TOML can write it: its numbers are floats, which not every decimal is."""
    if not isinstance(bound, Decimal):
        return bound
    return float(bound) if Decimal(repr(float(bound))) == bound else None


def _is_choice(column: Column) -> bool:
    """Few values that come again and again."""
    values = column.evidence.values
    if column.evidence.null_spellings.total() > column.nulls:
        return False
    return bool(values) and len(values or ()) <= min(_MOST_CHOICES, column.evidence.filled // 5)


def _short(text: str) -> str:
    return toml_value(text if len(text) <= 40 else text[:39] + "…")


def _shown(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return f"{value:g}" if isinstance(value, float) else str(value)
