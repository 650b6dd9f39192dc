"""What a step is, how its arguments are read, and how it refuses rows.

A step is bound once, to the columns that it will meet; what is wrong with its arguments is
found then. Applied, it takes a frame to a frame, and may refuse rows on the way.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl
from pydantic import ValidationError

from ingestd.config.naming import choice, nearest, shown
from ingestd.config.source import PANDAS_NAMES, ColumnSpec
from ingestd.records import ROW, Violation
from ingestd.validate import (
    NO_VIOLATIONS,
    TYPES,
    Place,
    Problems,
    Schema,
    Violations,
    check_spec,
    violations_of,
)
from ingestd.validate.types import Group, describe, kept
from ingestd.validate.types import shown as shown_value

Found = Iterable[tuple[int, Violation]]
"""Rows, by their place in the chunk, with a reason to refuse each."""


@dataclass(frozen=True, slots=True)
class Transformed:
    """The rows that are left, and those refused. What is in neither was filtered out."""

    frame: pl.DataFrame
    rejected: Violations


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a binder knows: where the step stands, and the columns before it."""

    place: Place
    schema: Schema

    @property
    def name(self) -> str:
        """The step's name, which is also the rule of the rows that it refuses."""
        return str(self.place.path[-1])


@dataclass(frozen=True, slots=True)
class Step:
    """A bound step: the columns after it, and what it does."""

    schema: Schema
    apply: Callable[[pl.DataFrame], Transformed]


Binder = Callable[[Any, StepContext], Step]


def expression_step(schema: Schema, expressions: list[pl.Expr]) -> Step:
    """A step that computes columns and refuses nothing."""
    return Step(schema, lambda frame: Transformed(frame.with_columns(expressions), NO_VIOLATIONS))


def without(frame: pl.DataFrame, found: Found) -> Transformed:
    """The frame without the rows that something was found against."""
    rejected = violations_of(found)
    if rejected.height:
        frame = frame.filter(~pl.col(ROW).is_in(rejected[ROW].implode()))
    return Transformed(frame, rejected)


def lost_values(
    rows: pl.Series, before: pl.Series, after: pl.Series, why: tuple[str, str]
) -> Iterator[tuple[int, Violation]]:
    """A violation for every value that a conversion made null; ``why`` is rule and type."""
    rule, noun = why
    if after.null_count() <= before.null_count():
        return
    for place in (after.is_null() & before.is_not_null()).arg_true():
        text = str(before[place])
        message = f"{shown_value(text)} is not {noun}"
        yield rows[place], Violation(after.name, rule, kept(text), message)


def read_columns(arguments: Any, context: StepContext, *groups: Group) -> list[str]:
    """The columns of a list such as ``trim = ["name", "city"]``, of these groups if any."""
    names = [arguments] if isinstance(arguments, str) else arguments
    if not isinstance(names, list | tuple) or not names:
        raise context.place.error(f"{shown(arguments)} is not a list of columns")
    _check_columns(names, context, groups)
    return list(names)


def read_table(arguments: Any, context: StepContext, *groups: Group) -> dict[str, Any]:
    """The arguments by column, such as ``round = { amount = 2 }``, of these groups if any."""
    if not isinstance(arguments, dict) or not arguments:
        raise context.place.error(f"{shown(arguments)} is not a table of columns")
    _check_columns(arguments, context, groups)
    return arguments


def read_spec(value: Any, place: Place) -> ColumnSpec:
    """A type's name, or a table as in the schema."""
    name = value.get("type") if isinstance(value, dict) else value
    if name not in TYPES and name not in PANDAS_NAMES:
        raise place.error(f"{shown(name)} is not a type", choice(name, TYPES))
    try:
        spec = ColumnSpec.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise place.at(*first["loc"]).error(first["msg"]) from error
    check_spec(spec, place)
    return spec


def _check_columns(names: Iterable[Any], context: StepContext, groups: tuple[Group, ...]) -> None:
    problems = Problems()
    for name in names:
        with problems.gathered():
            _check_column(name, context, groups)
    problems.raise_any()


def _check_column(name: Any, context: StepContext, groups: tuple[Group, ...]) -> None:
    if not isinstance(name, str):
        raise context.place.error(f"{shown(name)} is not the name of a column")
    place, spec = context.place.at(name), context.schema.get(name)
    if spec is None:
        hint = nearest(name, context.schema) or f"columns: {', '.join(context.schema)}"
        raise place.error(f"there is no column {shown(name)} at this step", hint)
    if groups and TYPES[spec.type].group not in groups:
        raise place.error(f"{context.name} has no meaning for {describe(spec)}")
