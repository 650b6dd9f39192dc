"""The two stages between the cuts of a file and its rows in MongoDB.

A stage owns the stream ends it is given; it knows neither its neighbour nor the order. What
waits for MongoDB is bounded in bytes: a refined chunk keeps its worker's turn until it fits.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ingestd.config.settings import LoadSettings
from ingestd.events import Events
from ingestd.ledger import Ledger
from ingestd.load import Loader
from ingestd.pipeline.job import ChunkTask
from ingestd.records import Counts, RefinedChunk, Rejections, Violation
from ingestd.refine import recover_rows, refine
from ingestd.rejections import joined
from ingestd.rejects import Rejects
from ingestd.workers import Workers, run_twice


@dataclass(frozen=True, slots=True)
class RefinedTask:
    """A refined chunk on its way to MongoDB.

    The task keeps the bytes of an unpacked chunk, for the rows that MongoDB may refuse.
    """

    task: ChunkTask
    refined: RefinedChunk

    @property
    def size_bytes(self) -> int:
        """What it takes of the budget."""
        unpacked = self.task.chunk.octets or b""
        return len(self.refined.documents) + len(self.refined.rejections.documents) + len(unpacked)


class ByteBudget:
    """How many bytes may wait for MongoDB. One item alone is let through whatever its size."""

    def __init__(self, limit_bytes: int, events: Events) -> None:
        self._limit_bytes = limit_bytes
        self._events = events
        self._used_bytes = 0
        self._items = 0
        self._freed = anyio.Condition()
        self._change(0, 0)  # a dashboard shows an empty queue, not none

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
                if task.job.has_failed:
                    task.job.close_chunk()
                elif (refined := await self._refine(task)) is not None:
                    await self.budget.acquire(refined.size_bytes)
                    await outbox.send(refined)

    async def _refine(self, task: ChunkTask) -> RefinedTask | None:
        try:
            refined = await run_twice(self.workers, refine, task.job.plan, task.chunk, task.repeats)
        except Exception as error:  # noqa: BLE001 - the file's task decides what it leads to
            task.job.fail(error)
            task.job.close_chunk()
            return None
        self.events.chunk_refined(task.job.source.name, refined)
        return RefinedTask(task, refined)


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
            async for one in inbox:
                job = one.task.job
                try:
                    if not job.has_failed:
                        await self._load(one.task, one.refined)
                except Exception as error:  # noqa: BLE001 - the task of the file decides
                    job.fail(error)
                finally:
                    job.close_chunk()
                    await self.budget.release(one.size_bytes)

    async def _load(self, task: ChunkTask, refined: RefinedChunk) -> None:
        """Make a chunk's documents and rejections durable, and count them."""
        await self.ledger.leases.require(task.job.file)
        started = time.perf_counter()
        faults = await self.loader.store(task.job.source, refined)
        rejections = await self._rejections(task, refined, faults)
        await self.rejects.record_rows([rejections])
        self.events.stage_took("load", time.perf_counter() - started)
        await self._chunk_durable(task, refined, rejections, refined.document_count - len(faults))

    async def _rejections(
        self, task: ChunkTask, refined: RefinedChunk, faults: Mapping[int, Violation]
    ) -> Rejections:
        """The rows of a chunk that ingestd refused, and those that MongoDB did."""
        if not faults:
            return refined.rejections
        recovered = await run_twice(self.workers, recover_rows, task.job.plan, task.chunk, faults)
        return joined([refined.rejections, recovered])

    async def _chunk_durable(
        self, task: ChunkTask, refined: RefinedChunk, rejections: Rejections, stored: int
    ) -> None:
        filtered, job = refined.filtered_count, task.job
        counts = Counts(refined.chunk.row_count, stored, len(rejections), filtered)
        self.events.chunk_loaded(job.source.name, stored, filtered, rejections)
        await job.refused.keep(task.chunk, rejections)
        await job.chunk_durable(
            refined.chunk, counts, self.ledger, self.settings.checkpoint_interval
        )
