"""One line of JSON, exactly: every number keeps its digits, and what is odd has a name."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

_MAX_EXPONENT = 400
"""A number beyond it, which no type holds, stays as it is written: its digits could be endless."""


class NotAnObject(ValueError):
    """The line cannot be read; ``rule`` says which one it breaks."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


class _Number(str):
    """The digits of a number as they stand in the file."""

    __slots__ = ()


def read_object(line: bytes) -> dict[str, Any]:
    """The object that the line is.

    Raises:
        NotAnObject: it is not JSON, something else than an object, or ambiguous.
    """
    try:
        value = _DECODER.decode(line.decode())
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise NotAnObject("encoding", f"byte 0x{byte:02x} is not utf-8") from error
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}"
        raise NotAnObject("json", message) from error
    except RecursionError as error:
        raise NotAnObject("json", "nested too deeply") from error
    if not isinstance(value, dict):
        raise NotAnObject("json", "the line is JSON, but not an object")
    return value


JsonType = Literal["text", "number", "bool", "nested"]


def type_of(value: Any) -> JsonType:
    """What kind of JSON value that is, which ``read_object`` read; it is not null."""
    if isinstance(value, _Number):
        return "number"
    if isinstance(value, bool):
        return "bool"
    return "text" if isinstance(value, str) else "nested"


def text_of(value: Any) -> str:
    """The same as text: numbers with the digits that they are written with."""
    return str(value) if isinstance(value, str) else _text(value)


def first_keys(octets: bytes) -> Sequence[str]:
    """The keys of the first line; none where it is no object."""
    try:
        value = json.loads(octets.partition(b"\n")[0])
    except (ValueError, RecursionError):
        return ()
    return list(value) if isinstance(value, dict) else ()


def texts_of(values: dict[str, Any], names: Sequence[str], json_names: frozenset[str]) -> list[Any]:
    """The values of these columns as texts, ``None`` for nulls; JSON for ``json_names``.

    Raises:
        NotAnObject: one of them is half a character.
    """
    texts = [
        None if (value := values.get(name)) is None
        else value if type(value) is str and name not in json_names
        else _text(value)
        for name in names
    ]  # fmt: skip
    _require_characters("".join(filter(None, texts)))
    return texts


def require_characters(values: dict[str, Any]) -> None:
    """Raises NotAnObject when half a character stands in a value or a key."""
    _require_characters(json.dumps(values, ensure_ascii=False))


def _require_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NotAnObject("encoding", "a lone surrogate is no character") from error


def _text(value: Any) -> str:
    if isinstance(value, _Number):
        return _plain(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{_nested(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_nested, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _nested(value: Any) -> str:
    return value if isinstance(value, _Number) else _text(value)


def _plain(number: str) -> str:
    """All digits and no exponent; without a fraction of nothing, as ``1.0`` is a whole number."""
    if number.lstrip("-").isdigit():
        return "0" if number == "-0" else number
    value = Decimal(number)
    if abs(value.adjusted()) > _MAX_EXPONENT:
        return number
    digits = format(value, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotAnObject("duplicate_key", f"the key {twice!r} stands more than once in an object")
    return values


def _refuse_constant(name: str) -> None:
    raise NotAnObject("json", f"{name} is not a JSON value; null is")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=_Number,
    parse_float=_Number,
    parse_constant=_refuse_constant,
)
