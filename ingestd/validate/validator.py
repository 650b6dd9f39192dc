"""Splits a frame of texts into typed good rows and rejections.

The happy path is one Polars query: every column parsed, every rule one boolean. Which
rules a row broke is only asked for the rows that broke any.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from ingestd.config.source import ColumnSpec
from ingestd.records import ROW, Violation
from ingestd.validate.expressions import Expression
from ingestd.validate.rules import BoundRule
from ingestd.validate.types import describe

LONGEST_VALUE = 200
"""Characters of a refused value that are kept in a violation."""

Repeats = Mapping[str, Collection[int]]
"""Per column the rows of this chunk whose value an earlier row of the file has already."""
Rejected = dict[int, tuple[Violation, ...]]
"""The refused rows, by their place in the chunk, with the reasons."""

_BROKEN = "__broken__"


@dataclass(frozen=True, slots=True)
class Checked:
    """Typed columns and ``ROW`` of the good rows; the others with all their reasons."""

    good: pl.DataFrame
    rejected: Rejected


@dataclass(frozen=True, slots=True)
class BoundColumn:
    """A column of the file: how it is read, and its rules."""

    name: str
    spec: ColumnSpec
    value: pl.Expr
    rules: tuple[BoundRule, ...]


@dataclass(frozen=True, slots=True)
class BoundCheck:
    """A rule over a whole row. It is violated where it is false; SQL's NULL passes."""

    name: str
    expression: Expression
    message: str


@dataclass(frozen=True, slots=True)
class Validator:
    """A source's types, rules and checks, compiled."""

    columns: tuple[BoundColumn, ...]
    checks: tuple[BoundCheck, ...]

    def check(self, frame: pl.DataFrame, repeats: Repeats | None = None) -> Checked:
        """Texts in, typed rows and rejections out. The order of the rows is kept."""
        repeats = repeats or {}
        typed = self._read(frame)
        is_bad = self._is_bad(frame, typed, repeats)
        typed = typed.drop(_BROKEN)
        if not is_bad.any():
            return Checked(typed, {})
        texts, values = frame.filter(is_bad), typed.filter(is_bad)
        found = _Findings(texts)
        for column in self.columns:
            _explain_column(column, values, repeats.get(column.name, ()), found)
        for check in self.checks:
            _explain_check(check, values, found)
        return Checked(typed.filter(~is_bad), found.rejected())

    def _read(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Every column parsed, and whether any rule is broken."""
        typed = frame.lazy().select(*(column.value for column in self.columns), ROW)
        rules = [rule.violated for column in self.columns for rule in column.rules]
        broken = pl.any_horizontal(rules).fill_null(False) if rules else pl.lit(False)
        return typed.with_columns(broken.alias(_BROKEN)).collect(engine="in-memory")

    def _is_bad(self, frame: pl.DataFrame, typed: pl.DataFrame, repeats: Repeats) -> pl.Series:
        is_bad = typed[_BROKEN]
        for column in self.columns:
            texts, values = frame[column.name], typed[column.name]
            # counting nulls is free; most columns stop here
            if values.null_count() > texts.null_count():
                is_bad = is_bad | (values.is_null() & texts.is_not_null())
        for check in self.checks:
            is_bad = is_bad | _is_violated(check, typed)
        for rows in repeats.values():
            is_bad = is_bad | typed[ROW].is_in(list(rows))
        return is_bad


class _Findings:
    """Gathers violations, row by row, in the order in which they are found."""

    def __init__(self, texts: pl.DataFrame) -> None:
        self.texts = texts
        self._rows: list[int] = texts[ROW].to_list()
        self._found: dict[int, list[Violation]] = {row: [] for row in self._rows}

    def add(self, place: int, violation: Violation) -> None:
        self._found[self._rows[place]].append(violation)

    def rejected(self) -> Rejected:
        return {row: tuple(violations) for row, violations in self._found.items()}


def _explain_column(
    column: BoundColumn, values: pl.DataFrame, repeated: Collection[int], found: _Findings
) -> None:
    texts = found.texts[column.name]
    is_unread = values[column.name].is_null() & texts.is_not_null()
    for place in is_unread.arg_true():
        found.add(place, _type_violation(column, texts[place]))
    flags = values.select(rule.violated.alias(rule.name) for rule in column.rules)
    for rule in column.rules:
        for place in (flags[rule.name] & ~is_unread).arg_true():
            text = texts[place]
            found.add(place, _violation(column.name, rule.name, text, rule.explain(shown(text))))
    for place in values[ROW].is_in(list(repeated)).arg_true():
        text = texts[place]
        message = f"{shown(text)} stands in an earlier row of the file already"
        found.add(place, _violation(column.name, "unique", text, message))


def _explain_check(check: BoundCheck, values: pl.DataFrame, found: _Findings) -> None:
    """A check says nothing of a row in which a column that it reads did not parse."""
    evaluated = check.expression.evaluate(values)
    is_unread = _is_unread(check.expression.columns, values, found.texts)
    places = (evaluated.values.eq(False) & ~is_unread).fill_null(False)
    for place in places.arg_true():
        found.add(place, Violation(None, check.name, None, check.message))
    rows = values[ROW].to_list()
    for place, row in enumerate(rows):
        if row in evaluated.failures and not is_unread[place]:
            message = f"{check.expression.text}: {evaluated.failures[row]}"
            found.add(place, Violation(None, check.name, None, message))


def _is_unread(names: tuple[str, ...], values: pl.DataFrame, texts: pl.DataFrame) -> pl.Series:
    is_unread = pl.repeat(False, values.height, dtype=pl.Boolean, eager=True)
    for name in names:
        is_unread = is_unread | (values[name].is_null() & texts[name].is_not_null())
    return is_unread


def _is_violated(check: BoundCheck, typed: pl.DataFrame) -> pl.Series:
    evaluated = check.expression.evaluate(typed)
    is_violated = evaluated.values.eq(False).fill_null(False)
    if evaluated.failures:
        is_violated = is_violated | typed[ROW].is_in(list(evaluated.failures))
    return is_violated


def _type_violation(column: BoundColumn, text: str) -> Violation:
    message = f"{shown(text)} is not {describe(column.spec)}"
    if text != text.strip():
        message += "; it has blanks around it, which csv.trim = true removes"
    return _violation(column.name, "type", text, message)


def _violation(column: str, rule: str, text: str | None, message: str) -> Violation:
    return Violation(column, rule, text if text is None else text[:LONGEST_VALUE], message)


def shown(text: str | None) -> str:
    """A value in a message: short, on one line, and told from its surroundings."""
    if text is None:
        return "null"
    return repr(text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…")
