"""What the values under one key of JSON objects say of it: the column that they make.

A JSON value has a type of its own, which counts: a text stays one, whatever stands in it, unless
it is a moment, for which JSON has no type. What a file declares of its columns counts for more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from ingestd.config.source import ColumnSpec
from ingestd.formats.ndjson.exact import JsonType, text_of, type_of
from ingestd.infer.columns import Column, typed_columns
from ingestd.infer.evidence import Evidence
from ingestd.infer.kinds import ANYTHING, NULL_SPELLINGS, STRING, Kind, possible_kinds
from ingestd.validate.json_texts import is_storable_json

_MOMENTS = ("date", "datetime", "time", "duration")
_NO_VALUES = frozenset(["", *NULL_SPELLINGS])
_JSON = Kind(ColumnSpec(type="json"), ANYTHING)
_KINDS_OF: Mapping[JsonType, Sequence[Kind]] = {
    "number": (
        Kind(ColumnSpec(type="int64"), "-?[0-9]{1,19}"),
        Kind(ColumnSpec(type="float64"), r"-?[0-9]{1,15}|-?[0-9]{1,16}\.[0-9]*|.*[eE].*"),
        Kind(ColumnSpec(type="decimal", scale=0), "-?[0-9]+"),
        Kind(ColumnSpec(type="decimal"), ANYTHING),
    ),
    "bool": (Kind(ColumnSpec(type="bool"), "true|false"),),
    "nested": (),
}


@dataclass(slots=True)
class Key:
    """The values seen under one key; ``declared``: what the file itself says of them."""

    name: str
    declared: ColumnSpec | None = None
    rows_before: int = 0
    """Without the key."""
    types: set[JsonType] = field(default_factory=set)
    """Of all values but texts that mean "no value"."""
    has_blank: bool = False
    """Some value is an empty text."""
    is_storable: bool = True
    """MongoDB takes every nested value."""
    evidence: Evidence = field(init=False)

    def __post_init__(self) -> None:
        rows = self.rows_before
        self.evidence = Evidence(self.name, self._possible_kinds, rows=rows, empty=rows)

    def see(self, values: Sequence[Any]) -> None:
        """Take the values of more rows into account; None where a row has none."""
        texts = [None if value is None else text_of(value) for value in values]
        found = [value for value in values if _is_value(value)]
        self.types.update(map(type_of, found))
        self.has_blank = self.has_blank or "" in texts
        nested = [text_of(value) for value in found if type_of(value) == "nested"]
        if nested and self.is_storable:
            self.is_storable = bool(is_storable_json(pl.Series(nested)).all())
        self.evidence.see(pl.Series(self.name, texts, pl.String))

    def _possible_kinds(self, text: str, name: str) -> Sequence[Kind]:
        """Those worth trying, by the first values."""
        if self.declared is not None:
            return [Kind(self.declared, ANYTHING)]
        if self.types != {"text"}:
            return [kind for type_ in self.types for kind in _KINDS_OF.get(type_, ())]
        return [
            kind for kind in possible_kinds(text, name)
            if kind.spec.type in _MOMENTS or (kind.is_number and kind.style in (None, (".", "")))
        ]  # fmt: skip


def _is_value(value: Any) -> bool:
    return value is not None and not (type(value) is str and value.strip() in _NO_VALUES)


def columns_of(keys: Mapping[str, Key]) -> tuple[Column, ...]:
    """The column that each key makes, under the name that it is to have."""
    columns = typed_columns([key.evidence for key in keys.values()])
    for name, key in keys.items():
        key.evidence.name = name
    return tuple(_settled(key, column) for key, column in zip(keys.values(), columns, strict=True))


def _settled(key: Key, column: Column) -> Column:
    """The column with what its values' own types say."""
    if key.declared is not None:
        return _with_nulls(key, _as_declared(key.declared, column))
    if "nested" in key.types:
        doubts = tuple(_doubts_about_nested(key))
        return replace(column, kind=_JSON if key.is_storable else STRING, doubts=doubts)
    if doubts := tuple(_reasons_for_text(key, column)):
        return replace(column, kind=STRING, doubts=doubts)
    return _with_nulls(key, column)


def _doubts_about_nested(key: Key) -> Iterator[str]:
    if not key.is_storable:
        yield "JSON that MongoDB does not store"
    elif key.evidence.rows == 1 and (key.evidence.example or "").startswith("[{"):
        yield f"are these the rows? jq -c '.\"{key.name}\"[]' brings them out"


def _reasons_for_text(key: Key, column: Column) -> Iterator[str]:
    """Why it is a column of texts though some other type was tried."""
    if len(key.types) > 1:
        yield f"values of different types: {' and '.join(sorted(key.types))}"
    elif key.types == {"text"} and column.kind.is_number:
        yield f"texts that are all {column.type}"
    elif column.kind is not STRING and column.evidence.has_blanks:
        yield f"blanks around what would be {column.type}"


def _as_declared(declared: ColumnSpec, column: Column) -> Column:
    """The declared type, unless the daemon would refuse one of the values."""
    if not column.evidence.filled:
        return replace(column, kind=Kind(declared, ANYTHING))
    is_kept = column.kind is not STRING
    return column if is_kept else replace(column, doubts=(f"not all values fit {declared.type}",))


def _with_nulls(key: Key, column: Column) -> Column:
    """What means "no value" among values of another type than text."""
    spellings = column.evidence.null_spellings
    if column.is_text or column.type == "json":
        return column
    blank = ("",) * key.has_blank
    return replace(column, null_values=(*blank, *spellings), nulls=spellings.total())
