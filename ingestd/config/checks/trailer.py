"""A trailer in a format that has such: its fields, and the column that is added up."""

import json
from collections.abc import Iterator

from ingestd.config.checks.draft import Draft, Finding
from ingestd.config.naming import choice
from ingestd.config.source import FormatName, TrailerSpec

_FORMATS = ("csv", "tsv", "fixed")
_SPAN_HINT = "give its first character, from 1, and its width: [4, 10]"
_NUMBER_HINT = "give its number, from 1"
_NUMBERS = ("int", "uint", "float", "decimal")


def check_trailer(draft: Draft) -> Iterator[Finding]:
    """The format, then its fields, then the column of the sum."""
    spec = draft.spec
    if spec.trailer is None:
        return
    if spec.format not in _FORMATS:
        hint = f"allowed for format: {', '.join(_FORMATS)}"
        yield Finding(("trailer",), f"means nothing for {spec.format}", hint)
    else:
        yield from _check_fields(spec.trailer, spec.format)
    if spec.trailer.sum is not None and draft.has_read("schema"):
        yield from _check_column(draft, spec.trailer.sum.column)


def _check_fields(trailer: TrailerSpec, format_name: FormatName) -> Iterator[Finding]:
    kind, hint = (tuple, _SPAN_HINT) if format_name == "fixed" else (int, _NUMBER_HINT)
    fields = {
        ("trailer", "count"): trailer.count,
        ("trailer", "sum", "field"): trailer.sum and trailer.sum.field,
    }
    for key, field in fields.items():
        if field is not None and not isinstance(field, kind):
            found = f"found {json.dumps(field)}, which is no field of {format_name}"
            yield Finding(key, found, hint)


def _check_column(draft: Draft, name: str) -> Iterator[Finding]:
    key, spec = ("trailer", "sum", "column"), draft.spec
    if name not in draft.column_names:
        yield Finding(key, f'"{name}" is not in the schema', choice(name, draft.column_names))
    elif (column := spec.columns.get(name)) and not column.type.startswith(_NUMBERS):
        yield Finding(key, f'"{name}" is {column.type}, and no number', "choose another column")
