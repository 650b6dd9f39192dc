"""What may be meant by a text that is no number of its column."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import polars as pl

from ingestd.config.checks.bounds import INTEGER_RANGES
from ingestd.config.source import ColumnSpec
from ingestd.validate.numbers import plain_number
from ingestd.validate.types import ColumnType, Hint

_Habits: TypeAlias = Mapping[str, Mapping[str, str | bool]]
"""Options of a column as they are written, and as they are set, without what contradicts them."""

_HABITS: _Habits = {
    'thousands = ","': {"thousands": ",", "decimal": "."},
    'thousands = " "': {"thousands": " "},
    'thousands = "\'"': {"thousands": "'"},
    "accounting = true": {"accounting": True},
}
_HABITS_OF_WHOLE: _Habits = {**_HABITS, 'thousands = "."': {"thousands": "."}}
_HABITS_OF_FRACTIONS: _Habits = {
    'decimal = ","': {"decimal": ",", "thousands": ""},
    'decimal = "."': {"decimal": ".", "thousands": ""},
    'decimal = "," and thousands = "."': {"decimal": ",", "thousands": "."},
    "percent = true": {"percent": True},
    **_HABITS,
}
_LOOKALIKE = r"[\p{Nd}&&[^0-9]]|[\u2010-\u2015\u2212\uFE63\uFF0B\uFF0D]"
_CURRENCY = r"\p{Sc}|^[A-Z]{3} ?[0-9.,]+$|^[0-9.,]+ ?[A-Z]{3}$"
_EXPONENT = r"^[+-]?[0-9.,]+[eE][+-]?[0-9]+$"


def number_hints(text: pl.Expr, spec: ColumnSpec, type_: ColumnType) -> Iterator[Hint]:
    """Slips of the pen, then what an option of the column would read, then what none can."""
    is_lookalike = text.str.contains(_LOOKALIKE)
    yield is_lookalike, "a digit or sign in it only looks like 0 to 9, + or -"
    if spec.percent:
        yield text.str.contains("^[^%]*$"), "percent = true asks for the sign %"
    if spec.type == "decimal":
        yield from _fraction_hints(text, spec, type_)
    yield from _habits(text, spec, type_)
    if not spec.currency:
        yield text.str.contains(_CURRENCY), 'does the column need currency = "…"?'
    yield from _LAST_HINTS.get(spec.type, _whole_hints)(text, spec)


def _habits(text: pl.Expr, spec: ColumnSpec, type_: ColumnType) -> Iterator[Hint]:
    is_whole = spec.type in INTEGER_RANGES
    is_read = {
        habit: type_.read(text, spec.model_copy(update=changes)).is_not_null()
        for habit, changes in (_HABITS_OF_WHOLE if is_whole else _HABITS_OF_FRACTIONS).items()
    }
    if not is_whole:
        point, groups = 'decimal = ","', 'thousands = ","'
        yield is_read[point] & is_read[groups], f"did you mean {point} or {groups}?"
    for habit, fits in is_read.items():
        yield fits, f"did you mean {habit}?"


def _whole_hints(text: pl.Expr, spec: ColumnSpec) -> Iterator[Hint]:
    has_zeros = text.str.contains(r"^[+-]?[0-9]+\.0*$")
    yield has_zeros, f"a float64 reads it, which the step cast makes an {spec.type}"
    yield text.str.contains(_EXPONENT), "a spreadsheet may have cut its digits off"
    low, high = INTEGER_RANGES[spec.type]
    yield text.str.contains("^[+-]?[0-9]+$"), f"allowed: {low} to {high}"


def _decimal_hints(text: pl.Expr, spec: ColumnSpec) -> Iterator[Hint]:
    yield text.str.contains(_EXPONENT), "no exponent: a spreadsheet may have cut its digits off"
    yield text.str.contains("^[^a-zA-Z]*[0-9][^a-zA-Z]*$"), _allowed_digits(spec)


def _fraction_hints(text: pl.Expr, spec: ColumnSpec, type_: ColumnType) -> Iterator[Hint]:
    """More digits after the point than the column keeps; or the point stands between thousands."""
    is_fine = plain_number(text, spec).str.contains(r"^[+-]?[0-9]*\.[0-9]+$")
    habit = 'thousands = ","' if spec.decimal == "," else 'decimal = "," and thousands = "."'
    grouped = spec.model_copy(update=_HABITS_OF_FRACTIONS[habit])
    is_grouped = type_.read(text, grouped).is_not_null() & ~text.str.contains("^[+-]?0")
    yield is_fine & is_grouped, f"{_allowed_digits(spec)}; or did you mean {habit}?"
    yield is_fine, _allowed_digits(spec)


def _allowed_digits(spec: ColumnSpec) -> str:
    return f"allowed: {spec.precision} digits in all, {spec.scale} after the point"


def _float_hints(text: pl.Expr, spec: ColumnSpec) -> Iterator[Hint]:
    is_number = text.cast(pl.Float64, strict=False).is_not_null()
    yield is_number, f"no finite {spec.type} is as large"


_LAST_HINTS = {"decimal": _decimal_hints, "float32": _float_hints, "float64": _float_hints}
