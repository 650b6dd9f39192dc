"""Which files are known, when each can next be taken, and whose turn it is. No I/O, no clock.

A file goes from SETTLING (queued by time) to READY (queued by arrival) to OFFERED to DONE, and
back to SETTLING when it changes. Queue entries stay when a file changes: they are checked when
they come up. All times are monotonic seconds.
"""

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Set
from math import inf

from ingestd.config.settings import WatchSettings
from ingestd.records import FoundFile
from ingestd.watch.problems import PathProblem, held_open
from ingestd.watch.settle import Look, complete_at, quiet_time_s
from ingestd.watch.sightings import Candidate, Feed, Sighting, Stage

_WAITING = (Stage.SETTLING, Stage.READY)
_FIRST_RETRY_S = 0.05
"""How soon a file that somebody writes to is looked at again; then twice that, and so on."""
_STUCK_AFTER_S = 60.0

_MOST_PASSED = 100
"""Files of a source that are passed over at once, so that a look at a long queue stays short."""

Arrival = tuple[int, int, str]
"""Order of arrival: when it got its name here, when it was written, its path."""
Queue = list[tuple[Arrival, int, Candidate]]

HasRoom = Callable[[int], bool]
"""Whether a file of so many bytes would be begun at once."""


def always(size_bytes: int) -> bool:
    """There is room for every file."""
    return True


