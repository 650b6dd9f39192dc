"""One stretch of work by one reading of the configuration: a watcher, and the pipeline behind it.

A reload ends a shift and begins another. A file that is in the middle then goes on from its
checkpoint, or from its start when its source has other rules now: the ledger knows which.
"""

import os
from pathlib import Path

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from ingestd.engine import Engine
from ingestd.pipeline.gather import MOST_FILES
from ingestd.records import FileResult, FoundFile
from ingestd.watch import Watcher


class Shift:
    """Finds files and loads them, until it is ended."""

    def __init__(self, engine: Engine, watcher: Watcher) -> None:
        self.watcher = watcher
        self.pipeline = engine.pipeline(self._file_done)
        self._events = engine.events
        self._finding = anyio.CancelScope()
        self._working = anyio.CancelScope()

    async def run(self) -> None:
        """Until no more files are to be found, and all that were found have ended or stopped."""
        with self._working:
            send, receive = anyio.create_memory_object_stream[FoundFile](MOST_FILES)
            async with anyio.create_task_group() as group:
                group.start_soon(self._find_files, send, name="watcher")
                await self.pipeline.run(receive)

    def end(self) -> None:
        """Find no more files; those at work are finished."""
        self._finding.cancel()

    def end_soon(self) -> None:
        """The same, and files at work end at their next checkpoint."""
        self.end()
        self.pipeline.stop_soon()

    def cut_short(self) -> None:
        """Drop everything: the ledger knows how far each file has come."""
        self._working.cancel()

    async def _find_files(self, outbox: MemoryObjectSendStream[FoundFile]) -> None:
        with self._finding:
            await self.watcher.run(outbox, self.pipeline.has_room)

    def _file_done(
        self, found: FoundFile, result: FileResult | None, retry_after_s: float | None
    ) -> None:
        self.watcher.finished(found, retry_after_s)
        marker = self.watcher.marker_path(found)
        if not os.path.lexists(found.path):
            self._events.file_vanished(found.path)
        if retry_after_s is None:
            self._events.file_unblocked(found.source_name, found.path)
            if result is not None and marker is not None:
                self._remove_marker(marker)

    def _remove_marker(self, marker: Path) -> None:
        try:
            marker.unlink(missing_ok=True)
        except OSError as error:  # somebody else's directory: the marker stays, and is harmless
            self._events.side_file_left(marker, error.strerror or "")
