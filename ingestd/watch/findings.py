"""What a look at the inboxes found, as differences to what was known."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ingestd.watch.patterns import NameTest
from ingestd.watch.problems import PathProblem, too_many_files
from ingestd.watch.sightings import Candidate, Feed, Sighting

_MOST_PROBLEMS = 100
"""Told of one source; the others have the same causes."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What to look for, and what is known already."""

    feeds: tuple[Feed, ...]
    is_ignored: NameTest
    known: Mapping[str, Candidate]
    """By path. It may change during the look: copied at once, or asked for single paths."""
    counts: Mapping[str, int]
    """Files known, by source."""
    most_files: int
    """Most files to know of one source; others are taken up when some of these are gone."""


@dataclass(slots=True)
class Findings:
    """The files that are new or changed, those that vanished, and what stands in the way."""

    outlook: Outlook
    changed: list[Sighting] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    problems: dict[str, list[PathProblem]] = field(default_factory=dict)
    roots: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The base directories that are there, with device and inode."""
    _added: Counter[str] = field(default_factory=Counter)

    def sight(self, feed: Feed, now: Sighting) -> bool:
        """Keep the sighting if it is news; False if there are too many files to take it up."""
        before = self.outlook.known.get(now.path)
        if before is None and not self._has_room(feed):
            return False
        if before is None or (before.stat, before.is_marked) != (now.stat, now.is_marked):
            self.changed.append(now)
        return True

    def note(self, feed: Feed, problem: PathProblem) -> None:
        noted = self.problems.setdefault(feed.source_name, [])
        if len(noted) < _MOST_PROBLEMS:
            noted.append(problem)

    def _has_room(self, feed: Feed) -> bool:
        name, most_files = feed.source_name, self.outlook.most_files
        if self.outlook.counts.get(name, 0) + self._added[name] < most_files:
            self._added[name] += 1
            return True
        problem = too_many_files(feed.pattern.base, most_files)
        if problem not in self.problems.get(name, ()):
            self.note(feed, problem)
        return False