class Arrivals:
    """The files of all sources, from first sight to gone."""

    def __init__(self, feeds: Iterable[Feed], settings: WatchSettings) -> None:
        self.known: dict[str, Candidate] = {}
        self.counts: Counter[str] = Counter()
        self.waiting: Counter[str] = Counter()
        self._settings = settings
        self._needs_marker = {feed.source_name: feed.done_marker is not None for feed in feeds}
        self._due: list[tuple[float, int, Candidate]] = []
        self._ready: dict[str, Queue] = {source_name: [] for source_name in self._needs_marker}
        self._numbers = itertools.count()
        self._paused: Set[str] = frozenset()

    # what was seen

    def sight(self, now: Sighting, unchanged_since: float) -> None:
        """A file is new or changed, and if changed, since then as it is."""
        file = self.known.get(now.path)
        if file is None:
            file = Candidate(now.source_name, now.path, now.stat, now.is_marked, unchanged_since)
            self.known[now.path] = file
            self.counts[now.source_name] += 1
        has_changed = file.stat != now.stat
        if file.stat is None or not file.stat.is_same_content(now.stat):
            file.unchanged_since, file.fruitless_looks, file.obstacle = unchanged_since, 0, None
        file.stat, file.is_marked = now.stat, now.is_marked
        if file.stage is Stage.OFFERED or (file.stage is Stage.DONE and not has_changed):
            return
        self._settle(file)

    def vanish(self, path: str) -> None:
        """A file is not there any more."""
        file = self.known.get(path)
        if file is None:
            return
        file.stat = None
        if file.stage is not Stage.OFFERED:
            self._forget(file)

    # whose turn it is

    def next_due_at(self) -> float:
        """When ``take`` is worth the next try, after it had nothing."""
        return self._due[0][0] if self._due else inf

    def take(self, at: float, has_room: HasRoom = always) -> Candidate | None:
        """The next file whose time has come: sources in turn, each in order of arrival.

        A file for which there is no room keeps its place, and lets others pass.
        """
        self._promote(at)
        for source_name, queue in list(self._ready.items()):
            file = None if source_name in self._paused else _pop(queue, has_room)
            if file is not None:
                self._ready[source_name] = self._ready.pop(source_name)  # last in the next round
                return file
        return None

    def pause(self, source_names: Set[str]) -> bool:
        """Take no file of these sources, and of all others; returns whether that is new."""
        is_new, self._paused = self._paused != source_names, frozenset(source_names)
        return is_new

    def judge(self, file: Candidate, seen: Look, at: float) -> bool:
        """Whether a file just taken is complete; it counts as offered then."""
        if file.stage is not Stage.READY:  # it changed or vanished during the look
            return False
        if not self._is_as_known(file, seen):
            self.sight(Sighting(file.source_name, file.path, seen.stat, seen.is_marked), at)
            return False
        complete = complete_at(seen, file.unchanged_since, self._settings)
        if complete is None:
            self.postpone(file, held_open(file.path), at)
        elif complete > at:
            self._wait(file, complete)
        else:
            file.stat, file.obstacle = seen.stat, None
            self._enter(file, Stage.OFFERED)
            return True
        return False

    @staticmethod
    def _is_as_known(file: Candidate, seen: Look) -> bool:
        is_same = file.stat is not None and file.stat.is_same_content(seen.stat)
        return is_same and file.is_marked == seen.is_marked

    def postpone(self, file: Candidate, obstacle: PathProblem, at: float) -> None:
        """A file just taken cannot be had yet: try later, and ever less often."""
        if file.stage is Stage.READY:
            file.obstacle = obstacle
            delay_s = min(
                _FIRST_RETRY_S * 2.0**file.fruitless_looks, self._settings.rescan_interval
            )
            file.fruitless_looks = min(file.fruitless_looks + 1, 30)
            self._wait(file, at + delay_s)

    def finish(self, found: FoundFile, retry_at: float) -> None:
        """The pipeline is done with an offered file; ``retry_at`` is inf for never again."""
        file = self.known.get(str(found.path))
        if file is None or file.stage is not Stage.OFFERED:
            return
        if file.stat is None:
            self._forget(file)
        elif file.stat != found.stat:
            self._settle(file)
        elif retry_at == inf:
            self._enter(file, Stage.DONE)
        else:
            self._wait(file, retry_at)

    def stuck(self, at: float) -> Iterator[tuple[str, PathProblem]]:
        """Sources and obstacles of files that nobody changed for long and that cannot be had."""
        for file in self.known.values():
            if file.obstacle is not None and at - file.unchanged_since > _STUCK_AFTER_S:
                yield file.source_name, file.obstacle

    # how a file goes from stage to stage

    def _settle(self, file: Candidate) -> None:
        """Bring the file up as soon as it may be complete."""
        assert file.stat is not None
        if self._needs_marker[file.source_name]:
            self._wait(file, file.unchanged_since if file.is_marked else inf)
        else:
            self._wait(file, file.unchanged_since + quiet_time_s(file.stat, self._settings))

    def _wait(self, file: Candidate, due_at: float) -> None:
        self._enter(file, Stage.SETTLING)
        file.due_at = due_at
        self._schedule(file)

    def _schedule(self, file: Candidate) -> None:
        """Queue the file, unless it comes up early enough anyway."""
        if file.due_at < file.scheduled_at:
            file.scheduled_at = file.due_at
            heapq.heappush(self._due, (file.due_at, next(self._numbers), file))

    def _promote(self, at: float) -> None:
        """Make ready what is due."""
        while self._due and self._due[0][0] <= at:
            scheduled_at, number, file = heapq.heappop(self._due)
            if file.scheduled_at != scheduled_at:  # queued again for an earlier time
                continue
            file.scheduled_at = inf
            if file.stage is not Stage.SETTLING:
                continue
            if file.due_at > at:
                self._schedule(file)
                continue
            assert file.stat is not None
            self._enter(file, Stage.READY)
            arrival = (file.stat.ctime_ns, file.stat.mtime_ns, file.path)
            heapq.heappush(self._ready[file.source_name], (arrival, number, file))

    def _forget(self, file: Candidate) -> None:
        self._enter(file, Stage.GONE)
        self.counts[file.source_name] -= 1
        del self.known[file.path]

    def _enter(self, file: Candidate, stage: Stage) -> None:
        self.waiting[file.source_name] += (stage in _WAITING) - (file.stage in _WAITING)
        file.stage = stage


def _pop(queue: Queue, has_room: HasRoom) -> Candidate | None:
    """The first file there is room for; those before it stay."""
    passed: Queue = []
    taken = None
    while queue and taken is None and len(passed) < _MOST_PASSED:
        entry = heapq.heappop(queue)
        file = entry[-1]
        if file.stage is not Stage.READY or file.stat is None:
            continue
        if has_room(file.stat.size_bytes):
            taken = file
        else:
            passed.append(entry)
    for entry in passed:
        heapq.heappush(queue, entry)
    return taken
