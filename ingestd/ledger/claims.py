"""What is to be done with a file that was found: the ledger's answer, recorded before it is given.

Every step may be repeated: a crash after it leaves a claim that the next start takes up again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path

from ingestd.errors import StoreRefused
from ingestd.files import file_id
from ingestd.ledger.entry import (
    FILES,
    SOURCES,
    as_claimed,
    as_counts,
    new_entry,
    now,
    path_fields,
    path_in,
    place_fields,
    progress_fields,
)
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

_START = Position()
_ACTION_S = 1.0
"""How long a file waits with which somebody does something at this moment."""


class Verdict(Enum):
    """What is to be done with a file that was found."""

    LOAD = "load"
    PUT_AWAY = "put away"
    """It ended before, but a crash or a full disk kept it from leaving the inbox."""
    DUPLICATE = "duplicate"
    WAIT = "wait"
    """It failed for a reason that can pass, and its time has not come; or an action of a person
    is under way with it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The ledger's answer to a found file."""

    verdict: Verdict
    file: ClaimedFile
    start: Position = _START
    """Where loading begins: everything before it is durable, and counted in ``counts``."""
    counts: Counts = field(default_factory=Counts)
    is_stale: bool = False
    """An earlier attempt may have left rows that this one must not find: they go first."""
    ignores_budget: bool = False
    """A person has decided that it loads however many of its rows are refused."""
    failures: int = 0
    wait_s: float = 0.0
    state: FileState = FileState.CLAIMED
    target: Path | None = None
    """Where a file that is put away was going."""
    error: Document | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A found file, what it holds, and the rules it is to be loaded by."""

    found: FoundFile
    sha256: bytes
    config_hash: str

    @property
    def file_id(self) -> str:
        """The id it has in the ledger."""
        return file_id(self.found.source_name, self.sha256)

    def entry(self, processed_at: datetime) -> Document:
        """What the ledger is to know of it once it is claimed."""
        entry = new_entry(self.found, self.sha256.hex(), processed_at)
        state = {"state": FileState.CLAIMED.value, "config_hash": self.config_hash}
        return {"_id": self.file_id, **entry, **state}


class Claims:
    """Gives out claims. Calls wait while MongoDB is away, and are safe to repeat."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """One claim of a source at a time gets a run and records it, so that the ledger never
        learns of an earlier run after a later one: ``visible.py`` relies on it."""

    async def claim(self, found: FoundFile, sha256: bytes, config_hash: str) -> Claim:
        """Decide what is to be done with a file, and record it when it is to be loaded.

        Raises:
            StoreRefused: another content has the same file id, or MongoDB refuses.
        """
        identity = file_id(found.source_name, sha256)
        async with self._turns[found.source_name]:
            known = await self._find(identity)
            if known is None:
                entry = new_entry(found, sha256.hex(), await self._next_run(found))
                entry |= {"state": FileState.CLAIMED.value, "config_hash": config_hash}
                known = await self._insert(identity, entry)
                if known["processed_at"] == entry["processed_at"]:
                    return Claim(Verdict.LOAD, as_claimed(found, known))
            if known["sha256"] != sha256.hex():
                raise _collision(found, known)
            while (claim := await self._claim_known(found, known, config_hash)) is None:
                known = await self._find(identity)
                if known is None:
                    raise lost(identity)
            return claim

    async def claim_all(self, wanted: Sequence[Wanted]) -> list[Claim | Exception]:
        """Decide for several files at once; those that are new cost no more than one."""
        claims: dict[Wanted, Claim | Exception] = {}
        for source_name in {w.found.source_name for w in wanted}:
            of_source = [w for w in wanted if w.found.source_name == source_name]
            claims |= await self._claim_new(source_name, of_source) if len(of_source) > 1 else {}
        for one in wanted:
            if one not in claims:
                claims[one] = await self._claim_alone(one)
        return [claims[one] for one in wanted]

    async def _claim_alone(self, one: Wanted) -> Claim | Exception:
        try:
            return await self.claim(one.found, one.sha256, one.config_hash)
        except StoreRefused as refusal:
            return refusal

    async def _claim_new(
        self, source_name: str, wanted: Sequence[Wanted]
    ) -> dict[Wanted, Claim | Exception]:
        """Claims for the files of a source that the ledger does not know yet, in their order."""
        by_id = {one.file_id: one for one in wanted}
        match = {"_id": {"$in": list(by_id)}}
        async with self._turns[source_name]:
            known = await self._mongo.patiently(
                "reading the ledger", lambda: self._mongo.find(FILES, match, projection={"_id": 1})
            )
            fresh = [one for key, one in by_id.items() if {"_id": key} not in known]
            if not fresh:
                return {}
            last = await self._next_run(fresh[0].found, len(fresh))
            moments = [last - timedelta(milliseconds=n) for n in reversed(range(len(fresh)))]
            entries = [one.entry(at) for one, at in zip(fresh, moments, strict=True)]
            if not await self._are_new(entries):
                return {}
        return {
            one: Claim(Verdict.LOAD, as_claimed(one.found, entry))
            for one, entry in zip(fresh, entries, strict=True)
        }

    async def _are_new(self, entries: Sequence[Document]) -> bool:
        """Whether all were recorded. Else one was refused, another process was faster with one,
        or an answer was lost: each is claimed by itself then, those that were recorded, too."""
        with suppress(StoreRefused):
            return await self._mongo.patiently(
                "claiming files", lambda: self._mongo.insert_missing(FILES, entries)
            )
        return False

    async def _insert(self, identity: str, entry: Document) -> Document:
        """The entry of that id: this one, or the one that another process was faster with."""
        stored = await self._mongo.patiently(
            "claiming a file",
            lambda: self._mongo.update_returning(
                FILES, {"_id": identity}, {"$setOnInsert": entry}, upsert=True
            ),
        )
        assert stored is not None
        return stored

    async def _claim_known(
        self, found: FoundFile, known: Document, config_hash: str
    ) -> Claim | None:  # fmt: skip
        """``None``: somebody began an action with it at this moment."""
        if known.get("doing"):
            return _wait(found, known, _ACTION_S, _under_way(known))
        if FileState(known["state"]) in UNFINISHED:
            return await self._resume(found, known, config_hash)
        return _end_of(found, known) or await self._restart(found, known, config_hash)

    async def _resume(
        self, found: FoundFile, known: Document, config_hash: str
    ) -> Claim | None:  # fmt: skip
        """Go on where a crash or a stop left off; from the start when the rules changed since."""
        is_stale = known["has_stale_rows"] or known["config_hash"] != config_hash
        change: Document = {**place_fields(found), "config_hash": config_hash}
        if found.replaces is not None:
            change["replaces"] = found.replaces
        if is_stale:
            change |= {**progress_fields(_START, Counts()), "has_stale_rows": True}
        fresh = await self._change(known["_id"], change)
        if fresh is None:
            return None
        return Claim(
            Verdict.LOAD, as_claimed(found, fresh), Position(**fresh["position"]),
            as_counts(fresh), is_stale=is_stale, failures=fresh["failures"],
            ignores_budget=fresh.get("ignores_budget", False),
        )  # fmt: skip

    async def _restart(
        self, found: FoundFile, known: Document, config_hash: str
    ) -> Claim | None:  # fmt: skip
        """A new attempt at a file that ended without rows: its run gets a new place in time.

        Failures count on while it is tried again by itself; who drops it again starts anew.
        """
        failures = known["failures"] if known.get("retry_at") else 0
        change: Document = {
            **place_fields(found), "state": FileState.CLAIMED.value, "config_hash": config_hash,
            "processed_at": await self._next_run(found), "finished_at": None, "error": None,
            **progress_fields(_START, Counts()), "has_stale_rows": True, "failures": failures,
            **path_fields("archived_to", None), "is_put_away": False, "retry_at": None,
            "replaced_by": None, "has_rows": False, "is_forgotten": False, "replayed": None,
            "replaces": found.replaces,
        }  # fmt: skip
        fresh = await self._change(known["_id"], change)
        if fresh is None:
            return None
        return Claim(
            Verdict.LOAD, as_claimed(found, fresh), is_stale=True, failures=failures,
            ignores_budget=fresh.get("ignores_budget", False),
        )  # fmt: skip

    async def duplicate(
        self, found: FoundFile, first: ClaimedFile, fields: Document, target: Path | None
    ) -> tuple[str, Path | None]:
        """Record that the content of ``first`` came again, and that the file goes to ``target``.

        ``fields``: its state and error.

        Returns:
            the id of the record, and the target: another one if a crash interrupted the move.
        """
        async with self._turns[found.source_name]:
            pending = await self._pending_duplicate(found, first)
            if pending is not None:
                return pending["_id"], path_in(pending, "archived_to")
            number = await self._count_duplicate(first)
            entry = new_entry(found, first.sha256, await self._next_run(found))
            entry |= {
                **fields, "duplicate_of": first.file_id, "finished_at": now(),
                **path_fields("archived_to", target), "is_put_away": target is None,
            }  # fmt: skip
            stored = await self._insert(f"{first.file_id}-{number}", entry)
            return stored["_id"], target

    async def _pending_duplicate(self, found: FoundFile, first: ClaimedFile) -> Document | None:
        path = place_fields(found)["path"]
        match = {"duplicate_of": first.file_id, "path": path, "is_put_away": False}
        return await self._mongo.patiently(
            "finding a duplicate", lambda: self._mongo.find_one(FILES, match)
        )

    async def _count_duplicate(self, first: ClaimedFile) -> int:
        """How many files of that content there are now; a crash may leave a number unused."""
        counted = await self._mongo.patiently(
            "counting duplicates",
            lambda: self._mongo.update_returning(
                FILES, {"_id": first.file_id}, {"$inc": {"duplicates": 1}}
            ),
        )
        if counted is None:
            raise lost(first.file_id)
        return int(counted["duplicates"]) + 1

    async def _next_run(self, found: FoundFile, count: int = 1) -> datetime:
        """The next ``processed_at`` of a source: now, or a millisecond after the last one.

        Of ``count`` runs it is the last; the others are the milliseconds before it.
        """
        first = {"$max": [now(), {"$add": ["$processed_at", 1]}]}
        later = {"$add": [first, count - 1]}
        run = await self._mongo.patiently(
            "ordering a file",
            lambda: self._mongo.update_returning(
                SOURCES, {"_id": found.source_name}, [{"$set": {"processed_at": later}}],
                upsert=True,
            ),
        )  # fmt: skip
        assert run is not None
        moment: datetime = run["processed_at"]
        return moment

    async def _find(self, identity: str) -> Document | None:
        return await self._mongo.patiently(
            "reading the ledger", lambda: self._mongo.find_one(FILES, {"_id": identity})
        )

    async def _change(self, identity: str, fields: Document) -> Document | None:
        """Begin another attempt; whoever worked on an earlier one finds that it is over."""
        match = {"_id": identity, "doing": None}
        return await self._mongo.patiently(
            "claiming a file again",
            lambda: self._mongo.update_returning(
                FILES, match, {"$set": fields, "$inc": {"attempts": 1}}
            ),
        )


def lost(identity: str) -> StoreRefused:
    """Somebody removed an entry that was there a moment ago."""
    return StoreRefused(f"the ledger lost file {identity}", "who removed it from `files`?")


def _collision(found: FoundFile, known: Document) -> StoreRefused:
    return StoreRefused(
        f"{place_fields(found)['name']} and {known['name']} differ, yet share the file id "
        f"{known['_id']}",
        "change a byte in one of them (a trailing newline will do) and drop it again",
    )


def _end_of(found: FoundFile, known: Document) -> Claim | None:
    """What is to be done with a file that ended, unless it is to be loaded again."""
    state = FileState(known["state"])
    is_same_place = path_in(known, "path") == found.path
    is_leaving = is_same_place and not known["is_put_away"]
    is_committed = state in COMMITTED
    wait_s = _remaining_s(known.get("retry_at"))
    if is_same_place and wait_s > 0 and not is_committed:
        return _wait(found, known, wait_s, known["error"])
    if is_leaving and (is_committed or known["archived_to"]):
        return _put_away(found, known, state)
    if is_committed and not known.get("is_forgotten"):
        return Claim(Verdict.DUPLICATE, as_claimed(found, known), state=state)
    return None


def _wait(found: FoundFile, known: Document, wait_s: float, error: Document) -> Claim:
    return Claim(Verdict.WAIT, as_claimed(found, known), wait_s=wait_s, error=error)


def _under_way(known: Document) -> Document:
    action = known["doing"]["action"]
    hint = f"if it was cut off: ingestd {action} {known['_id']}"
    return {"type": "busy", "message": f"its {action} is under way", "hint": hint}


def _put_away(found: FoundFile, known: Document, state: FileState) -> Claim:
    return Claim(
        Verdict.PUT_AWAY, as_claimed(found, known), counts=as_counts(known), state=state,
        target=path_in(known, "archived_to"), error=known["error"],
    )  # fmt: skip


def _remaining_s(retry_at: datetime | None) -> float:
    return 0.0 if retry_at is None else (retry_at - now()) / timedelta(seconds=1)
