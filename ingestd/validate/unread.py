"""Why texts are no values of their column's type, and what their reader may want to do about it."""

from collections.abc import Iterator
from typing import TypeAlias

import polars as pl

from ingestd.config.source import ColumnSpec
from ingestd.validate.iso import ISO_DATE
from ingestd.validate.time_formats import format_mistake
from ingestd.validate.types import ColumnType, describe, shown_texts

Hint: TypeAlias = tuple[pl.Expr, str]
"""Which texts it is for, and a question or an advice."""

_TEXT = pl.col("text")
_NULL_WORDS = (
    "na", "n/a", "#n/a", "<na>", "nan", "null", "(null)", "none", "nil", "\\n", "-", "--", "?",
)  # fmt: skip
_EPOCH_DIGITS = {"epoch_s": 10, "epoch_ms": 13}
"""Of the moments from 2001 to 2286."""


def explain_unread(texts: pl.Series, spec: ColumnSpec, type_: ColumnType) -> pl.Series:
    """What is told about each of some texts that are no value of the column: the first hint."""
    advice = pl.coalesce(
        *(pl.when(is_meant).then(pl.lit("; " + hint)) for is_meant, hint in _hints(spec, type_)),
        pl.lit(""),
    )
    told = pl.lit(shown_texts(texts) + f" is not {describe(spec)}") + advice
    return texts.to_frame("text").select(told).to_series()


def _hints(spec: ColumnSpec, type_: ColumnType) -> Iterator[Hint]:
    is_padded = _TEXT.str.strip_chars() != _TEXT
    yield is_padded, "it has blanks around it, which csv.trim = true removes"
    is_null = _TEXT.str.to_lowercase().is_in(_NULL_WORDS)
    yield is_null, "if that means no value, name it in csv.null_values"
    if spec.type == "datetime" and spec.timezone != "UTC":
        yield from _odd_hours(spec, type_)
    if spec.formats:
        yield from _near_formats(spec, type_)
    elif spec.type in ("date", "datetime"):
        yield from _undeclared_formats(spec, type_)


def _reads(spec: ColumnSpec, type_: ColumnType, **changes: str) -> pl.Expr:
    """Whether texts are values of the column once its options are changed."""
    return type_.read(_TEXT, spec.model_copy(update=changes)).is_not_null()


def _near_formats(spec: ColumnSpec, type_: ColumnType) -> Iterator[Hint]:
    for format_ in spec.formats:
        swapped = format_.replace("%d", "%\0").replace("%m", "%d").replace("%\0", "%m")
        others = {
            swapped: "day and month swapped?",
            format_.replace("%Y", "%y"): "a year of two digits?",
            format_.replace("%y", "%Y"): "a year of four digits?",
        }
        for other, question in others.items():
            near = spec.model_copy(update={"format": other})
            if other != format_ and not format_mistake(near, type_.parse):
                yield type_.read(_TEXT, near).is_not_null(), f"{question} It fits {other}"


def _undeclared_formats(spec: ColumnSpec, type_: ColumnType) -> Iterator[Hint]:
    if spec.type == "date":
        has_time = _TEXT.str.contains(rf"^{ISO_DATE}[T ][0-9]")
        yield has_time, "it has a time of day: is the column a datetime?"
    else:
        for epoch, digits in _EPOCH_DIGITS.items():
            yield _TEXT.str.contains(f"^[0-9]{{{digits}}}$"), f'did you mean format = "{epoch}"?'
    yield _TEXT.str.contains(rf"^{ISO_DATE}"), "there is no such day or time"
    yield from _day_and_month(spec.type == "datetime")


def _day_and_month(has_time: bool) -> Iterator[Hint]:
    more = "…" if has_time else ""
    for mark in "./-":
        found = _TEXT.str.extract_groups(
            rf"^([0-9]{{1,2}})[{mark}]([0-9]{{1,2}})[{mark}][0-9]{{4}}"
        )
        first, second = (found.struct.field(place).cast(pl.Int8) for place in "12")
        day_first, month_first = f"%d{mark}%m{mark}%Y{more}", f"%m{mark}%d{mark}%Y{more}"
        yield first.is_between(13, 31), f'did you mean format = "{day_first}"?'
        yield second.is_between(13, 31), f'did you mean format = "{month_first}"?'
        either = f'declare format = "{day_first}" or "{month_first}"'
        yield first.is_not_null(), either


def _odd_hours(spec: ColumnSpec, type_: ColumnType) -> Iterator[Hint]:
    is_shown_twice = _reads(spec, type_, ambiguous="earliest")
    yield is_shown_twice, 'the clocks showed it twice; ambiguous = "earliest" or "latest" decides'
    is_skipped = _reads(spec, type_, timezone="UTC")
    yield is_skipped, "the clocks skipped it; is that the right timezone?"
