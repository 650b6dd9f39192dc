"""From one column type to another, without a silent loss."""

import polars as pl

from ingestd.config.source import ColumnSpec
from ingestd.validate import TYPES

_NUMBERS = frozenset(name for name, type_ in TYPES.items() if type_.group == "number") | {"bool"}
_TEXTS = frozenset({"string", "category"})
_CASTS: dict[str, frozenset[str]] = {
    "date": _TEXTS | {"datetime"},
    "datetime": _TEXTS | {"date", "time"},
    "time": _TEXTS,
    "json": _TEXTS,
    "objectid": frozenset(),
    "binary": frozenset(),
    "duration": frozenset(),
}
_TEXT_FORMATS = {
    "date": "%Y-%m-%d",
    "datetime": "%Y-%m-%dT%H:%M:%S%.3fZ",
    "time": "%H:%M:%S%.f",
}


def is_castable(source: ColumnSpec, target: ColumnSpec) -> bool:
    """Whether values of one type have a meaning as the other's."""
    if source.type == target.type or source.type in _TEXTS:
        return True
    return target.type in _CASTS.get(source.type, _NUMBERS | _TEXTS)


def converted(value: pl.Expr, source: ColumnSpec, target: ColumnSpec) -> pl.Expr:
    """Values of the target's type; null where a value has no exact counterpart in it."""
    type_ = TYPES[target.type]
    if source.type in _TEXTS:
        return type_.read(value, target)
    if target.type in _TEXTS and source.type in _TEXT_FORMATS:
        return value.dt.strftime(_TEXT_FORMATS[source.type])
    return storable(value, TYPES[source.type].dtype(source), target)


def storable(value: pl.Expr, dtype: pl.DataType, target: ColumnSpec) -> pl.Expr:
    """Values of a Polars type as the target's type; null where it cannot hold one.

    Nothing is cut off to make a whole number or a bool; floats and decimals are rounded.
    """
    type_ = TYPES[target.type]
    goal = type_.dtype(target)
    if isinstance(dtype, pl.Datetime) and isinstance(goal, pl.Datetime):
        value = in_utc(value, dtype)
    result = value.cast(goal, strict=False)
    if dtype.is_numeric() and (goal.is_integer() or goal == pl.Boolean):
        result = pl.when(result.cast(dtype, strict=False) == value).then(result)
    return type_.storable(result)


def in_utc(value: pl.Expr, dtype: pl.Datetime) -> pl.Expr:
    """Date-times in UTC; those without a zone are UTC."""
    if dtype.time_zone is None:
        return value.dt.replace_time_zone("UTC")
    return value.dt.convert_time_zone("UTC")
