"""The names that a source's columns have after its steps, as far as its text tells."""

from collections.abc import Callable
from typing import Any

from ingestd.config.checks.draft import Draft
from ingestd.config.explain import KeyPath

Names = dict[str, KeyPath]
"""Column name → the key that gave it that name."""


def final_columns(draft: Draft) -> Names | None:
    """The columns of the documents; None where only running the steps can tell."""
    if not (draft.has_read("schema") and draft.has_read("transform")):
        return None
    names: Names | None = {name: ("schema", name) for name in draft.column_names}
    for place, step in enumerate(draft.spec.transform):
        for step_name, argument in step.items():
            names = _apply(names, argument, ("transform", place, step_name))
    return names


def _apply(names: Names | None, argument: Any, key: KeyPath) -> Names | None:
    step = _STEPS.get(str(key[-1]))
    return names if step is None else step(names, argument, key)


def _rename(names: Names | None, argument: Any, key: KeyPath) -> Names | None:
    if names is None or not isinstance(argument, dict):
        return None
    return {
        str(argument.get(name, name)): (*key, name) if name in argument else origin
        for name, origin in names.items()
    }


def _drop(names: Names | None, argument: Any, _: KeyPath) -> Names | None:
    dropped = _listed(argument)
    if names is None or dropped is None:
        return None
    return {name: origin for name, origin in names.items() if name not in dropped}


def _select(names: Names | None, argument: Any, key: KeyPath) -> Names | None:
    selected = _listed(argument)
    if selected is None:
        return None
    return {name: (names or {}).get(name, key) for name in selected}


def _set(names: Names | None, argument: Any, key: KeyPath) -> Names | None:
    if names is None or not isinstance(argument, dict):
        return None
    return names | {name: (*key, name) for name in argument}


def _listed(argument: Any) -> list[str] | None:
    if isinstance(argument, str):
        return [argument]
    is_list = isinstance(argument, list) and all(isinstance(name, str) for name in argument)
    return argument if is_list else None


def _tell_nothing(_: Names | None, __: Any, ___: KeyPath) -> Names | None:
    return None


_STEPS: dict[str, Callable[[Names | None, Any, KeyPath], Names | None]] = {
    "rename": _rename,
    "drop": _drop,
    "select": _select,
    "set": _set,
    "python": _tell_nothing,
}
"""The steps that change which columns there are; all others change values only."""
