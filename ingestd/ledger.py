"""What is known of every file: collection ``files``, one document per content and source.

The ledger decides whether a file is new, goes on, is a duplicate, or only has to be put away.
``processed_at`` rises strictly within a source: it is the order of arrival, the key of a file's
run in ``/data`` and, with the row number, the version that decides which row of an upsert wins.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from ingestd.errors import StoreRefused
from ingestd.files import displayable, file_id
from ingestd.mongo import Document, Mongo
from ingestd.records import (
    COMMITTED,
    UNFINISHED,
    ClaimedFile,
    Counts,
    FileState,
    FoundFile,
    Position,
)

FILES = "files"
SOURCES = "ingestd_sources"
"""One document per source: its newest ``processed_at``."""

_COUNTS = ("record_count", "success_count", "error_count", "filtered_count")
_MILLISECOND = 1000  # microseconds
_START = Position()

Result = TypeVar("Result")


class Verdict(Enum):
    """What is to be done with a file that was found."""

    LOAD = "load"
    PUT_AWAY = "put away"
    """It ended before, but a crash or a full disk kept it from leaving the inbox."""
    DUPLICATE = "duplicate"
    WAIT = "wait"
    """It failed for a reason that can pass, and its time has not come."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The ledger's answer to a found file."""

    verdict: Verdict
    file: ClaimedFile
    start: Position = _START
    """Where loading begins: everything before it is durable, and counted in ``counts``."""
    counts: Counts = field(default_factory=Counts)
    is_stale: bool = False
    """An attempt under another configuration left rows: they are removed first."""
    failures: int = 0
    wait_s: float = 0.0
    state: FileState = FileState.CLAIMED
    target: Path | None = None
    """Where a file that is put away was going."""
    error: Document | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a file ended that did not load. ``retry_at``: when it is tried again, if it is."""

    state: FileState
    error: Document
    failures: int
    target: Path | None = None
    retry_at: datetime | None = None
    counts: Counts = field(default_factory=Counts)


def now() -> datetime:
    """UTC in whole milliseconds, as BSON keeps it."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // _MILLISECOND * _MILLISECOND)


def as_counts(document: Mapping[str, Any]) -> Counts:
    """The counts of a ledger document."""
    return Counts(*(int(document.get(name) or 0) for name in _COUNTS))


def _count_fields(counts: Counts) -> Document:
    return {name: getattr(counts, name) for name in _COUNTS}


