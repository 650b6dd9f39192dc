"""Two lanes from the cuts of a file to MongoDB, so that a small file waits for no large one.

Each lane has refiners and writers of its own. They share the workers, which serve both in turn:
neither lane can starve the other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectSendStream

from ingestd.pipeline.job import ChunkTask
from ingestd.pipeline.stages import LoadStage, RefinedTask, RefineStage

Lane = MemoryObjectSendStream[ChunkTask]


@dataclass(frozen=True, slots=True)
class Lanes:
    """Where the chunks of all files go."""

    small: Lane
    large: Lane

    async def send(self, task: ChunkTask) -> None:
        """Hand a chunk out; one that is a whole file goes past those of larger files."""
        is_whole_file = len(task.job.layout.chunks) == 1
        await (self.small if is_whole_file else self.large).send(task)


@dataclass(frozen=True, slots=True)
class Crew:
    """Who works in each lane, and how many of each kind."""

    refine: RefineStage
    refiners: int
    load: LoadStage
    writers: int

    @contextmanager
    def at_work(self, group: TaskGroup, name: str) -> Iterator[Lane]:
        """A lane; when it is closed, the crew finishes what is in it and goes."""
        chunks_in, chunks_out = anyio.create_memory_object_stream[ChunkTask](0)
        loads_in, loads_out = anyio.create_memory_object_stream[RefinedTask](0)
        with chunks_in:
            with chunks_out, loads_in, loads_out:
                for n in range(self.refiners):
                    ends = chunks_out.clone(), loads_in.clone()
                    group.start_soon(self.refine.run, *ends, name=f"refine {name} {n}")
                for n in range(self.writers):
                    group.start_soon(self.load.run, loads_out.clone(), name=f"load {name} {n}")
            yield chunks_in
