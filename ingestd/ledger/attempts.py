"""Taking up a file that the ledger knows: only one of those who ask at one moment gets it.

The entry is changed as it was read, or not at all; so a change also proves what was read: by a
primary that has been cut off from most members, it may be of something they never hear of. A new
attempt has a new number, by which whoever worked on an earlier one finds that it is over.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ingestd.ledger.actions import note_change
from ingestd.ledger.claim import START, Claim, Verdict, Wanted
from ingestd.ledger.earlier import keep_earlier
from ingestd.ledger.entry import (
    FILES,
    REPLACEMENT,
    as_claimed,
    as_counts,
    path_fields,
    path_in,
    place_fields,
    progress_fields,
)
from ingestd.ledger.leases import Leases
from ingestd.ledger.runs import Runs
from ingestd.mongo import Document, Mongo
from ingestd.records import COMMITTED, SET_ASIDE, Counts, FileState, FoundFile, Position


class Attempts:
    """Takes up files. What it returns is ``None`` when somebody else changed the entry meanwhile.

    Calls wait while MongoDB is away, and are safe to repeat.
    """

    def __init__(self, mongo: Mongo, leases: Leases, runs: Runs) -> None:
        self._mongo = mongo
        self._leases = leases
        self._runs = runs

    async def resume(self, one: Wanted, known: Document) -> Claim | None:
        """Go on where a crash or a stop left off; from the start when the rules changed since.

        Then it gets a new run, too: rows are taken back up to the run of who takes them back, so
        that an attempt which was taken over can remove none of the new ones.
        """
        found, config_hash = one.found, one.config_hash
        is_stale = known["has_stale_rows"] or known["config_hash"] != config_hash
        change: Document = {**_place(found, known), "config_hash": config_hash}
        if found.replaces is not None:
            change["replaces"] = found.replaces
        if is_stale:
            change |= {**progress_fields(START, Counts()), **_stale(known)}
            fresh = await self._begin_run(known, change)
        else:
            fresh = await self._begin(known, change)
        return None if fresh is None else self._claim(one, known, fresh, is_stale=is_stale)

    async def restart(self, one: Wanted, known: Document) -> Claim | None:
        """A new attempt at a file that ended without rows: its run gets a new place in time.

        An earlier file of that content that was set aside is not forgotten.

        Failures count on while it is tried again by itself; who drops it again starts anew.
        """
        if known["state"] in COMMITTED or known.get("has_rows"):  # the new attempt removes them
            await note_change(self._mongo, known["source_name"])
        await keep_earlier(self._mongo, known, one.found)
        change: Document = {
            **_place(one.found, known), "state": FileState.CLAIMED.value,
            "config_hash": one.config_hash, "finished_at": None, "error": None,
            **progress_fields(START, Counts()), **_stale(known),
            "failures": known["failures"] if known.get("retry_at") else 0,
            **path_fields("archived_to", None), "is_put_away": False, "retry_at": None,
            "replaced_by": None, "has_rows": False, "is_forgotten": False, "replayed": None,
            "replaces": one.found.replaces or _intended(known), REPLACEMENT: None,
        }  # fmt: skip
        fresh = await self._begin_run(known, change)
        return None if fresh is None else self._claim(one, known, fresh, is_stale=True)

    def _claim(
        self, one: Wanted, known: Document, fresh: Document, *, is_stale: bool
    ) -> Claim:  # fmt: skip
        return Claim(
            Verdict.LOAD, as_claimed(one.found, fresh), Position(**fresh["position"]),
            as_counts(fresh), is_stale=is_stale, failures=fresh["failures"],
            ignores_budget=one.found.ignores_budget or fresh.get("ignores_budget", False),
            taken_from=self._leases.other(known.get("owner")),
        )  # fmt: skip

    async def own(self, known: Document) -> Document | None:
        """Take up what is left to do with a file that ended; its attempt is over."""
        return await self._change(known, {"$set": {"owner": self._leases.me.as_document()}})

    async def is_lasting(self, known: Document) -> bool:
        """Whether most members know the entry as it was read, and it stays like that."""
        return await self._change(known, {"$set": {"state": known["state"]}}) is not None

    async def _begin_run(self, known: Document, fields: Document) -> Document | None:
        fresh: Document | None = known

        async def record(runs: Sequence[datetime]) -> Document | None:
            nonlocal fresh
            if fresh is not None:
                fresh = await self._begin(fresh, {**fields, "processed_at": runs[0]})
            return fresh

        return await self._runs.record(known["source_name"], 1, record)

    async def _begin(self, known: Document, fields: Document) -> Document | None:
        owner = self._leases.me.as_document()
        return await self._change(
            known, {"$set": {**fields, "owner": owner}, "$inc": {"attempts": 1}}
        )

    async def _change(self, known: Document, change: Any) -> Document | None:
        match = {
            "_id": known["_id"], "attempts": known["attempts"], "state": known["state"],
            "owner": known.get("owner"), "doing": None,
        }  # fmt: skip
        return await self._mongo.patiently(
            "taking up a file", lambda: self._mongo.update_returning(FILES, match, change)
        )


def _place(found: FoundFile, known: Document) -> Document:
    """Where the file lies now, and since when. One that came back from where it was set aside is
    still a version of what it was: a file of an archive, say, or one that was to replace another.
    """
    fields, name = place_fields(found), known.get("name_in_source")
    if path_in(known, "path") != found.path:
        return fields | {"discovered_at": found.found_at}
    return fields | {"name_in_source": name} if name and found.version_of is None else fields


def _intended(known: Document) -> str | None:
    """Whom a file was to replace that did not load: it still is when it comes again."""
    return known.get("replaces") if known["state"] in SET_ASIDE else None


def _stale(known: Document) -> Document:
    """Rows of these runs may be there until the new one begins to load: nobody may see them."""
    before = known.get("stale_runs", []) if known["has_stale_rows"] else []
    return {"has_stale_rows": True, "stale_runs": [*before, known["processed_at"]]}
