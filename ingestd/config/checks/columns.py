"""Column names that MongoDB can store, and options that fit the column's type."""

from collections.abc import Iterator

from ingestd.config.checks.draft import Draft, Finding
from ingestd.config.checks.names import final_columns
from ingestd.config.source import RESERVED_COLUMNS, ColumnSpec
from ingestd.records import ROW

_OPTIONS = {
    "decimal": ("precision", "scale"),
    "date": ("format",),
    "datetime": ("format", "timezone", "ambiguous"),
    "time": ("format",),
    "bool": ("true_values", "false_values"),
    "binary": ("encoding",),
}
"""What can be said about a column of each type, beside the type and its ``null_values``."""


def check_columns(draft: Draft) -> Iterator[Finding]:
    """Names, then options, of the columns."""
    if not draft.has_read("schema"):
        return
    for name in draft.column_names:
        if name in ("", ROW):
            yield Finding(("schema", name), "not a possible column name", "give it another name")
    yield from _check_final_names(draft)
    for name, column in draft.spec.columns.items():
        yield from _check_options(name, column)


def _check_final_names(draft: Draft) -> Iterator[Finding]:
    for name, origin in (final_columns(draft) or {}).items():
        reason = _refusal(name)
        if reason:
            hint = "rename it in a [[transform]]" if origin[0] == "schema" else "choose another"
            yield Finding(origin, reason, hint)


def _refusal(name: str) -> str:
    """Why MongoDB, or ingestd, cannot store a column under this name."""
    if name in RESERVED_COLUMNS and name != ROW:
        return f'"{name}" is a field that ingestd writes itself'
    if name.startswith("$") or "." in name:
        return "a field name in MongoDB cannot begin with $ or contain a dot"
    return "a field name in MongoDB cannot contain NUL" if "\0" in name else ""


def _check_options(name: str, column: ColumnSpec) -> Iterator[Finding]:
    allowed = _OPTIONS.get(column.type, ())
    for option in sorted(column.model_fields_set - {"type", "null_values", *allowed}):
        hint = f"allowed for {column.type}: {', '.join(allowed) or 'null_values'}"
        yield Finding(("schema", name, option), f"means nothing for {column.type}", hint)
    if column.type == "decimal" and column.scale > column.precision:
        hint = f"allowed: up to the precision, {column.precision}"
        yield Finding(("schema", name, "scale"), f"found {column.scale}", hint)
    both = set(map(str.lower, column.true_values)) & set(map(str.lower, column.false_values))
    if both:
        message = f'"{min(both)}" means both true and false'
        yield Finding(("schema", name, "true_values"), message, "set false_values, too")
