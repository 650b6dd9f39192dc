"""How rows are stored: a key where one is needed, over columns that the documents have."""

from collections import Counter
from collections.abc import Iterator

from ingestd.config.checks.draft import Draft, Finding
from ingestd.config.checks.names import final_columns
from ingestd.config.explain import KeyPath
from ingestd.config.naming import choice

_ALWAYS_THERE = ("_id", "processed_at", "source_name")


def check_load(draft: Draft) -> Iterator[Finding]:
    """Mode and key, then the columns of key and indexes."""
    load = draft.spec.load
    if draft.has_read("load") and not {("load", "key"), ("load", "mode")} & draft.unread:
        if load.mode == "upsert" and not load.key:
            yield Finding(("load", "key"), "missing", 'mode "upsert" needs a key: key = ["column"]')
        if load.mode == "insert" and load.key:
            yield Finding(("load", "key"), 'means nothing in mode "insert"', 'set mode = "upsert"')
        if load.mode == "upsert" and load.on_changed_file == "replace":
            message = 'cannot be "replace" in mode "upsert"'
            hint = "there rows replace each other by their key; leave it out"
            yield Finding(("load", "on_changed_file"), message, hint)
    yield from _check_columns(draft, ("load", "key"), load.key)
    yield from _check_key_presence(draft)
    for place, index in enumerate(load.indexes):
        key: KeyPath = ("load", "indexes", place)
        if not index:
            yield Finding(key, "empty", 'an index is a list of columns: ["customer_id"]')
        yield from _check_columns(draft, key, index)


def _check_key_presence(draft: Draft) -> Iterator[Finding]:
    """Rows without a key would all be one document, each overwriting the one before."""
    for place, name in enumerate(draft.spec.load.key):
        if (final := draft.spec.columns.get(name)) and final.type == "json":
            hint = "take a column with one value, e.g. of type string"
            yield Finding(("load", "key", place), f'"{name}" is json, and no key', hint)
        origin = (final_columns(draft) or {}).get(name, ())
        column = str(origin[-1]) if origin and origin[0] == "schema" else None
        rules = draft.spec.validation_rules.get(column or "")
        has_been_read = not any(key[:2] == ("validation_rules", column) for key in draft.unread)
        if column and has_been_read and not (rules and rules.not_null):
            message = f'"{name}" can be empty, and is part of the key'
            hint = f"add not_null = true to validation_rules.{column}"
            yield Finding(("load", "key", place), message, hint)


def _check_columns(draft: Draft, key: KeyPath, names: tuple[str, ...]) -> Iterator[Finding]:
    for name, count in Counter(names).items():
        if count > 1:
            yield Finding(key, f'"{name}" stands there {count} times')
    final = final_columns(draft)
    if final is None:
        return
    is_key = key == ("load", "key")
    known = [*final, *(() if is_key else _ALWAYS_THERE)]
    for place, name in enumerate(names):
        column = name if is_key else name.partition(".")[0]  # payload.id: a field inside a column
        if column not in known:
            message = f'"{name}" is not a column after the steps'
            yield Finding((*key, place), message, choice(name, known))
