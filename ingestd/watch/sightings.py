"""What the parts of the watcher tell each other: feeds to look for, files seen."""

import os
from dataclasses import dataclass
from enum import Enum, auto
from math import inf
from typing import NamedTuple

from ingestd.records import FileStat
from ingestd.watch.patterns import Pattern, State
from ingestd.watch.problems import PathProblem


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """What the watcher knows of a source: which paths are its, and what marks them complete."""

    source_name: str
    pattern: Pattern
    done_marker: str | None = None
    """Suffix of the file that marks another as complete."""
    has_manifests: bool = False
    """That file is a manifest: it is read, and goes where the other one goes."""

    @property
    def base(self) -> str:
        """The base directory with links resolved; it can be made or moved at any time."""
        return os.path.realpath(self.pattern.base)

    def accepts(self, state: State, name: str) -> bool:
        """Whether a file of that name is data of the source; a marker never is."""
        return not self.is_marker(name) and self.pattern.accepts(state, name)

    def is_marker(self, name: str) -> bool:
        """Whether a file of that name says of another that it is complete."""
        return self.done_marker is not None and name.endswith(self.done_marker)


class Sighting(NamedTuple):
    """A file of a source as it looked at this moment. There is no link in ``path``."""

    source_name: str
    path: str
    stat: FileStat
    is_marked: bool
    """Its done-marker lies beside it."""


class Stage(Enum):
    """How far a candidate has come."""

    SETTLING = auto()
    """Looked at again when it is due."""
    READY = auto()
    """Settled as far as time goes; waits for its turn."""
    OFFERED = auto()
    """The pipeline has it."""
    DONE = auto()
    """Not offered again unless it changes."""
    GONE = auto()
    """Forgotten; a queue may still hold it."""


@dataclass(slots=True, eq=False)
class Candidate:
    """A file that was seen. ``Arrivals`` changes it, a scan only reads it."""

    source_name: str
    path: str
    stat: FileStat | None
    """None: gone, while the pipeline has it."""
    is_marked: bool
    unchanged_since: float
    """Monotonic time from which the present content has been there, or was first seen."""
    stage: Stage = Stage.GONE
    due_at: float = inf
    """When it can next be taken, monotonic; never, if only a marker or a change can help."""
    scheduled_at: float = inf
    """When the queue next brings it up."""
    fruitless_looks: int = 0
    obstacle: PathProblem | None = None
    """Why the last close look was fruitless."""
