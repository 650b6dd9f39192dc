"""The order of the stages and the queues between them.

    found files ──► intake ──► refine ──► load ──► (intake finishes the file)
                    files at    one task    some
                    once        per worker  writers

Closing a stream is the message: when the inbox closes, the intake finishes what it has and
closes the next stream, and so on to the end. What each error leads to is in ``policy.py``.
"""

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from ingestd.pipeline.desk import Desk
from ingestd.pipeline.intake import Done, Intake
from ingestd.pipeline.job import ChunkTask, FileJob
from ingestd.pipeline.loading import Loading
from ingestd.pipeline.recovery import recover
from ingestd.pipeline.stages import ByteBudget, LoadStage, RefinedBundle, RefineStage
from ingestd.records import FoundFile

__all__ = ["Desk", "Done", "Pipeline", "recover"]


class Pipeline:
    """Takes found files until its inbox closes, and loads them."""

    def __init__(self, desk: Desk, done: Done, worker_count: int) -> None:
        self._settings = desk.settings.load
        self._loading = Loading(desk)
        large = anyio.CapacityLimiter(self._settings.large_files_at_once)
        self._intake = Intake(desk, self._loading, done, large)
        self._refiners = worker_count + 1  # one more, so that no worker waits for the next chunk
        budget = ByteBudget(self._settings.memory, desk.events)
        bundle_bytes = desk.settings.refine.chunk_bytes
        self._refine = RefineStage(desk.workers, budget, desk.events, bundle_bytes)
        self._load = LoadStage(
            desk.loader, desk.rejects, desk.ledger, desk.workers, budget, desk.events,
            self._settings,
        )  # fmt: skip

    @property
    def jobs(self) -> list[FileJob]:
        """The files that are loading now."""
        return list(self._loading.jobs.values())

    def stop_soon(self) -> None:
        """Hand out no more chunks: files end at a checkpoint, and go on after the restart."""
        self._loading.is_stopping = True

    async def run(self, inbox: MemoryObjectReceiveStream[FoundFile]) -> None:
        """Until the inbox is closed and everything taken from it has ended."""
        chunks_in, chunks_out = anyio.create_memory_object_stream[ChunkTask](0)
        loads_in, loads_out = anyio.create_memory_object_stream[RefinedBundle](0)
        async with anyio.create_task_group() as group, inbox, chunks_in, chunks_out:
            async with loads_in, loads_out:
                for n in range(self._settings.files_at_once):
                    group.start_soon(
                        self._intake.run, inbox.clone(), chunks_in.clone(), name=f"intake {n}"
                    )
                for n in range(self._refiners):
                    group.start_soon(
                        self._refine.run, chunks_out.clone(), loads_in.clone(), name=f"refine {n}"
                    )
                for n in range(self._settings.writers):
                    group.start_soon(self._load.run, loads_out.clone(), name=f"load {n}")
            for stream in (inbox, chunks_in, chunks_out):
                stream.close()
