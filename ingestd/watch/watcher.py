"""The watcher: directories in, settled files out.

Three tasks. One scans (the truth), one listens to the kernel (a wake-up, no more), one offers
what has settled; so scans go on while the pipeline takes its time. What is in a file, and what
becomes of it, is left to the pipeline.
"""

import time
from collections.abc import Sequence, Set
from datetime import UTC, datetime
from itertools import islice
from math import inf
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectSendStream

from ingestd.config.settings import WatchSettings
from ingestd.config.source import SourceSpec
from ingestd.errors import ConfigError, FileUnavailable, Problem
from ingestd.events import Events
from ingestd.files import displayable
from ingestd.records import FoundFile
from ingestd.watch.arrivals import Arrivals, HasRoom, always
from ingestd.watch.findings import Outlook
from ingestd.watch.listener import Listener
from ingestd.watch.patterns import Pattern, compile_names, compile_pattern, directory_below
from ingestd.watch.problems import PathProblem
from ingestd.watch.scanner import Scanner
from ingestd.watch.settle import Look, look_closely
from ingestd.watch.sightings import Candidate, Feed

_MOST_FILES = 50_000
"""Files of one source that are kept in mind, about 1 kB each."""

_STRAY_AFTER_SCANS = 5

_LOOKS_AT_ONCE = 64
"""Files that are looked at in one turn of a thread."""


