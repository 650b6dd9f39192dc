"""Date-times in ISO 8601: ``T`` or a blank between, with or without seconds, fraction, offset."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import polars as pl

DATETIME = pl.Datetime("ms", "UTC")
ISO_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"

InUtc: TypeAlias = Callable[[pl.Expr], pl.Expr]
"""Which moment a date-time without an offset means."""

_SECONDS = r"[0-9]{2}:[0-9]{2}:[0-9]{2}"
_USUAL_SHAPES = (
    (rf"^{ISO_DATE}T{_SECONDS}$", "%Y-%m-%dT%H:%M:%S"),
    (rf"^{ISO_DATE} {_SECONDS}$", "%Y-%m-%d %H:%M:%S"),
    (rf"^{ISO_DATE}T{_SECONDS}Z$", "%Y-%m-%dT%H:%M:%SZ"),
    (rf"^{ISO_DATE}$", "%Y-%m-%d"),
)
"""Shapes that whole columns have, with a format each: four times as fast as the general way."""
_GENERAL_SHAPE = (
    rf"^(?P<date>{ISO_DATE})"
    r"(?:[T ](?P<clock>[0-9]{2}:[0-9]{2})"
    r"(?:(?P<seconds>:[0-9]{2})(?P<fraction>[.,][0-9]{1,9})?)?"
    r"(?P<offset>Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?$"
)


def read_iso_datetimes(text: pl.Expr, in_utc: InUtc) -> pl.Expr:
    """Date-times in UTC; null for what is none."""
    return text.map_batches(partial(_read, in_utc=in_utc), return_dtype=DATETIME)


def _read(texts: pl.Series, in_utc: InUtc) -> pl.Series:
    """The usual shape that the first value has is read fast, the rest in the general way."""
    first = texts.drop_nulls().head(1)
    for shape, format_ in _USUAL_SHAPES:
        if first.str.contains(shape).any():
            return _read_shaped(texts, shape, format_, in_utc)
    return _read_generally(texts, in_utc)


def _read_shaped(texts: pl.Series, shape: str, format_: str, in_utc: InUtc) -> pl.Series:
    is_other = texts.str.contains(shape).not_()
    naive = pl.col("text").str.to_datetime(format_, time_unit="ms", strict=False)
    value = naive.dt.replace_time_zone("UTC") if format_.endswith("Z") else in_utc(naive)
    values = texts.to_frame("text").select(value).to_series()
    if not is_other.any():
        return values
    return values.scatter(is_other.arg_true(), _read_generally(texts.filter(is_other), in_utc))


def _read_generally(texts: pl.Series, in_utc: InUtc) -> pl.Series:
    return texts.to_frame("text").select(_general_datetime(pl.col("text"), in_utc)).to_series()


def _general_datetime(text: pl.Expr, in_utc: InUtc) -> pl.Expr:
    """Every part brought to one canonical form first, so that one format reads them all."""
    part = text.str.extract_groups(_GENERAL_SHAPE).struct.field
    fraction = part("fraction").str.replace(",", ".", literal=True).fill_null("")
    seconds = part("seconds").fill_null(":00")
    canonical = part("date") + "T" + part("clock").fill_null("00:00") + seconds + fraction
    naive = canonical.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="ms", strict=False)
    offset = part("offset").str.replace("Z", "+00:00", literal=True)
    aware = (canonical + offset).str.to_datetime(
        "%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="ms", time_zone="UTC", strict=False
    )
    return pl.when(offset.is_null()).then(in_utc(naive)).otherwise(aware)
