"""``ingestd files``: what the ledger knows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ingestd.api.files import as_file
from ingestd.cli.reading import ask_mongo, named_source
from ingestd.cli.screen import (
    Column,
    clean,
    local_time,
    short,
    show_json,
    show_table,
    state_text,
    stderr,
    stdout,
)
from ingestd.config.reading import read, require
from ingestd.errors import ExitCode
from ingestd.export.json_text import to_json
from ingestd.ledger import FILES, find_file, name_of
from ingestd.mongo import Document, Mongo
from ingestd.records import FileState

_COLUMNS = (
    Column("file id", is_key=True), Column("source", is_key=True), Column("file"), Column("state"),
    Column("rows", is_number=True), Column("loaded", is_number=True),
    Column("refused", is_number=True), Column("arrived"), Column("why"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FileFilter:
    """Which files, and how many of them."""

    source: str | None
    states: tuple[FileState, ...]
    limit: int

    def as_match(self) -> Document:
        """The condition for MongoDB."""
        match: Document = {}
        if self.source is not None:
            match["source_name"] = self.source
        if self.states:
            match["state"] = {"$in": [state.value for state in self.states]}
        return match


def show_files(location: Path | None, wanted: FileFilter, *, as_json: bool) -> int:
    """List files, newest first."""
    settings, sources = require(read(location))
    found = ask_mongo(settings, partial(list_files, wanted=wanted))
    if not found and wanted.source is not None:
        named_source(wanted.source, sources)
    if as_json:
        show_json([json.loads(to_json(as_file(document))) for document in found])
    elif found:
        show_listed(stdout(), [_row(document) for document in found])
    else:
        stderr().print("no such files")
    return ExitCode.OK


def show_listed(console: Console, rows: Sequence[Sequence[Text | str]]) -> None:
    """On a terminal, why a file is where it is stands below the table: it would take its width."""
    if not console.is_terminal:
        show_table(console, _COLUMNS, rows)
        return
    show_table(console, _COLUMNS[:-1], [row[:-1] for row in rows])
    for file_id, *_, why in rows:
        if why:
            console.print(Text(f"{file_id}  {why}"))


async def list_files(mongo: Mongo, wanted: FileFilter) -> list[Document]:
    """The newest ones."""
    return await mongo.find(
        FILES, wanted.as_match(), sort=[("processed_at", -1), ("_id", -1)], limit=wanted.limit
    )


def show_file(location: Path | None, file: str, *, as_json: bool) -> int:
    """Everything about one file; raises UnknownFile, ActionRefused."""
    settings, _ = require(read(location))
    found = ask_mongo(settings, partial(find_file, text=file))
    document = json.loads(to_json(as_file(found)))
    if as_json:
        show_json(document)
    else:
        _show_fields(document)
    return ExitCode.OK


def _show_fields(document: Mapping[str, Any]) -> None:
    console, error = stdout(), document["error"] or {}
    fields = {**document, "error": error.get("message"), "hint": error.get("hint")}
    width = max(map(len, fields))
    for name, value in fields.items():
        if value not in (None, ""):
            console.print(Text(f"{name:<{width}}  ", "bold").append(clean(value), "not bold"))


def _row(document: Document) -> list[Text | str]:
    error, is_undone = document.get("error") or {}, document["state"] == FileState.UNDONE
    return [
        clean(document["_id"]), clean(document["source_name"]), short(document["name"], 60),
        state_text(clean(document["state"])), _number(document, "record_count"),
        "0" if is_undone else _number(document, "success_count"), _number(document, "error_count"),
        local_time(document.get("discovered_at")),
        short(error.get("message") or _in_hand(document)),
    ]  # fmt: skip


def _in_hand(document: Document) -> str:
    """Which process works on the file, if one does."""
    owner = document.get("owner")
    return f"in hand of {name_of(owner)}" if owner else ""


def _number(document: Document, name: str) -> str:
    return f"{document.get(name) or 0:,}"
