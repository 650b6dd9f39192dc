"""Transformation: steps, in order; columns in, columns out.

A new step is one binder and one line in ``STEPS``.
"""

from dataclasses import dataclass

import polars as pl

from ingestd.config.naming import choice, nearest, shown
from ingestd.config.source import RESERVED_COLUMNS, SourceSpec
from ingestd.records import ROW
from ingestd.transform.columns import bind_drop, bind_rename, bind_select
from ingestd.transform.computed import bind_filter, bind_set
from ingestd.transform.function import bind_python
from ingestd.transform.hashing import bind_hash
from ingestd.transform.step import Binder, Step, StepContext, Transformed
from ingestd.transform.values import (
    bind_cast,
    bind_fill_null,
    bind_parse_json,
    bind_replace,
    bind_round,
    bind_split,
    text_step,
)
from ingestd.validate import NO_VIOLATIONS, Place, Problems, Schema

__all__ = ["STEPS", "Transform", "Transformed", "compile_transform"]

STEPS: dict[str, Binder] = {
    "round": bind_round,
    "trim": text_step(lambda text: text.str.strip_chars()),
    "lower": text_step(lambda text: text.str.to_lowercase()),
    "upper": text_step(lambda text: text.str.to_uppercase()),
    "rename": bind_rename,
    "drop": bind_drop,
    "select": bind_select,
    "cast": bind_cast,
    "set": bind_set,
    "fill_null": bind_fill_null,
    "replace": bind_replace,
    "filter": bind_filter,
    "hash": bind_hash,
    "parse_json": bind_parse_json,
    "split": bind_split,
    "python": bind_python,
}

_ADDED_COLUMNS = ("_id", "processed_at", "source_name")
"""Fields that every document gets besides its columns."""


@dataclass(frozen=True, slots=True)
class Transform:
    """A source's steps, compiled. ``schema`` holds the columns after the last of them."""

    steps: tuple[Step, ...]
    schema: Schema

    def apply(self, good: pl.DataFrame) -> Transformed:
        """Typed rows in; final columns and ``ROW`` out, and the rows that a step refused."""
        frame, rejected = good, [NO_VIOLATIONS]
        for step in self.steps:
            outcome = step.apply(frame)
            frame = outcome.frame
            rejected.append(outcome.rejected)
        return Transformed(frame.select(*self.schema, ROW), pl.concat(rejected))


def compile_transform(source: SourceSpec) -> Transform:
    """The source's steps and final columns; raises ``ConfigError``.

    A step can only be read once all before it could, so the first bad step is the last
    one reported.
    """
    place, schema, steps = Place(f"source {source.name}"), dict(source.columns), []
    for index, table in enumerate(source.transform):
        for name, arguments in table.items():
            step = _bind(name, arguments, StepContext(place.at("transform", index), schema))
            steps.append(step)
            schema = step.schema
    _check_final(schema, source, place)
    return Transform(tuple(steps), schema)


def _bind(name: str, arguments: object, context: StepContext) -> Step:
    if name not in STEPS:
        raise context.place.error(f"{shown(name)} is not a step", choice(name, STEPS))
    return STEPS[name](arguments, StepContext(context.place.at(name), context.schema))


def _check_final(schema: Schema, source: SourceSpec, place: Place) -> None:
    problems = Problems()
    for name in schema:
        with problems.gathered():
            _check_name(name, place.at("schema" if name in source.columns else "transform"))
    for name in source.load.key:
        with problems.gathered():
            _check_known(name, schema, place.at("load", "key"))
    for index, fields in enumerate(source.load.indexes):
        for field in fields:
            with problems.gathered():
                known = (*schema, *_ADDED_COLUMNS)
                _check_known(field.partition(".")[0], known, place.at("load", "indexes", index))
    problems.raise_any()


def _check_name(name: str, place: Place) -> None:
    """What MongoDB refuses as a field's name, and the names that are taken."""
    if name in RESERVED_COLUMNS:
        mistake = "is a field of ingestd itself"
    elif not name or name.startswith("$") or "." in name or "\0" in name:
        mistake = "is not a name that MongoDB queries well: not empty, no $ first, no dot, no NUL"
    else:
        return
    raise place.at(name).error(mistake, f'rename it: rename = {{ {shown(name)} = "…" }}')


def _check_known(name: str, known: Schema | tuple[str, ...], place: Place) -> None:
    if name not in known:
        hint = nearest(name, known) or f"columns: {', '.join(known)}"
        raise place.error(f"there is no column {shown(name)} after the transform", hint)
