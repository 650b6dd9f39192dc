"""One file on its way: which of its chunks are done, and how far everything is durable."""

import asyncio
import time
from dataclasses import dataclass

import anyio

from ingestd.config.source import SourceSpec
from ingestd.ledger import Claim, Ledger
from ingestd.pipeline.desk import Desk
from ingestd.pipeline.refused import RefusedRecords
from ingestd.records import Chunk, Counts, FileLayout, Rejections
from ingestd.refine import Repeats


@dataclass(frozen=True, slots=True)
class ChunkTask:
    """A chunk on its way, and the file it belongs to."""

    job: "FileJob"
    chunk: Chunk
    repeats: Repeats | None = None


class FileJob:
    """A claimed file while it is loaded. Owned by the intake; stages report to it."""

    def __init__(self, desk: Desk, source: SourceSpec, claim: Claim, layout: FileLayout) -> None:
        self.source = source
        self.claim = claim
        self.file = claim.file
        self.layout = layout
        self.plan = desk.plan(source, claim.file, layout)
        self.position = layout.chunks[0].start
        """Every row before it is durable and counted."""
        self.counts = Counts()
        self.remaining_chunks = layout.chunks
        self.refused_in_trial: list[Rejections] = []
        self.tried = Counts()
        """What would become of its rows; where that was found out before any is stored."""
        self.refused = RefusedRecords(desk.settings.paths.rejects, is_whole=not claim.start.row)
        self.failure: Exception | None = None
        self._waiting: dict[int, tuple[Chunk, Counts]] = {}
        self._open_chunks = 0
        self._settled = anyio.Event()
        self._lock = asyncio.Lock()  # anyio's costs a file of 100 rows 3 % of its time
        self._checkpointed_at = time.monotonic()
        self._go_on_from(claim)

    def _go_on_from(self, claim: Claim) -> None:
        """Skip what is durable, where the cuts are those of the earlier attempt.

        Cut otherwise (``refine.chunk_bytes`` changed), the file is simply loaded again: its rows
        are there already, and writing them again changes nothing.
        """
        rows = [chunk.start.row for chunk in self.layout.chunks] + [self.layout.row_count]
        if claim.start.row in rows:
            done = rows.index(claim.start.row)
            self.remaining_chunks = self.layout.chunks[done:]
            self.counts = claim.counts
            if done:
                self.position = self.layout.chunks[done - 1].end

    @property
    def counts_if_held(self) -> Counts:
        """Of a file that does not load: nothing of it is stored, so they do not add up."""
        return Counts(self.layout.row_count, error_count=self.tried.error_count)

    @property
    def is_complete(self) -> bool:
        """Every row of the file is durable."""
        return self.position.row == self.layout.row_count

    @property
    def has_failed(self) -> bool:
        """The file cannot go on: its other chunks need no work any more."""
        return self.failure is not None

    def open_chunk(self) -> None:
        """A chunk is handed to the stages."""
        self._open_chunks += 1
        self._settled = anyio.Event()

    def close_chunk(self) -> None:
        """A chunk left the stages, one way or another."""
        self._open_chunks -= 1
        if not self._open_chunks:
            self._settled.set()

    def fail(self, error: Exception) -> None:
        """Give the file up; the first reason stays."""
        self.failure = self.failure or error

    async def settled(self) -> None:
        """Wait until no chunk is in the stages; raises what made the file fail."""
        if self._open_chunks:
            await self._settled.wait()
        if self.failure is not None:
            raise self.failure

    async def chunk_durable(
        self, chunk: Chunk, counts: Counts, ledger: Ledger, interval_s: float
    ) -> None:
        """A chunk's rows and rejections are durable; move the checkpoint when it is time."""
        self.advance(chunk, counts)
        is_due = time.monotonic() - self._checkpointed_at >= interval_s
        if is_due and not self.is_complete:  # else the commit says it all
            await self.checkpoint(ledger)

    def advance(self, chunk: Chunk, counts: Counts) -> None:
        """Count a durable chunk, and move on as far as no other is missing."""
        self._waiting[chunk.start.offset_bytes] = (chunk, counts)
        while (done := self._waiting.pop(self.position.offset_bytes, None)) is not None:
            self.position = done[0].end
            self.counts += done[1]

    async def checkpoint(self, ledger: Ledger) -> None:
        """Record how far everything is durable. One at a time: a late one must not step back."""
        async with self._lock:
            if not self.has_failed:
                self._checkpointed_at = time.monotonic()
                await ledger.checkpoint(self.file, self.position, self.counts)
