"""What may be meant by a text that is no date or time of its column."""

from collections.abc import Iterator

import polars as pl

from ingestd.config.source import ColumnSpec
from ingestd.validate.iso import ISO_DATE
from ingestd.validate.time_formats import format_mistake
from ingestd.validate.types import ColumnType, Hint

_EPOCH_DIGITS = {"epoch_s": 10, "epoch_ms": 13}
"""Of the moments from 2001 to 2286."""


def moment_hints(text: pl.Expr, spec: ColumnSpec, type_: ColumnType) -> Iterator[Hint]:
    """Hours that the clocks make odd, then formats that differ in one thing, then any format."""
    if spec.type == "datetime" and spec.timezone != "UTC":
        yield from _odd_hours(text, spec, type_)
    if spec.formats:
        yield from _near_formats(text, spec, type_)
    elif spec.type != "time":
        yield from _undeclared_formats(text, spec)


def _near_formats(text: pl.Expr, spec: ColumnSpec, type_: ColumnType) -> Iterator[Hint]:
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
                yield type_.read(text, near).is_not_null(), f"{question} It fits {other}"


def _undeclared_formats(text: pl.Expr, spec: ColumnSpec) -> Iterator[Hint]:
    if spec.type == "date":
        has_time = text.str.contains(rf"^{ISO_DATE}[T ][0-9]")
        yield has_time, "it has a time of day: is the column a datetime?"
    else:
        for epoch, digits in _EPOCH_DIGITS.items():
            yield text.str.contains(f"^[0-9]{{{digits}}}$"), f'did you mean format = "{epoch}"?'
    yield text.str.contains(rf"^{ISO_DATE}"), "there is no such day or time"
    yield from _day_and_month(text, "…" if spec.type == "datetime" else "")


def _day_and_month(text: pl.Expr, time: str) -> Iterator[Hint]:
    for mark in "./-":
        found = text.str.extract_groups(rf"^([0-9]{{1,2}})[{mark}]([0-9]{{1,2}})[{mark}][0-9]{{4}}")
        first, second = (found.struct.field(place).cast(pl.Int8) for place in "12")
        day_first, month_first = f"%d{mark}%m{mark}%Y{time}", f"%m{mark}%d{mark}%Y{time}"
        yield first.is_between(13, 31), f'did you mean format = "{day_first}"?'
        yield second.is_between(13, 31), f'did you mean format = "{month_first}"?'
        either = f'declare format = "{day_first}" or "{month_first}"'
        yield first.is_not_null(), either


def _odd_hours(text: pl.Expr, spec: ColumnSpec, type_: ColumnType) -> Iterator[Hint]:
    is_shown = type_.read(text, spec.model_copy(update={"ambiguous": "earliest"})).is_not_null()
    yield is_shown, 'the clocks showed it twice; ambiguous = "earliest" or "latest" decides'
    is_time = type_.read(text, spec.model_copy(update={"timezone": "UTC"})).is_not_null()
    yield is_time, "the clocks skipped it; is that the right timezone?"
