"""When to look, and keeping what the looks found. The looks themselves run in threads."""

import time
from collections.abc import Iterable
from pathlib import Path

import anyio
import anyio.to_thread

from ingestd.config.settings import WatchSettings
from ingestd.events import Events
from ingestd.watch.arrivals import Arrivals
from ingestd.watch.bell import Bell
from ingestd.watch.findings import Findings, Outlook
from ingestd.watch.glance import glance
from ingestd.watch.problems import PathProblem
from ingestd.watch.scan import scan
from ingestd.watch.settle import still_time_s

_REST_PER_WORK = 4
"""Scans take at most a fifth of the time, however many files lie there."""
_MOST_HINTS = 1000
"""With more changed paths than that, one scan is cheaper."""
_YIELD_EVERY_FILES = 500


class Scanner:
    """Looks through the inboxes at every interval and when asked, at single paths when hinted."""

    def __init__(
        self, outlook: Outlook, arrivals: Arrivals, settings: WatchSettings, events: Events
    ) -> None:
        self.problems: dict[str, list[PathProblem]] = {}
        self.roots: dict[str, tuple[int, int]] = {}
        """The base directories that are there, with device and inode."""
        self.has_news = Bell()
        self.scanned_at: float | None = None
        """When the last scan ended, monotonic."""
        self._outlook = outlook
        self._arrivals = arrivals
        self._settings = settings
        self._events = events
        self._roots_changed = anyio.Event()
        self._bell = Bell()
        self._is_wanted = True
        self._hints: set[str] = set()
        self._rest_s = 0.0

    async def run(self) -> None:
        """Look, for ever."""
        thread = anyio.CapacityLimiter(1)
        while True:
            await self._bell.wait(until=self._next_scan_at())
            if time.monotonic() >= self._next_scan_at():
                await self._scan(thread)
            elif self._hints:
                await self._glance(thread)

    def want_scan(self) -> None:
        """Scan as soon as the last scan's rest is over."""
        self._is_wanted = True
        self._bell.ring()

    def hint(self, paths: Iterable[str]) -> None:
        """Something happened to these paths."""
        self._hints.update(paths)
        if len(self._hints) > _MOST_HINTS:
            self._hints.clear()
            self._is_wanted = True
        self._bell.ring()

    def await_new_roots(self) -> anyio.Event:
        """An event that is set when the present base directories are not these any more."""
        self._roots_changed = anyio.Event()
        return self._roots_changed

    def distrust_roots(self) -> None:
        """A base directory was removed, and may be there again under the same name and inode."""
        self.roots = {}
        self.want_scan()

    def _next_scan_at(self) -> float:
        if self.scanned_at is None:
            return 0.0
        pause_s = 0.0 if self._is_wanted else self._settings.rescan_interval
        return self.scanned_at + max(pause_s, self._rest_s)

    async def _scan(self, thread: anyio.CapacityLimiter) -> None:
        self._is_wanted = False
        self._hints.clear()
        began_at = time.monotonic()
        found = await anyio.to_thread.run_sync(
            scan, self._outlook, limiter=thread, abandon_on_cancel=True
        )
        await self._take_up(found)
        self.scanned_at = time.monotonic()
        self._rest_s = _REST_PER_WORK * (self.scanned_at - began_at)
        self._tell_problems(found.problems)
        if found.roots != self.roots:
            self.roots = found.roots
            self._roots_changed.set()
        self._events.scanned({name: self._arrivals.waiting[name] for name in self._source_names()})

    async def _glance(self, thread: anyio.CapacityLimiter) -> None:
        hints, self._hints = self._hints, set()
        found = await anyio.to_thread.run_sync(
            glance, self._outlook, hints, limiter=thread, abandon_on_cancel=True
        )
        if found is None:
            self.want_scan()
        else:
            await self._take_up(found)

    async def _take_up(self, found: Findings) -> None:
        at, now_ns = time.monotonic(), time.time_ns()
        for number, sighting in enumerate(found.changed, start=1):
            still_s = still_time_s(sighting.stat, now_ns, self._settings)
            self._arrivals.sight(sighting, at - still_s)
            if number % _YIELD_EVERY_FILES == 0:
                await anyio.lowlevel.checkpoint()
        for path in found.vanished:
            self._arrivals.vanish(path)
            self._events.file_vanished(Path(path))
        if found.changed:
            self.has_news.ring()

    def _tell_problems(self, problems: dict[str, list[PathProblem]]) -> None:
        """Tell each problem once, and again when it comes back after it was gone."""
        for source_name, noted in problems.items():
            known = frozenset(self.problems.get(source_name, ()))
            for problem in noted:
                if problem in known:
                    continue
                if problem.is_missing_inbox:
                    self._events.inbox_missing(source_name, problem.path)
                else:
                    self._events.path_ignored(
                        source_name, problem.path, problem.message, problem.hint
                    )
        self.problems = problems

    def _source_names(self) -> Iterable[str]:
        return (feed.source_name for feed in self._outlook.feeds)
