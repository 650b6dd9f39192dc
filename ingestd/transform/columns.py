"""Steps that change which columns there are: rename, drop, select."""

from collections import Counter
from typing import Any

from ingestd.config.naming import shown
from ingestd.records import ROW
from ingestd.transform.step import Step, StepContext, Transformed, read_columns, read_table
from ingestd.validate import NO_VIOLATIONS


def bind_rename(arguments: Any, context: StepContext) -> Step:
    """``rename = { old = "new" }``; two columns may exchange their names."""
    names = read_table(arguments, context)
    for old, new in names.items():
        if not isinstance(new, str) or new == ROW:
            raise context.place.at(old).error(f"{shown(new)} cannot be the name of a column")
    renamed = [names.get(name, name) for name in context.schema]
    for name, count in Counter(renamed).items():
        if count > 1:
            raise context.place.error(f"there would be {count} columns named {shown(name)}")
    schema = dict(zip(renamed, context.schema.values(), strict=True))
    return Step(schema, lambda frame: Transformed(frame.rename(names), NO_VIOLATIONS))


def bind_drop(arguments: Any, context: StepContext) -> Step:
    """``drop = ["column"]``"""
    names = read_columns(arguments, context)
    schema = {name: spec for name, spec in context.schema.items() if name not in names}
    if not schema:
        raise context.place.error("no column would be left")
    return Step(schema, lambda frame: Transformed(frame.drop(names), NO_VIOLATIONS))


def bind_select(arguments: Any, context: StepContext) -> Step:
    """``select = ["column"]``: these columns only, in this order."""
    names = read_columns(arguments, context)
    if len(set(names)) < len(names):
        raise context.place.error("a column is named twice")
    schema = {name: context.schema[name] for name in names}
    return Step(schema, lambda frame: Transformed(frame.select(*names, ROW), NO_VIOLATIONS))
