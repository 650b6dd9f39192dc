"""As much of a document as can be used, so that one mistake does not hide the next ones."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from ingestd.config.explain import KeyPath, explain

Model = TypeVar("Model", bound=BaseModel)

_DEEPEST = 4
"""Tables in tables: removing an entry can leave its table without what that needs."""


@dataclass(frozen=True, slots=True)
class Salvaged(Generic[Model]):
    """A model read from a document; what could not be read is left out and explained."""

    value: Model | None
    unread: frozenset[KeyPath]
    """The keys that were left out, or replaced by placeholders."""
    mistakes: Mapping[KeyPath, tuple[str, str]]
    """Message and hint for each key with a mistake."""


def salvage(
    model: type[Model], document: Mapping[str, Any], placeholders: Mapping[str, Any]
) -> Salvaged[Model]:
    """Read ``document``; where it is wrong, leave the wrong keys out and read it again.

    ``placeholders`` stand in for top-level keys that have no default.
    """
    try:
        return Salvaged(model(**document), frozenset(), {})
    except ValidationError as error:
        mistakes = explain(error, model, document)
    rest: dict[str, Any] = copy.deepcopy(dict(document))
    unread: set[KeyPath] = set()
    wrong = set(mistakes)
    for _ in range(_DEEPEST):
        unread |= {_remove(rest, key) for key in wrong}
        unread |= {(name,) for name in placeholders if name not in rest}
        try:
            return Salvaged(model(**{**placeholders, **rest}), frozenset(unread), mistakes)
        except ValidationError as error:
            wrong = set(explain(error, model, rest))
    return Salvaged(None, frozenset(unread), mistakes)


def _remove(document: dict[str, Any], key: KeyPath) -> KeyPath:
    """Remove the innermost table entry on the way to ``key``; what was removed.

    Lists go as a whole, or the places of their other entries would shift. A key that is
    missing goes with the table that should hold it.
    """
    table, found = document, key[:1]
    holder = document
    for depth, part in enumerate(key):
        if not isinstance(table, dict) or part not in table:
            break
        holder, found = table, key[: depth + 1]
        table = table[part]
    holder.pop(str(found[-1]), None)
    return found
