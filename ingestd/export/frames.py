"""Documents that were decoded one by one as a frame, like those that are read column by column."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl
from bson import Decimal128

from ingestd.config.source import ColumnSpec, ColumnTypeName
from ingestd.errors import ExportRefused
from ingestd.export.columns import IDENTITY, stored_dtype
from ingestd.export.json_text import Document, to_json

REFUSAL_HINT = "format=ndjson takes every value; or leave the column out, by fields="


def as_frame(documents: list[Document], columns: Mapping[str, ColumnSpec]) -> pl.DataFrame:
    """The columns of the documents.

    Raises:
        ExportRefused: a value is none of its column's type. It is neither changed nor left out.
    """
    return pl.DataFrame([_as_series(documents, name, column) for name, column in columns.items()])


def _as_series(documents: list[Document], name: str, column: ColumnSpec) -> pl.Series:
    take, dtype = _TAKERS[column.type], stored_dtype(column)
    values: list[Any] = []
    for document in documents:
        value = document.get(name)
        try:
            values.append(None if value is None else take(value))
        except (TypeError, ValueError) as error:
            raise _refusal(document, name, column) from error
    try:
        series = pl.Series(name, values, dtype=dtype, strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError) as error:
        raise _refusal(documents[0], name, column) from error
    for document, value, kept in zip(documents, values, series, strict=True):
        if kept != value and not (isinstance(value, float) and math.isnan(value)):
            raise _refusal(document, name, column)
    return series


def _refusal(document: Document, name: str, column: ColumnSpec) -> ExportRefused:
    kind = type(document.get(name)).__name__
    place = f"about row {document[IDENTITY]}"
    return ExportRefused(
        f"column {name}: a value ({kind}) that is no {column.type}, {place}", REFUSAL_HINT
    )


def _only(*kinds: type) -> Callable[[Any], Any]:
    def take(value: Any) -> Any:
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise TypeError(type(value))
        return value

    return take


def _date(value: Any) -> date:
    if not isinstance(value, datetime) or value.timetz() != time(tzinfo=UTC):
        raise TypeError(type(value))
    return value.date()


def _decimal(value: Any) -> Decimal:
    if not isinstance(value, Decimal128) or not value.to_decimal().is_finite():
        raise TypeError(type(value))
    return value.to_decimal()


def _json(value: Any) -> str:
    return to_json(value).decode()


_WHOLE = _only(int)
_TAKERS: Mapping[ColumnTypeName, Callable[[Any], Any]] = {
    "string": _only(str), "category": _only(str), "bool": _only(bool),
    "int8": _WHOLE, "int16": _WHOLE, "int32": _WHOLE, "int64": _WHOLE,
    "uint8": _WHOLE, "uint16": _WHOLE, "uint32": _WHOLE,
    "float32": _only(float, int), "float64": _only(float, int),
    "decimal": _decimal, "date": _date, "datetime": _only(datetime), "time": _only(str),
    "duration": _WHOLE, "json": _json, "binary": _only(bytes), "objectid": str,
}  # fmt: skip
"""By type: the value of a document as Polars takes it."""
