"""JSON (RFC 8259) that a document can hold as it is: nothing rounded away, lost or renamed."""

import json
import math
from typing import Any

import polars as pl

_WORTH_A_LOOK = (
    r"\\u0000|[0-9]{19}|[0-9][eE]\+?[0-9]{3}|(?:[\[{][^\[{]*){60}"
    r'|[{,][ \t\r\n]*"(?:\$|\\u0024)'
)
"""Valid JSON that may be too large, too deep, or have a name that MongoDB refuses."""
_SHOWN = 40
"""Characters of a name that a reason shows."""
_MAX_DEPTH = 99
"""MongoDB allows 100 levels; the document itself is one."""


def is_storable_json(texts: pl.Series) -> pl.Series:
    """Polars answers for the bulk; Python looks again at the few that BSON may refuse."""
    # json_path_match has no value for a JSON null, and none for what is not JSON
    is_null = texts.str.strip_chars(" \t\r\n") == "null"
    is_valid = texts.str.json_path_match("$").is_not_null() | is_null
    odd = (is_valid & texts.str.contains(_WORTH_A_LOOK)).arg_true()
    if odd.len():
        is_valid = is_valid.scatter(odd, [not json_mistake(text) for text in texts.gather(odd)])
    return is_valid


def read_json(text: str) -> Any:
    """The value; of what JSON leaves open, names that stand twice are refused.

    Raises:
        ValueError: with what is wrong.
    """
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg.removesuffix(' at')} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def json_mistake(text: str) -> str:
    """Why a text is no JSON, or none that MongoDB stores; empty where it is."""
    try:
        _check_value(read_json(text), _MAX_DEPTH)
        text.encode()
    except ValueError as error:
        return str(error)
    return ""


def _check_value(value: object, depth: int) -> None:
    if isinstance(value, int | float):
        _check_number(value)
    elif isinstance(value, dict | list):
        if not depth:
            raise ValueError("MongoDB stores no more than 100 levels of nesting")
        for name in value if isinstance(value, dict) else ():
            _check_name(name)
        for inner in value.values() if isinstance(value, dict) else value:
            _check_value(inner, depth - 1)


def _check_number(value: int | float) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a number in it is larger than any float64")
    elif not -(2**63) <= value < 2**63:
        raise ValueError("a whole number in it has more than 64 bits")


def _check_name(name: str) -> None:
    if name.startswith("$"):
        raise ValueError(f"MongoDB takes the name {name[:_SHOWN]!r} for an operator")
    if "\0" in name:
        raise ValueError(f"the name {name[:_SHOWN]!r} contains NUL")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice[:_SHOWN]!r} stands more than once in an object")
    return values


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
