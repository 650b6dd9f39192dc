"""One database of one MongoDB, and the few operations we need."""

import asyncio
import itertools
import time
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import bson
import pymongo
from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import ReadPreference, ReturnDocument
from pymongo.write_concern import WriteConcern

from ingestd.config.settings import MongoSettings
from ingestd.errors import EntryRefused, StoreAway, StoreRefused
from ingestd.events import Events
from ingestd.mongo.answers import WriteFault, errors_mapped, faults_of
from ingestd.mongo.patience import Absence, Patience
from ingestd.mongo.reads import Reads, ReadsAtOnce, finished
from ingestd.mongo.rights import missing_rights
from ingestd.mongo.rows import Document
from ingestd.mongo.sequence import DocumentSequence, batches
from ingestd.mongo.uri import open_client

Result = TypeVar("Result")

_GOODBYE_S = 0.5
_LOST_S = 0.5
"""How long a ping looks for a server where none is known; other operations look longer."""
_THREAD_S = 1.0
"""How long a ping waits for a thread of the driver, beyond its own limit: all may be waiting."""
_SLOW_PART = 0.25
"""Of ``mongo.write_timeout``: a write that has no answer for so long is told."""
_SCRATCH = "ingestd_selftest"
_READERS = 32
"""Threads for reads that belong together."""
_LONG_S = 3600.0
"""For commands that go through a whole collection: a short limit would only start them anew."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What the server said of itself."""

    version: str
    is_replica_set: bool
    clock_ahead_s: float = 0.0
    """Of ours; less than nothing when it is behind."""


