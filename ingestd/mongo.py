"""The only module that speaks to MongoDB: connection, the few operations we need, error mapping.

Motor is what the project uses; its vendor has deprecated it in favour of PyMongo's own async
API (critical fixes end 2027-05-14). The day that must change, this file changes and no other.
Which answer leads to what is decided elsewhere; here an answer only becomes one of our errors.
"""

import asyncio
import random
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any, Literal, TypeVar

import bson
from bson import ObjectId
from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import ReadPreference, ReturnDocument, errors
from pymongo.write_concern import WriteConcern

from ingestd.config.settings import MongoSettings
from ingestd.errors import QueryTooSlow, StoreAway, StoreRefused
from ingestd.events import Events

Document = dict[str, Any]
Result = TypeVar("Result")

MAX_SEQUENCE_BYTES = 15 * 2**20
"""The driver measures a sequence as if it were one document, and refuses 16 MiB and more."""

_AWAY_CODES = frozenset(
    {6, 7, 24, 43, 46, 50, 64, 79, 89, 91, 100, 112, 133, 189, 234, 262, 317, 358}
    | {9001, 10107, 11600, 11602, 13388, 13435, 13436, 14031}
)
"""Server codes of states that pass by themselves (elections, time limits, locks, a full disk)."""

_HINTS = {
    13: "give the user of mongo.uri the role readWrite on the database",
    18: "check user name, password and authSource in mongo.uri",
    8000: "check user name and password in mongo.uri",
}
_DUPLICATE_KEY = 11000


def row_id(file_id: str, row: int) -> ObjectId:
    """The ``_id`` of a row: 8 bytes of the file's identity, 4 of the row number from 1."""
    return ObjectId(bytes.fromhex(file_id) + row.to_bytes(4, "big"))


def rows_of(file_id: str) -> Document:
    """Matches every row of a file: one range of the primary index."""
    return {"_id": {"$gte": row_id(file_id, 0), "$lte": row_id(file_id, 2**32 - 1)}}


class DocumentSequence:
    """Concatenated BSON documents that the driver sends as they are, as one raw document.

    OP_MSG (MongoDB wire protocol, section kind 1) carries the documents of an insert one after
    the other, so the concatenation *is* the wire format. The driver copies ``raw`` of anything
    whose ``_type_marker`` is that of ``RawBSONDocument`` (101); ``Mongo.connect`` proves at
    start-up that it still does.
    """

    _type_marker = 101

    def __init__(self, raw: bytes | memoryview) -> None:
        self.raw = raw


@dataclass(frozen=True, slots=True)
class WriteFault:
    """Why MongoDB did not take one document of a batch; ``index`` is its place in the batch."""

    index: int
    code: int
    message: str
    is_own_id: bool
    """A document with this ``_id`` is there already: an earlier attempt stored it."""
    key: tuple[str, ...] = ()
    """The fields of the unique index that refused the document, if one did."""

    @property
    def is_duplicate(self) -> bool:
        return self.code == _DUPLICATE_KEY

    def at(self, index: int) -> "WriteFault":
        """The same fault of a document that stands elsewhere in another batch."""
        return replace(self, index=index)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What the server said of itself."""

    version: str
    is_replica_set: bool


@contextmanager
def errors_mapped(doing: str) -> Iterator[None]:
    """Turn the driver's errors into ``StoreAway`` or ``StoreRefused``; nothing else leaves here."""
    try:
        yield
    except errors.OperationFailure as error:
        raise _refusal(doing, error) from error
    except (errors.ConnectionFailure, errors.WaitQueueTimeoutError) as error:
        hint = "is mongod running, and is mongo.uri right?"
        raise StoreAway(f"{doing}: MongoDB cannot be reached: {_short(error)}", hint) from error
    except errors.PyMongoError as error:
        raise StoreRefused(f"{doing}: {_short(error)}", "see the MongoDB log") from error


def _refusal(doing: str, error: errors.OperationFailure) -> StoreAway | StoreRefused:
    code = error.code or 0
    if isinstance(error, errors.ExecutionTimeout):
        return QueryTooSlow(f"{doing}: the time limit of the query was reached")
    is_away = code in _AWAY_CODES or error.has_error_label("RetryableWriteError")
    text = f"{doing}: MongoDB answered: {_short(error)} (code {code})"
    if is_away or isinstance(error, errors.WTimeoutError):
        return StoreAway(text, "it is tried again")
    return StoreRefused(text, _HINTS.get(code, "see the MongoDB log"))


def _short(error: BaseException) -> str:
    """The driver's text without the topology dump it appends."""
    return str(error).split(", Timeout:")[0].split(", full error:")[0][:300]


async def ensure_replica_set(port: int) -> None:
    """Make the mongod on that loopback port a one-node replica set, whatever port it had before.

    Raises:
        StoreAway: it did not become primary in a minute.
        StoreRefused: it does not take the configuration.
    """
    client: Any = AsyncIOMotorClient(
        f"mongodb://127.0.0.1:{port}/?directConnection=true", serverSelectionTimeoutMS=20_000
    )
    member = {"_id": 0, "host": f"127.0.0.1:{port}"}
    deadline = time.monotonic() + 60
    try:
        with errors_mapped("setting up the private MongoDB"):
            while not await _is_primary(client.admin, member):
                if time.monotonic() > deadline:
                    raise StoreAway(
                        "the private MongoDB is no primary after 60 s", "see mongod.log"
                    )
                await asyncio.sleep(0.02)
    finally:
        client.close()


