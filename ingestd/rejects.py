"""Where refused rows and files go: collection ``errors``, the rejects file, ``.error.json``."""

import filecmp
import json
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio.to_thread
from aiofiles.threadpool import wrap
from aiofiles.threadpool.binary import AsyncBufferedIOBase

from ingestd.config.encodings import encode
from ingestd.documents import decoded
from ingestd.errors import FileUnavailable
from ingestd.files import (
    digest_of,
    explaining,
    look,
    make_directory,
    name_with,
    remove_abandoned,
    rename_new,
    sync_directory,
    temporary_in,
    write_atomically,
)
from ingestd.ledger import now
from ingestd.mongo import Document, Mongo, row_id, rows_of
from ingestd.records import REJECTS, ClaimedFile, Rejections, Shape
from ingestd.rejections import joined, raw_octets

ERRORS = "errors"
_BY_TIME = ("source_name", "error_time", "_id")
"""The only index: those of a file are a range of ``_id``."""
_PAGE_ROWS = 5000

Closed = Literal["replayed", "dismissed"]
"""States of a rejection of which nothing more is expected."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The refused records of a file, each with its record end, in any portions; ``None`` when they
    have to be read from ``errors``."""

    file: ClaimedFile
    shape: Shape
    records: Iterable[bytes] | None


