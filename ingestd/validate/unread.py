"""Why texts are no values of their column's type, and what their reader may want to do about it."""

from collections.abc import Iterator
from functools import lru_cache

import polars as pl

from ingestd.config.source import ColumnSpec
from ingestd.validate.json_texts import json_mistake
from ingestd.validate.moment_hints import moment_hints
from ingestd.validate.number_hints import number_hints
from ingestd.validate.types import ColumnType, Hint, describe, shown_texts

_TEXT = pl.col("text")
_NULL_WORDS = (
    "na", "n/a", "#n/a", "<na>", "nan", "null", "(null)", "none", "nil", "\\n", "-", "--", "?",
)  # fmt: skip


def explain_unread(texts: pl.Series, spec: ColumnSpec, type_: ColumnType) -> pl.Series:
    """What is told about each of some texts that are no value of the column: the first hint."""
    told = pl.lit(_fault(texts, spec)) + _advice(spec, type_)
    return texts.to_frame("text").select(told).to_series()


def _fault(texts: pl.Series, spec: ColumnSpec) -> pl.Series:
    if spec.type == "json":
        faults = [f" is not JSON to be stored: {json_mistake(text)}" for text in texts]
        return shown_texts(texts) + pl.Series(faults, dtype=pl.String)
    return shown_texts(texts) + f" is not {describe(spec)}"


@lru_cache(maxsize=1024)
def _advice(spec: ColumnSpec, type_: ColumnType) -> pl.Expr:
    """The first hint that is meant for a text; making them takes longer than asking them."""
    hints = (pl.when(is_meant).then(pl.lit("; " + hint)) for is_meant, hint in _hints(spec, type_))
    return pl.coalesce(*hints, pl.lit(""))


def _hints(spec: ColumnSpec, type_: ColumnType) -> Iterator[Hint]:
    is_padded = _TEXT.str.strip_chars() != _TEXT
    yield is_padded, "it has blanks around it, which csv.trim = true removes"
    is_null = _TEXT.str.to_lowercase().is_in(_NULL_WORDS)
    yield is_null, "if that means no value, name it in csv.null_values"
    if type_.group == "number":
        yield from number_hints(_TEXT, spec, type_)
    elif spec.type in ("date", "time", "datetime"):
        yield from moment_hints(_TEXT, spec, type_)
