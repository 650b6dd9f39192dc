"""The two stages between the cuts of a file and its rows in MongoDB.

A stage owns the stream ends it is given; it knows neither its neighbour nor the order. What
waits for MongoDB is bounded in bytes: a refined chunk keeps its worker's turn until it fits.
"""

import time
from dataclasses import dataclass

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ingestd.config.settings import LoadSettings
from ingestd.events import Events
from ingestd.ledger import Ledger
from ingestd.load import Loader
from ingestd.pipeline.job import ChunkTask
from ingestd.records import Counts, RefinedChunk
from ingestd.refine import recover_rows, refine
from ingestd.rejects import Rejects
from ingestd.workers import Workers, run_twice


@dataclass(frozen=True, slots=True)
class RefinedTask:
    """A refined chunk on its way to MongoDB; ``size_bytes`` of the budget are its own."""

    task: ChunkTask
    refined: RefinedChunk
    size_bytes: int


class ByteBudget:
    """How many bytes may wait for MongoDB. One item alone is let through whatever its size."""

    def __init__(self, limit_bytes: int, events: Events) -> None:
        self._limit_bytes = limit_bytes
        self._events = events
        self._used_bytes = 0
        self._items = 0
        self._freed = anyio.Condition()

    async def acquire(self, size_bytes: int) -> None:
        """Wait until the bytes fit."""
        async with self._freed:
            while self._items and self._used_bytes + size_bytes > self._limit_bytes:
                await self._freed.wait()
            self._change(size_bytes, 1)

    async def release(self, size_bytes: int) -> None:
        """Give the bytes back."""
        async with self._freed:
            self._change(-size_bytes, -1)
            self._freed.notify_all()

    def _change(self, size_bytes: int, items: int) -> None:
        self._used_bytes += size_bytes
        self._items += items
        self._events.queue_changed("load", self._items, self._used_bytes)


@dataclass(frozen=True, slots=True)
class RefineStage:
    """Sends chunks to workers."""

    workers: Workers
    budget: ByteBudget
    events: Events

    async def run(
        self,
        inbox: MemoryObjectReceiveStream[ChunkTask],
        outbox: MemoryObjectSendStream[RefinedTask],
    ) -> None:
        """Until the inbox is closed."""
        async with inbox, outbox:
            async for task in inbox:
                refined = await self._refine(task)
                if refined is None:
                    task.job.close_chunk()
                    continue
                size_bytes = len(refined.documents)
                await self.budget.acquire(size_bytes)
                await outbox.send(RefinedTask(task, refined, size_bytes))

    async def _refine(self, task: ChunkTask) -> RefinedChunk | None:
        if task.job.has_failed:
            return None
        try:
            refined = await run_twice(self.workers, refine, task.job.plan, task.chunk, task.repeats)
        except Exception as error:  # noqa: BLE001 - the file's task decides what it leads to
            task.job.fail(error)
            return None
        self.events.chunk_refined(task.job.source.name, refined)
        return refined


@dataclass(frozen=True, slots=True)
class LoadStage:
    """Writes refined chunks and their rejections."""

    loader: Loader
    rejects: Rejects
    ledger: Ledger
    workers: Workers
    budget: ByteBudget
    events: Events
    settings: LoadSettings

    async def run(self, inbox: MemoryObjectReceiveStream[RefinedTask]) -> None:
        """Until the inbox is closed."""
        async with inbox:
            async for item in inbox:
                try:
                    if not item.task.job.has_failed:
                        await self._load(item)
                except Exception as error:  # noqa: BLE001 - the file's task decides
                    item.task.job.fail(error)
                finally:
                    item.task.job.close_chunk()
                    await self.budget.release(item.size_bytes)

    async def _load(self, item: RefinedTask) -> None:
        job, refined = item.task.job, item.refined
        started = time.perf_counter()
        refused = await self.loader.store(job.source, refined)
        rejections = refined.rejections
        if refused:
            rejections += await run_twice(
                self.workers, recover_rows, job.plan, refined.chunk, refused
            )
        if rejections:
            await self.rejects.record_rows(job.file, rejections)
        self.events.stage_took("load", time.perf_counter() - started)
        stored = refined.document_count - len(refused)
        counts = Counts(refined.chunk.row_count, stored, len(rejections), refined.filtered_count)
        self.events.chunk_loaded(job.source.name, stored, refined.filtered_count, rejections)
        await job.chunk_durable(
            refined.chunk, counts, self.ledger, self.settings.checkpoint_interval
        )
