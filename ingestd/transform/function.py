"""The step that leaves the way to the user: python = "package.module:function".

The function gets the chunk's frame, with the column ``__row__`` that says which row is
which, and returns a frame. It is tried on an empty frame when the configuration is read,
which tells the columns it makes. A row that it leaves out counts as filtered.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from ingestd.config.naming import shown
from ingestd.errors import FileRefused
from ingestd.records import ROW
from ingestd.transform.convert import storable
from ingestd.transform.step import Step, StepContext, Transformed, lost_values, without
from ingestd.validate import Place, Schema, dtypes_of
from ingestd.validate.expressions import spec_of
from ingestd.validate.types import describe

Function = Callable[[pl.DataFrame], pl.DataFrame]


def bind_python(arguments: Any, context: StepContext) -> Step:
    """``python = "package.module:function"``"""
    function = _load(arguments, context.place)
    empty = pl.DataFrame(schema={**dtypes_of(context.schema), ROW: pl.UInt32()})
    try:
        result = function(empty)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise context.place.error(
            f"{arguments} failed on an empty frame: {reason}", "it has to accept one"
        ) from error
    if mistake := _mistake(result, empty, None):
        raise context.place.error(f"{arguments} {mistake}")
    schema = _schema_after(result, context)
    call = _Call(arguments, function, result.schema, schema)
    return Step(schema, call.apply)


@dataclass(frozen=True, slots=True)
class _Call:
    """The function, and the columns that it promised when it was tried."""

    name: str
    function: Function
    given: pl.Schema
    schema: Schema

    def apply(self, frame: pl.DataFrame) -> Transformed:
        result = self._call(frame)
        expressions = [
            storable(pl.col(name), self.given[name], spec).alias(name)
            for name, spec in self.schema.items()
        ]
        after = result.select(*expressions, ROW)
        found = [
            lost
            for name, spec in self.schema.items()
            for lost in lost_values(
                result[ROW], result[name], after[name], ("python", describe(spec))
            )
        ]
        return without(after, found)

    def _call(self, frame: pl.DataFrame) -> pl.DataFrame:
        try:
            result = self.function(frame)
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
            raise self._refused(f"failed: {reason}") from error
        if mistake := _mistake(result, frame, self.given):
            raise self._refused(mistake)
        # the order of the rows is part of their identity
        return result.with_columns(pl.col(ROW).cast(pl.UInt32)).sort(ROW)

    def _refused(self, message: str) -> FileRefused:
        hint = "correct the function, then retry the file"
        return FileRefused("transform_failed", f"{self.name} {message}", hint)


def _load(value: Any, place: Place) -> Function:
    module_name, colon, function_name = (
        value.partition(":") if isinstance(value, str) else ("", "", "")
    )
    if not (module_name and colon and function_name):
        raise place.error(f"{shown(value)} is not a function", 'write "package.module:function"')
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise place.error(f"{value} cannot be imported: {reason}") from error
    if not callable(function):
        raise place.error(f"{value} is not a function")
    return function  # type: ignore[no-any-return]


def _mistake(result: object, frame: pl.DataFrame, given: pl.Schema | None) -> str:
    """What is wrong with a returned frame, if anything is."""
    if not isinstance(result, pl.DataFrame):
        return f"returned {type(result).__name__}, it has to return a polars.DataFrame"
    if ROW not in result.columns:
        return f"lost the column {ROW}"
    if given is not None and result.schema != given:
        return f"returned {_listed(result.schema)}; on an empty frame it was {_listed(given)}"
    made_up = result.select(ROW).join(frame.select(ROW), on=ROW, how="anti")
    if result[ROW].n_unique() < result.height or not made_up.is_empty():
        return f"changed the column {ROW}: rows may be left out, not made"
    return ""


def _listed(schema: pl.Schema) -> str:
    return ", ".join(f"{name}: {dtype}" for name, dtype in schema.items())


def _schema_after(result: pl.DataFrame, context: StepContext) -> Schema:
    """Known columns keep their type, also where it says more than Polars' (json, category)."""
    before = dtypes_of(context.schema)
    schema: Schema = {}
    for name, dtype in result.schema.items():
        if name == ROW:
            continue
        spec = context.schema[name] if before.get(name) == dtype else spec_of(dtype)
        if spec is None:
            raise context.place.error(f"column {shown(name)} is {dtype}, which cannot be stored")
        schema[name] = spec
    return schema
