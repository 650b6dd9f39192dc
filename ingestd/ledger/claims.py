"""What is to be done with a file that was found: the ledger's answer, recorded before it is given.

Every step may be repeated: a crash after it leaves a claim that the next start takes up again.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from anyio import to_thread

from ingestd.errors import StoreRefused
from ingestd.ledger.attempts import Attempts
from ingestd.ledger.claim import Claim, Verdict, Wanted, end_of, waiting
from ingestd.ledger.entry import FILES, REPLACEMENT, as_claimed, place_fields
from ingestd.ledger.leases import Leases
from ingestd.ledger.runs import Runs
from ingestd.mongo import Document, Mongo
from ingestd.records import COMMITTED, UNFINISHED, FileState, FoundFile

IsThere = Callable[[FoundFile], bool]
"""Whether a found file is still where it was found, as it was. May block."""

_ACTION_S = 1.0
"""How long a file waits with which somebody does something at this moment."""

_LOOK_AGAIN = 1 / 12
"""Part of a lease after which a file is looked at again that another process has in hand."""

_IN_HAND = (Verdict.LOAD, Verdict.TRY, Verdict.PUT_AWAY, Verdict.DUPLICATE)
_AS_IT_IS = (Verdict.TRY, Verdict.DUPLICATE)
"""What leaves the entry as it is, so that nothing else proves what was read of it."""

Claimed = dict[Wanted, Claim | Exception]


class Claims:
    """Gives out claims. Calls wait while MongoDB is away, and are safe to repeat."""

    def __init__(self, mongo: Mongo, leases: Leases, runs: Runs, is_there: IsThere) -> None:
        self._mongo = mongo
        self._leases = leases
        self._runs = runs
        self._is_there = is_there
        self._attempts = Attempts(mongo, leases, runs)

    async def claim_all(self, wanted: Sequence[Wanted]) -> list[Claim | Exception]:
        """Decide what is to be done with files, and record it when they are to be loaded.

        Those of a source that are new cost no more than one. One that cannot be claimed gets
        the reason: another content has the same file id, or MongoDB refuses.
        """
        await self._leases.assure()
        wanted = await self._with_purpose(wanted)
        claims: Claimed = {}
        for source_name in {one.found.source_name for one in wanted}:
            of_source = [one for one in wanted if one.found.source_name == source_name]
            claims |= await self._claim_at_once(of_source)
        for one in wanted:
            claim = claims[one] if one in claims else await self._claim_alone(one)
            if isinstance(claim, Claim) and claim.verdict in _IN_HAND:
                self._leases.hold(one.file_id)
            claims[one] = claim
        return [claims[one] for one in wanted]

    async def _with_purpose(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """Whom they replace, where that was noted before they came: they are versions of that."""
        match = {
            REPLACEMENT: {"$in": [one.file_id for one in wanted]},
            "state": {"$in": [state.value for state in COMMITTED]},
        }
        old = {entry[REPLACEMENT]: entry for entry in await self._find(match)}
        return [
            replace(one, found=_as_version(one.found, old[one.file_id]))
            if one.file_id in old
            else one
            for one in wanted
        ]

    async def _claim_at_once(self, wanted: Sequence[Wanted]) -> Claimed:
        """For those files of a source that are new, or that another process has in hand."""
        match = {"_id": {"$in": [one.file_id for one in wanted]}}
        known = {entry["_id"]: entry for entry in await self._find(match)}
        new = [one for one in wanted if one.file_id not in known]
        claims: Claimed = {}
        with suppress(StoreRefused):  # of one: each is claimed by itself then
            claims |= await self._claim_new(new)
        owners = [entry["owner"] for entry in known.values() if entry.get("owner")]
        living = await self._leases.living(owners)
        for one in wanted:
            entry = known.get(one.file_id, {})
            if (entry.get("owner") or {}).get("id") in living:
                claims[one] = self._taken(one, entry)
        return claims

    async def _claim_new(self, wanted: Sequence[Wanted]) -> dict[Wanted, Claim]:
        """For files of a source that the ledger did not know a moment ago; without those that
        another process was faster with."""
        if not wanted:
            return {}

        async def record(runs: Sequence[datetime]) -> Sequence[Document]:
            owner = {"owner": self._leases.me.as_document()}
            return await self._insert(
                [one.entry(run) | owner for one, run in zip(wanted, runs, strict=True)]
            )

        entries = await self._runs.record(wanted[0].found.source_name, len(wanted), record)
        ours = {entry["_id"]: entry for entry in entries}
        return {
            one: Claim(
                Verdict.LOAD,
                as_claimed(one.found, ours[one.file_id]),
                ignores_budget=one.found.ignores_budget,
            )
            for one in wanted
            if one.file_id in ours
        }

    async def _insert(self, entries: Sequence[Document]) -> Sequence[Document]:
        """Those of the entries that are in the ledger now as they are here.

        Some were there already when another process was faster, when an answer was lost, or when
        they have to get later runs.
        """
        is_new = await self._mongo.patiently(
            "claiming files", lambda: self._mongo.insert_missing(FILES, entries)
        )
        if is_new:
            return entries
        ours = {"owner.id": self._leases.me.id, "attempts": 1}
        changes = [
            ({"_id": entry["_id"], **ours}, {"$set": {"processed_at": entry["processed_at"]}})
            for entry in entries
        ]
        await self._mongo.patiently(
            "claiming files", lambda: self._mongo.update_each(FILES, changes)
        )
        return await self._find({"_id": {"$in": [entry["_id"] for entry in entries]}, **ours})

    async def _claim_alone(self, one: Wanted) -> Claim | Exception:
        claim: Claim | None = None
        try:
            while claim is None:  # somebody did something with it at this moment
                known = await self._find({"_id": one.file_id})
                if known:
                    claim = await self._claim_known(one, known[0])
                else:
                    claim = (await self._claim_new([one])).get(one)
        except StoreRefused as refusal:
            return refusal
        return claim

    async def _claim_known(self, one: Wanted, known: Document) -> Claim | None:
        found, state = one.found, FileState(known["state"])
        if known["sha256"] != one.sha256.hex():
            raise _collision(found, known)
        if known.get("doing"):
            return waiting(found, known, _ACTION_S, _under_way(known))
        if await self._leases.is_elsewhere(known.get("owner")):
            return self._taken(one, known)
        ended = None if state in UNFINISHED else end_of(one, known)
        if ended is not None and ended.verdict is Verdict.PUT_AWAY:
            taken_from = self._leases.other(known.get("owner"))
            is_ours = await self._attempts.own(known) is not None
            return replace(ended, taken_from=taken_from) if is_ours else None
        is_as_it_is = ended is not None and ended.verdict in _AS_IT_IS
        if is_as_it_is and not await self._attempts.is_lasting(known):
            return None
        if not await to_thread.run_sync(self._is_there, found):
            return self._taken(one, known)
        take_up = self._attempts.resume if state in UNFINISHED else self._attempts.restart
        return ended or await take_up(one, known)

    def _taken(self, one: Wanted, known: Document) -> Claim:
        wait_s = self._leases.lease_s * _LOOK_AGAIN
        return Claim(Verdict.TAKEN, as_claimed(one.found, known), wait_s=wait_s)

    async def _find(self, match: Document) -> list[Document]:
        return await self._mongo.patiently(
            "reading the ledger", lambda: self._mongo.find(FILES, match)
        )


def _as_version(found: FoundFile, old: Document) -> FoundFile:
    name = old.get("name_in_source") or old["name"]
    return replace(found, replaces=old["_id"], version_of=name)


def _collision(found: FoundFile, known: Document) -> StoreRefused:
    return StoreRefused(
        f"{place_fields(found)['name']} and {known['name']} differ, yet share the file id "
        f"{known['_id']}",
        "change a byte in one of them (a trailing newline will do) and drop it again",
    )


def _under_way(known: Document) -> Document:
    action = known["doing"]["action"]
    hint = f"if it was cut off: ingestd {action} {known['_id']}"
    return {"type": "busy", "message": f"its {action} is under way", "hint": hint}
