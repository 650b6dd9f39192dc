"""Documents to MongoDB: batches, and what MongoDB's answers mean for single rows."""

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt

from ingestd.config.settings import LoadSettings
from ingestd.config.source import LoadSpec, SourceSpec
from ingestd.documents import row_number, without_id
from ingestd.errors import AnswerLost, StoreRefused
from ingestd.mongo import Mongo, WriteFault, row_id, rows_of
from ingestd.records import RefinedChunk, Violation

_RULES = {11000: "unique_index", 121: "document_validation"}
"""What a write error code of the server is called in a rejection."""


BY_RUN = ("processed_at", "_id")
"""The index that every source has."""
_READ_ROWS = 100_000
"""In one answer of MongoDB, which ends at 16 MiB anyway."""


class Loader:
    """Writes the rows of sources. Every call waits while MongoDB is away, and may be repeated."""

    def __init__(self, mongo: Mongo, settings: LoadSettings) -> None:
        self._mongo = mongo
        self._settings = settings
        self._prepared: set[str] = set()
        self._preparing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._refusals: dict[str, tuple[StoreRefused, float]] = {}
        """Why a source cannot be prepared, and until when MongoDB is not asked again."""
        self._indexed: set[str] = set()

    async def prepare(self, source: SourceSpec) -> None:
        """Create the indexes that loading and reading a source rely on, once.

        Those the source asks for are left for later while the collection is empty: building
        them after the first file costs a tenth of keeping them while it loads.

        Raises:
            StoreRefused: e.g. the key of an upsert is not unique in what is there already.
        """
        if source.name in self._prepared:
            return
        async with self._preparing[source.name]:
            refusal, until = self._refusals.get(source.name, (None, 0.0))
            if refusal is not None and time.monotonic() < until:
                raise refusal
            try:
                await self._prepare(source)
            except StoreRefused as error:  # every file asks, and MongoDB looks at every row
                self._refusals[source.name] = error, time.monotonic() + source.errors.retry_delay
                raise
        self._prepared.add(source.name)

    def forget_sources(self) -> None:
        """The sources have changed: each is prepared anew."""
        for known in (self._prepared, self._indexed, self._refusals):
            known.clear()

    async def _prepare(self, source: SourceSpec) -> None:
        await self._index(source.name, BY_RUN)
        if source.load.mode == "upsert":
            await self._index(source.name, source.load.key, is_unique=True)
        first = await self._mongo.patiently(
            f"looking into {source.name}", lambda: self._mongo.find_one(source.name, {})
        )
        if first is not None:
            await self.index(source)

    async def index(self, source: SourceSpec) -> None:
        """Create the indexes a source asks for, once. Who comes meanwhile does not wait."""
        if source.name in self._indexed:
            return
        self._indexed.add(source.name)
        try:
            await self._index(source.name, *ordered_indexes(source.load))
        except BaseException:
            self._indexed.discard(source.name)
            raise

    async def _index(
        self, collection: str, *indexes: tuple[str, ...], is_unique: bool = False
    ) -> None:
        await self._mongo.patiently(
            f"indexing {collection}",
            lambda: self._mongo.ensure_indexes(collection, *indexes, unique=is_unique),
        )

    async def store(self, source: SourceSpec, refined: RefinedChunk) -> dict[int, Violation]:
        """Write a chunk's documents; returns the rows (from 1) that MongoDB refused, and why."""
        return (await self.store_all(source, [refined]))[0]

    async def store_all(
        self, source: SourceSpec, chunks: Sequence[RefinedChunk]
    ) -> list[dict[int, Violation]]:
        """Write the documents of several chunks together; per chunk, the rows refused."""
        documents, ends = _joined(chunks)
        is_upsert = source.load.mode == "upsert"
        last_of = np.cumsum([chunk.document_count for chunk in chunks])
        places = np.append(0, ends)
        refused: list[dict[int, Violation]] = [{} for _ in chunks]
        for first, last in self._batches(ends):
            batch = _Batch(documents, places[first : last + 1])
            for fault in await self._write(source, batch):
                row = row_number(batch.document(fault.index), is_upsert=is_upsert)
                chunk = int(np.searchsorted(last_of, first + fault.index, side="right"))
                refused[chunk][row] = _violation(fault)
        return refused

    def _batches(self, ends: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """Index ranges of documents, each within ``batch_rows`` and about ``batch_bytes``."""
        first, begin = 0, 0
        while first < ends.size:
            fitting = int(np.searchsorted(ends, begin + self._settings.batch_bytes, "right"))
            last = min(max(fitting, first + 1), first + self._settings.batch_rows)
            yield first, last
            first, begin = last, int(ends[last - 1])

    async def _write(self, source: SourceSpec, batch: "_Batch") -> list[WriteFault]:
        if source.load.mode == "upsert":
            return await self._upsert(source, batch)
        faults = await self._send("insert", source.name, batch)
        return [fault for fault in faults if not fault.is_own_id]

    async def _upsert(self, source: SourceSpec, batch: "_Batch") -> list[WriteFault]:
        """Write update statements, telling rows that lost to a newer one from lost races.

        A duplicate key is the answer to a statement whose key exists with a newer version, or was
        inserted by somebody else at the same moment, or whose ``_id`` was given away: by an
        attempt at this file under other rules, to a document that has another key now. Sent again
        without an ``_id``, it replaces the one, or becomes a document of its own. Who gets the
        answer twice has been overtaken by a newer row, which is as it should be.
        """
        faults = await self._send("update", source.name, batch)
        again = [fault.index for fault in faults if fault.is_duplicate]
        refused = [fault for fault in faults if not fault.is_duplicate]
        if again:
            keyed = _Batch.of([without_id(batch.document(index)) for index in again])
            twice = await self._send("update", source.name, keyed)
            refused += [
                fault.at(again[fault.index]) for fault in twice if fault.key != source.load.key
            ]
        return refused

    async def _send(
        self, kind: Literal["insert", "update"], collection: str, batch: "_Batch"
    ) -> list[WriteFault]:
        """Write a batch; when the connection breaks over it, in ever smaller parts.

        A mongod whose reply would exceed 16 MiB, because a validator explains thousands of
        refused documents, closes the connection instead: sent whole, such a batch would be sent
        for ever.
        """

        async def write() -> list[WriteFault] | None:
            try:
                return await self._mongo.write_sequence(kind, collection, batch.octets)
            except AnswerLost:
                if len(batch) == 1:
                    raise
                await self._mongo.ping()  # who does not answer this either is away
                return None

        faults = await self._mongo.patiently(f"writing to {collection}", write)
        if faults is not None:
            return faults
        middle = len(batch) // 2
        first = await self._send(kind, collection, batch.part(0, middle))
        later = await self._send(kind, collection, batch.part(middle, len(batch)))
        return first + [fault.at(fault.index + middle) for fault in later]

    async def stored(self, collection: str, file_id: str, first: int, last: int) -> bytes:
        """The documents of some rows of a file, one after the other, as they are stored."""

        async def read() -> bytes:
            match, order = rows_of(file_id, first, last), [("_id", 1)]
            found = self._mongo.iterate_raw(collection, match, sort=order, batch_size=_READ_ROWS)
            return b"".join([batch async for batch in found])

        return await self._mongo.patiently(f"reading {collection}", read)

    async def count(self, collection: str, file_id: str) -> int:
        """How many documents of a file are stored."""
        return await self._mongo.patiently(
            "counting rows", lambda: self._mongo.count(collection, rows_of(file_id))
        )

    async def has_versions(self, collection: str, file_id: str) -> bool:
        """Whether rows of the file were upserted, whatever its source says now."""
        first = await self._mongo.patiently(
            "looking at rows", lambda: self._mongo.find_one(collection, rows_of(file_id))
        )
        return first is not None and "_version" in first

    async def remove_rows(self, collection: str, file_id: str, rows: Sequence[int]) -> None:
        """Delete some rows of a file."""
        match = {"_id": {"$in": [row_id(file_id, row) for row in rows]}}
        await self._mongo.patiently("removing rows", lambda: self._mongo.delete(collection, match))

    async def remove_run(self, collection: str, file_id: str, run: datetime) -> None:
        """Delete every row of a file up to a run: a later attempt has a later one."""
        match = {**rows_of(file_id), "processed_at": {"$lte": run}}
        await self._mongo.patiently("removing rows", lambda: self._mongo.delete(collection, match))


def ordered_indexes(load: LoadSpec) -> list[tuple[str, ...]]:
    """The indexes that MongoDB gets for those of a source: among rows with the same values they go
    on in the order in which readers get rows. So there is a page of them without sorting, however
    many there are.

    Of upserted rows that is the order of ``_id``, as they move to another run under a reader.
    """
    order = ("_id",) if load.mode == "upsert" else ("processed_at", "_id")
    return [
        (*fields, *(field for field in order if field not in fields)) for fields in load.indexes
    ]


def _joined(chunks: Sequence[RefinedChunk]) -> tuple[bytes, npt.NDArray[np.int64]]:
    """The documents of all chunks one after the other, and where each ends."""
    if len(chunks) == 1:
        return chunks[0].documents, np.frombuffer(chunks[0].ends, np.int64)
    begins = itertools.accumulate((len(chunk.documents) for chunk in chunks), initial=0)
    ends = [
        np.frombuffer(chunk.ends, np.int64) + begin
        for chunk, begin in zip(chunks, begins, strict=False)
    ]
    return b"".join(chunk.documents for chunk in chunks), np.concatenate(ends)


class _Batch:
    """Documents of a chunk that travel in one command, without a copy."""

    def __init__(
        self, documents: bytes | memoryview, places: npt.NDArray[np.int64] | list[int]
    ) -> None:
        self._documents = memoryview(documents)
        self._places = places
        """Where each document begins, and where the last one ends."""

    @classmethod
    def of(cls, documents: Sequence[bytes]) -> "_Batch":
        """Documents that lie apart."""
        places = list(itertools.accumulate(map(len, documents), initial=0))
        return cls(b"".join(documents), places)

    def __len__(self) -> int:
        return len(self._places) - 1

    @property
    def octets(self) -> memoryview:
        return self._documents[self._places[0] : self._places[-1]]

    def document(self, index: int) -> bytes:
        return bytes(self._documents[self._places[index] : self._places[index + 1]])

    def part(self, first: int, last: int) -> "_Batch":
        """The documents from ``first`` up to ``last``."""
        return _Batch(self._documents, self._places[first : last + 1])


def _violation(fault: WriteFault) -> Violation:
    column = fault.key[0] if fault.key else None
    rule = _RULES.get(fault.code, "mongodb")
    return Violation(column, rule, None, fault.message[:500])
