"""A trailer in a format that has such, over a column that can be added up."""

from collections.abc import Iterator

from ingestd.config.checks.draft import Draft, Finding
from ingestd.config.naming import choice

_FORMATS = ("csv", "tsv")
_NUMBERS = ("int", "uint", "float", "decimal")


def check_trailer(draft: Draft) -> Iterator[Finding]:
    """The format, then the column of the sum."""
    spec = draft.spec
    if spec.trailer is None:
        return
    if spec.format not in _FORMATS:
        hint = f"allowed for format: {', '.join(_FORMATS)}"
        yield Finding(("trailer",), f"means nothing for {spec.format}", hint)
    if spec.trailer.sum is None or not draft.has_read("schema"):
        return
    name, key = spec.trailer.sum.column, ("trailer", "sum", "column")
    if name not in draft.column_names:
        yield Finding(key, f'"{name}" is not in the schema', choice(name, draft.column_names))
    elif (column := spec.columns.get(name)) and not column.type.startswith(_NUMBERS):
        yield Finding(key, f'"{name}" is {column.type}, and no number', "choose another column")
