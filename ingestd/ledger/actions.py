"""What people do with files that have ended: recorded before it is done, finished by whoever comes.

Each action is taken up by one change of the file's entry, which also says that it is under way:
until it is finished nothing else is done with the file, and nobody claims it. What a crash cuts
off is taken up again by the same command, or by a daemon once the lease of who began it has ended.
"""

import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from operator import itemgetter
from pathlib import Path

from ingestd.errors import ActionRefused
from ingestd.ledger.entry import FILES, SOURCES, now, path_fields
from ingestd.ledger.leases import Leases
from ingestd.ledger.lookup import find_file
from ingestd.mongo import Document, Mongo
from ingestd.records import FileState

_MOST_REMEMBERED = 100
"""Actions of one file."""


class Action(StrEnum):
    """What can be done with a file; the names of commands."""

    RETRY = "retry"
    UNDO = "undo"
    FORGET = "forget"
    DISMISS = "dismiss"
    REPLAY = "replay"
    REPLACE = "replace"


_OF_ROWS = (Action.UNDO, Action.REPLAY)
"""Actions that take away rows of committed files, or add some."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An action that somebody asks for. ``details`` are remembered with it."""

    action: Action
    by: str
    details: Document = field(default_factory=dict)

    def as_document(self) -> Document:
        """What the ledger remembers of it."""
        return {"action": self.action.value, "by": self.by, "at": now(), **self.details}


