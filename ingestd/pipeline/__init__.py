"""The order of the stages and the queues between them.

    found files ──► intake ──► small ones together: refine, load, commit, put away
                      │
                      └──────► others alone ──► refine ──► load ──► (commit, put away)
                               files at once    one task   some
                                                per worker writers
                                                └─ twice: for small files and for large ones ─┘

Closing a stream is the message: when the inbox closes, the intake finishes what it has and
closes both lanes, and so on to the end. What each error leads to is in ``policy.py``.
"""

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from ingestd.pipeline.desk import Desk
from ingestd.pipeline.intake import Done, Intake
from ingestd.pipeline.job import FileJob
from ingestd.pipeline.lanes import Crew, Lanes
from ingestd.pipeline.loading import Loading
from ingestd.pipeline.recovery import recover
from ingestd.pipeline.stages import ByteBudget, LoadStage, RefineStage
from ingestd.records import FoundFile

__all__ = ["Desk", "Done", "Pipeline", "recover"]


_GROUPS_AT_ONCE = 4
"""While one is written, another is refined, a third read, a fourth put away."""


class Pipeline:
    """Takes found files until its inbox closes, and loads them."""

    def __init__(self, desk: Desk, done: Done, worker_count: int) -> None:
        settings = desk.settings.load
        self._loading = Loading(desk)
        self._intake = Intake(desk, self._loading, done)
        budget = ByteBudget(settings.memory, desk.events)
        refine = RefineStage(desk.workers, budget, desk.events)
        load = LoadStage(
            desk.loader, desk.rejects, desk.ledger, desk.workers, budget, desk.events, settings
        )
        refiners = worker_count + 1  # one more, so that no worker waits for the next chunk
        self._crew = Crew(refine, refiners, load, settings.writers)

    @property
    def jobs(self) -> list[FileJob]:
        """The files that are loading now."""
        return list(self._loading.jobs.values())

    def has_room(self, size_bytes: int) -> bool:
        """Whether a file of that size would be begun at once: others need not wait behind it."""
        return self._intake.has_room(size_bytes)

    def stop_soon(self) -> None:
        """Hand out no more chunks: files end at a checkpoint, and go on after the restart."""
        self._loading.is_stopping = True

    async def run(self, inbox: MemoryObjectReceiveStream[FoundFile]) -> None:
        """Until the inbox is closed and everything taken from it has ended."""
        async with anyio.create_task_group() as group, inbox:
            with (
                self._crew.at_work(group, "small") as small,
                self._crew.at_work(group, "large") as large,
            ):
                async with anyio.create_task_group() as intakes:
                    lanes = Lanes(small, large)
                    for n in range(_GROUPS_AT_ONCE):
                        intakes.start_soon(
                            self._intake.run, inbox.clone(), lanes, intakes, name=f"intake {n}"
                        )
                    inbox.close()
