"""The two stages between the cuts of a file and its rows in MongoDB.

A stage owns the stream ends it is given; it knows neither its neighbour nor the order. What
waits for MongoDB is bounded in bytes: a refined chunk keeps its worker's turn until it fits.
"""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ingestd.config.settings import LoadSettings
from ingestd.events import Events
from ingestd.ledger import Ledger
from ingestd.load import Loader
from ingestd.pipeline.job import ChunkTask
from ingestd.records import Counts, RefinedChunk, Rejections, Violation
from ingestd.refine import recover_rows, refine, refine_together
from ingestd.rejections import joined
from ingestd.rejects import Rejects
from ingestd.workers import Workers, run_twice

_MOST_TOGETHER = 64
_MOST_TOGETHER_BYTES = 2**20
"""Of the chunks that are refined and written together: enough to pay for one frame, one batch."""


@dataclass(frozen=True, slots=True)
class RefinedBundle:
    """Refined chunks on their way to MongoDB; ``size_bytes`` of the budget are their own.

    The tasks keep the bytes of unpacked chunks, for the rows that MongoDB may refuse.
    """

    tasks: Sequence[ChunkTask]
    refined: Sequence[RefinedChunk]
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
    """Sends chunks to workers: large ones alone, small ones of several files together."""

    workers: Workers
    budget: ByteBudget
    events: Events
    bundle_bytes: int

    async def run(
        self,
        inbox: MemoryObjectReceiveStream[ChunkTask],
        outbox: MemoryObjectSendStream[RefinedBundle],
    ) -> None:
        """Until the inbox is closed."""
        async with inbox, outbox:
            async for tasks in self._bundles(inbox):
                for bundle in await self._refine(tasks):
                    await self.budget.acquire(bundle.size_bytes)
                    await outbox.send(bundle)

    async def _bundles(
        self, inbox: MemoryObjectReceiveStream[ChunkTask]
    ) -> AsyncIterator[list[ChunkTask]]:
        """What waits at this moment and goes together; nothing is waited for."""
        held: ChunkTask | None = None
        while True:
            try:
                bundle, held = [held or await inbox.receive()], None
            except anyio.EndOfStream:
                return
            room = min(self.bundle_bytes, _MOST_TOGETHER_BYTES) - bundle[0].chunk.size_bytes
            with suppress(anyio.WouldBlock, anyio.EndOfStream):
                while room > 0 and held is None and len(bundle) < _MOST_TOGETHER:
                    task = inbox.receive_nowait()
                    room -= task.chunk.size_bytes
                    if room > 0 and task.goes_with(bundle[0]):
                        bundle.append(task)
                    else:
                        held = task
            yield bundle

    async def _refine(self, tasks: Sequence[ChunkTask]) -> list[RefinedBundle]:
        """Together if that goes well; else one by one, so that each file has its own error."""
        tasks = [task for task in tasks if self._is_wanted(task)]
        if len(tasks) > 1:
            with suppress(Exception):
                plans, chunks = [t.job.plan for t in tasks], [t.chunk for t in tasks]
                return [self._bundle(tasks, await self.workers.run(refine_together, plans, chunks))]
        refined = [(task, await self._refine_alone(task)) for task in tasks]
        return [self._bundle([task], [chunk]) for task, chunk in refined if chunk is not None]

    def _is_wanted(self, task: ChunkTask) -> bool:
        if task.job.has_failed:
            task.job.close_chunk()
        return not task.job.has_failed

    async def _refine_alone(self, task: ChunkTask) -> RefinedChunk | None:
        try:
            return await run_twice(self.workers, refine, task.job.plan, task.chunk, task.repeats)
        except Exception as error:  # noqa: BLE001 - the file's task decides what it leads to
            task.job.fail(error)
            task.job.close_chunk()
            return None

    def _bundle(self, tasks: Sequence[ChunkTask], refined: Sequence[RefinedChunk]) -> RefinedBundle:
        for chunk in refined:
            self.events.chunk_refined(tasks[0].job.source.name, chunk)
        unpacked_bytes = sum(len(task.chunk.octets or b"") for task in tasks)
        return RefinedBundle(tasks, refined, sum(map(_size_bytes, refined)) + unpacked_bytes)


def _size_bytes(refined: RefinedChunk) -> int:
    return len(refined.documents) + len(refined.rejections.documents)


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

    async def run(self, inbox: MemoryObjectReceiveStream[RefinedBundle]) -> None:
        """Until the inbox is closed."""
        async with inbox:
            async for bundle in inbox:
                wanted = [
                    (task, chunk)
                    for task, chunk in zip(bundle.tasks, bundle.refined, strict=True)
                    if not task.job.has_failed
                ]
                try:
                    await self._load(wanted)
                finally:
                    for task in bundle.tasks:
                        task.job.close_chunk()
                    await self.budget.release(bundle.size_bytes)

    async def _load(self, wanted: Sequence[tuple[ChunkTask, RefinedChunk]]) -> None:
        """Write together; if that goes wrong, one by one, so that each file has its own error."""
        try:
            written = await self._write(wanted) if wanted else []
        except Exception as error:  # noqa: BLE001 - the task of the file decides
            if len(wanted) == 1:
                wanted[0][0].job.fail(error)
                return
            for one in wanted:
                await self._load([one])
            return
        for (task, chunk), (rejections, stored) in zip(wanted, written, strict=True):
            try:
                await self._chunk_durable(task, chunk, rejections, stored)
            except Exception as error:  # noqa: BLE001 - the task of the file decides
                task.job.fail(error)

    async def _write(
        self, wanted: Sequence[tuple[ChunkTask, RefinedChunk]]
    ) -> list[tuple[Rejections, int]]:
        """Make chunks durable; per chunk, its rejections and how many documents are stored."""
        started = time.perf_counter()
        source = wanted[0][0].job.source
        refused = await self.loader.store_all(source, [chunk for _, chunk in wanted])
        rejections = [
            await self._rejections(task, chunk, faults)
            for (task, chunk), faults in zip(wanted, refused, strict=True)
        ]
        await self.rejects.record_rows(rejections)
        self.events.stage_took("load", time.perf_counter() - started)
        stored = [
            chunk.document_count - len(faults)
            for (_, chunk), faults in zip(wanted, refused, strict=True)
        ]
        return list(zip(rejections, stored, strict=True))

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
        job.keep_refused(rejections)
        await job.chunk_durable(
            refined.chunk, counts, self.ledger, self.settings.checkpoint_interval
        )
