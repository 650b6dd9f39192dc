"""Column names that MongoDB can store, and options that fit the column's type."""

from collections.abc import Iterator

from ingestd.config.checks.bounds import INTEGER_RANGES
from ingestd.config.checks.draft import Draft, Finding
from ingestd.config.checks.names import final_columns
from ingestd.config.naming import quoted
from ingestd.config.source import EXTRA, RESERVED_COLUMNS, ColumnSpec, SourceSpec
from ingestd.records import ROW

_GROUPED = ("thousands", "currency", "accounting")
_FRACTIONS = ("decimal", *_GROUPED, "percent")
_OPTIONS = {
    **dict.fromkeys(INTEGER_RANGES, _GROUPED),
    "float32": _FRACTIONS,
    "float64": _FRACTIONS,
    "decimal": (*_FRACTIONS, "precision", "scale"),
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
    yield from _check_spellings(draft)
    for name, column in draft.spec.columns.items():
        yield from _check_options(name, column)
        yield from _check_marks(name, draft.spec)


def _check_spellings(draft: Draft) -> Iterator[Finding]:
    """A name in a file's header must mean one column."""
    meant: dict[str, str] = {}
    for name, column in draft.spec.columns.items():
        for spelling in (name, *column.aliases):
            key = spelling.casefold() if draft.spec.csv.ignore_case else spelling
            if key in meant:
                message = f'"{spelling}" already means the column "{meant[key]}"'
                yield Finding(("schema", name), message, "every spelling may stand for one column")
            meant.setdefault(key, name)
    extra = draft.spec.columns.get(EXTRA)
    if extra and draft.spec.is_rescuing and extra.type != "json":
        yield Finding(("schema", EXTRA), "holds the extra fields of rows", "make it json")


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
    allowed = ("aliases", "null_values", *_OPTIONS.get(column.type, ()))
    for option in sorted(column.model_fields_set - {"type", *allowed}):
        hint = f"allowed for {column.type}: {', '.join(allowed)}"
        yield Finding(("schema", name, option), f"means nothing for {column.type}", hint)
    if column.type == "decimal" and column.scale > column.precision:
        hint = f"allowed: up to the precision, {column.precision}"
        yield Finding(("schema", name, "scale"), f"found {column.scale}", hint)
    both = set(map(str.lower, column.true_values)) & set(map(str.lower, column.false_values))
    if both:
        message = f'"{min(both)}" means both true and false'
        yield Finding(("schema", name, "true_values"), message, "set false_values, too")


def _check_marks(name: str, source: SourceSpec) -> Iterator[Finding]:
    """``1.234`` cannot be read when the same mark may stand before a fraction and in groups."""
    column, written = source.columns[name], source.as_written(name)
    said_here = {"decimal", "thousands"} & column.model_fields_set
    has_fraction = column.type in ("float32", "float64", "decimal")
    if said_here and has_fraction and written.thousands == written.decimal:
        other = min({"decimal", "thousands"} - said_here, default="")
        message = f"found {quoted(written.decimal or '')}, {f'csv.{other}' if other else 'decimal'}"
        yield Finding(("schema", name, max(said_here)), f"{message}, too")
