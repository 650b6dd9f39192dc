"""Which process has what in hand, and whether it is still there.

A process has one lease, whatever number of files it has in hand; their entries name it as their
``owner``. While it has any, it renews the lease; what a process had whose lease ended may be taken
over; and at once, where it can be seen that the process is gone. All times are those of the
server's clock.

A lease says that somebody is probably there, no more. What makes one harmless that was paused and
goes on too late is the number of the attempt: each taking over raises it, and writes to the
ledger ask for it.
"""

import asyncio
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import anyio

from ingestd.errors import FileTaken, StoreRefused
from ingestd.ledger.entry import FILES
from ingestd.mongo import Document, Mongo
from ingestd.records import ClaimedFile

LEASES = "ingestd_leases"
"""One document per process: who it is, and ``expires_at``."""

_GOODBYE_S = 2.0
_DAY_MS = 86_400_000
_IS_OVER = {"$lte": ["$expires_at", "$$NOW"]}


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that has files in hand. ``id`` is its own alone, also after a restart."""

    id: str
    host: str
    pid: int
    place: str = ""
    """Where its process id means something: one start of one machine, or of a container there."""

    @property
    def name(self) -> str:
        """What people know it by."""
        return name_of(self.as_document())

    def as_document(self) -> Document:
        """How entries name it."""
        return {"id": self.id, "host": self.host, "pid": self.pid, "place": self.place}


def name_of(owner: Mapping[str, Any]) -> str:
    """What people know it by."""
    return f"{owner['host']}:{owner['pid']}"


def _place() -> str:
    """The start of this machine, and the namespace of process ids; see proc(5), namespaces(7)."""
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot_id} {os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


THIS_PROCESS = Owner(uuid.uuid4().hex, socket.gethostname(), os.getpid(), _place())


class Leases:
    """The lease of one process, and what it needs to know of those of others.

    Calls wait while MongoDB is away, and are safe to repeat.
    """

    def __init__(self, mongo: Mongo, lease_s: float, me: Owner = THIS_PROCESS) -> None:
        self.me = me
        self.lease_s = lease_s
        self._mongo = mongo
        self._earlier = {me.id}
        """This process, and those whose place it has taken."""
        self.others: list[str] = []
        """Names of the other processes that had something in hand at the last look."""
        self._held: set[str] = set()
        """File ids, and tokens of actions."""
        self._renewed_at = -inf
        """Monotonic, and before the server's: what has ended there has ended here."""
        self._renewing = asyncio.Lock()

    # what this process has in hand

    def hold(self, key: str) -> None:
        """Keep the lease from now on, until everything held is let go."""
        self._held.add(key)

    def let_go(self, key: str) -> None:
        self._held.discard(key)

    @contextmanager
    def holding(self, key: str) -> Iterator[None]:
        """Hold it for as long as this lasts."""
        self.hold(key)
        try:
            yield
        finally:
            self.let_go(key)

    async def require(self, file: ClaimedFile) -> None:
        """Before rows of a file are written or removed: nobody may have taken it over.

        Raises:
            FileTaken: the lease had ended, and somebody has.
        """
        await self.require_held(file.file_id, file.name)

    async def require_held(self, key: str, name: str) -> None:
        """The same for what is done with a file of that name."""
        if time.monotonic() - self._renewed_at >= self.lease_s:
            await self.assure()
        if key not in self._held:
            raise taken(name)

    async def assure(self) -> None:
        """Have a lease that lasts for a while; asks the server at every third of it at most."""
        async with self._renewing:
            if time.monotonic() - self._renewed_at < self.lease_s / 3:
                return
            lease = await self._mongo.patiently("renewing the lease", self._renew)
            if lease["has_lapsed"] and self._held:
                await self._let_go_of_lost()

    async def _renew(self) -> Document:
        sent_at = time.monotonic()
        until = {"$add": ["$$NOW", round(self.lease_s * 1000)]}
        fields = {
            "host": {"$literal": self.me.host}, "pid": self.me.pid, "expires_at": until,
            "has_lapsed": _IS_OVER,
        }  # fmt: skip
        lease = await self._mongo.update_returning(
            LEASES, {"_id": self.me.id}, [{"$set": fields}], upsert=True
        )
        assert lease is not None
        self._renewed_at = sent_at
        return lease

    async def _let_go_of_lost(self) -> None:
        """This process was paused, or MongoDB was away: files may have been taken over."""
        held, mine = {"$in": list(self._held)}, self.me.id
        files = await self._find_keys("_id", {"_id": held, "owner.id": mine})
        doing = {"doing.action": {"$gt": ""}, "doing.token": held, "doing.owner.id": mine}
        actions = await self._find_keys("doing", doing)
        self._held &= {*files, *(action["token"] for action in actions)}

    async def _find_keys(self, field: str, match: Document) -> list[Any]:
        found = await self._mongo.patiently(
            "looking for files", lambda: self._mongo.find(FILES, match, projection={field: 1})
        )
        return [entry[field] for entry in found]

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renew the lease in time while anything is held; it ends with this."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._keep, name="lease")
            try:
                yield
            finally:
                group.cancel_scope.cancel()
                with anyio.move_on_after(_GOODBYE_S, shield=True), suppress(StoreRefused):
                    await self.end(self.me.id)

    async def _keep(self) -> None:
        while True:
            await anyio.sleep(self.lease_s / 3)
            if self._held:
                with suppress(StoreRefused):  # who needs the lease hears it, file by file
                    await self.assure()

    # what others have

    async def is_elsewhere(self, owner: Mapping[str, Any] | None) -> bool:
        """Whether the owner of an entry is another process that is still there."""
        return owner is not None and bool(await self.living([owner]))

    async def is_in_hand(self, owner: Mapping[str, Any] | None, key: str) -> bool:
        """The same, or this process holds it."""
        return key in self._held or await self.is_elsewhere(owner)

    async def living(self, owners: Collection[Mapping[str, Any]]) -> set[str]:
        """The ids of those of these owners that are other processes, and still there."""
        ids = {owner["id"] for owner in owners if not self._is_gone(owner)} - {self.me.id}
        found = await self._find({"_id": {"$in": list(ids)}}) if ids else ()
        return {lease["_id"] for lease in found}

    def _is_gone(self, owner: Mapping[str, Any]) -> bool:
        """Whether it ran where this process can tell that it does not any more."""
        if not self.me.place or owner.get("place") != self.me.place:
            return False
        try:
            os.kill(owner["pid"], 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # it is there, and somebody else's
        return False

    async def look_around(self) -> None:
        """See who else is there."""
        self.others = [name_of(lease) for lease in await self._find({"_id": {"$ne": self.me.id}})]

    async def _find(self, match: Document) -> list[Document]:
        match = {**match, "$expr": {"$not": _IS_OVER}}
        return await self._mongo.patiently(
            "reading leases", lambda: self._mongo.find(LEASES, match)
        )

    def other(self, owner: Mapping[str, Any] | None) -> str:
        """The name of an owner, if that is another process than this or those before it."""
        return "" if owner is None or owner["id"] in self._earlier else name_of(owner)

    async def succeed(self, identity: str) -> None:
        """Take the place of a process that is not there any more, whatever its lease says."""
        self._earlier.add(identity)
        await self.end(identity)

    async def end(self, identity: str) -> None:
        """A process is not there any more: what it had may be taken over at once."""
        await self._mongo.patiently(
            "ending a lease", lambda: self._mongo.delete(LEASES, {"_id": identity})
        )

    async def forget_old(self) -> None:
        """Remove the leases of processes that were killed, a day after they ended."""
        day_ago = {"$subtract": ["$$NOW", _DAY_MS]}
        match = {"$expr": {"$lt": ["$expires_at", day_ago]}}
        await self._mongo.patiently(
            "removing old leases", lambda: self._mongo.delete(LEASES, match)
        )


def taken(name: str) -> FileTaken:
    """Whoever has taken the file up goes on with it."""
    return FileTaken(f"another ingestd has taken up {name}", "it goes on there")
