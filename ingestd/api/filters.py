"""Conditions on declared columns: ``country=US``, ``amount__gte=10``, ``name__contains=x``.

The only way from a query string to a MongoDB query. Column names come from the schema, operators
from the table here, values are parsed by the column's type: nothing a client writes is ever a key.
"""

import csv
import re
from collections.abc import Callable, Iterable
from decimal import DecimalException
from typing import Any

from bson.errors import BSONError

from ingestd.api.context import Columns
from ingestd.api.problems import RequestRefused, bad_parameter, choices, shown, unknown_parameter
from ingestd.api.values import EXAMPLES, parse_bool, parse_value
from ingestd.config.source import ColumnSpec, ColumnTypeName
from ingestd.mongo import Document

MAX_PATTERN = 1000
"""Longest text to look for with ``startswith`` and ``contains``, characters."""

_EQUALITY = ("eq", "ne", "in", "nin", "isnull")
_ORDER = (*_EQUALITY, "gt", "gte", "lt", "lte", "between")
_TEXT = (*_ORDER, "startswith", "contains")
_OF_TYPE: dict[ColumnTypeName, tuple[str, ...]] = {
    "string": _TEXT, "category": _TEXT, "bool": _EQUALITY, "binary": _EQUALITY,
    "json": ("isnull",),
}  # fmt: skip

Condition = Callable[[str, Callable[[str], Any]], Any]
"""From the parameter's text, and the parser of the column's type, to a MongoDB condition."""


def _compare(operator: str) -> Condition:
    return lambda text, parse: {operator: parse(text)}


def _compare_any(operator: str) -> Condition:
    return lambda text, parse: {operator: [parse(item) for item in _split(text)]}


def _between(text: str, parse: Callable[[str], Any]) -> Document:
    """Two values and a comma; both count as between."""
    bounds = _split(text)
    if len(bounds) != 2:
        raise ValueError("two values are needed, with a comma between them")
    return {"$gte": parse(bounds[0]), "$lte": parse(bounds[1])}


def _split(text: str) -> list[str]:
    """Values between commas; one that contains a comma stands in double quotes."""
    try:
        return next(csv.reader([text], strict=True)) or [""]
    except csv.Error as error:
        raise ValueError(f"not a list: {error}") from error


def _look_for(before: str) -> Condition:
    def condition(text: str, _: Callable[[str], Any]) -> Document:
        if len(text) > MAX_PATTERN:
            raise ValueError(f"longer than {MAX_PATTERN} characters")
        return {"$regex": before + re.escape(text)}

    return condition


def _is_null(text: str, _: Callable[[str], Any]) -> Document:
    return {"$eq": None} if parse_bool(text) else {"$ne": None}


OPERATORS: dict[str, Condition] = {
    "eq": _compare("$eq"), "ne": _compare("$ne"), "gt": _compare("$gt"), "gte": _compare("$gte"),
    "lt": _compare("$lt"), "lte": _compare("$lte"), "in": _compare_any("$in"),
    "nin": _compare_any("$nin"), "between": _between, "startswith": _look_for("^"),
    "contains": _look_for(""), "isnull": _is_null,
}  # fmt: skip


def operators_of(spec: ColumnSpec) -> tuple[str, ...]:
    """Those that make sense for a column of that type."""
    return _OF_TYPE.get(spec.type, _ORDER)


def column_conditions(
    filters: Iterable[tuple[str, str]], columns: Columns, others: Iterable[str]
) -> list[Document]:
    """MongoDB conditions, one per parameter, all of which must hold.

    Raises:
        RequestRefused: 400 for an unknown column or operator (``others`` are the parameters that
            would be right as well), or for a value that is not of the column's type.
    """
    return [_condition(name, text, columns, others) for name, text in filters]


def _condition(name: str, text: str, columns: Columns, others: Iterable[str]) -> Document:
    column, operator = (name, "eq") if name in columns else _split_name(name, columns, others)
    spec = columns[column]
    allowed = operators_of(spec)
    if operator not in allowed:
        detail = f"column {column} is of type {spec.type}, which has no operator {shown(operator)}"
        raise bad_parameter(name, detail, more=choices(operator, allowed))
    try:
        return {column: OPERATORS[operator](text, lambda value: parse_value(value, spec))}
    except (ValueError, LookupError, OverflowError, DecimalException, BSONError) as error:
        raise _bad_value(name, column, spec, error) from error


def _split_name(name: str, columns: Columns, others: Iterable[str]) -> tuple[str, str]:
    column, separator, operator = name.rpartition("__")
    if separator and column in columns:
        return column, operator
    hint = "filters are <column>=value or <column>__<operator>=value"
    raise unknown_parameter(name, (*others, *columns), hint)


def _bad_value(
    name: str, column: str, spec: ColumnSpec, error: Exception
) -> RequestRefused:  # fmt: skip
    example = EXAMPLES.get(spec.type, "")
    reason = f": {error}" if type(error) is ValueError and str(error) else ""
    detail = f"the value is not usable for column {column} of type {spec.type}{reason}"
    return bad_parameter(
        name, shown_reason(detail), f"like this: {example}" if example else "",
        {"column": column, "column_type": spec.type},
    )  # fmt: skip


def shown_reason(text: str) -> str:
    """At most a line of a reason, for it may repeat what the client sent."""
    return text.encode("utf-8", "backslashreplace").decode()[:300]


def chosen_columns(text: str | None, columns: Columns, parameter: str = "fields") -> Columns:
    """The columns of ``fields=a,b`` in that order; all of them without it."""
    if text is None:
        return columns
    try:
        names = _split(text)
    except ValueError as error:
        raise bad_parameter(parameter, str(error)) from error
    for name in names:
        if name not in columns:
            detail = f"there is no column {shown(name)!r}"
            raise bad_parameter(parameter, detail, more=choices(name, columns))
    if len(set(names)) < len(names):
        raise bad_parameter(parameter, "a column is named twice")
    return {name: columns[name] for name in names}