class Rejects:
    """Keeps what was refused. Calls wait while MongoDB is away, and may be repeated."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo

    async def prepare(self) -> None:
        """Create the index of ``errors``."""
        index = partial(self._mongo.ensure_indexes, ERRORS, _BY_TIME)
        await self._mongo.patiently("indexing errors", index)

    async def record_rows(self, refused: Sequence[Rejections]) -> None:
        """Make rejections durable. One that is there from an earlier attempt stays as it is."""
        every = joined(refused)
        ends = memoryview(every.ends).cast("q")
        await self._mongo.patiently(
            "recording rejections",
            lambda: self._mongo.insert_missing_encoded(ERRORS, every.documents, ends),
        )

    async def record_file(self, file: ClaimedFile, error: Document) -> None:
        """Make the failure of a whole file an error document: row 0, no record."""
        document = {
            "source_name": file.source_name, "file": file.name, "file_id": file.file_id, "row": 0,
            "line": None, "offset": None, "state": "open", "error_time": now(),
            "error_type": error["type"], "error_message": error["message"],
            "hint": error["hint"], "record": None, "raw": None, "violations": [],
        }  # fmt: skip
        match = {"_id": row_id(file.file_id, 0)}
        await self._mongo.patiently(
            "recording a failure",
            lambda: self._mongo.update(ERRORS, match, {"$set": document}, upsert=True),
        )

    async def remove_rows(self, file_id: str) -> None:
        """Forget the rejections of an attempt; why an earlier one failed as a whole stays."""
        await self._mongo.patiently(
            "removing rejections", lambda: self._mongo.delete(ERRORS, rows_of(file_id, first=1))
        )

    async def clear_file(self, file: ClaimedFile) -> None:
        """The file loaded after all: its failure is no longer open."""
        change = {"$set": {"state": "replayed"}}
        await self._mongo.patiently(
            "closing a failure",
            lambda: self._mongo.update(ERRORS, {"_id": row_id(file.file_id, 0)}, change),
        )

    async def close(
        self, file_id: str, state: Closed, closing: Document, rows: Sequence[int] | None = None
    ) -> None:
        """Close the open rejections of a file, or of some of its rows."""
        match = {**rows_of(file_id), "state": "open"}
        if rows is not None:
            match["row"] = {"$in": list(rows)}
        change = {"$set": {"state": state, **closing}}
        await self._mongo.patiently(
            "closing rejections", lambda: self._mongo.update_all(ERRORS, match, change)
        )

    async def rows_among(self, file_id: str, rows: Sequence[int]) -> set[int]:
        """Those of these rows of a file that were refused."""
        match = {**rows_of(file_id), "row": {"$in": list(rows)}}
        found = await self._mongo.patiently(
            "reading rejections",
            lambda: self._mongo.find(ERRORS, match, projection={"_id": 0, "row": 1}),
        )
        return {error["row"] for error in found}

    async def open_rows(self, file_id: str) -> list[int]:
        """The rows of a file whose rejections are open, ascending."""
        match = {**rows_of(file_id, first=1), "state": "open"}
        found = await self._mongo.patiently(
            "reading rejections",
            lambda: self._mongo.find(
                ERRORS, match, sort=[("_id", 1)], projection={"_id": 0, "row": 1}
            ),
        )
        return [error["row"] for error in found]

    async def states(self, file_id: str, first: int, last: int) -> dict[int, str]:
        """The rejections of some rows of a file: row and state."""
        found = await self._mongo.patiently(
            "reading rejections",
            lambda: self._mongo.find(
                ERRORS, rows_of(file_id, first, last), projection={"_id": 0, "row": 1, "state": 1}
            ),
        )
        return {error["row"]: error["state"] for error in found}

    async def files_with_open_rows(self, source_name: str) -> list[str]:
        """Ids of the files of a source that have open rejections of rows."""
        stages: list[Document] = [
            {"$match": {"source_name": source_name, "state": "open", "row": {"$gt": 0}}},
            {"$group": {"_id": "$file_id"}},
            {"$sort": {"_id": 1}},
        ]  # fmt: skip
        found = await self._mongo.patiently(
            "reading rejections", lambda: self._mongo.aggregate(ERRORS, stages)
        )
        return [file["_id"] for file in found]

    async def refuse_again(self, rejections: Rejections) -> None:
        """Give open rejections the reasons they have now."""
        changes = [
            ({"_id": error.pop("_id"), "state": "open"}, {"$set": error})
            for error in decoded(rejections.documents)
        ]
        if changes:
            await self._mongo.patiently(
                "recording rejections", lambda: self._mongo.update_each(ERRORS, changes)
            )

    async def count_replayed(self, file_id: str) -> dict[str, int]:
        """How many rejections of a file were replayed, by what became of the row."""
        stages = [
            {"$match": {**rows_of(file_id, first=1), "state": "replayed"}},
            {"$group": {"_id": "$became", "count": {"$sum": 1}}},
        ]
        found = await self._mongo.patiently(
            "counting rejections", lambda: self._mongo.aggregate(ERRORS, stages)
        )
        return {row["_id"]: row["count"] for row in found}

    async def first_of(self, file_id: str, count: int) -> list[Document]:
        """The first rejections of a file, in its order, without their texts."""
        return await self._mongo.patiently(
            "reading rejections",
            lambda: self._mongo.find(
                ERRORS, rows_of(file_id), sort=[("_id", 1)], limit=count,
                projection={"raw": 0, "record": 0},
            ),
        )  # fmt: skip

    async def write_rejects_file(
        self, file: ClaimedFile, shape: Shape, directory: Path
    ) -> Path:  # fmt: skip
        """Write the refused records, as they stood in the file, under the file's own header.

        The same rejections give the same bytes; written again after a crash, nothing changes.

        Raises:
            FileUnavailable: it cannot be written now; the same call may pass later.
        """
        with explaining("unwritable_file", directory):
            await anyio.to_thread.run_sync(make_directory, directory)
            await anyio.to_thread.run_sync(remove_abandoned, directory)
            with temporary_in(directory) as (temporary, stream):
                await self._write_records(wrap(stream), shape, file)
                place = await anyio.to_thread.run_sync(_place, temporary, file, shape)
            await anyio.to_thread.run_sync(sync_directory, directory)
            return place

    async def _write_records(
        self, stream: AsyncBufferedIOBase, shape: Shape, file: ClaimedFile
    ) -> None:
        await stream.write(_header(shape))
        async for raws in self._pages(file):
            await stream.write(_lines([raw_octets(raw, shape.encoding) for raw in raws], shape))
        await stream.write(shape.footer)
        await stream.flush()
        await anyio.to_thread.run_sync(os.fsync, stream.fileno())

    async def _pages(self, file: ClaimedFile) -> AsyncIterator[list[str | bytes]]:
        """In the file's order; reading goes on where it was when MongoDB comes back."""
        first = 1
        while page := await self._page(file, first):
            yield [document["raw"] for document in page]
            first = page[-1]["row"] + 1

    async def _page(self, file: ClaimedFile, first: int) -> list[Document]:
        return await self._mongo.patiently(
            "reading rejections",
            lambda: self._mongo.find(
                ERRORS, rows_of(file.file_id, first), sort=[("_id", 1)], limit=_PAGE_ROWS,
                batch_size=_PAGE_ROWS, projection={"_id": 0, "row": 1, "raw": 1},
            ),
        )  # fmt: skip


