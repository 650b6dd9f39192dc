"""Walks: reading a collection in order of time and ``_id``, page by page or all of it.

A page costs the same wherever it lies: the walk goes on at a key, nothing is skipped over. Memory
is bounded in bytes: MongoDB's replies are rendered one by one, and a page that grows large ends
early. Long reads are made of many short queries, so none is open for long.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from ingestd.api.cursors import Key
from ingestd.api.rows import Item, Renderer
from ingestd.mongo import Document, Mongo

BATCH_ROWS = 500
"""Rows in one reply of MongoDB: a few milliseconds of work in a thread."""
SLICE_ROWS = 5000
"""Rows that one query of an endless read asks for."""
PAGE_BYTES = 2**24
"""A page that has grown to this many bytes ends there, whatever its limit."""


@dataclass(frozen=True, slots=True)
class Walk:
    """One query over a collection, in order of ``time_field``; all conditions must hold."""

    mongo: Mongo
    collection: str
    time_field: str
    render: Renderer
    time_limit_ms: int
    conditions: tuple[Document, ...] = ()
    projection: Document | None = None
    is_newest_first: bool = False
    after: Key | None = None

    @property
    def order(self) -> list[tuple[str, int]]:
        direction = -1 if self.is_newest_first else 1
        return [(self.time_field, direction), ("_id", direction)]

    def parts(self) -> list[Document]:
        """The queries that make up the walk: what is left at the key's time, then beyond it.

        One query with ``$or`` would read everything of the key's time again and throw it away.
        """
        if self.after is None:
            return [self._match()]
        beyond = "$lt" if self.is_newest_first else "$gt"
        moment, identity = self.after.moment, self.after.identity
        return [
            self._match({self.time_field: moment}, {"_id": {beyond: identity}}),
            self._match({self.time_field: {beyond: moment}}),
        ]

    def _match(self, *place: Document) -> Document:
        conditions = [*place, *self.conditions]
        return {"$and": conditions} if conditions else {}


@dataclass(frozen=True, slots=True)
class Page:
    """Some items of a list, and after which key the rest follows, if there is any."""

    items: list[Item]
    rest_after: Key | None


async def read_batches(walk: Walk, limit: int) -> AsyncGenerator[list[Item], None]:
    """The next ``limit`` items, a batch at a time; no batch is empty."""
    for part in walk.parts():
        batches = walk.mongo.iterate_raw(
            walk.collection, part, sort=walk.order, limit=limit, projection=walk.projection,
            batch_size=min(limit, BATCH_ROWS), max_time_ms=walk.time_limit_ms,
        )  # fmt: skip
        async with aclosing(batches):
            async for batch in batches:
                items = await asyncio.to_thread(walk.render, batch)
                if items:
                    limit -= len(items)
                    yield items
        if limit <= 0:
            return


async def read_page(walk: Walk, limit: int) -> Page:
    """The next items: at most ``limit``, fewer when they are large."""
    items: list[Item] = []
    size_bytes = 0
    async with aclosing(read_batches(walk, limit + 1)) as batches:
        async for batch in batches:
            items += batch
            size_bytes += sum(len(item.text) for item in batch)
            if size_bytes > PAGE_BYTES:
                break
    has_more = len(items) > limit or size_bytes > PAGE_BYTES
    del items[limit:]
    return Page(items, items[-1].key if has_more else None)


async def read_all(
    walk_on: Callable[[Key | None], Awaitable[Walk | None]], after: Key | None
) -> AsyncGenerator[list[Item], None]:
    """Everything after a key, slice by slice; ``walk_on`` gives the walk of each slice."""
    while (walk := await walk_on(after)) is not None:
        count = 0
        async with aclosing(read_batches(walk, SLICE_ROWS)) as batches:
            async for batch in batches:
                count += len(batch)
                after = batch[-1].key
                yield batch
        if count < SLICE_ROWS:
            return
