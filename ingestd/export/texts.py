"""Columns as the texts and numbers that stand for them in JSON, and in CSV as well."""

from collections.abc import Callable, Mapping

import polars as pl

from ingestd.config.source import ColumnSpec
from ingestd.export.json_text import iso_duration


def as_texts(frame: pl.DataFrame, columns: Mapping[str, ColumnSpec]) -> pl.DataFrame:
    """The frame as ``json_text`` would show it: only texts, numbers and booleans are left."""
    return frame.select(
        _SHOWN.get(column.type, _as_it_is)(pl.col(name)) for name, column in columns.items()
    )


def _as_it_is(values: pl.Expr) -> pl.Expr:
    return values


def _as_durations(values: pl.Expr) -> pl.Expr:
    return values.map_batches(_durations, return_dtype=pl.String)


def _durations(milliseconds: pl.Series) -> pl.Series:
    texts = [None if value is None else iso_duration(value) for value in milliseconds]
    return pl.Series(milliseconds.name, texts, dtype=pl.String)


_SHOWN: Mapping[str, Callable[[pl.Expr], pl.Expr]] = {
    "datetime": lambda moments: moments.dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ"),
    "date": lambda days: days.dt.to_string("%Y-%m-%d"),
    "binary": lambda octets: octets.bin.encode("base64"),
    "decimal": lambda numbers: numbers.cast(pl.String),
    "float32": lambda numbers: numbers.cast(pl.Float64),
    "duration": _as_durations,
}
"""By type, where it is not shown as it is."""