def write_rejects_files(
    refused: Sequence[Refused], directory: Path
) -> list[Path | FileUnavailable]:  # fmt: skip
    """The same files as ``Rejects.write_rejects_file`` writes, from records that are at hand.

    Returns:
        where each is, or why it cannot be written now; the same call may pass later.
    """
    written = [_write_file(one, directory) for one in refused]
    try:
        with explaining("unwritable_file", directory):
            sync_directory(directory)
    except FileUnavailable as error:
        return [error] * len(refused)
    return written


def _write_file(refused: Refused, directory: Path) -> Path | FileUnavailable:
    shape = refused.shape
    try:
        with explaining("unwritable_file", directory):
            make_directory(directory)
            with temporary_in(directory) as (temporary, stream):
                stream.write(_header(shape))
                stream.writelines(refused.records or ())
                stream.write(shape.footer)
                stream.flush()
                os.fsync(stream.fileno())
                return _place(temporary, refused.file, shape)
    except FileUnavailable as error:
        return error


def _header(shape: Shape) -> bytes:
    is_open = shape.header and not shape.header.endswith(record_end(shape))
    return shape.header + (record_end(shape) if is_open else b"")


def _lines(records: Sequence[bytes], shape: Shape) -> bytes:
    return b"".join(record + record_end(shape) for record in records)


def record_end(shape: Shape) -> bytes:
    """What ends the records of a rejects file."""
    return encode(shape.record_end, shape.encoding)


def _place(temporary: Path, file: ClaimedFile, shape: Shape) -> Path:
    """Under the file's name; where another file's rejects have it, with the file id added.

    Durable once the directory is.
    """
    ending = f"{REJECTS}{shape.suffix}"
    path = temporary.with_name(name_with(file.path.name, ending))
    try:
        rename_new(temporary, path)
    except FileExistsError:
        if not filecmp.cmp(path, temporary, shallow=False):
            path = temporary.with_name(name_with(file.path.name, f".{file.file_id}{ending}"))
            temporary.replace(path)
    return path


def remove_unchanged(path: Path, sha256: str) -> bool:
    """Remove a rejects file for good, unless somebody has changed it; says whether it is gone.

    Raises:
        FileUnavailable: it cannot be read or removed now.
    """
    if os.path.lexists(path):
        if digest_of(path, look(path)).hex() != sha256:
            return False
        with explaining("unwritable_file", path):
            path.unlink()
            sync_directory(path.parent)
    return True


def write_error_report(place: Path, report: dict[str, Any]) -> None:
    """Write ``<name>.error.json`` beside the place of a file that is set aside."""
    text = json.dumps(report, indent=2, default=str, ensure_ascii=False)
    write_atomically(
        error_report_of(place), [text.encode(errors="backslashreplace"), b"\n"], replace=True
    )


def error_report_of(place: Path) -> Path:
    """Where it is told why the file at ``place`` was set aside."""
    return place.with_name(name_with(place.name, ".error.json"))
