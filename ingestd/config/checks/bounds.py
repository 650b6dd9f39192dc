"""The values a rule may compare a column with, by the column's type."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from ingestd.config.source import ColumnSpec

_SIGNED = {f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)}
_UNSIGNED = {f"uint{bits}": (0, 2**bits - 1) for bits in (8, 16, 32)}
INTEGER_RANGES = _SIGNED | _UNSIGNED
"""Smallest and largest value of each integer type."""

ALLOWED_VALUES: dict[str, str] = {  # durations are left to where rules are compiled
    **{name: f"whole numbers from {low} to {high}" for name, (low, high) in INTEGER_RANGES.items()},
    "float32": "numbers",
    "float64": "numbers",
    "decimal": 'numbers, or text such as "0.10"',
    "date": 'dates such as "2024-12-31"',
    "datetime": 'date-times such as "2024-12-31T23:59:59"',
    "time": 'times such as "23:59:59"',
    "string": "texts",
    "category": "texts",
}


def comparable(column: ColumnSpec, value: Any) -> Any:
    """The value as something that can be compared with others of the same column.

    Raises:
        ValueError: no value of the column can be compared with it.
    """
    if column.type in INTEGER_RANGES:
        return _integer(value, *INTEGER_RANGES[column.type])
    if column.type == "datetime":
        return _datetime(value, ZoneInfo(column.timezone))
    return _READERS[column.type](value)


def _integer(value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(value)
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(value)
    return value


def _decimal(value: Any) -> Decimal:
    try:
        number = Decimal(value if isinstance(value, str) else str(_number(value)))
    except InvalidOperation as error:
        raise ValueError(value) from error
    if not number.is_finite():
        raise ValueError(value)
    return number


def _date(value: Any) -> date:
    if isinstance(value, str):
        return date.fromisoformat(value)
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError(value)
    return value


def _datetime(value: Any, zone: ZoneInfo) -> datetime:
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
    else:
        is_moment = isinstance(value, datetime)
        moment = value if is_moment else datetime.combine(_date(value), time())
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _time(value: Any) -> time:
    if isinstance(value, str):
        value = time.fromisoformat(value)
    if not isinstance(value, time):
        raise ValueError(value)
    return value.replace(tzinfo=value.tzinfo or UTC)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(value)
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    "float32": _number,
    "float64": _number,
    "decimal": _decimal,
    "date": _date,
    "time": _time,
    "string": _text,
    "category": _text,
}
