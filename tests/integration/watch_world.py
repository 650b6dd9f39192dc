"""A watcher that runs on a real file system, and what it tells."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from ingestd.config.settings import WatchSettings
from ingestd.config.source import SourceSpec
from ingestd.events import Events
from ingestd.metrics import Metrics
from ingestd.records import FoundFile
from ingestd.watch import Watcher
from ingestd.watch.arrivals import HasRoom, always

Found = MemoryObjectReceiveStream[FoundFile]

PATIENCE_S = 20.0
QUICK = WatchSettings(rescan_interval=0.2, settle=0.02, settle_unproven=0.1)
NEVER_BY_ITSELF = WatchSettings(rescan_interval=3600, settle=0.02, settle_unproven=0.1)
"""Only a wake-up can find a file in time."""


class RecordedEvents(Events):
    """The real events, which also remember what they were told."""

    def __init__(self) -> None:
        super().__init__(Metrics())
        self.ignored: list[tuple[str, str]] = []
        self.missing: list[Path] = []
        self.troubles: list[str] = []
        self.scans = 0

    def scanned(self, waiting: dict[str, int]) -> None:
        super().scanned(waiting)
        self.scans += 1

    def path_ignored(self, source_name: str, path: Path, reason: str, hint: str) -> None:
        super().path_ignored(source_name, path, reason, hint)
        self.ignored.append((path.name, reason))

    def inbox_missing(self, source_name: str, directory: Path) -> None:
        super().inbox_missing(source_name, directory)
        self.missing.append(directory)

    def watch_trouble(self, place: str, reason: str) -> None:
        super().watch_trouble(place, reason)
        self.troubles.append(reason)


def source(name: str, file_pattern: str, **more: object) -> SourceSpec:
    return SourceSpec.model_validate(
        {"name": name, "file_pattern": file_pattern, "schema": {"a": "string"}, **more}
    )


class Setup:
    """A watcher that runs, and the receiving end of what it finds."""

    def __init__(self, watcher: Watcher, found: Found, inbox: Path, events: RecordedEvents) -> None:
        self.watcher, self.found, self.inbox, self.events = watcher, found, inbox, events

    async def next(self) -> FoundFile:
        with anyio.fail_after(PATIENCE_S):
            return await self.found.receive()

    async def next_names(self, count: int) -> list[str]:
        return sorted([(await self.next()).path.name for _ in range(count)])

    async def until(self, is_true: Callable[[], object]) -> None:
        """Wait for a condition on what the watcher tells."""
        with anyio.fail_after(PATIENCE_S):
            while not is_true():
                await anyio.sleep(0.005)

    async def until_scanned(self) -> None:
        """Wait for a scan that begins after this call: two ends, as one may be under way."""
        for _ in range(2):
            scans_before = self.events.scans
            self.watcher.recheck()
            await self.until(lambda before=scans_before: self.events.scans > before)

    def drop(self, name: str, content: bytes = b"a\n1\n") -> Path:
        """Put a file in as one should: written elsewhere, renamed in."""
        outside = self.inbox.parent / f"outside-{os.urandom(4).hex()}"
        outside.write_bytes(content)
        target = self.inbox / name
        os.rename(outside, target)
        return target

    def messages(self, source_name: str) -> list[str]:
        return [problem.message for problem in self.watcher.problems().get(source_name, [])]


@asynccontextmanager
async def watching(
    tmp_path: Path,
    *sources: SourceSpec,
    settings: WatchSettings = QUICK,
    has_room: HasRoom = always,
) -> AsyncIterator[Setup]:
    inbox = tmp_path / "inbox"
    events = RecordedEvents()
    watcher = Watcher(sources, inbox, settings, events)
    watcher.prepare()
    outbox, found = anyio.create_memory_object_stream[FoundFile](0)
    async with anyio.create_task_group() as tasks, found:
        tasks.start_soon(watcher.run, outbox, has_room)
        yield Setup(watcher, found, inbox, events)
        tasks.cancel_scope.cancel()


ORDERS = source("orders", "*.csv")
