"""Splits a frame of texts into typed good rows and rejections.

The happy path is one Polars query: every column parsed, every rule one boolean. Which
rules a row broke is only asked for the rows that broke any.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import polars as pl

from ingestd.config.source import ColumnSpec
from ingestd.records import ROW, Violation
from ingestd.validate.expressions import Expression
from ingestd.validate.rules import BoundRule
from ingestd.validate.types import ColumnType, kept_texts, shown_texts
from ingestd.validate.unread import explain_unread
from ingestd.validate.violations import NO_VIOLATIONS, Violations, same_violation, violations_of

Repeats = Mapping[str, Collection[int]]
"""Per column the rows of this chunk whose value an earlier row of the file has already."""

_BROKEN = "__broken__"
_TEXT_OF = "__text__"


@dataclass(frozen=True, slots=True)
class Checked:
    """Typed columns and ``ROW`` of the good rows; the others with all their reasons."""

    good: pl.DataFrame
    rejected: Violations


@dataclass(frozen=True, slots=True)
class BoundColumn:
    """A column of the file: how it is read, and its rules."""

    name: str
    spec: ColumnSpec
    type: ColumnType
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
        frame = frame.with_columns(spelled_nulls({c.name: c.spec for c in self.columns}))
        typed = self._read(frame)
        is_bad = self._is_bad(frame, typed, repeats)
        typed = typed.drop(_BROKEN)
        if not is_bad.any():
            return Checked(typed, NO_VIOLATIONS)
        refused = _beside(typed.filter(is_bad), frame.filter(is_bad))
        return Checked(typed.filter(~is_bad), self._explain(refused, repeats))

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

    def _explain(self, refused: pl.DataFrame, repeats: Repeats) -> Violations:
        reasons = [
            reason
            for column in self.columns
            for reason in _reasons(column, repeats.get(column.name))
        ]
        flags = refused.select(reason.flag.alias(str(i)) for i, reason in enumerate(reasons))
        found = [
            _column_violations(reason, refused, flag)
            for reason, flag in zip(reasons, flags, strict=True)
            if flag.any()
        ]
        found += [_check_violations(check, refused) for check in self.checks]
        violations = pl.concat(found).sort(ROW, maintain_order=True)
        if violations[ROW].n_unique() != refused.height:
            raise AssertionError("a row is refused without a reason")
        return violations


def spelled_nulls(columns: Mapping[str, ColumnSpec]) -> list[pl.Expr]:
    """The texts of columns that have their own ways to say "no value", with null for these."""
    return [
        pl.when(pl.col(name).is_in(list(spec.null_values)).not_()).then(pl.col(name)).alias(name)
        for name, spec in columns.items()
        if spec.null_values
    ]


@dataclass(frozen=True, slots=True)
class _Reason:
    """One reason to refuse a row: true in ``flag``, over typed columns and their texts."""

    column: str
    rule: str
    flag: pl.Expr
    explain: Callable[[pl.Series], pl.Series]
    """The message for each of some texts."""


def _beside(typed: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """Typed columns, and beside them the texts that they were read from."""
    texts = texts.drop(ROW).rename(_TEXT_OF.__add__)
    return pl.concat([typed, texts], how="horizontal")


def _is_unread(name: str) -> pl.Expr:
    return pl.col(name).is_null() & pl.col(_TEXT_OF + name).is_not_null()


def _reasons(column: BoundColumn, repeats: Collection[int] | None) -> Iterator[_Reason]:
    is_unread = _is_unread(column.name)
    explain = partial(explain_unread, spec=column.spec, type_=column.type)
    yield _Reason(column.name, "type", is_unread, explain)
    for rule in column.rules:
        yield _Reason(column.name, rule.name, rule.violated & ~is_unread, rule.explain)
    if repeats:
        is_repeat = pl.col(ROW).is_in(list(repeats))
        yield _Reason(column.name, "unique", is_repeat, _is_repeated)


def _column_violations(reason: _Reason, refused: pl.DataFrame, flag: pl.Series) -> Violations:
    """Each text is explained once: what is wrong in a file is often the same in many rows."""
    text = pl.col(_TEXT_OF + reason.column).alias("text")
    broken = refused.select(ROW, text).filter(flag)
    texts = broken["text"].unique()
    told = pl.DataFrame(
        [texts, kept_texts(texts).alias("value"), reason.explain(texts).alias("message")]
    )
    return broken.join(told, on="text", how="left", nulls_equal=True, maintain_order="left").select(
        ROW,
        pl.lit(reason.column).alias("column"),
        pl.lit(reason.rule).alias("rule"),
        "value",
        "message",
    )


def _check_violations(check: BoundCheck, refused: pl.DataFrame) -> Violations:
    """A check says nothing of a row in which a column that it reads did not parse."""
    is_unread = pl.any_horizontal([pl.lit(False), *map(_is_unread, check.expression.columns)])
    read = refused.filter(~is_unread)
    evaluated = check.expression.evaluate(read)
    why = Violation(None, check.name, None, check.message)
    false = same_violation(read[ROW].filter(evaluated.values.eq(False)), why)
    failed = violations_of(
        (row, why._replace(message=f"{check.expression.text}: {reason}"))
        for row, reason in evaluated.failures.items()
    )
    return pl.concat([false, failed])


def _is_violated(check: BoundCheck, typed: pl.DataFrame) -> pl.Series:
    evaluated = check.expression.evaluate(typed)
    is_violated = evaluated.values.eq(False).fill_null(False)
    if evaluated.failures:
        is_violated = is_violated | typed[ROW].is_in(list(evaluated.failures))
    return is_violated


def _is_repeated(texts: pl.Series) -> pl.Series:
    return shown_texts(texts) + " stands in an earlier row of the file already"
