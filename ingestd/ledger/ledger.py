"""How files get on and end. What each step must find done before it: ``design``, durability."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from ingestd.config.settings import LedgerSettings
from ingestd.errors import FileTaken, StoreRefused
from ingestd.files import is_there as is_there_on_disk
from ingestd.ledger.actions import Actions
from ingestd.ledger.archives import Archives
from ingestd.ledger.attempts import Attempts
from ingestd.ledger.claims import Claims, IsThere
from ingestd.ledger.duplicates import Duplicates
from ingestd.ledger.entry import (
    FILES,
    SOURCES,
    count_fields,
    now,
    path_fields,
    path_in,
    progress_fields,
)
from ingestd.ledger.leases import LEASES, THIS_PROCESS, Leases, Owner, taken
from ingestd.ledger.pauses import PAUSES, Pauses
from ingestd.ledger.runs import Runs
from ingestd.ledger.trail import TRAIL
from ingestd.ledger.versions import BY_NAME, Versions
from ingestd.mongo import Document, Mongo
from ingestd.records import COMMITTED, NO_DRIFT, ClaimedFile, Counts, Drift, FileState, Position

BY_STATE = ("source_name", "state", "processed_at", "_id")
_INDEXES = (
    ("source_name", "processed_at", "_id"),
    BY_STATE,
    BY_NAME,
    ("name", "processed_at", "_id"),
    ("state", "processed_at", "_id"),
    ("processed_at", "_id"),
    ("duplicate_of", "path"),
    ("source_name", "is_put_away"),
    ("has_rows", "source_name"),
    ("doing.action", "source_name"),
    ("replacement",),
)
"""What the queries here, in ``visible.py`` and in ``api/`` rely on: none may read more the longer
the history is. ``test_growth.py`` reads the plans of all of them."""


_USUAL = LedgerSettings()
_COMMITTED = [state.value for state in COMMITTED]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a file ended that did not load. ``retry_at``: when it is tried again, if it is."""

    state: FileState
    error: Document
    failures: int
    target: Path | None = None
    retry_at: datetime | None = None
    counts: Counts = field(default_factory=Counts)
    drift: Drift = NO_DRIFT
    is_left: bool = False
    """It stays where it lies, and nobody has it in hand any more."""


@dataclass(frozen=True, slots=True)
class Commit:
    """All rows of a file are durable; what is to be recorded with it, in one step."""

    file: ClaimedFile
    counts: Counts
    target: Path | None
    """Where the file goes; ``None`` when it stays where it is."""
    is_replacing: bool
    """Of the files of that name, only the one that arrived last may be seen."""
    drift: Drift = NO_DRIFT


COLLECTIONS = (FILES, SOURCES, LEASES, TRAIL, PAUSES)
"""What it is kept in."""