async def _is_primary(admin: Any, member: Document) -> bool:
    """Ask, and take the next step when it is not."""
    with suppress(errors.AutoReconnect):  # a new configuration closes connections
        if (await admin.command("hello")).get("isWritablePrimary"):
            return True
        await _configure_member(admin, member)
    return False


async def _configure_member(admin: Any, member: Document) -> None:
    try:
        stored = (await admin.command("replSetGetConfig"))["config"]
    except errors.OperationFailure as error:
        if error.code != 94:  # NotYetInitialized
            raise
        await _initiate(admin, member)
        return
    if [m["host"] for m in stored["members"]] != [member["host"]]:
        changed = {"_id": stored["_id"], "version": stored["version"] + 1, "members": [member]}
        await admin.command("replSetReconfig", {**stored, **changed}, force=True)


async def _initiate(admin: Any, member: Document) -> None:
    try:
        await admin.command("replSetInitiate", {"_id": "ingestd", "members": [member]})
    except errors.OperationFailure as error:
        if error.code != 23:  # AlreadyInitialized: it was still reading its configuration
            raise


class Mongo:
    """One database of one MongoDB. Every write is acknowledged by a majority and its journal."""

    def __init__(self, uri: str, settings: MongoSettings, events: Events) -> None:
        self._events = events
        self._settings = settings
        with errors_mapped("reading mongo.uri"):
            self._client: Any = AsyncIOMotorClient(
                uri,
                appname="ingestd",
                tz_aware=True,
                tzinfo=UTC,
                serverSelectionTimeoutMS=int(settings.timeout * 1000),
                connectTimeoutMS=int(settings.timeout * 1000),
                socketTimeoutMS=int(settings.write_timeout * 1000) + 5000,
            )
        self._concern: Document = {
            "w": "majority", "j": True, "wtimeout": int(settings.write_timeout * 1000),
        }  # fmt: skip
        self._database: Any = self._client.get_database(
            settings.database,
            codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
            write_concern=WriteConcern(**self._concern),
            # The ledger decides by what it reads, and readers compare it with the rows: a
            # secondary that lags, which mongo.uri may ask for, would make both wrong.
            read_preference=ReadPreference.PRIMARY,
        )
        self._sends_sequences = True
        self._has_transactions = False
        self.is_away_since: float | None = None
        """Monotonic time since when MongoDB has not answered; ``None`` while it does."""

    def close(self) -> None:
        """Give up all connections."""
        self._client.close()

    async def connect(self) -> ServerInfo:
        """Reach the server once, and prove that document sequences still work.

        Raises:
            StoreAway, StoreRefused: it is not there, or wants somebody else.
        """
        with errors_mapped("connecting"):
            hello = await self._database.command("hello")
            version = (await self._client.server_info())["version"]
        if tuple(int(part) for part in version.split(".")[:2]) < (4, 4):
            raise StoreRefused(f"MongoDB {version} is too old", "4.4 or later is needed")
        await self._prove_sequences()
        self._has_transactions = "setName" in hello or hello.get("msg") == "isdbgrid"
        return ServerInfo(version=version, is_replica_set=self._has_transactions)

    async def _prove_sequences(self) -> None:
        scratch = "ingestd_selftest"
        pair = b"".join(bson.encode({"_id": n}) for n in range(2))
        await self.delete(scratch, {})
        try:
            with errors_mapped("trying a document sequence"):
                reply = await self._database.command(
                    {"insert": scratch, "documents": [DocumentSequence(pair)]}
                )
            self._sends_sequences = reply["n"] == 2
        except StoreRefused:
            self._sends_sequences = False
        await self.delete(scratch, {})

    async def patiently(
        self, doing: str, operation: Callable[[], Awaitable[Result]]
    ) -> Result:  # fmt: skip
        """Do it, waiting as long as MongoDB is away. ``operation`` must be safe to repeat.

        Raises:
            StoreRefused: MongoDB answered no.
        """
        started, delay_s = time.monotonic(), 0.05
        while True:
            try:
                result = await operation()
            except StoreAway as away:
                self.is_away_since = self.is_away_since or started
                delay_s = min(delay_s * 2, 5.0)
                wait_s = delay_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
                self._events.mongo_away(doing, away.message, wait_s)
                await asyncio.sleep(wait_s)
                continue
            if self.is_away_since is not None:
                self._events.mongo_back(doing, time.monotonic() - self.is_away_since)
                self.is_away_since = None
            return result

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
        with errors_mapped(f"writing to {collection}"):
            reply = await self._database.command(command)
        self._events.mongo_command(kind, time.perf_counter() - started)
        _check_concern(reply, collection)
        return [_fault(error) for error in reply.get("writeErrors", ())]

    def _as_documents(self, raw: bytes | memoryview) -> list[Any]:
        if self._sends_sequences:
            return [DocumentSequence(raw)]
        return bson.decode_all(raw, CodecOptions(document_class=bson.raw_bson.RawBSONDocument))

    async def insert_missing(self, collection: str, documents: Sequence[Document]) -> None:
        """Insert documents that carry their ``_id``; those already there stay as they are."""
        for start in range(0, len(documents), 1000):
            batch = documents[start : start + 1000]
            faults = await self.write_sequence("insert", collection, _concatenated(batch))
            bad = [fault for fault in faults if not fault.is_own_id]
            if bad:
                raise StoreRefused(f"{collection}: {bad[0].message}", "see the MongoDB log")

    async def update(
        self, collection: str, match: Document, change: Any, *, upsert: bool = False
    ) -> int:
        """Update one document; returns how many matched (0 or 1)."""
        with self._timed("update", collection):
            done = await self._database[collection].update_one(match, change, upsert=upsert)
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

    async def update_together(self, collection: str, changes: Sequence[tuple[str, Any]]) -> None:
        """Update documents by ``_id`` so that readers see all of the changes or none.

        A server without transactions (one that is no replica set) gets them one by one.
        """
        target = self._database[collection]
        with self._timed("update", collection):
            if not self._has_transactions:
                for key, change in changes:
                    await target.update_one({"_id": key}, change)
                return
            async with await self._client.start_session() as session, session.start_transaction():
                for key, change in changes:
                    await target.update_one({"_id": key}, change, session=session)

    async def delete(self, collection: str, match: Document) -> int:
        """Delete all that match; returns how many."""
        with self._timed("delete", collection):
            return int((await self._database[collection].delete_many(match)).deleted_count)

    async def ensure_index(
        self, collection: str, keys: Sequence[tuple[str, int]], *, unique: bool = False
    ) -> None:
        """Create the index, or do nothing when it is there."""
        with self._timed("createIndexes", collection):
            await self._database[collection].create_index(list(keys), unique=unique)

    # reading

    async def find_one(self, collection: str, match: Document, **options: Any) -> Document | None:
        """The first document that matches; ``options`` as for ``find``."""
        return next(iter(await self.find(collection, match, limit=1, **options)), None)

    async def find(self, collection: str, match: Document, **options: Any) -> list[Document]:
        """All documents that match. ``options``: sort, limit, projection, max_time_ms, hint."""
        with self._timed("find", collection):
            cursor = self._database[collection].find(match, **options)
            found: list[Document] = await cursor.to_list(None)
            return found

    async def iterate(
        self, collection: str, match: Document, **options: Any
    ) -> AsyncIterator[Document]:
        """Stream the documents that match, in batches of the driver's choice."""
        with errors_mapped(f"reading {collection}"):
            async for document in self._database[collection].find(match, **options):
                yield document

    async def iterate_raw(
        self, collection: str, match: Document, **options: Any
    ) -> AsyncGenerator[bytes, None]:
        """Stream what matches as concatenated BSON, one reply of the server (16 MiB) at a time.

        ``options`` as for ``find``, and batch_size: rows per reply.
        """
        with errors_mapped(f"reading {collection}"):
            cursor = self._database[collection].find_raw_batches(match, **options)
            try:
                async for batch in cursor:
                    yield batch
            finally:
                await cursor.close()

    async def aggregate(
        self, collection: str, pipeline: Sequence[Document], **options: Any
    ) -> list[Document]:
        """All documents that the pipeline makes; ``options``: maxTimeMS, hint."""
        with self._timed("aggregate", collection):
            cursor = self._database[collection].aggregate(list(pipeline), **options)
            found: list[Document] = await cursor.to_list(None)
            return found

    async def count(self, collection: str, match: Document, **options: Any) -> int:
        """How many match, counted exactly."""
        with self._timed("count", collection):
            return int(await self._database[collection].count_documents(match, **options))

    async def ping(self) -> float:
        """Seconds that one empty command takes."""
        started = time.perf_counter()
        with errors_mapped("ping"):
            await self._database.command("ping")
        return time.perf_counter() - started

    @contextmanager
    def _timed(self, command: str, collection: str) -> Iterator[None]:
        started = time.perf_counter()
        with errors_mapped(f"{command} on {collection}"):
            yield
        self._events.mongo_command(command, time.perf_counter() - started)


def _concatenated(documents: Sequence[Document]) -> bytes:
    return b"".join(bson.encode(document) for document in documents)


def _check_concern(reply: Mapping[str, Any], collection: str) -> None:
    """A write-concern error says nothing of the documents: the batch is written again."""
    concern = reply.get("writeConcernError")
    if concern:
        raise StoreAway(f"writing to {collection}: {concern.get('errmsg')}", "it is tried again")


def _fault(error: Mapping[str, Any]) -> WriteFault:
    pattern = tuple(error.get("keyPattern", ()))
    text = str(error.get("errmsg", ""))
    is_own_id = error["code"] == _DUPLICATE_KEY and (
        pattern == ("_id",) or (not pattern and "index: _id_ " in text)
    )
    return WriteFault(error["index"], error["code"], text, is_own_id, pattern)