class Actions:
    """The ledger of actions. Calls wait while MongoDB is away, and are safe to repeat."""

    def __init__(self, mongo: Mongo, leases: Leases) -> None:
        self._mongo = mongo
        self._leases = leases

    async def find(self, text: str) -> Document:
        """The entry of a file by its id, a name or a path; raises UnknownFile, ActionRefused."""
        return await self._mongo.patiently(
            "looking for a file", lambda: find_file(self._mongo, text)
        )

    async def find_beside(
        self, file_id: str, states: Sequence[FileState]
    ) -> Document | None:  # fmt: skip
        """Of a content that came again, and ended in one of these states, the latest entry."""
        match = {"duplicate_of": file_id, "state": {"$in": [state.value for state in states]}}
        found = await self._find(match)
        return max(found, key=itemgetter("processed_at"), default=None)

    async def end_beside(self, identity: str, path: Path) -> Document:
        """A file that ended beside its content is back: another entry tells how it ends now."""
        change = {"state": FileState.UNDONE.value, **path_fields("path", path)}
        gone = {**path_fields("archived_to", None), "is_put_away": True}
        ended = await self._update({"_id": identity}, {"$set": change | gone})
        return ended or await self.find(identity)

    async def begin(
        self, identity: str, asked: Asked, states: Sequence[FileState], fields: Document
    ) -> Document:
        """Take a file up in one of these states, and change ``fields`` of its entry.

        One that the same action left unfinished is taken up again, as it was begun. Until
        ``finish`` nothing else is done with the file.

        Returns:
            the entry as it is now.
        Raises:
            UnknownFile, ActionRefused: the file is not there, or not in such a state.
        """
        begun = await self.try_to_begin(identity, asked, states, fields)
        if begun is None:
            begun = await self._take_up({"_id": identity, "doing.action": asked.action.value})
        return begun or await self._refuse(identity, asked, states)

    async def try_to_begin(
        self, identity: str, asked: Asked, states: Sequence[FileState], fields: Document
    ) -> Document | None:
        """The same, unless anything is under way with the file, or it is in another state."""
        await self._leases.assure()
        doing = {**asked.as_document(), **self._mine()}
        return await self._change(identity, asked, states, {**fields, "doing": doing})

    def _mine(self) -> Document:
        """What only we have, so that nobody else can finish it."""
        return {"token": uuid.uuid4().hex, "owner": self._leases.me.as_document()}

    async def _take_up(self, match: Document) -> Document | None:
        change = {f"doing.{name}": value for name, value in self._mine().items()}
        return await self._update(match, {"$set": change})

    @contextmanager
    def in_hand(self, entry: Document) -> Iterator[None]:
        """While this lasts, nobody else takes up what is done with the file."""
        with self._leases.holding(entry["doing"]["token"]):
            yield

    async def require(self, entry: Document) -> None:
        """Before rows are written or removed: nobody may have taken up what is in hand.

        Raises:
            FileTaken: the lease had ended, and somebody has.
        """
        await self._leases.require_held(entry["doing"]["token"], entry["name"])

    async def finish(self, entry: Document, fields: Document) -> Document:
        """Everything is done; whoever was overtaken by another that did the same changes nothing.

        Returns:
            the entry as it is now.
        """
        if entry["doing"]["action"] in _OF_ROWS:
            await note_change(self._mongo, entry["source_name"])
        match = {"_id": entry["_id"], "doing.token": entry["doing"]["token"]}
        done = await self._update(match, {"$set": fields, "$unset": {"doing": ""}})
        return done or await self.find(entry["_id"])

    async def note(
        self, identity: str, asked: Asked, states: Sequence[FileState], fields: Document
    ) -> Document:
        """Do what is done by changing ``fields`` of a file's entry; raises like ``begin``."""
        done = await self._change(identity, asked, states, fields)
        return done or await self._refuse(identity, asked, states)

    async def cut_off(self, sources: Sequence[str]) -> AsyncIterator[Document]:
        """Entries with an action that nobody has in hand any more, taken up."""
        await self._leases.assure()
        actions = [action.value for action in Action]
        match = {"doing.action": {"$in": actions}, "source_name": {"$in": list(sources)}}
        for entry in await self._find(match):
            doing = entry["doing"]
            if not await self._leases.is_in_hand(doing.get("owner"), doing["token"]):
                taken = await self._take_up({"_id": entry["_id"], "doing.token": doing["token"]})
                if taken is not None:
                    yield taken

    async def _change(
        self, identity: str, asked: Asked, states: Sequence[FileState], fields: Document
    ) -> Document | None:
        """A new attempt: whoever loaded the file and has not heard so yet finds that it is over."""
        match = {
            "_id": identity, "state": {"$in": [state.value for state in states]},
            "doing": None, "duplicate_of": None,
        }  # fmt: skip
        remembered = {"$each": [asked.as_document()], "$slice": -_MOST_REMEMBERED}
        counted = {"attempts": 1, "interventions": 1}
        change = {"$set": fields, "$push": {"actions": remembered}, "$inc": counted}
        return await self._update(match, change)

    async def _update(self, match: Document, change: Document) -> Document | None:
        return await self._mongo.patiently(
            "writing the ledger", lambda: self._mongo.update_returning(FILES, match, change)
        )

    async def _find(self, match: Document) -> list[Document]:
        return await self._mongo.patiently(
            "reading the ledger", lambda: self._mongo.find(FILES, match)
        )

    async def _refuse(
        self, identity: str, asked: Asked, states: Sequence[FileState]
    ) -> Document:  # fmt: skip
        entry = await self.find(identity)
        first, doing, name = entry.get("duplicate_of"), entry.get("doing"), entry["name"]
        if doing is not None:
            raise ActionRefused(
                f"the {doing['action']} of {name} is under way",
                f"if it was cut off: ingestd {doing['action']} {identity}",
            )
        if first is not None:
            raise ActionRefused(
                f"{name} is a duplicate: nothing of it was loaded",
                f"file {first} has the same content",
            )
        allowed = " or ".join(states)
        raise ActionRefused(
            f"{name} is {entry['state']}: {asked.action} is for files that are {allowed}",
            f"see `ingestd files {identity}`",
        )


async def note_change(mongo: Mongo, source_name: str) -> None:
    """Count that rows of committed files were added or taken away, before that is forgotten."""
    change = {"$inc": {"changes": 1}}
    await mongo.patiently(
        "noting a change", lambda: mongo.update(SOURCES, {"_id": source_name}, change, upsert=True)
    )
