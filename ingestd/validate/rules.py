"""Rules over one column: what violates each, and how its limit is read.

``RULES`` in the package names them all. A null passes every rule but ``not_null``.
``unique`` is no rule of one row: whoever sees the whole file finds the repeats.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from ingestd.config.source import ColumnSpec
from ingestd.validate.problems import Place
from ingestd.validate.types import (
    ColumnType,
    Group,
    describe,
    kept_texts,
    read_literal,
    shown_texts,
)

_LONGEST_LIMIT = 120

Limit = Any
"""What the configuration says after the rule's name."""


@dataclass(frozen=True, slots=True)
class ColumnContext:
    """The column that a rule is bound to."""

    name: str
    spec: ColumnSpec
    type: ColumnType
    place: Place
    """Where its rules stand."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``message`` may speak of ``{value}`` and ``{limit}``."""

    violated: Callable[[pl.Expr, Limit], pl.Expr]
    message: str
    read_limit: Callable[[Limit, ColumnContext, Place], Limit]
    groups: tuple[Group, ...] = ("text", "number", "moment", "other")


@dataclass(frozen=True, slots=True)
class BoundRule:
    """A rule with its limit: an expression over the typed column, true where violated."""

    name: str
    violated: pl.Expr
    message: str
    is_quoted: bool
    """Whether the value stands in quotes in the message, as texts do."""

    def explain(self, texts: pl.Series) -> pl.Series:
        """Why each of these values, as they stand in the file, was refused."""
        values = shown_texts(texts) if self.is_quoted else kept_texts(texts)
        first, *rest = self.message.split("{value}")
        told = pl.repeat(first, len(texts), dtype=pl.String, eager=True)
        for part in rest:
            told = told + values + part
        return told


def bind_rule(name: str, rule: Rule, limit: Limit, column: ColumnContext) -> BoundRule:
    """The rule for this column; raises ``ConfigError`` where it makes no sense there."""
    place = column.place.at(name)
    if column.type.group not in rule.groups:
        raise place.error(f"{name} has no meaning for {describe(column.spec)}")
    bound = rule.read_limit(limit, column, place)
    message = rule.message.replace("{limit}", _shown_limit(limit))
    violated = rule.violated(pl.col(column.name), bound)
    return BoundRule(name, violated, message, column.type.group == "text")


def one_value(limit: Limit, column: ColumnContext, place: Place) -> pl.Expr:
    """A limit that is a value of the column's type."""
    return pl.lit(_read_value(limit, column, place), dtype=column.type.dtype(column.spec))


def many_values(limits: Limit, column: ColumnContext, place: Place) -> list[Any]:
    """A list of values of the column's type."""
    return [_read_value(limit, column, place) for limit in limits]


def pattern(limit: Limit, _: ColumnContext, place: Place) -> str:
    """A regular expression in Rust's dialect."""
    try:
        pl.select(pl.lit("").str.contains(limit))
    except pl.exceptions.ComputeError as error:
        reason = str(error).partition("\n\nThis error")[0].rpartition("error: ")[2]
        raise place.error(
            f"{limit!r} is not a regular expression: {reason.strip()}",
            "the dialect is Rust's: no look-around, no back-references",
        ) from error
    return str(limit)


def as_it_is(limit: Limit, _: ColumnContext, __: Place) -> Limit:
    """A plain number or flag."""
    return limit


def is_missing(value: pl.Expr, _: Limit) -> pl.Expr:
    return value.is_null()


def is_below(value: pl.Expr, limit: pl.Expr) -> pl.Expr:
    return value < limit


def is_above(value: pl.Expr, limit: pl.Expr) -> pl.Expr:
    return value > limit


def is_at_or_below(value: pl.Expr, limit: pl.Expr) -> pl.Expr:
    return value <= limit


def is_at_or_above(value: pl.Expr, limit: pl.Expr) -> pl.Expr:
    return value >= limit


def is_none_of(value: pl.Expr, limits: list[Any]) -> pl.Expr:
    return ~value.is_in(limits)


def is_any_of(value: pl.Expr, limits: list[Any]) -> pl.Expr:
    return value.is_in(limits)


def is_unmatched(value: pl.Expr, limit: str) -> pl.Expr:
    """Nowhere in the value does the pattern match, as in JSON Schema's ``pattern``."""
    return ~value.str.contains(limit)


def is_shorter(value: pl.Expr, limit: int) -> pl.Expr:
    """Length in characters (Unicode scalar values), not bytes."""
    return value.str.len_chars() < limit


def is_longer(value: pl.Expr, limit: int) -> pl.Expr:
    """Length in characters (Unicode scalar values), not bytes."""
    return value.str.len_chars() > limit


def _read_value(limit: Limit, column: ColumnContext, place: Place) -> Any:
    value = read_literal(limit, column.spec, column.type)
    if value is None:
        raise place.error(f"{limit!r} is not {describe(column.spec)}, the type of {column.name}")
    return value


def _shown_limit(limit: Limit) -> str:
    text = ", ".join(map(str, limit)) if isinstance(limit, tuple | list) else str(limit)
    return text if len(text) <= _LONGEST_LIMIT else text[:_LONGEST_LIMIT] + "…"
