"""What the durable effects of a process are called: commands to MongoDB, and changes of files."""

import os
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

WRITES = ("insert", "update", "delete", "findAndModify", "createIndexes", "commitTransaction")
_SCRATCH = "ingestd_selftest"

NAMES = {
    "createIndexes rows": "MongoDB: the indexes of a source are built",
    "createIndexes files": "MongoDB: the indexes of the ledger are built",
    "createIndexes errors": "MongoDB: the indexes of the rejections are built",
    "findAndModify ingestd_leases*": "ledger: the lease of a process is renewed",
    "delete ingestd_leases": "ledger: the lease of a process is ended",
    "createIndexes ingestd_*": "MongoDB: the indexes of the ledger are built",
    "findAndModify ingestd_sources*": "ledger: a file gets its place in time",
    "upsert ingestd_sources *+changes*": "ledger: a change of rows is counted",
    "findAndModify ingestd_archives*": "ledger: an archive is claimed",
    "update ingestd_archives*": "ledger: an archive is taken over",
    "delete ingestd_archives": "ledger: an archive is let go",
    "findAndModify files *duplicate_of*": "ledger: a duplicate is recorded",
    "update files duplicates": "ledger: a duplicate is counted",
    "findAndModify files *-doing*": "ledger: an action is finished",
    "findAndModify files *doing=*": "ledger: an action is begun",
    "findAndModify files *doing.token*": "ledger: an action is taken up again",
    "findAndModify files *+action=*": "ledger: an action is noted",
    "findAndModify files *+attempts*": "ledger: a file is claimed again",
    "findAndModify files state=*": "ledger: what is known of a file is confirmed",
    "findAndModify files*": "ledger: a file is claimed",
    "insert files": "ledger: small files are claimed together",
    "update files *state=loaded*": "ledger: files are committed",
    "update files *state=undone*": "ledger: an older file is taken out of sight",
    "update files *state=loading*": "ledger: the beginning of a load is noted",
    "update files *state=held*": "ledger: a file is held",
    "update files *state=failed*": "ledger: a file failed",
    "update files *has_stale_rows*": "ledger: going back to a file's start is noted",
    "update files *position*": "ledger: a checkpoint is noted",
    "update files *rejects_sha256*": "ledger: rejects files are noted",
    "update files *is_put_away*": "ledger: the move is noted",
    "commitTransaction": "ledger: a commit of several files is confirmed",
    "insert rows": "rows: a batch is inserted",
    "update rows": "rows: a batch is upserted",
    "delete rows": "rows: those of a file are removed",
    "delete rows single": "rows: some are removed",
    "insert errors": "rejections: they are stored",
    "upsert errors *": "rejections: the failure of a file is stored",
    "update errors *closed_at*": "rejections: they are closed",
    "update errors *state=replayed*": "rejections: the failure of a file is closed",
    "update errors *": "rejections: they get new reasons",
    "delete errors": "rejections: those of a file are removed",
}
"""Shapes of commands, the first that matches counts, and what people call them."""

AREAS = ("inbox", "archive", "rejects", "failed", "unpacked", "manual")


def command_step(name: str, command: Mapping[str, Any]) -> str | None:
    """The step that a command to MongoDB is; ``None`` for one that changes nothing that lasts."""
    if name not in WRITES or command.get(name) == _SCRATCH:
        return None
    shape = _shape(name, command)
    return next((words for p, words in NAMES.items() if fnmatchcase(shape, p)), shape)


def _shape(name: str, command: Mapping[str, Any]) -> str:
    """The command, its collection, and which fields of our own documents it changes."""
    if name == "commitTransaction":
        return name
    collection = command[name] if _is_own(command[name]) else "rows"
    if name == "delete":
        is_single = "$in" in command["deletes"][0]["q"].get("_id", {})
        return f"delete {collection}{' single' if is_single else ''}"
    if collection == "rows" or name in ("insert", "createIndexes"):
        return f"{name} {collection}"
    update = command if name == "findAndModify" else command["updates"][0]
    change = update.get("update") or update.get("u")
    verb = "upsert" if name == "update" and update.get("upsert") else name
    return f"{verb} {collection} {' '.join(sorted(_changes(change)))}"


def _is_own(collection: str) -> bool:
    """Whether it holds no rows."""
    return collection in ("files", "errors") or collection.startswith("ingestd_")


def _changes(change: Any) -> Iterator[str]:
    stage = change[0] if isinstance(change, list) else change
    for operator, fields in stage.items():
        for field, value in fields.items():
            yield _change(operator, field, value)


def _change(operator: str, field: str, value: Any) -> str:
    if operator == "$unset":
        return f"-{field}"
    if operator == "$inc":
        return f"+{field}"
    if operator == "$push":
        return f"+action={value['$each'][0]['action']}"
    if field == "doing":
        return f"doing={value['action']}"
    return f"{field}={value}" if field == "state" and isinstance(value, str) else field


def place(path: str | os.PathLike[str]) -> str | None:
    """Which of the daemon's directories a path lies in; ``None`` in none of them."""
    parts = Path(path).parts
    found = next((n for n in reversed(range(len(parts))) if parts[n] in AREAS), None)
    if found is None:
        return None
    is_hidden = any(part.startswith(".") for part in parts[found + 1 :])
    return f"{parts[found]} (hidden)" if is_hidden else parts[found]


def file_step(verb: str, *paths: str | os.PathLike[str]) -> str | None:
    """The step that a call is which changes files; ``None`` outside of the daemon's directories."""
    places = [place(path) for path in paths]
    if None in places:
        return None
    return f"files: {verb} {' → '.join(str(one) for one in places)}"
