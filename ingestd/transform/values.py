"""Steps that change values where they stand: round, trim, lower, upper, fill_null, replace,
cast, parse_json, split.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from ingestd.config.naming import shown
from ingestd.config.source import ColumnSpec
from ingestd.records import ROW
from ingestd.transform.convert import converted, is_castable, storable
from ingestd.transform.step import (
    Binder,
    Step,
    StepContext,
    Transformed,
    expression_step,
    lost_values,
    read_columns,
    read_spec,
    read_table,
    without,
)
from ingestd.validate import TYPES, Place, Problems
from ingestd.validate.numbers import as_literal
from ingestd.validate.types import describe, read_literal

_JSON = ColumnSpec(type="json")
_ROUNDED = ("float32", "float64", "decimal")


@dataclass(frozen=True, slots=True)
class _Target:
    """What a column becomes: null in ``value`` where it cannot, and its new type."""

    value: pl.Expr
    spec: ColumnSpec


def text_step(change: Callable[[pl.Expr], pl.Expr]) -> Binder:
    """The binder of a step over texts, such as ``lower = ["country"]``."""

    def bind(arguments: Any, context: StepContext) -> Step:
        names = read_columns(arguments, context, "text")
        return expression_step(context.schema, [change(pl.col(name)) for name in names])

    return bind


def bind_round(arguments: Any, context: StepContext) -> Step:
    """``round = { amount = 2 }``; halves go to the even neighbour, as in pandas."""
    problems, targets = Problems(), dict[str, _Target]()
    for name, digits in read_table(arguments, context, "number").items():
        with problems.gathered():
            targets[name] = _rounded(name, digits, context)
    problems.raise_any()
    return _converting_step(targets, context)


def bind_fill_null(arguments: Any, context: StepContext) -> Step:
    """``fill_null = { country = "US" }``"""
    problems, expressions = Problems(), []
    for name, value in read_table(arguments, context).items():
        with problems.gathered():
            filler = _typed([value], context.schema[name], context.place.at(name))
            expressions.append(pl.col(name).fill_null(pl.lit(filler.first(), filler.dtype)))
    problems.raise_any()
    return expression_step(context.schema, expressions)


def bind_replace(arguments: Any, context: StepContext) -> Step:
    """``replace = { status = { P = "paid", N = "new" } }``; other values stay."""
    problems, expressions = Problems(), []
    for name, changes in read_table(arguments, context, "text", "number", "moment").items():
        with problems.gathered():
            expressions.append(_replaced(name, changes, context))
    problems.raise_any()
    return expression_step(context.schema, expressions)


def bind_cast(arguments: Any, context: StepContext) -> Step:
    """``cast = { zip = "string" }``; a value with no counterpart in the type refuses its row."""
    problems, targets = Problems(), dict[str, _Target]()
    for name, value in read_table(arguments, context).items():
        with problems.gathered():
            targets[name] = _cast(name, value, context)
    problems.raise_any()
    return _converting_step(targets, context)


def bind_parse_json(arguments: Any, context: StepContext) -> Step:
    """``parse_json = ["payload"]``; a text that is not JSON refuses its row."""
    names = read_columns(arguments, context, "text")
    read = {name: converted(pl.col(name), context.schema[name], _JSON) for name in names}
    targets = {name: _Target(value, _JSON) for name, value in read.items()}
    return _converting_step(targets, context)


def bind_split(arguments: Any, context: StepContext) -> Step:
    """``split = { tags = ";" }``: an array of texts; an empty text gives an empty array."""
    expressions = []
    for name, separator in read_table(arguments, context, "text").items():
        if not isinstance(separator, str) or not separator:
            raise context.place.at(name).error(f"{shown(separator)} is not a separator")
        split = partial(_split_texts, separator=separator)
        expressions.append(pl.col(name).map_batches(split, return_dtype=pl.String))
    return expression_step(context.schema | dict.fromkeys(arguments, _JSON), expressions)


def _rounded(name: str, digits: Any, context: StepContext) -> _Target:
    place, spec = context.place.at(name), context.schema[name]
    if spec.type not in _ROUNDED:
        raise place.error(f"round has no meaning for {describe(spec)}")
    if not isinstance(digits, int) or isinstance(digits, bool) or not 0 <= digits <= 34:
        raise place.error(f"{shown(digits)} is not a number of digits", "allowed: 0 to 34")
    value, dtype = pl.col(name).round(digits), TYPES[spec.type].dtype(spec)
    if spec.type == "decimal":
        # 9.99 becomes 10.0: one digit more
        spec = spec.model_copy(update={"precision": min(spec.precision + 1, 34)})
    return _Target(storable(value, dtype, spec), spec)


def _replaced(name: str, changes: Any, context: StepContext) -> pl.Expr:
    place, spec = context.place.at(name), context.schema[name]
    if not isinstance(changes, dict) or not changes:
        raise place.error(f"{shown(changes)} is not a table of values", '{ "old" = "new" }')
    # the keys of a TOML table are texts, whatever the column's type
    read = TYPES[spec.type].read(pl.col("old"), as_literal(spec))
    old = pl.DataFrame({"old": list(changes)}, {"old": pl.String}).select(read).to_series()
    for key in old.is_null().arg_true():
        raise place.error(f"{shown(list(changes)[key])} is not {describe(spec)}")
    return pl.col(name).replace(old, _typed(list(changes.values()), spec, place))


def _typed(values: list[Any], spec: ColumnSpec, place: Place) -> pl.Series:
    """Values from the configuration as values of the column's type."""
    type_ = TYPES[spec.type]
    read = [read_literal(value, spec, type_) for value in values]
    for value, result in zip(values, read, strict=True):
        if result is None:
            raise place.error(f"{shown(value)} is not {describe(spec)}")
    return pl.Series(read, dtype=type_.dtype(spec))


def _cast(name: str, value: Any, context: StepContext) -> _Target:
    place, source = context.place.at(name), context.schema[name]
    spec = read_spec(value, place)
    if not is_castable(source, spec):
        raise place.error(f"{describe(source)} cannot become {describe(spec)}")
    return _Target(converted(pl.col(name), source, spec), spec)


def _converting_step(targets: dict[str, _Target], context: StepContext) -> Step:
    expressions = [target.value.alias(name) for name, target in targets.items()]
    nouns = {name: describe(target.spec) for name, target in targets.items()}

    def convert(frame: pl.DataFrame) -> Transformed:
        after = frame.with_columns(expressions)
        found = (
            lost
            for name, noun in nouns.items()
            for lost in lost_values(frame[ROW], frame[name], after[name], (context.name, noun))
        )
        return without(after, found)

    specs = {name: target.spec for name, target in targets.items()}
    return Step(context.schema | specs, convert)


def _split_texts(texts: pl.Series, separator: str) -> pl.Series:
    return pl.Series(
        [
            None
            if text is None
            else json.dumps(text.split(separator) if text else [], ensure_ascii=False)
            for text in texts
        ],
        dtype=pl.String,
    )
