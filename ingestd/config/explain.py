"""pydantic's errors, told as problems: which key, what was found, what is allowed."""

import re
from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from ingestd.config.naming import choice, shown

KeyPath = tuple[str | int, ...]

_ALLOWED = {
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "a text",
    "path_type": "a path",
    "dict_type": "a table",
    "model_type": "a table",
    "tuple_type": "a list",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "string_too_short": "a text that is not empty",
    "too_short": "at least {min_length} of them",
}


def explain(
    error: ValidationError, model: type[BaseModel], document: Mapping[str, Any]
) -> dict[KeyPath, tuple[str, str]]:
    """For each key with a mistake: the message and the hint. Values of secrets are left out."""
    explained: dict[KeyPath, tuple[str, str]] = {}
    for details in error.errors(include_url=False):
        key = _key_in(document, details)
        explained.setdefault(key, _describe(details, key, model))
    return explained


def _key_in(document: Mapping[str, Any], details: ErrorDetails) -> KeyPath:
    """The error's place without the parts that only pydantic knows, such as union members."""
    place: KeyPath = details["loc"]
    if details["type"] == "missing":
        return place
    node: Any = document
    for depth, part in enumerate(place):
        if not _holds(node, part):
            return place[:depth]
        node = node[part]
    return place


def _holds(node: Any, part: str | int) -> bool:
    if isinstance(node, dict):
        return part in node
    return isinstance(node, list) and isinstance(part, int)


def _describe(details: ErrorDetails, key: KeyPath, model: type[BaseModel]) -> tuple[str, str]:
    kind, context = details["type"], details.get("ctx", {})
    owner, field = _resolve(model, key)
    if kind == "missing":
        return "missing", "it has no default"
    if kind == "extra_forbidden":
        return "unknown key", choice(key[-1], keys_of(owner))
    found = "found a value" if _is_secret(field) else f"found {shown(details['input'])}"
    if kind == "literal_error":
        return found, choice(details["input"], re.findall(r"'([^']*)'", context["expected"]))
    if kind == "value_error":
        return found, str(context["error"])
    if kind in _ALLOWED:
        return found, "allowed: " + _ALLOWED[kind].format(**_plain_numbers(context))
    return found, "allowed: see the example; " + details["msg"].lower()


def _plain_numbers(context: Mapping[str, Any]) -> dict[str, Any]:
    """0 for 0.0, but 4194304 as it is."""
    return {
        name: f"{value:.15g}" if isinstance(value, float) else value
        for name, value in context.items()
    }


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys a table of this model may hold, as they are written in TOML."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _resolve(model: type[BaseModel], key: KeyPath) -> tuple[type[BaseModel], Any]:
    """The model that holds the last part of the key, and the annotation of that part."""
    owner, annotation = model, None
    parts = list(key)
    while parts:
        fields = {field.alias or name: field for name, field in owner.model_fields.items()}
        field = fields.get(str(parts.pop(0)))
        annotation = field.annotation if field else None
        inner = _model_in(annotation)
        if inner is None or not parts:
            break
        owner = inner
        if _is_container(annotation):
            parts.pop(0)
    return owner, annotation


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _is_container(annotation: Any) -> bool:
    return get_origin(annotation) not in (None, Union, UnionType)


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(map(_is_secret, get_args(annotation)))
