"""Steps with SQL expressions: set, filter."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from ingestd.config.naming import shown
from ingestd.config.source import ColumnSpec
from ingestd.records import ROW, Violation
from ingestd.transform.convert import converted, storable
from ingestd.transform.step import Step, StepContext, Transformed, lost_values, read_spec, without
from ingestd.validate import Place, Problems, dtypes_of, violations_of
from ingestd.validate.expressions import Expression, compile_expression, spec_of
from ingestd.validate.types import describe


@dataclass(frozen=True, slots=True)
class _Assignment:
    """One column of a ``set``: the expression and the type of its result."""

    name: str
    expression: Expression
    spec: ColumnSpec

    def value(self) -> pl.Expr:
        """The expression's result, in the column of that name, as the column's type."""
        dtype, given = self.expression.dtype, pl.col(self.name)
        if isinstance(dtype, pl.String):
            return converted(given, ColumnSpec(type="string"), self.spec)
        return storable(given, dtype, self.spec)


def bind_set(arguments: Any, context: StepContext) -> Step:
    """``set = { net = "amount / 1.2", vat = { expression = "amount * 0.2", type = "decimal" } }``.

    All expressions see the columns as they were before the step.
    """
    if not isinstance(arguments, dict) or not arguments:
        raise context.place.error(f"{shown(arguments)} is not a table of expressions")
    problems, assignments = Problems(), []
    for name, value in arguments.items():
        with problems.gathered():
            assignments.append(_assignment(name, value, context))
    problems.raise_any()
    schema = context.schema | {made.name: made.spec for made in assignments}
    return Step(schema, lambda frame: _assign(frame, assignments, context.name))


def bind_filter(arguments: Any, context: StepContext) -> Step:
    """``filter = "status <> 'test'"`` keeps the rows for which it is true (not SQL's NULL)."""
    text = _expression_text(arguments, context.place)
    expression = compile_expression(text, dtypes_of(context.schema), context.place, pl.Boolean())

    def keep(frame: pl.DataFrame) -> Transformed:
        evaluated = expression.evaluate(frame)
        rejected = violations_of(
            (row, Violation(None, context.name, None, f"{text}: {reason}"))
            for row, reason in evaluated.failures.items()
        )
        return Transformed(frame.filter(evaluated.values.fill_null(False)), rejected)

    return Step(context.schema, keep)


def _assignment(name: str, value: Any, context: StepContext) -> _Assignment:
    place = context.place.at(name)
    if name == ROW:
        raise place.error(f"{ROW} cannot be the name of a column")
    options = dict(value) if isinstance(value, dict) else {"expression": value}
    text = _expression_text(options.pop("expression", None), place)
    expression = compile_expression(text, dtypes_of(context.schema), place)
    spec = read_spec(options, place) if options else spec_of(expression.dtype)
    if spec is None:
        raise place.error(
            f"{text!r} gives {expression.dtype}, which no column can hold",
            'say which type it has: { expression = "…", type = "…" }',
        )
    return _Assignment(name, expression, spec)


def _expression_text(value: Any, place: Place) -> str:
    if not isinstance(value, str) or not value.strip():
        raise place.error(f"{shown(value)} is not an expression", "write it in quotes")
    return value


def _assign(frame: pl.DataFrame, assignments: list[_Assignment], rule: str) -> Transformed:
    after, found = frame, list[tuple[int, Violation]]()
    for made in assignments:
        evaluated = made.expression.evaluate(frame)
        given = evaluated.values.alias(made.name)
        value = given.to_frame().select(made.value()).to_series()
        after = after.with_columns(value)
        why = (rule, f"{describe(made.spec)}, from {made.expression.text}")
        found += lost_values(frame[ROW], given, value, why)
        found += _failures(made, evaluated.failures, rule)
    return without(after, found)


def _failures(
    made: _Assignment, failures: dict[int, str], rule: str
) -> Iterator[tuple[int, Violation]]:
    for row, reason in failures.items():
        yield row, Violation(made.name, rule, None, f"{made.expression.text}: {reason}")