class Watcher:
    """Finds the files of all sources and offers each, once it is complete, once."""

    def __init__(
        self, sources: Sequence[SourceSpec], inbox: Path, settings: WatchSettings, events: Events
    ) -> None:
        self._feeds = {
            source.name: _feed(source, compile_pattern(source.file_pattern, inbox))
            for source in sources
        }
        feeds = tuple(self._feeds.values())
        self._arrivals = Arrivals(feeds, settings)
        self._scanner = Scanner(
            Outlook(
                feeds,
                compile_names(settings.ignore),
                self._arrivals.known,
                self._arrivals.counts,
                _MOST_FILES,
                inbox,
                _STRAY_AFTER_SCANS * settings.rescan_interval,
            ),
            self._arrivals,
            settings,
            events,
        )
        is_recursive = any(feed.pattern.has_subdirectories for feed in feeds)
        self._listener = Listener(self._scanner, events, is_recursive=is_recursive)

    def prepare(self) -> None:
        """Make the base directories that lie in the inbox. Raises ConfigError.

        Others, given as absolute paths, are somebody else's: a missing one may be a mount.
        """
        problems = [
            problem
            for feed in self._feeds.values()
            if feed.pattern.is_in_inbox and (problem := _make_base(feed)) is not None
        ]
        if problems:
            raise ConfigError(tuple(problems))

    async def run(
        self, outbox: MemoryObjectSendStream[FoundFile], has_room: HasRoom = always
    ) -> None:
        """Offer files until cancelled, or until nobody receives them any more.

        A file for which there is no room is offered after another one is finished.
        """
        async with outbox, anyio.create_task_group() as tasks:
            tasks.start_soon(self._scanner.run, name="watch: scan")
            tasks.start_soon(self._listener.run, name="watch: listen")
            await self._offer(outbox, has_room)
            tasks.cancel_scope.cancel()

    def finished(self, found: FoundFile, retry_after_s: float | None) -> None:
        """The pipeline is done with a file. It is offered again after that time; with None only
        when it changes, or goes away and comes back."""
        retry_at = inf if retry_after_s is None else time.monotonic() + retry_after_s
        self._arrivals.finish(found, retry_at)
        self._scanner.has_news.ring()

    def recheck(self) -> None:
        """Scan now."""
        self._scanner.want_scan()

    def pause(self, source_names: Set[str]) -> None:
        """Offer no file of these sources, and of all others; a few on their way still arrive."""
        if self._arrivals.pause(source_names):
            self._scanner.has_news.ring()

    def marker_path(self, found: FoundFile) -> Path | None:
        """The done-marker of the file, for the pipeline to remove after the file is archived."""
        return None if found.manifest else self._marker_of(found.source_name, found.path)

    # health

    @property
    def last_scan_age_s(self) -> float:
        """Seconds since the inboxes were last looked through; inf before the first time."""
        scanned_at = self._scanner.scanned_at
        return inf if scanned_at is None else time.monotonic() - scanned_at

    def problems(self) -> dict[str, list[PathProblem]]:
        """What was left alone or cannot be read, by source; ``NOBODY``: what belongs to none."""
        problems = {name: list(noted) for name, noted in self._scanner.problems.items()}
        for source_name, obstacle in self._arrivals.stuck(time.monotonic()):
            problems.setdefault(source_name, []).append(obstacle)
        return problems

    def waiting(self) -> dict[str, int]:
        """Files seen and not yet taken, by source."""
        return {name: self._arrivals.waiting[name] for name in self._feeds}

    # offering

    async def _offer(
        self, outbox: MemoryObjectSendStream[FoundFile], has_room: HasRoom
    ) -> None:  # fmt: skip
        """Send what has settled, source by source, until the other end is closed."""
        thread = anyio.CapacityLimiter(1)
        while True:
            if not (files := self._take(has_room)):
                await self._scanner.has_news.wait(until=self._arrivals.next_due_at())
                continue
            looks = await anyio.to_thread.run_sync(
                self._look_at, files, limiter=thread, abandon_on_cancel=True
            )
            for file, seen in zip(files, looks, strict=True):
                if (found := self._judge(file, seen)) is None:
                    continue
                try:
                    await outbox.send(found)
                except anyio.BrokenResourceError:
                    return

    def _take(self, has_room: HasRoom) -> list[Candidate]:
        """The next files, as many as one turn of a thread is to look at."""
        now = time.monotonic()
        taken = iter(lambda: self._arrivals.take(now, has_room), None)
        return list(islice(taken, _LOOKS_AT_ONCE))

    def _look_at(self, files: Sequence[Candidate]) -> list[Look | FileUnavailable]:
        """A fresh look: the files may have waited for long since they settled."""
        looks: list[Look | FileUnavailable] = []
        for file in files:
            path = Path(file.path)
            try:
                looks.append(look_closely(path, self._marker_of(file.source_name, path)))
            except FileUnavailable as error:
                looks.append(error)
        return looks

    def _judge(self, file: Candidate, seen: Look | FileUnavailable) -> FoundFile | None:
        """The file if it is complete; else it comes up again later."""
        path, at = Path(file.path), time.monotonic()
        if isinstance(seen, FileUnavailable):  # a scan will tell if it is gone
            self._arrivals.postpone(file, PathProblem(path, seen.message, seen.hint), at)
            return None
        if not self._arrivals.judge(file, seen, at):
            return None
        marker = self._marker_of(file.source_name, path)
        feed = self._feeds[file.source_name]
        return FoundFile(
            file.source_name, path, seen.stat, datetime.now(UTC),
            marker if feed.has_manifests else None, directory=directory_below(feed.base, path),
        )  # fmt: skip

    def _marker_of(self, source_name: str, path: Path) -> Path | None:
        suffix = self._feeds[source_name].done_marker
        return None if suffix is None else path.with_name(path.name + suffix)


def _feed(source: SourceSpec, pattern: Pattern) -> Feed:
    if source.manifest is None:
        return Feed(source.name, pattern, source.done_marker)
    return Feed(source.name, pattern, source.manifest.suffix, has_manifests=True)


def _make_base(feed: Feed) -> Problem | None:
    base = feed.pattern.base
    try:
        base.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot make the inbox {displayable(base)}: {error.strerror}"
        hint = "make it yourself, or let the user that runs ingestd write there"
        return Problem(f"source {feed.source_name}", "file_pattern", message, hint)
    return None
