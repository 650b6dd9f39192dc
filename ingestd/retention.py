"""What is removed for its age, where somebody asks for that: nothing is unless they do.

In small steps, each complete in itself: cut off anywhere, the next sweep goes on. What tells
content that was loaded before from new one is never removed.
"""

import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import anyio

from ingestd.clock import doubt_of_clock
from ingestd.config.settings import Settings
from ingestd.errors import StoreRefused
from ingestd.events import Events
from ingestd.ledger import FILES, SOURCES, now
from ingestd.mongo import Document, Mongo
from ingestd.pipeline.errands import run_errand
from ingestd.records import FileState
from ingestd.rejects import ERRORS

Result = TypeVar("Result")

_EVERY_S = 3600.0
_REST_S = 0.05
"""Between two steps: a sweep of millions must not be felt by those who load and read."""

_MARKS = "ingestd_retention"
"""How far the ledger has been gone through, and when that was: two documents."""

_DETAILS = (
    "path", "path_bytes", "manifest", "manifest_bytes", "position", "rows_done", "archived_to",
    "archived_to_bytes", "drift", "actions", "replayed", "rejects_file", "rejects_file_bytes",
    "rejects_sha256",
)  # fmt: skip
"""What is dropped of an entry. The rest says which content it was, how it ended and when, which is
all that claims, readers and receipts ask for."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Removes what is older than the settings allow."""

    mongo: Mongo
    settings: Settings
    events: Events
    at_once: int = 500
    """Documents or files of one step."""

    async def run(self) -> None:
        """Sweep now and then, for ever. What cannot be swept now keeps nobody from loading."""
        while True:
            try:
                await self.sweep_by_clock()
            except (StoreRefused, OSError) as error:
                self._tell(str(error))
            await anyio.sleep(_EVERY_S)

    async def sweep_by_clock(self) -> None:
        """Sweep, unless nothing is asked for, or the clock was set: see ``clock.py``."""
        if not self.settings.retention.model_dump(exclude_none=True):
            return
        if doubt := await doubt_of_clock(self.mongo, _MARKS):
            self._tell(doubt)
        else:
            await self.sweep()

    def _tell(self, reason: str) -> None:
        self.events.removal_failed("sweep", self.settings.paths.root, reason)

    async def sweep(self) -> None:
        """Remove all that is too old by now."""
        keep, paths = self.settings.retention, self.settings.paths
        if keep.archive is not None:
            old = partial(_old_days, paths.archive, _cutoff(keep.archive).date())
            await self._remove_files("archive", old())
        if keep.rejects is not None:
            before_s = _cutoff(keep.rejects).timestamp()
            await self._remove_files("rejects", _old_files(paths.rejects, before_s))
        if keep.errors is not None:
            await self._remove_errors(_cutoff(keep.errors))
        if keep.ledger is not None:
            await self._shorten_ledger(_cutoff(keep.ledger))

    async def _remove_files(self, kind: str, files: Iterator[Path]) -> None:
        count = 0
        while batch := await run_errand(lambda: list(islice(files, self.at_once))):
            count += await run_errand(partial(self._unlink_all, kind, batch))
            await anyio.sleep(_REST_S)
        self.events.removed(kind, count)

    def _unlink_all(self, kind: str, files: list[Path]) -> int:
        count = 0
        for file in files:
            try:
                file.unlink(missing_ok=True)
                count += 1
            except OSError as error:
                self.events.removal_failed(kind, file, error.strerror or "")
        return count

    async def _remove_errors(self, cutoff: datetime) -> None:
        """Rejections in any state: those that are open cannot be replayed any more."""
        count = 0
        for source_name in await self._source_names():
            match = {"source_name": source_name, "error_time": {"$lt": cutoff}}
            while old := await self._oldest(ERRORS, match, "error_time"):
                await self._patiently(partial(self.mongo.delete, ERRORS, _any_of(old)))
                count += len(old)
                await anyio.sleep(_REST_S)
        self.events.removed("errors", count)

    async def _shorten_ledger(self, cutoff: datetime) -> None:
        """Duplicates go, of the others the details; who waits for a person stays as it is."""
        begin, count = await self._mark(), 0
        for state in (FileState.ARCHIVED, FileState.UNDONE, FileState.DUPLICATE):
            match: Document = {
                "state": state.value, "is_put_away": True, "doing": None, "shortened": None,
                "processed_at": {"$gte": begin, "$lt": cutoff},
            }  # fmt: skip
            while old := await self._oldest(FILES, match, "processed_at"):
                await self._shorten(_any_of(old), state)
                count += len(old)
                match["processed_at"] = {"$gte": old[-1]["processed_at"], "$lt": cutoff}
                await anyio.sleep(_REST_S)
        mark = {"$set": {"up_to": cutoff}}
        await self._patiently(
            lambda: self.mongo.update(_MARKS, {"_id": "ledger"}, mark, upsert=True)
        )
        self.events.removed("ledger", count)

    async def _shorten(self, match: Document, state: FileState) -> None:
        if state is FileState.DUPLICATE:
            await self._patiently(partial(self.mongo.delete, FILES, match))
            return
        change = {"$unset": dict.fromkeys(_DETAILS, ""), "$set": {"shortened": now()}}
        await self._patiently(partial(self.mongo.update_all, FILES, match, change))

    async def _oldest(self, collection: str, match: Document, order: str) -> list[Document]:
        return await self._patiently(
            lambda: self.mongo.find(
                collection, match, sort=[(order, 1)], limit=self.at_once, projection={order: 1}
            )
        )

    async def _source_names(self) -> list[str]:
        """Also of sources that are not configured any more."""
        found = await self._patiently(partial(self.mongo.find, SOURCES, {}))
        return [str(source["_id"]) for source in found]

    async def _mark(self) -> datetime:
        found = await self._patiently(partial(self.mongo.find_one, _MARKS, {"_id": "ledger"}))
        begin: datetime = found["up_to"] if found else datetime(1970, 1, 1, tzinfo=UTC)
        return begin

    async def _patiently(self, operation: Callable[[], Awaitable[Result]]) -> Result:
        return await self.mongo.patiently("removing what is too old", operation)


def _any_of(documents: Sequence[Document]) -> Document:
    return {"_id": {"$in": [document["_id"] for document in documents]}}


def _cutoff(age_s: float) -> datetime:
    return now() - timedelta(seconds=age_s)


def _old_days(archive: Path, before: date) -> Iterator[Path]:
    """The files in ``<source>/YYYY/MM/DD`` of days before that one."""
    for day in archive.glob("*/[0-9][0-9][0-9][0-9]/[0-9][0-9]/[0-9][0-9]"):
        try:
            is_old = date(*map(int, day.parts[-3:])) < before
        except ValueError:  # 2026/02/31: somebody else's
            continue
        if is_old:
            yield from (Path(entry) for entry in os.scandir(day) if entry.is_file())


def _old_files(directory: Path, before_s: float) -> Iterator[Path]:
    """The files of all sources that were written before that moment (Unix time)."""
    for place in directory.glob("*/*"):
        if place.is_file() and place.lstat().st_mtime < before_s:
            yield place