class Mongo:
    """One database of one MongoDB. Every write is acknowledged by a majority and its journal."""

    def __init__(self, uri: str, settings: MongoSettings, events: Events) -> None:
        self._uri = uri
        self._events = events
        self._settings = settings
        self._concern: Document = {
            "w": "majority", "j": True, "wtimeout": int(settings.write_timeout * 1000),
        }  # fmt: skip
        self._open()
        self._readers = ThreadPoolExecutor(_READERS, "mongo: read")
        self._sends_sequences = True
        self._has_transactions = False
        self._patience = Patience(events, settings.write_timeout * _SLOW_PART, self._log_in_anew)

    def _open(self) -> None:
        self._client: Any = open_client(self._uri, self._settings)
        self._database: Any = self._client.get_database(
            self._settings.database,
            codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
            write_concern=WriteConcern(**self._concern),
            # The ledger decides by what it reads, and readers compare it with the rows: a
            # secondary that lags, which mongo.uri may ask for, would make both wrong.
            read_preference=ReadPreference.PRIMARY,
        )

    def _log_in_anew(self) -> None:
        """A connection whose user was dropped has no rights, also when the user is made again."""
        self._hang_up()
        self._open()

    def close(self) -> None:
        """Give up all connections."""
        self._hang_up()
        self._readers.shutdown(wait=False)

    def _hang_up(self) -> None:
        """The driver says goodbye, but not to a server that hangs."""
        with pymongo.timeout(_GOODBYE_S):
            self._client.close()

    async def connect(self, *collections: str) -> ServerInfo:
        """Reach the server once, and prove that document sequences still work.

        Raises:
            StoreAway, StoreRefused: it is not there, or wants somebody else; or its user lacks
                rights on these collections.
        """
        with errors_mapped("connecting"):
            hello = await self._database.command("hello")
            version = (await self._client.server_info())["version"]
        if tuple(int(part) for part in version.split(".")[:2]) < (4, 4):
            raise EntryRefused(f"MongoDB {version} is too old", "4.4 or later is needed")
        await self._require_rights(_SCRATCH, *collections)
        await self._prove_sequences()
        self._has_transactions = "setName" in hello or hello.get("msg") == "isdbgrid"
        self._patience.wait_for_entry()
        ahead = hello["localTime"].replace(tzinfo=UTC) - datetime.now(UTC)
        return ServerInfo(version, self._has_transactions, ahead.total_seconds())

    async def _require_rights(self, *collections: str) -> None:
        with errors_mapped("asking for rights"):
            status = await self._database.command("connectionStatus", showPrivileges=True)
        missing = missing_rights(status["authInfo"], self._settings.database, collections)
        if missing:
            user = status["authInfo"]["authenticatedUsers"][0]["user"]
            raise StoreRefused(
                f"MongoDB does not allow {user}: {', '.join(missing)}",
                f"give it the role readWrite on the database {self._settings.database}",
            )

    async def _prove_sequences(self) -> None:
        """Store two documents as one; a driver that has changed inside gets them one by one."""
        pair = [ObjectId(), ObjectId()]
        raw = b"".join(bson.encode({"_id": identity}) for identity in pair)
        try:
            with errors_mapped("trying a document sequence"):
                reply = await self._database.command(
                    {"insert": _SCRATCH, "documents": [DocumentSequence(raw)]}
                )
            self._sends_sequences = reply["n"] == 2
        except StoreAway:
            raise
        except Exception:  # noqa: BLE001 - whatever a future driver makes of it
            self._sends_sequences = False
        await self.delete(_SCRATCH, {"_id": {"$in": pair}})

    @property
    def absence(self) -> Absence | None:
        """Since when, and why, MongoDB has not answered; ``None`` while it does."""
        return self._patience.absence

    @property
    def is_away_since(self) -> float | None:
        """Monotonic time since when MongoDB has not answered; ``None`` while it does."""
        return None if self.absence is None else self.absence.since

    @property
    def slow_since(self) -> float | None:
        """Since when a write has waited for its answer, if that is longer than usual."""
        return self._patience.slow_since

    async def patiently(
        self, doing: str, operation: Callable[[], Awaitable[Result]]
    ) -> Result:  # fmt: skip
        """Do it, waiting as long as MongoDB is away. ``operation`` must be safe to repeat.

        Raises:
            StoreRefused: MongoDB answered no.
        """
        return await self._patience.until_done(doing, operation)

    # writing

    async def write_sequence(
        self, kind: Literal["insert", "update"], collection: str, raw: bytes | memoryview
    ) -> list[WriteFault]:
        """Write concatenated documents (or update statements), unordered, in one command.

        Returns:
            the documents that were not written, by their place in ``raw``.
        """
        command: Document = {
            kind: collection,
            "ordered": False,
            "writeConcern": self._concern,
            "documents" if kind == "insert" else "updates": self._as_documents(raw),
        }
        started = time.perf_counter()
        with errors_mapped(f"writing to {collection}"), self._patience.writing():
            reply = await self._database.command(command)
        self._events.mongo_command(kind, time.perf_counter() - started)
        return faults_of(reply, collection)

    def _as_documents(self, raw: bytes | memoryview) -> list[Any]:
        if self._sends_sequences:
            return [DocumentSequence(raw)]
        return bson.decode_all(raw, CodecOptions(document_class=RawBSONDocument))

    async def insert_missing(self, collection: str, documents: Iterable[Document]) -> bool:
        """Insert documents that carry their ``_id``; those already there stay as they are.

        Returns:
            whether all of them were missing.
        """
        with errors_mapped(f"writing to {collection}"):
            encoded = [bson.encode(document) for document in documents]
        ends = list(itertools.accumulate(map(len, encoded)))
        return await self.insert_missing_encoded(collection, b"".join(encoded), ends)

    async def insert_missing_encoded(
        self, collection: str, documents: bytes, ends: Sequence[int]
    ) -> bool:
        """The same for concatenated documents; ``ends[i]`` is the byte at which one ends."""
        is_new = True
        for batch in batches(documents, ends):
            faults = await self.write_sequence("insert", collection, batch)
            bad = [fault for fault in faults if not fault.is_own_id]
            if bad:
                raise StoreRefused(f"{collection}: {bad[0].message}", "see the MongoDB log")
            is_new = is_new and not faults
        return is_new

    async def update(
        self, collection: str, match: Document, change: Any, *, upsert: bool = False
    ) -> int:
        """Update one document; returns how many matched (0 or 1)."""
        with self._timed("update", collection):
            done = await self._database[collection].update_one(match, change, upsert=upsert)
            return int(done.matched_count)

    async def update_each(
        self, collection: str, changes: Sequence[tuple[Document, Any]]
    ) -> int:  # fmt: skip
        """Update one document per (match, change), in one command; returns how many matched."""
        statements = [pymongo.UpdateOne(match, change) for match, change in changes]
        with self._timed("update", collection):
            done = await self._database[collection].bulk_write(statements, ordered=False)
            return int(done.matched_count)

    async def update_returning(
        self, collection: str, match: Document, change: Any, *, upsert: bool = False
    ) -> Document | None:
        """Update one document and return it as it is afterwards."""
        with self._timed("findAndModify", collection):
            found: Document | None = await self._database[collection].find_one_and_update(
                match, change, upsert=upsert, return_document=ReturnDocument.AFTER
            )
            return found

    async def update_together(
        self, collection: str, changes: Sequence[tuple[Document, Document]]
    ) -> bool:
        """Update one document per (match, change), so that readers see all changes or none.

        A server without transactions (one that is no replica set) gets them one by one. A single
        change needs none: a daemon killed in the middle of one would leave its document locked
        until MongoDB gives the transaction up, after a minute.

        Returns:
            False when one of them matched nothing: then nothing was changed.
        """
        target = self._database[collection]
        with self._timed("update", collection):
            if len(changes) == 1 or not self._has_transactions:
                return await _update_each(target, changes)
            async with await self._client.start_session() as session:
                session.start_transaction(write_concern=self._database.write_concern)
                is_done = await _update_each(target, changes, session=session)
                await (session.commit_transaction if is_done else session.abort_transaction)()
                return is_done

    async def update_all(self, collection: str, match: Document, change: Document) -> int:
        """Update all that match; returns how many."""
        with self._timed("update", collection), pymongo.timeout(_LONG_S):
            done = await self._database[collection].update_many(match, change)
            return int(done.matched_count)

    async def delete(self, collection: str, match: Document) -> int:
        """Delete all that match; returns how many."""
        with self._timed("delete", collection), pymongo.timeout(_LONG_S):
            return int((await self._database[collection].delete_many(match)).deleted_count)

    async def ensure_indexes(
        self, collection: str, *indexes: Sequence[str], unique: bool = False
    ) -> None:
        """Create ascending indexes on those fields, in one scan; those that are there stay."""
        models = [
            pymongo.IndexModel([(field, pymongo.ASCENDING) for field in fields], unique=unique)
            for fields in indexes
        ]
        if models:
            with self._timed("createIndexes", collection), pymongo.timeout(_LONG_S):
                await self._database[collection].create_indexes(models)

    async def indexes(self, collection: str) -> dict[tuple[str, ...], bool]:
        """The fields of each index, and whether it is unique; nothing where there is no
        collection."""
        with self._timed("listIndexes", collection):
            found = await self._database[collection].index_information()
        return {
            tuple(field for field, _ in index["key"]): index.get("unique", False)
            for index in found.values()
        }

    async def ensure_expiry(self, collection: str, field: str) -> None:
        """Let the server remove each document at the time in that field."""
        with self._timed("createIndexes", collection):
            await self._database[collection].create_index(field, expireAfterSeconds=0)

    # reading

    async def read_together(
        self, reading: Callable[[Reads], Coroutine[Any, Any, Result]]
    ) -> Result:
        """Let ``reading`` await reads, and nothing else, in a thread: one way for all of them."""
        reads = ReadsAtOnce(self._database.delegate, self._timed)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, lambda: finished(reading(reads)))

    async def find_one(self, collection: str, match: Document, **options: Any) -> Document | None:
        """The first document that matches; ``options`` as for ``find``."""
        return next(iter(await self.find(collection, match, limit=1, **options)), None)

    async def find(self, collection: str, match: Document, **options: Any) -> list[Document]:
        """See ``Reads``."""
        with self._timed("find", collection):
            return list(await self._database[collection].find(match, **options).to_list(None))

    async def iterate_raw(
        self, collection: str, match: Document, **options: Any
    ) -> AsyncGenerator[bytes, None]:
        """See ``Reads``."""
        with errors_mapped(f"reading {collection}"):
            cursor = self._database[collection].find_raw_batches(match, **options)
            try:
                async for batch in cursor:
                    yield batch
            finally:
                if cursor.alive:  # else the server has closed it, and a thread would be asked why
                    await cursor.close()

    async def aggregate(
        self, collection: str, pipeline: Sequence[Document], **options: Any
    ) -> list[Document]:
        """See ``Reads``."""
        with self._timed("aggregate", collection):
            cursor = self._database[collection].aggregate(list(pipeline), **options)
            return list(await cursor.to_list(None))

    async def count(self, collection: str, match: Document, **options: Any) -> int:
        """How many match, counted exactly."""
        with self._timed("count", collection):
            return int(await self._database[collection].count_documents(match, **options))

    async def estimated_count(self, collection: str) -> int:
        """How many documents there are, by what MongoDB remembers of the collection."""
        with self._timed("count", collection):
            return int(await self._database[collection].estimated_document_count())

    @property
    def has_primary(self) -> bool:
        """Whether a server is known that takes writes: the driver hears at once when one goes."""
        return bool(self._client.topology_description.has_writable_server())

    async def ping(self) -> float:
        """Seconds that one empty command takes. It waits for an answer, not for a server."""
        started, limit_s = time.perf_counter(), self._settings.timeout
        if not self.has_primary:
            limit_s = min(limit_s, _LOST_S)
        with errors_mapped("ping"), pymongo.timeout(limit_s):
            async with asyncio.timeout(limit_s + _THREAD_S):
                await self._database.command("ping")
        return time.perf_counter() - started

    @contextmanager
    def _timed(self, command: str, collection: str) -> Iterator[None]:
        started = time.perf_counter()
        with errors_mapped(f"{command} on {collection}"):
            yield
        self._events.mongo_command(command, time.perf_counter() - started)


async def _update_each(
    target: Any, changes: Sequence[tuple[Document, Document]], **options: Any
) -> bool:
    """Stops at the first that matches nothing."""
    for match, change in changes:
        done = await target.update_one(match, change, **options)
        if not done.matched_count:
            return False
    return True