class Ledger:
    """The ledger of one database. Calls wait while MongoDB is away, and are safe to repeat.

    What is said of a claimed file is only taken from the attempt that was claimed last: an
    earlier one, in another process, learns by ``FileTaken`` that it is over.
    """

    def __init__(
        self, mongo: Mongo, settings: LedgerSettings = _USUAL, me: Owner = THIS_PROCESS,
        is_there: IsThere = is_there_on_disk,
    ) -> None:  # fmt: skip
        self._mongo = mongo
        self.leases = Leases(mongo, settings.lease, me)
        runs = Runs(mongo)
        self.claims = Claims(mongo, self.leases, runs, is_there)
        self.duplicates = Duplicates(mongo, self.leases, runs, is_there)
        self.actions = Actions(mongo, self.leases)
        self.pauses = Pauses(mongo)
        self.versions = Versions(mongo)
        self.archives = Archives(mongo, self.leases)
        self._attempts = Attempts(mongo, self.leases, runs)
        self._commits: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def prepare(self) -> None:
        """Create the indexes that every query here relies on."""
        index = partial(self._mongo.ensure_indexes, FILES, *_INDEXES)
        await self._mongo.patiently("indexing the ledger", index)
        await self.leases.forget_old()

    # progress

    async def loading(self, file: ClaimedFile) -> None:
        """Rows of the file are about to be written; none of an earlier attempt is in the way."""
        await self._advance(file, {"state": FileState.LOADING.value, "has_stale_rows": False})

    async def checkpoint(self, file: ClaimedFile, position: Position, counts: Counts) -> None:
        """Every row before ``position`` is durable, and ``counts`` says how each of them ended."""
        await self._advance(file, progress_fields(position, counts))

    async def rewinding(self, file: ClaimedFile) -> None:
        """Rows of the file are about to be taken back: nothing of it counts as durable now."""
        fields = progress_fields(Position(), Counts())
        await self._advance(file, {**fields, "has_stale_rows": True})

    async def commit(self, commit: Commit) -> FileState:
        """From now on readers see the file, and those it replaces no more.

        Returns:
            loaded; or undone, when one that replaces it was faster.
        """
        async with self._commits[commit.file.source_name]:  # none of two may overlook the other
            replaced = await self._replaced_by(commit)
            state = await self._commit(commit, replaced)
            while state is FileState.LOADED and (replaced := await self._replaced_by(commit)):
                state = await self._commit(commit, replaced)  # another process did
            return state

    async def _commit(self, commit: Commit, replaced: Mapping[str, str]) -> FileState:
        file, done = commit.file, _loaded(commit)
        changes = [
            ({"_id": identity}, {"$set": _undone_by(newer)})
            for identity, newer in replaced.items()
            if identity != file.file_id
        ]
        if newer := replaced.get(file.file_id):
            done |= _undone_by(newer)
        changes.append((_attempt(file), {"$set": done}))
        is_done = await self._mongo.patiently(
            "finishing a file", lambda: self._mongo.update_together(FILES, changes)
        )
        if not is_done:
            raise taken(file.name)
        return FileState(done["state"])

    async def commit_all(self, commits: Sequence[Commit]) -> list[FileState | Exception]:
        """Commit several files; those that replace nothing are committed by one command.

        What MongoDB does not take together is committed one by one: a file that is committed
        already is committed again, and none learns of the refusal of another.
        """
        plain = [one for one in commits if not (one.is_replacing or one.file.replaces)]
        changes = [(_attempt(commit.file), {"$set": _loaded(commit)}) for commit in plain]
        if len(plain) > 1 and await self._are_made(changes) and len(plain) == len(commits):
            return [FileState.LOADED] * len(plain)
        return [await self._commit_alone(commit) for commit in commits]

    async def _are_made(self, changes: Sequence[tuple[Document, Any]]) -> bool:
        """Whether MongoDB takes all of them together."""
        with suppress(StoreRefused):
            matched = await self._mongo.patiently(
                "writing the ledger", lambda: self._mongo.update_each(FILES, changes)
            )
            return matched == len(changes)
        return False

    async def _commit_alone(self, commit: Commit) -> FileState | Exception:
        try:
            return await self.commit(commit)
        except (FileTaken, StoreRefused) as refusal:
            return refusal

    async def _replaced_by(self, commit: Commit) -> dict[str, str]:
        """Files that are seen no more, and which one is seen instead: it may be this one."""
        file, replaced = commit.file, dict[str, str]()
        if commit.is_replacing:
            versions = [(file.processed_at, file.file_id), *await self.versions.others(file)]
            *older, (_, newest) = sorted(versions)
            replaced = {identity: newest for _, identity in older}
        if file.replaces is not None and await self.versions.is_seen(file.replaces):
            replaced[file.replaces] = file.file_id
        return replaced

    # endings

    async def ended(self, file: ClaimedFile, ending: Ending) -> None:
        """The file failed or is held; its rows are gone already."""
        change: Document = {
            "state": ending.state.value, "error": ending.error, "finished_at": now(),
            "failures": ending.failures, "retry_at": ending.retry_at,
            **path_fields("archived_to", ending.target), "is_put_away": False,
            **count_fields(ending.counts), "drift": ending.drift.summary or None,
        }  # fmt: skip
        if ending.is_left:
            change["owner"] = None
        await self._advance(file, change)

    async def note_rejects(self, written: Sequence[tuple[str, Path, bytes]]) -> None:
        """Where the refused rows of committed files are written, and the digests of that."""
        changes = [
            (self._owned(identity), {"$set": _rejects_fields(path, digest)})
            for identity, path, digest in written
        ]
        if changes:
            await self._mongo.patiently(
                "noting rejects files", lambda: self._mongo.update_each(FILES, changes)
            )

    async def put_away(self, identity: str, path: Path | None) -> None:
        """The file has left the inbox for ``path``, or stays: nothing more is to be done.

        Nothing is changed when another process has taken that over.
        """
        await self._mongo.patiently(
            "putting a file away",
            lambda: self._mongo.update(FILES, self._owned(identity), _put_away(path)),
        )

    def _owned(self, identity: str) -> Document:
        return {"_id": identity, "owner.id": self.leases.me.id}

    async def put_away_all(
        self, moves: Sequence[tuple[str, Path | None]]
    ) -> list[Exception | None]:
        """Several files have left the inbox, or stay."""
        changes = [(self._owned(identity), _put_away(path)) for identity, path in moves]
        if len(moves) > 1 and await self._are_made(changes):
            return [None] * len(moves)
        return [await self._put_away_alone(identity, path) for identity, path in moves]

    async def _put_away_alone(self, identity: str, path: Path | None) -> Exception | None:
        try:
            await self.put_away(identity, path)
        except StoreRefused as refusal:
            return refusal
        return None

    async def take_up(self, entry: Document) -> bool:
        """Take up a file that is leaving its inbox, unless somebody has it in hand."""
        if await self.leases.is_in_hand(entry.get("owner"), entry["_id"]):
            return False
        return await self._attempts.own(entry) is not None

    # reading

    async def last_loads(self, sources: Sequence[str]) -> dict[str, datetime]:
        """When the newest committed file of each source was finished; none yet, no entry."""
        moments = {}
        for name in sources:
            newest = await self._newest_committed(name)
            if newest is not None:
                moments[name] = newest["finished_at"]
        return moments

    async def _newest_committed(self, source_name: str) -> Document | None:
        match = {"source_name": source_name, "state": {"$in": _COMMITTED}}
        newest_first = [("processed_at", -1)]
        return await self._mongo.patiently(
            "reading the ledger", lambda: self._mongo.find_one(FILES, match, sort=newest_first)
        )

    async def leaving(self, sources: Sequence[str]) -> list[Document]:
        """Entries of files that ended and have a place to go to, but may not be there yet."""
        match = {
            "source_name": {"$in": list(sources)}, "is_put_away": False,
            "archived_to": {"$ne": None},
        }  # fmt: skip
        return await self._find("finding what was under way", match)

    async def unfinished_paths(self, source_name: str) -> list[Path]:
        """Where the files lie that are not where they belong in the end."""
        match = {"source_name": source_name, "is_put_away": False}
        entries = await self._find("finding unfinished files", match)
        return [path for entry in entries if (path := path_in(entry, "path"))]

    async def undone(self, sources: Sequence[str]) -> list[Document]:
        """Entries of files that readers see no more, and will not, and whose rows are still there;
        without those that somebody takes back at this moment."""
        match = {
            "has_rows": True, "source_name": {"$in": list(sources)},
            "state": FileState.UNDONE.value, "doing": None,
        }  # fmt: skip
        return await self._find("finding undone files", match)

    async def _find(self, doing: str, match: Document) -> list[Document]:
        return await self._mongo.patiently(doing, lambda: self._mongo.find(FILES, match))

    async def _set(self, doing: str, match: Document, fields: Document) -> int:
        return await self._mongo.patiently(
            doing, lambda: self._mongo.update(FILES, match, {"$set": fields})
        )

    async def _advance(self, file: ClaimedFile, fields: Document) -> None:
        if not await self._set("writing the ledger", _attempt(file), fields):
            raise taken(file.name)


