"""Dates, times and date-times: from the text in a file to Polars' own types.

Without a format, ISO 8601 is read, strictly; with formats, the first that fits counts.
A leap second (``:60``) is read as the first second of the next minute. Fractions finer
than BSON's milliseconds are cut off (BSON spec, "UTC datetime").
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial

import polars as pl

from ingestd.config.source import ColumnSpec
from ingestd.validate.durations import milliseconds
from ingestd.validate.iso import DATETIME, ISO_DATE, read_iso_datetimes
from ingestd.validate.time_formats import chrono_format, has_offset, refuse_short

_ISO_TIME = r"^[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?$"
_EPOCH_S = r"^(?P<sign>-)?(?P<seconds>[0-9]{1,12})(?:\.(?P<fraction>[0-9]{1,9}))?$"


def storable_date(value: pl.Expr) -> pl.Expr:
    """Null outside the years 1 to 9999, which no reader of the documents could show."""
    return pl.when(value.is_between(pl.lit(date.min), pl.lit(date.max))).then(value)


def storable_datetime(value: pl.Expr) -> pl.Expr:
    """Null outside the years 1 to 9999, which no reader of the documents could show."""
    first = pl.lit(datetime.min.replace(tzinfo=UTC), DATETIME)
    last = pl.lit(datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC), DATETIME)
    return pl.when(value.is_between(first, last)).then(value)


def parse_date(text: pl.Expr, spec: ColumnSpec) -> pl.Expr:
    """``2024-01-31``, or what the formats say."""
    if spec.formats:
        return pl.coalesce(_read_date(text, format_) for format_ in spec.formats)
    is_iso = text.str.contains(rf"^{ISO_DATE}$")
    return pl.when(is_iso).then(text.str.to_date("%Y-%m-%d", strict=False))


def parse_time(text: pl.Expr, spec: ColumnSpec) -> pl.Expr:
    """``12:34``, ``12:34:56``, ``12:34:56.789``, or what the formats say."""
    if spec.formats:
        return pl.coalesce(_read_time(text, format_) for format_ in spec.formats)
    full = pl.when(text.str.len_bytes() == len("12:34")).then(text + ":00").otherwise(text)
    is_iso = text.str.contains(_ISO_TIME)
    return pl.when(is_iso).then(full.str.to_time("%H:%M:%S%.f", strict=False))


def parse_datetime(text: pl.Expr, spec: ColumnSpec) -> pl.Expr:
    """ISO 8601 with ``T`` or a blank, or what the formats say; in UTC.

    A time that the clocks of ``spec.timezone`` skipped does not parse; ``spec.ambiguous`` says
    what becomes of one that they showed twice.
    """
    if spec.formats:
        return pl.coalesce(_read_datetime(text, format_, spec) for format_ in spec.formats)
    return read_iso_datetimes(text, partial(_in_utc, spec=spec))


def _read_date(text: pl.Expr, format_: str) -> pl.Expr:
    value = text.str.to_date(chrono_format(format_), strict=False)
    return refuse_short(value, text, format_)


def _read_time(text: pl.Expr, format_: str) -> pl.Expr:
    return text.str.to_time(chrono_format(format_), strict=False)


def _read_datetime(text: pl.Expr, format_: str, spec: ColumnSpec) -> pl.Expr:
    if format_ in _EPOCHS:
        return _EPOCHS[format_](text).cast(DATETIME)
    chrono = chrono_format(format_)
    if has_offset(format_):
        value = text.str.to_datetime(chrono, time_unit="ms", time_zone="UTC", strict=False)
        in_utc = value.dt.replace_time_zone(None)
        return refuse_short(in_utc, text, format_).dt.replace_time_zone("UTC")
    naive = text.str.to_datetime(chrono, time_unit="ms", strict=False)
    return _in_utc(refuse_short(naive, text, format_), spec)


def _in_utc(naive: pl.Expr, spec: ColumnSpec) -> pl.Expr:
    if spec.timezone == "UTC":
        return naive.dt.replace_time_zone("UTC")
    ambiguous = "null" if spec.ambiguous == "reject" else spec.ambiguous
    local = naive.dt.replace_time_zone(
        spec.timezone, ambiguous=ambiguous, non_existent="null"
    )  # fmt: skip
    return local.dt.convert_time_zone("UTC")


def _epoch_seconds(text: pl.Expr) -> pl.Expr:
    count = milliseconds(text.str.extract_groups(_EPOCH_S), ("seconds",))
    return pl.when(text.str.contains(_EPOCH_S)).then(count)


def _epoch_milliseconds(text: pl.Expr) -> pl.Expr:
    return text.cast(pl.Int64, strict=False)


_EPOCHS: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "epoch_s": _epoch_seconds,
    "epoch_ms": _epoch_milliseconds,
}
"""Formats that have no directives: a count since 1970-01-01T00:00:00Z."""