class Ledger:
    """The ledger of one database. Calls wait while MongoDB is away, and are safe to repeat."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """One claim of a source at a time gets a run and records it, so that the ledger never
        learns of an earlier run after a later one: ``visible.py`` relies on it."""

    async def prepare(self) -> None:
        """Create the indexes that every query here relies on."""
        for keys in (
            ("source_name", "processed_at", "_id"),
            ("source_name", "state", "processed_at", "_id"),
            ("source_name", "name", "processed_at", "_id"),
            ("state", "processed_at", "_id"),
            ("processed_at", "_id"),
            ("duplicate_of", "path"),
            ("source_name", "is_put_away"),
            ("has_rows", "source_name"),
        ):
            await self._mongo.ensure_index(FILES, [(key, 1) for key in keys])

    # claiming

    async def claim(self, found: FoundFile, sha256: bytes, config_hash: str) -> Claim:
        """Decide what is to be done with a file, and record it when it is to be loaded.

        Raises:
            StoreRefused: another content has the same file id, or MongoDB refuses.
        """
        identity = file_id(found.source_name, sha256)
        async with self._turns[found.source_name]:
            return await self._claim(found, identity, sha256, config_hash)

    async def _claim(
        self, found: FoundFile, identity: str, sha256: bytes, config_hash: str
    ) -> Claim:
        known = await self._find(identity)
        if known is None:
            return await self._claim_new(found, identity, sha256, config_hash)
        if known["sha256"] != sha256.hex():
            raise StoreRefused(
                f"{found.path.name} and {known['name']} differ, yet share the file id {identity}",
                "change a byte in one of them (a trailing newline will do) and drop it again",
            )
        return await self._claim_known(found, known, config_hash)

    async def _claim_new(
        self, found: FoundFile, identity: str, sha256: bytes, config_hash: str
    ) -> Claim:
        document: Document = {
            "_id": identity, "source_name": found.source_name, "sha256": sha256.hex(),
            **_place(found), "state": FileState.CLAIMED.value, "attempts": 1, "failures": 0,
            "discovered_at": found.found_at, "processed_at": await self._next_run(found),
            "finished_at": None, **_count_fields(Counts()), "rows_done": 0,
            "position": _position_fields(_START), "archived_to": None,
            "is_put_away": False, "config_hash": config_hash, "error": None,
        }  # fmt: skip
        await self._write("claiming a file", lambda: self._insert(document))
        return Claim(Verdict.LOAD, _claimed(found, document))

    async def _insert(self, document: Document) -> None:
        await self._mongo.insert_missing(FILES, [document])

    async def _claim_known(self, found: FoundFile, known: Document, config_hash: str) -> Claim:
        state = FileState(known["state"])
        is_same_place = known["path"] == displayable(str(found.path))
        if state in UNFINISHED:
            return await self._resume(found, known, config_hash)
        if state in COMMITTED:
            if state is FileState.LOADED and is_same_place and known["archived_to"]:
                return _put_away(found, known, state)
            return Claim(Verdict.DUPLICATE, _claimed(found, known), state=state)
        if is_same_place and (wait_s := _remaining_s(known.get("retry_at"))) > 0:
            return Claim(Verdict.WAIT, _claimed(found, known), wait_s=wait_s, error=known["error"])
        if is_same_place and known["archived_to"] and not known["is_put_away"]:
            return _put_away(found, known, state)
        return await self._restart(found, known, config_hash)

    async def _resume(self, found: FoundFile, known: Document, config_hash: str) -> Claim:
        """Go on where a crash or a stop left off; from the start when the rules changed since."""
        is_stale = known["config_hash"] != config_hash
        change: Document = {**_place(found), "config_hash": config_hash}
        if is_stale:
            change |= {**_count_fields(Counts()), "rows_done": 0}
            change["position"] = _position_fields(_START)
        fresh = await self._change(known["_id"], change, attempts=1)
        return Claim(
            Verdict.LOAD, _claimed(found, fresh), Position(**fresh["position"]), as_counts(fresh),
            is_stale=is_stale, failures=fresh["failures"],
        )  # fmt: skip

    async def _restart(self, found: FoundFile, known: Document, config_hash: str) -> Claim:
        """A new attempt at a file that ended without rows: its run gets a new place in time."""
        change: Document = {
            **_place(found), "state": FileState.CLAIMED.value, "config_hash": config_hash,
            "processed_at": await self._next_run(found), "finished_at": None, "error": None,
            **_count_fields(Counts()), "rows_done": 0, "archived_to": None, "is_put_away": False,
            "retry_at": None, "position": _position_fields(_START),
        }  # fmt: skip
        fresh = await self._change(known["_id"], change, attempts=1)
        return Claim(
            Verdict.LOAD, _claimed(found, fresh), is_stale=True, failures=fresh["failures"]
        )

    async def _next_run(self, found: FoundFile) -> datetime:
        """The next ``processed_at`` of a source: now, or a millisecond after the last one."""
        later = {"$max": [now(), {"$add": ["$processed_at", 1]}]}
        change = [{"$set": {"processed_at": later}}]
        run = await self._write(
            "ordering a file",
            lambda: self._mongo.update_returning(
                SOURCES, {"_id": found.source_name}, change, upsert=True
            ),
        )
        assert run is not None
        moment: datetime = run["processed_at"]
        return moment

    async def record_duplicate(self, claim: Claim, found: FoundFile, state: FileState) -> str:
        """Record that the same content came again; returns the id of that record."""
        first = claim.file.file_id
        match = {"duplicate_of": first, "path": displayable(str(found.path)), "archived_to": None}
        pending = await self._write(
            "finding a duplicate", lambda: self._mongo.find_one(FILES, match)
        )
        if pending is not None:
            return str(pending["_id"])
        seen = await self._write(
            "counting duplicates", lambda: self._mongo.count(FILES, {"duplicate_of": first})
        )
        document: Document = {
            "_id": f"{first}-{seen + 2}", "source_name": found.source_name, **_place(found),
            "sha256": claim.file.sha256, "state": state.value, "duplicate_of": first,
            "attempts": 1, "discovered_at": found.found_at, "processed_at": now(),
            "finished_at": now(), **_count_fields(Counts()), "rows_done": 0, "archived_to": None,
            "is_put_away": False, "error": None,
        }  # fmt: skip
        await self._write("recording a duplicate", lambda: self._insert(document))
        return str(document["_id"])

    # progress

    async def loading(self, identity: str) -> None:
        """Rows of the file are about to be written."""
        await self._change(identity, {"state": FileState.LOADING.value})

    async def checkpoint(self, file: ClaimedFile, position: Position, counts: Counts) -> None:
        """Every row before ``position`` is durable, and ``counts`` says how each of them ended.

        Raises:
            StoreRefused: somebody else took the file over.
        """
        match = {
            "_id": file.file_id, "state": FileState.LOADING.value, "attempts": file.attempts,
        }  # fmt: skip
        change = {
            "position": _position_fields(position), "rows_done": position.row,
            **_count_fields(counts),
        }  # fmt: skip
        matched = await self._write(
            "checkpoint", lambda: self._mongo.update(FILES, match, {"$set": change})
        )
        if not matched:
            raise StoreRefused(f"{file.name} was taken over", "are two daemons at work?")

    async def loaded(
        self, file: ClaimedFile, counts: Counts, target: Path | None, replaces: Sequence[str]
    ) -> None:
        """All rows are durable: from now on readers see them, and those of ``replaces`` no more."""
        done: Document = {
            "state": FileState.LOADED.value, **_count_fields(counts), "finished_at": now(),
            "rows_done": counts.record_count, "error": None, "retry_at": None,
            "archived_to": _path_text(target), "is_put_away": target is None,
        }  # fmt: skip
        gone: Document = {
            "state": FileState.UNDONE.value, "replaced_by": file.file_id, "has_rows": True,
        }  # fmt: skip
        changes = [(file.file_id, {"$set": done})]
        changes += [(identity, {"$set": gone}) for identity in replaces]
        await self._write("finishing a file", lambda: self._mongo.update_together(FILES, changes))

    async def put_away(self, identity: str, path: Path | None) -> None:
        """The file has left the inbox for ``path``; nothing more is to be done with it."""
        is_loaded = {"$eq": ["$state", FileState.LOADED.value]}
        change = {
            "archived_to": {"$literal": _path_text(path)}, "is_put_away": True,
            "state": {"$cond": [is_loaded, FileState.ARCHIVED.value, "$state"]},
        }  # fmt: skip
        await self._write(
            "putting a file away",
            lambda: self._mongo.update(FILES, {"_id": identity}, [{"$set": change}]),
        )

    async def rows_removed(self, identity: str) -> None:
        """The rows of an undone file are gone."""
        await self._change(identity, {"has_rows": False})

    async def ended(self, identity: str, ending: Ending) -> None:
        """The file failed or is held; its rows are gone already."""
        change: Document = {
            "state": ending.state.value, "error": ending.error, "finished_at": now(),
            "failures": ending.failures, "retry_at": ending.retry_at,
            "archived_to": _path_text(ending.target), "is_put_away": False, "rows_done": 0,
            **_count_fields(ending.counts),
        }  # fmt: skip
        await self._change(identity, change)

    # reading

    async def unfinished_business(self, sources: Sequence[str]) -> list[Document]:
        """Files that ended, but were not put away, or left rows behind, when the daemon stopped."""
        match = {
            "source_name": {"$in": list(sources)},
            "$or": [
                {"is_put_away": False, "archived_to": {"$ne": None}},
                {"state": FileState.UNDONE.value, "has_rows": True},
            ],
        }
        return await self._write("recovering", lambda: self._mongo.find(FILES, match))

    async def last_loads(self, sources: Sequence[str]) -> dict[str, datetime]:
        """When the newest committed file of each source was finished; none yet, no entry."""
        moments = {}
        for name in sources:
            newest = await self._newest_committed(name)
            if newest is not None:
                moments[name] = newest["finished_at"]
        return moments

    async def _newest_committed(self, source_name: str) -> Document | None:
        states = [state.value for state in COMMITTED]
        match = {"source_name": source_name, "state": {"$in": states}}
        newest_first = [("processed_at", -1)]
        return await self._write(
            "reading the ledger", lambda: self._mongo.find_one(FILES, match, sort=newest_first)
        )

    async def earlier_versions(self, file: ClaimedFile) -> list[str]:
        """Ids of committed files of the same source and name, with other content."""
        match = {
            "source_name": file.source_name, "name": file.name,
            "state": {"$in": [state.value for state in COMMITTED]}, "_id": {"$ne": file.file_id},
        }  # fmt: skip
        found = await self._write(
            "finding earlier versions",
            lambda: self._mongo.find(FILES, match, projection={"_id": 1}),
        )
        return [str(document["_id"]) for document in found]

    async def _find(self, identity: str) -> Document | None:
        return await self._write(
            "reading the ledger", lambda: self._mongo.find_one(FILES, {"_id": identity})
        )

    async def _change(self, identity: str, fields: Document, **increments: int) -> Document:
        change: Document = {"$set": fields}
        if increments:
            change["$inc"] = increments
        changed = await self._write(
            "writing the ledger",
            lambda: self._mongo.update_returning(FILES, {"_id": identity}, change),
        )
        if changed is None:
            raise StoreRefused(f"the ledger lost file {identity}", "who removed it from `files`?")
        return changed

    async def _write(self, doing: str, operation: Callable[[], Awaitable[Result]]) -> Result:
        return await self._mongo.patiently(doing, operation)


def _place(found: FoundFile) -> Document:
    return {
        "name": displayable(found.path.name),
        "path": displayable(str(found.path)),
        "size": found.stat.size_bytes,
    }


def _position_fields(position: Position) -> Document:
    return {
        "offset_bytes": position.offset_bytes, "row": position.row, "line": position.line,
    }  # fmt: skip


def _path_text(path: Path | None) -> str | None:
    return None if path is None else displayable(str(path))


def _claimed(found: FoundFile, document: Document) -> ClaimedFile:
    return ClaimedFile(
        file_id=document["_id"], source_name=found.source_name,
        name=displayable(found.path.name), path=found.path, stat=found.stat,
        sha256=document["sha256"], processed_at=document["processed_at"],
        found_at=found.found_at, attempts=document["attempts"],
    )  # fmt: skip


def _put_away(found: FoundFile, known: Document, state: FileState) -> Claim:
    return Claim(
        Verdict.PUT_AWAY, _claimed(found, known), counts=as_counts(known), state=state,
        target=Path(known["archived_to"]), error=known["error"],
    )  # fmt: skip


def _remaining_s(retry_at: datetime | None) -> float:
    return 0.0 if retry_at is None else (retry_at - now()) / timedelta(seconds=1)