def _put_away(path: Path | None) -> list[Document]:
    change = {**_literal(path_fields("archived_to", path)), "is_put_away": True, "owner": None}
    if path is not None:
        is_loaded = {"$eq": ["$state", FileState.LOADED.value]}
        change["state"] = {"$cond": [is_loaded, FileState.ARCHIVED.value, "$state"]}
    return [{"$set": change}]


def _rejects_fields(path: Path, sha256: bytes) -> Document:
    return {**path_fields("rejects_file", path), "rejects_sha256": sha256.hex()}


def _literal(fields: Document) -> Document:
    """The fields for an aggregation pipeline, which would read ``$`` in a name as its own."""
    return {name: {"$literal": value} for name, value in fields.items()}


def _attempt(file: ClaimedFile) -> Document:
    return {"_id": file.file_id, "attempts": file.attempts}


def _loaded(commit: Commit) -> Document:
    return {
        "state": FileState.LOADED.value, **count_fields(commit.counts), "finished_at": now(),
        "rows_done": commit.counts.record_count, "error": None, "retry_at": None, "failures": 0,
        **path_fields("archived_to", commit.target), "is_put_away": False,
        "drift": commit.drift.summary or None,
        "ignores_budget": False,  # who asked for that spoke of this attempt
    }  # fmt: skip


def _undone_by(newer: str) -> Document:
    return {"state": FileState.UNDONE.value, "replaced_by": newer, "has_rows": True}
