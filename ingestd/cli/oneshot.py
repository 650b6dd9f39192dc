"""Given files through a pipeline, once: offered in order, followed, and stopped at a checkpoint.

How it is shown is left to ``progress.py``.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from ingestd.cli.progress import Display, FileProgress
from ingestd.config.source import SourceSpec
from ingestd.engine import Engine
from ingestd.errors import FileUnavailable, StoreAway
from ingestd.files import look
from ingestd.ledger import now
from ingestd.pipeline import Pipeline
from ingestd.pipeline.job import FileJob
from ingestd.records import Counts, FileResult, FileState, FoundFile
from ingestd.watch.patterns import compile_pattern, directory_below

_LOOK_EVERY_S = 0.125
_BUSY_S = 0.5
"""How long a file waits whose content another one brings in at this moment."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How one file ended; ``result`` is missing where not even the ledger knows."""

    path: Path
    seconds: float
    result: FileResult | None = None
    message: str = ""
    hint: str = ""
    is_left_undone: bool = False
    """Its rows are stored, but it could not be put away."""

    @property
    def state(self) -> FileState:
        return FileState.FAILED if self.result is None else self.result.state

    @property
    def counts(self) -> Counts:
        return Counts() if self.result is None else self.result.counts


@dataclass(slots=True)
class _AtWork:
    """A file that the pipeline has; ``job`` is there once it was looked through and claimed."""

    size_bytes: int
    started: float = field(default_factory=time.monotonic)
    answered: anyio.Event = field(default_factory=anyio.Event)
    job: FileJob | None = None
    loading_since: float = 0.0
    loaded_at: float | None = None
    rows_before: int = 0

    def join(self, job: FileJob) -> None:
        """The pipeline loads it."""
        if self.job is None:
            self.job, self.rows_before = job, job.counts.record_count
            self.loading_since = time.monotonic()
        if self.loaded_at is None and job.is_complete:
            self.loaded_at = time.monotonic()

    @property
    def progress(self) -> FileProgress:
        if self.job is None:
            return FileProgress(self.size_bytes)
        seconds = (self.loaded_at or time.monotonic()) - self.loading_since
        job, rows = self.job, self.job.counts.record_count
        return FileProgress(
            job.layout.size_bytes, job.position.offset_bytes, rows, job.counts.error_count,
            (rows - self.rows_before) / seconds if seconds > 0 else 0.0,
        )  # fmt: skip


@dataclass(slots=True)
class OneShot:
    """Loads files of one source; ``ended`` tells how, file by file."""

    engine: Engine
    source: SourceSpec
    wait_s: float
    """How long MongoDB may be away before this gives up."""
    replaces: str | None = None
    """The id of a file in whose place the rows are to be seen."""
    ignores_budget: bool = False
    ended: dict[Path, Ended] = field(default_factory=dict)
    stopped_by: signal.Signals | None = None
    _at_work: dict[Path, _AtWork] = field(default_factory=dict)
    _offering: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    async def run(self, paths: Sequence[Path], display: Display) -> None:
        """Until every file has ended, or a signal stops it.

        Raises:
            StoreAway: MongoDB is away for longer than ``wait_s``.
        """
        pipeline = self.engine.pipeline(self._file_done)
        send, receive = anyio.create_memory_object_stream[FoundFile](0)
        async with anyio.create_task_group() as group:
            group.start_soon(self._obey_signals, pipeline.stop_soon, group.cancel_scope)
            group.start_soon(self._follow, pipeline, display)
            group.start_soon(self._offer, paths, send)
            await pipeline.run(receive)
            group.cancel_scope.cancel()

    def rows_stored(self, path: Path) -> int:
        """Of an unfinished file: how many rows need not be loaded again."""
        at_work = self._at_work.get(path)
        return at_work.job.position.row if at_work and at_work.job else 0

    async def _offer(
        self, paths: Sequence[Path], outbox: MemoryObjectSendStream[FoundFile]
    ) -> None:  # fmt: skip
        """In the order given. Of an upsert the later file wins, so there one awaits the other."""
        at_once = self.engine.settings.load.files_at_once
        turns = anyio.CapacityLimiter(1 if self.source.load.mode == "upsert" else at_once)
        with self._offering:
            async with outbox, anyio.create_task_group() as group:
                for path in paths:
                    group.start_soon(self._bring, path, turns, outbox)

    async def _bring(
        self, path: Path, turns: anyio.CapacityLimiter, outbox: MemoryObjectSendStream[FoundFile]
    ) -> None:
        while path not in self.ended:
            async with turns:
                try:
                    found = self._find(path)
                except FileUnavailable as error:
                    self.ended[path] = Ended(path, 0.0, None, error.message, error.hint)
                    return
                at_work = self._at_work[path] = _AtWork(found.stat.size_bytes)
                await outbox.send(found)
                await at_work.answered.wait()
            if path not in self.ended:
                await anyio.sleep(_BUSY_S)

    def _find(self, path: Path) -> FoundFile:
        pattern = compile_pattern(self.source.file_pattern, self.engine.settings.paths.inbox)
        return FoundFile(
            self.source.name, path, look(path), now(), self.source.manifest_of(path),
            self.replaces, self.ignores_budget,
            directory=directory_below(os.path.realpath(pattern.base), path),
        )  # fmt: skip

    def _file_done(
        self, found: FoundFile, result: FileResult | None, retry_after_s: float | None
    ) -> None:
        """Keep how it ended. No result: blocked, stopped at a checkpoint, or offered again."""
        path, at_work = found.path, self._at_work[found.path]
        seconds = time.monotonic() - at_work.started
        if result is not None:
            self.ended[path] = Ended(path, seconds, result, result.message, result.hint)
            if retry_after_s is not None:
                message, hint = "loaded, but not put away", "--verbose tells why"
                self.ended[path] = Ended(path, seconds, result, message, hint, is_left_undone=True)
        for blocked in self.engine.events.blocked_files(self.source.name):
            if blocked.path == path and result is None:
                self.ended[path] = Ended(path, seconds, None, blocked.reason, blocked.hint)
        at_work.answered.set()

    async def _follow(self, pipeline: Pipeline, display: Display) -> None:
        while True:
            for job in pipeline.jobs:
                if at_work := self._at_work.get(job.file.path):  # else it is in an archive
                    at_work.join(job)
            unfinished = {p: w.progress for p, w in self._at_work.items() if p not in self.ended}
            display.update(unfinished, self._remark())
            self._require_mongo()
            await anyio.sleep(_LOOK_EVERY_S)

    def _remark(self) -> str:
        if self.engine.mongo.is_away_since is not None:
            return "MongoDB is away, waiting"
        return "stopping at a checkpoint" if self.stopped_by else ""

    def _require_mongo(self) -> None:
        since = self.engine.mongo.is_away_since
        if since is not None and time.monotonic() - since > self.wait_s:
            raise store_away(self.wait_s)

    async def _obey_signals(
        self, stop_soon: Callable[[], None], everything: anyio.CancelScope
    ) -> None:  # fmt: skip
        """The first signal stops at a checkpoint, a second one at once."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                if self.stopped_by is not None:
                    everything.cancel()
                self.stopped_by = number
                self._offering.cancel()
                stop_soon()


def store_away(wait_s: float) -> StoreAway:
    """MongoDB was waited for long enough."""
    return StoreAway(
        f"MongoDB has not answered for {wait_s:g} s",
        "is mongod running, and is mongo.uri right? Run the same command again to go on",
    )
