"""Walks: reading a collection in order of time and ``_id``, or of columns before these.

A page costs the same wherever it lies: the walk goes on at a key, nothing is skipped over. Memory
is bounded in bytes: MongoDB's replies are taken one by one, and a page that grows large ends
early. Long reads are made of many short queries, so none is open for long.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property

import bson

from ingestd.api.cursors import Key
from ingestd.export import document_edges
from ingestd.export.json_text import OPTIONS
from ingestd.mongo import Document, Reads

PAGE_BYTES = 2**24
"""A page that has grown to this many bytes ends there, whatever its limit."""
BATCH_BYTES = 2**22
"""What one batch of an endless read is to have."""
_FIRST_ROWS, _SLICE_BATCHES = 100, 20
"""The first rows of an endless read tell how large others may be; batches of a later query."""
_PAGE_BATCH_ROWS = 500
"""Rows in one reply, so that a page of large documents ends early."""


@dataclass(frozen=True, slots=True)
class Walk:
    """One query over a collection, in order of ``sort``, ``time_field`` and ``_id``, or of ``sort``
    and ``_id``; all conditions must hold. An index with just these fields makes it cheap."""

    reads: Reads
    collection: str
    time_field: str
    time_limit_ms: int
    conditions: tuple[Document, ...] = ()
    projection: Document | None = None
    sort: tuple[str, ...] = ()
    is_descending: bool = False
    is_by_identity: bool = False
    after: Key | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """What the order goes by."""
        times = () if self.is_by_identity else (self.time_field,)
        return (*self.sort, *times, "_id")

    @property
    def order(self) -> list[tuple[str, int]]:
        """For MongoDB."""
        return [(name, -1 if self.is_descending else 1) for name in self.fields]

    def parts(self) -> list[Document]:
        """The queries that make up the walk: what is left at the key's place, then ever further
        beyond it.

        One query with ``$or`` would read everything at that place again and throw it away.
        """
        if self.after is None:
            return [self._match()]
        moments = () if self.is_by_identity else (self.after.moment,)
        at = (*self.after.values, *moments, self.after.identity)
        place = list(zip(self.fields, at, strict=True))
        parts = []
        for depth in reversed(range(len(place))):
            name, value = place[depth]
            beyond = self._beyond(name, value)
            if beyond is not None:
                same = [{field: {"$eq": at}} for field, at in place[:depth]]
                parts.append(self._match(*same, beyond))
        return parts

    def _beyond(self, name: str, value: object) -> Document | None:
        """What comes after a value; ``None`` where nothing can.

        A query's own comparison keeps to values of one type, while the order goes on to others:
        from a number down to a missing value, and from a missing value up to numbers.
        """
        operator = "$lt" if self.is_descending else "$gt"
        if name not in self.sort:
            return {name: {operator: value}}
        if value is None:
            return None if self.is_descending else {name: {"$ne": None}}
        return {"$expr": {operator: [f"${name}", {"$literal": value}]}}

    def _match(self, *place: Document) -> Document:
        conditions = [*place, *self.conditions]
        return {"$and": conditions} if conditions else {}


@dataclass(frozen=True)
class Batch:
    """Concatenated documents of a walk, as MongoDB sends them."""

    documents: bytes
    walk: Walk

    @cached_property
    def edges(self) -> list[int]:
        """Where each document begins, and where the last one ends."""
        return document_edges(self.documents)

    def __len__(self) -> int:
        return len(self.edges) - 1

    def first(self, count: int) -> "Batch":
        """The first of them, at most so many."""
        return Batch(self.documents[: self.edges[min(count, len(self))]], self.walk)

    @property
    def last_key(self) -> Key:
        """The place of the last one in the list."""
        last = bson.decode(self.documents[self.edges[-2] : self.edges[-1]], OPTIONS)
        values = tuple(last.get(name) for name in self.walk.sort)
        return Key(last[self.walk.time_field], last["_id"], values)


@dataclass(frozen=True, slots=True)
class Page:
    """Some documents of a list, and after which key the rest follows, if there is any."""

    documents: Batch
    rest_after: Key | None


async def read_batches(walk: Walk, limit: int, batch_rows: int) -> AsyncGenerator[Batch, None]:
    """The next ``limit`` documents, one reply of MongoDB at a time; no batch is empty."""
    for part in walk.parts():
        replies = walk.reads.iterate_raw(
            walk.collection, part, sort=walk.order, limit=limit, projection=walk.projection,
            batch_size=min(limit, batch_rows), max_time_ms=walk.time_limit_ms,
        )  # fmt: skip
        async with aclosing(replies):
            async for documents in replies:
                if documents:
                    batch = Batch(documents, walk)
                    limit -= len(batch)
                    yield batch
        if limit <= 0:
            return


async def read_page(walk: Walk, limit: int) -> Page:
    """The next documents: at most ``limit``, fewer when they are large."""
    replies: list[bytes] = []
    async with aclosing(read_batches(walk, limit + 1, _PAGE_BATCH_ROWS)) as batches:
        async for batch in batches:
            replies.append(batch.documents)
            if sum(map(len, replies)) > PAGE_BYTES:
                break
    found = Batch(b"".join(replies), walk)
    page = found.first(limit)
    has_more = len(found) > limit or len(found.documents) > PAGE_BYTES
    return Page(page, page.last_key if has_more else None)


async def read_all(
    walk_on: Callable[[Key | None], Awaitable[Walk | None]], after: Key | None, most_rows: int
) -> AsyncGenerator[Batch, None]:
    """Everything after a key, in batches of at most so many rows, and of about ``BATCH_BYTES``.

    It is read slice by slice; ``walk_on`` gives the walk of each.
    """
    batch_rows = slice_rows = min(_FIRST_ROWS, most_rows)
    while (walk := await walk_on(after)) is not None:
        count = size_bytes = 0
        async with aclosing(read_batches(walk, slice_rows, batch_rows)) as batches:
            async for batch in batches:
                count += len(batch)
                size_bytes += len(batch.documents)
                after = batch.last_key
                yield batch
        if count < slice_rows:
            return
        batch_rows = max(1, min(most_rows, BATCH_BYTES * count // size_bytes))
        slice_rows = batch_rows * _SLICE_BATCHES
