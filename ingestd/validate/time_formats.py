"""Dates and times in a format of the source: strptime's directives, as Python and chrono have them.

A directive takes what chrono takes, but ``%Y`` always four digits (``24`` is not the year 24),
and directives with nothing between them all their digits (``2024111`` is no ``%Y%m%d``).
``%y`` means 1970 to 2069. What a format leaves out is the first: a month's day, a day's hour.
"""

import re
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial

import polars as pl

from ingestd.config.source import ColumnSpec
from ingestd.config.values import EPOCHS

_PARTS = re.compile(r"%[-_0:#.]*[0-9]?[A-Za-z+%]|\s+|.", re.DOTALL)
_OFFSET = re.compile(r"%[:#]*z|%\+|%s")
_PACKED = re.compile(r"%[YmdHIMSyj]%[mdHIMSyj]")
_DIGITS = {"%Y": 4, "%j": 3} | dict.fromkeys(("%m", "%d", "%H", "%I", "%M", "%S", "%y"), 2)
_SHORT_YEARS = {pl.Date: date(1001, 1, 1), pl.Datetime: datetime(1001, 1, 1)}
"""From here on, in any time zone, a year has four digits anyway."""

_TRIED = datetime(2001, 2, 3, 16, 5, 6, tzinfo=UTC)
_TOLD = (
    _TRIED, _TRIED.replace(second=0), datetime(2001, 2, 3, tzinfo=UTC),
    datetime(2001, 2, 1, tzinfo=UTC), datetime(2001, 1, 1, tzinfo=UTC),
)  # fmt: skip
"""What a format may make of that moment: without seconds, time of day, day, month."""


def has_offset(format_: str) -> bool:
    """Whether texts in this format say themselves how far they are from UTC."""
    return _OFFSET.search(format_) is not None


def chrono_format(format_: str) -> str:
    """Python's ``.%f`` and its tolerant ``%z`` (``Z``, ``+02:00``) as Polars spells them."""
    return format_.replace(".%f", "%.f").replace("%z", "%#z")


def refuse_short(value: pl.Expr, text: pl.Expr, format_: str) -> pl.Expr:
    """Null where a text has fewer digits than the format asks for."""
    shape = _shape_of(format_)
    if _PACKED.search(format_):
        return pl.when(text.str.contains(shape)).then(value)
    if "%Y" in format_:
        return pl.map_batches([value, text], partial(_refuse_short_years, shape=shape))
    return value


def format_mistake(spec: ColumnSpec, parse: Callable[[pl.Expr, ColumnSpec], pl.Expr]) -> str:
    """What is wrong with a column's formats, or nothing: each must read back what it writes."""
    return next(filter(None, (_mistake(format_, spec, parse) for format_ in spec.formats)), "")


def _mistake(
    format_: str, spec: ColumnSpec, parse: Callable[[pl.Expr, ColumnSpec], pl.Expr]
) -> str:  # fmt: skip
    if format_ in EPOCHS:
        return "" if spec.type == "datetime" else f"{format_} is a format of date-times only"
    if "%Z" in format_:
        return "%Z: names of time zones are ambiguous; use %z, or set timezone"
    if "%f" in format_.replace(".%f", ""):
        return "%f must follow a dot: .%f"
    is_fit = _reads_back(format_, spec, parse)
    return "" if is_fit else f"{format_} cannot read back what it writes"


def _refuse_short_years(columns: list[pl.Series], shape: str) -> pl.Series:
    """Only years that could be short cost a look at the texts."""
    value, text = columns
    is_early = value < _SHORT_YEARS[type(value.dtype)]
    return value.set(is_early & ~text.str.contains(shape), None) if is_early.any() else value


def _shape_of(format_: str) -> str:
    least = "" if _PACKED.search(format_) else "1,"
    return f"^{''.join(_shape_of_part(part, least) for part in _PARTS.findall(format_))}$"


def _shape_of_part(part: str, least: str) -> str:
    if part.isspace():
        return r"\s*"
    if part == "%Y":
        return "[0-9]{4}"
    if part in _DIGITS:
        return rf"\s*[0-9]{{{least}{_DIGITS[part]}}}"
    return "(?s:.*?)" if part.startswith("%") else re.escape(part)


def _reads_back(
    format_: str, spec: ColumnSpec, parse: Callable[[pl.Expr, ColumnSpec], pl.Expr]
) -> bool:  # fmt: skip
    only = spec.model_copy(update={"format": format_, "timezone": "UTC"})
    moments = pl.Series(_TOLD, dtype=pl.Datetime("ms", "UTC"))
    values = {"date": moments.dt.date(), "time": moments.dt.time()}.get(spec.type, moments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            text = values.dt.strftime(format_.replace(".%f", "%.f")).first()
            value = pl.select(parse(pl.lit(text), only)).item()
        except pl.exceptions.PolarsError:
            return False
    return value is not None and value in values.to_list()
