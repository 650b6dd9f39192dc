"""``ingestd errors``: which rows and files were refused, where, and why."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.text import Text

from ingestd.cli.reading import ask_mongo, named_source
from ingestd.cli.screen import (
    Column,
    clean,
    local_time,
    short,
    show_json,
    show_table,
    stderr,
    stdout,
)
from ingestd.config.reading import read, require
from ingestd.errors import ExitCode
from ingestd.export.json_text import to_json
from ingestd.ledger import SOURCES, find_files
from ingestd.mongo import Document, Mongo, rows_of
from ingestd.rejects import ERRORS

_COLUMNS = (
    Column("when"), Column("source"), Column("file"), Column("line", is_number=True),
    Column("column"), Column("rule"), Column("value"), Column("why"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ErrorFilter:
    """Which rejections, and how many of them. ``file``: an id, a name or a path."""

    source: str | None
    file: str | None
    limit: int


def show_errors(location: Path | None, wanted: ErrorFilter, *, as_json: bool) -> int:
    """List the newest rejections in the order in which they were found."""
    settings, sources = require(read(location))
    found = ask_mongo(settings, partial(find_errors, wanted=wanted))
    if not found and wanted.source is not None:
        named_source(wanted.source, sources)
    if as_json:
        show_json([json.loads(to_json(document)) for document in found])
    elif found:
        rows = [row for document in found for row in _rows(document)]
        show_table(stdout(), _COLUMNS, rows)
    else:
        stderr().print("nothing was refused")
    return ExitCode.OK


async def find_errors(mongo: Mongo, wanted: ErrorFilter) -> list[Document]:
    """The newest, file by file. One query per source: that is what there is an index for.

    Raises:
        UnknownFile: no file is called so.
    """
    files = None if wanted.file is None else await _file_ids(mongo, wanted.file)
    names = await _source_names(mongo) if wanted.source is None else [wanted.source]
    found: list[Document] = []
    for name in names:
        match: Document = {"source_name": name}
        if files is not None:
            match["$or"] = [rows_of(file) for file in files]
        newest_first = [("error_time", -1), ("_id", -1)]
        found += await mongo.find(ERRORS, match, sort=newest_first, limit=wanted.limit)
    found.sort(key=lambda document: (document["error_time"], document["_id"]))
    return _file_by_file(found[-wanted.limit :])


def _file_by_file(found: list[Document]) -> list[Document]:
    """In the order of the files, and of the rows in each: chunks are refined side by side."""
    first_seen: dict[str, int] = {}
    for place, document in enumerate(found):
        first_seen.setdefault(document["file_id"], place)
    return sorted(found, key=lambda one: (first_seen[one["file_id"]], one["row"]))


async def _file_ids(mongo: Mongo, file: str) -> list[str]:
    """Rejections are those of a content, whichever of its files is asked for."""
    found = await find_files(mongo, file)
    return [entry.get("duplicate_of") or entry["_id"] for entry in found]


async def _source_names(mongo: Mongo) -> list[str]:
    return [str(source["_id"]) for source in await mongo.find(SOURCES, {})]


def _rows(document: Document) -> Iterator[list[Text | str]]:
    """One line per reason; what stands for the whole row stands once."""
    where = [
        local_time(document["error_time"]), clean(document["source_name"]),
        short(document["file"], 40), clean(document.get("line")),
    ]  # fmt: skip
    reasons = document.get("violations") or [
        {"rule": document["error_type"], "message": document["error_message"]}
    ]
    for reason in reasons:
        yield [
            *where, clean(reason.get("column")), clean(reason.get("rule")),
            short(reason.get("value"), 40), short(reason.get("message")),
        ]  # fmt: skip
        where = [""] * len(where)
