"""Rules that suit their column: the kind of rule, and the values it compares with."""

from collections.abc import Iterator
from typing import Any

from ingestd.config.checks.bounds import ALLOWED_VALUES, comparable
from ingestd.config.checks.draft import Draft, Finding
from ingestd.config.checks.regex import unsupported_syntax
from ingestd.config.naming import choice, shown
from ingestd.config.source import ColumnSpec, RuleSpec

_LIMITS = ("min", "max", "exclusive_min", "exclusive_max")
_LISTS = ("one_of", "not_one_of")
_TEXT = ("matches", "min_length", "max_length")
_ANY = ("not_null", "unique")


def rules_for(type_name: str) -> tuple[str, ...]:
    """The rules that make sense for a column of this type."""
    if type_name in ("string", "category"):
        return (*_ANY, *_LISTS, *_TEXT)
    is_opaque = type_name in ("bool", "objectid", "json", "binary")
    return _ANY if is_opaque else (*_ANY, *_LIMITS, *_LISTS)


def check_rules(draft: Draft) -> Iterator[Finding]:
    """Each column's rules, against its type and against each other."""
    for name, rules in draft.spec.validation_rules.items():
        column = draft.spec.columns.get(name)
        if column is not None and draft.has_read("schema"):
            for key, message, hint in _check_column(column, rules):
                yield Finding(("validation_rules", name, key), message, hint)
        elif draft.has_read("schema") and name not in draft.column_names:
            message = "not a column of the schema"
            yield Finding(("validation_rules", name), message, choice(name, draft.column_names))


_Mistake = tuple[str, str, str]
"""Rule, message, hint."""


def _check_column(column: ColumnSpec, rules: RuleSpec) -> Iterator[_Mistake]:
    allowed = rules_for(column.type)
    given = rules.model_dump(exclude_unset=True, exclude_none=True)
    for name in sorted(given.keys() - set(allowed)):
        hint = f"allowed for {column.type}: {', '.join(allowed)}"
        yield name, f"means nothing for {column.type}", hint
    yield from _check_values(column, {name: given[name] for name in given if name in allowed})
    if rules.matches is not None and (reason := unsupported_syntax(rules.matches)):
        yield "matches", f"found {shown(rules.matches)}", reason


def _check_values(column: ColumnSpec, given: dict[str, Any]) -> Iterator[_Mistake]:
    if column.type not in ALLOWED_VALUES:
        return
    limits: dict[str, Any] = {}
    for name, value in given.items():
        if name in ("min_length", "max_length"):
            limits[name] = value
            continue
        for compared in _compared_values(name, value):
            try:
                limits[name] = comparable(column, compared)
            except ValueError:
                hint = f"allowed for {column.type}: {ALLOWED_VALUES[column.type]}"
                yield name, f"found {shown(compared)}", hint
    yield from _check_order(limits)


def _compared_values(name: str, value: Any) -> tuple[Any, ...]:
    if name in _LISTS:
        return tuple(value)
    return (value,) if name in _LIMITS else ()


def _check_order(limits: dict[str, Any]) -> Iterator[_Mistake]:
    """Limits that no value can meet."""
    for low, high, is_open in (
        ("min", "max", False),
        ("exclusive_min", "max", True),
        ("min", "exclusive_max", True),
        ("exclusive_min", "exclusive_max", True),
        ("min_length", "max_length", False),
    ):
        if not {low, high} <= limits.keys():
            continue
        if limits[low] > limits[high] or (is_open and limits[low] == limits[high]):
            message = f"found {limits[low]}, and {high} is {limits[high]}"
            yield low, message, "no value can meet both"
