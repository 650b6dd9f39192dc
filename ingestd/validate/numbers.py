"""Numbers as people and offices write them, brought to the plain form that the types read.

``(1.234,50 €)`` becomes ``-1234.50`` where the column says so: each of its options takes one
habit away. What is not well written after the habits that were declared stays no number.
"""

import re

import polars as pl

from ingestd.config.source import ColumnSpec

_FRACTION_TYPES = ("float32", "float64", "decimal")

_BLANK = "[ \u00a0\u202f]"
"""Blank, no-break space, narrow no-break space: nobody sees which it is."""
_MARKS = {" ": _BLANK, "\u00a0": _BLANK, "\u202f": _BLANK, "'": "['\u2019]", "\u2019": "['\u2019]"}
"""Marks between groups of digits that are meant by one another."""


def plain_number(text: pl.Expr, spec: ColumnSpec) -> pl.Expr:
    """The texts without what the column's options declare; null where that is not well placed."""
    if spec.currency:
        text = _without_currency(text, spec.currencies)
    if spec.accounting:
        text = _with_leading_minus(text)
    if spec.currency or spec.accounting:
        text = text.str.replace(f"^([+-]){_BLANK}+", "$1")
    if spec.percent:
        text = text.str.replace(f"{_BLANK}%$", "%")  # before blanks are marks of groups
    if spec.thousands:
        text = _without_groups(text, spec)
    if spec.decimal == "," and spec.type in _FRACTION_TYPES:
        text = _with_decimal_point(text)
    return _of_percent(text) if spec.percent else text


def as_literal(spec: ColumnSpec) -> ColumnSpec:
    """The column as its values stand in the configuration: without habits of its files."""
    plain = {"decimal": None, "thousands": None, "percent": False, "accounting": False}
    return spec.model_copy(update={"format": None, "currency": None, **plain})


def number_like(spec: ColumnSpec) -> str:
    """How the column writes one thousand two hundred thirty-four and a half, if not plainly."""
    decimal = f"{spec.decimal or '.'}5" if spec.type in _FRACTION_TYPES else ""
    digits = f"1{spec.thousands or ''}234{decimal}"
    written = digits + " %" * spec.percent + "".join(f" {sign}" for sign in spec.currencies[:1])
    plain = f"1234{decimal and '.5'}"
    written = f"({written})" if spec.accounting else written
    return "" if written == plain else f" like {written}"


def _without_currency(text: pl.Expr, currencies: tuple[str, ...]) -> pl.Expr:
    """One of the signs goes, from either end, inside or outside of the number's own sign."""
    longest_first = sorted(currencies, key=len, reverse=True)
    sign = f"(?:{'|'.join(map(re.escape, longest_first))})"
    leading, trailing = f"^([(+-]*){_BLANK}*{sign}{_BLANK}*", f"{_BLANK}*{sign}{_BLANK}*([)-]*)$"
    return text.str.replace(f"{leading}|{trailing}", "$1$2")


def _with_leading_minus(text: pl.Expr) -> pl.Expr:
    """Of ``(5)`` and ``5-``, which are negative."""
    bare = text.str.replace(rf"^\({_BLANK}*([^()+-]+?){_BLANK}*\)$", "-$1")
    return bare.str.replace(rf"^([^()+-]+?){_BLANK}*-$", "-$1")


def _without_groups(text: pl.Expr, spec: ColumnSpec) -> pl.Expr:
    """``1,234,567`` is a number; ``12,34`` and ``0,123`` are none, or one with a decimal comma."""
    thousands = spec.thousands or ""
    mark = _MARKS.get(thousands, re.escape(thousands))
    has_fraction = spec.type in _FRACTION_TYPES
    fraction = rf"(?:{re.escape(spec.decimal or '.')}[0-9]*)?" if has_fraction else ""
    end = f"{fraction}%$" if spec.percent else f"{fraction}$"
    is_grouped = text.str.contains(f"^[+-]?[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+{end}")
    bare = text.str.replace_all(mark, "")
    return pl.when(is_grouped).then(bare).when(~text.str.contains(mark)).then(text)


def _with_decimal_point(text: pl.Expr) -> pl.Expr:
    """Numbers with a decimal comma; one with a point is none (``1.234`` may mean 1234)."""
    has_point = text.str.contains(".", literal=True)
    return pl.when(~has_point).then(text.str.replace(",", ".", literal=True))


def _of_percent(text: pl.Expr) -> pl.Expr:
    """``12.5 %`` is 0.125, exactly: the point moves, nothing is divided."""
    number = text.str.extract(r"^([+-]?(?:[0-9]+\.?|[0-9]*\.[0-9]+))%$")
    padded = number.str.replace(r"^([+-]?)", "${1}00")
    return padded.str.replace(r"^([+-]?)([0-9]*)([0-9]{2})(?:\.([0-9]*))?$", "$1$2.$3$4")
