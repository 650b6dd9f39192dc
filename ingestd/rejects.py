"""Where refused rows and files go: collection ``errors``, the rejects file, ``.error.json``."""

import filecmp
import json
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiofiles
import aiofiles.os
import anyio.to_thread

from ingestd.files import write_atomically
from ingestd.ledger import now
from ingestd.mongo import Document, Mongo, row_id
from ingestd.records import ClaimedFile, Rejection

ERRORS = "errors"
MAX_RAW_BYTES = 2**20
"""More of a refused record is not kept in MongoDB; the archived file has all of it."""


class Rejects:
    """Keeps what was refused. Calls wait while MongoDB is away, and may be repeated."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo

    async def prepare(self) -> None:
        """Create the indexes of ``errors``."""
        for keys in (("source_name", "error_time", "_id"), ("file_id", "row")):
            await self._mongo.ensure_index(ERRORS, [(key, 1) for key in keys])

    async def record_rows(self, file: ClaimedFile, rejections: Sequence[Rejection]) -> None:
        """Make rejections durable. One that is there from an earlier attempt stays as it is."""
        moment = now()
        documents = [
            {**_common(file, rejection.row), "error_time": moment, **_described(rejection)}
            for rejection in rejections
        ]
        await self._mongo.patiently(
            "recording rejections", lambda: self._mongo.insert_missing(ERRORS, documents)
        )

    async def record_file(self, file: ClaimedFile, error: Document) -> None:
        """Make the failure of a whole file an error document: row 0, no record."""
        document = {
            **_common(file, 0), "error_time": now(), "error_type": error["type"],
            "error_message": error["message"], "hint": error["hint"], "record": None,
            "line": None, "raw": None, "violations": [],
        }  # fmt: skip
        match = {"_id": document.pop("_id")}
        await self._mongo.patiently(
            "recording a failure",
            lambda: self._mongo.update(ERRORS, match, {"$set": document}, upsert=True),
        )

    async def clear_file(self, file: ClaimedFile) -> None:
        """The file loaded after all: its failure is no longer open."""
        change = {"$set": {"state": "replayed"}}
        await self._mongo.patiently(
            "closing a failure",
            lambda: self._mongo.update(ERRORS, {"_id": row_id(file.file_id, 0)}, change),
        )

    async def write_rejects_file(
        self, file: ClaimedFile, header: bytes, directory: Path
    ) -> Path:  # fmt: skip
        """Write the refused records, as they stood in the file, under the file's own header.

        The same rejections give the same bytes; written again after a crash, nothing changes.
        """
        await aiofiles.os.makedirs(directory, exist_ok=True)
        temporary = directory / f".ingestd-{file.file_id}.tmp"
        async with aiofiles.open(temporary, "wb") as stream:
            await stream.write(header if header.endswith(b"\n") or not header else header + b"\n")
            async for raw in self._raw_rows(file):
                await stream.write(raw + b"\n")
            await stream.flush()
            await anyio.to_thread.run_sync(os.fsync, stream.fileno())
        return await anyio.to_thread.run_sync(_place, temporary, file)

    async def _raw_rows(self, file: ClaimedFile) -> AsyncIterator[bytes]:
        """Row by row in the file's order; reading goes on where it was when MongoDB comes back."""
        last = 0
        while True:
            page = await self._page(file, last)
            for document in page:
                raw, last = document["raw"], document["row"]
                yield raw.encode() if isinstance(raw, str) else bytes(raw)
            if not page:
                return

    async def _page(self, file: ClaimedFile, after: int) -> list[Document]:
        match = {
            "_id": {"$gt": row_id(file.file_id, after), "$lte": row_id(file.file_id, 2**32 - 1)}
        }
        return await self._mongo.patiently(
            "reading rejections",
            lambda: self._mongo.find(
                ERRORS, match, sort=[("_id", 1)], limit=5000, projection={"raw": 1, "row": 1}
            ),
        )


def _place(temporary: Path, file: ClaimedFile) -> Path:
    """Under the file's name; where another file's rejects have it, with the file id added."""
    path = temporary.with_name(f"{file.path.name}.rejects.csv")
    if path.exists() and not filecmp.cmp(path, temporary, shallow=False):
        path = temporary.with_name(f"{file.path.name}.{file.file_id}.rejects.csv")
    temporary.replace(path)
    return path


def write_error_report(place: Path, report: dict[str, Any]) -> None:
    """Write ``<name>.error.json`` beside the place of a file that is set aside."""
    text = json.dumps(report, indent=2, default=str, ensure_ascii=False)
    path = place.with_name(f"{place.name}.error.json")
    write_atomically(path, [text.encode(errors="backslashreplace"), b"\n"], replace=True)


def _common(file: ClaimedFile, row: int) -> Document:
    return {
        "_id": row_id(file.file_id, row), "source_name": file.source_name, "file": file.name,
        "file_id": file.file_id, "row": row, "state": "open",
    }  # fmt: skip


def _described(rejection: Rejection) -> Document:
    return {
        "error_type": rejection.error_type,
        "error_message": "; ".join(
            f"{v.column}: {v.message}" if v.column else v.message for v in rejection.violations
        ),
        "record": rejection.record,
        "line": rejection.line,
        "raw": _storable(rejection.raw[:MAX_RAW_BYTES]),
        "violations": [
            {"column": v.column, "rule": v.rule, "value": v.value, "message": v.message}
            for v in rejection.violations
        ],
    }


def _storable(raw: bytes) -> str | bytes:
    """Text where it is text; else the bytes as they are."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw
