"""What a look at the inboxes found, as differences to what was known."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ingestd.watch.patterns import NameTest
from ingestd.watch.problems import PathProblem, too_many_files
from ingestd.watch.sightings import Candidate, Feed, Sighting

_MOST_PROBLEMS = 100
_MOST_NOTICES = 20
"""Told of one source; the others have the same causes."""

NOBODY = ""
"""Stands for a source where something belongs to none."""


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
    inbox: Path | None = None
    """What lies directly in it, and leads to no source, is told."""
    stray_after_s: float = 0.0
    """How long a file that fits no pattern must be still to be told."""

    @property
    def ways(self) -> frozenset[Path]:
        """The base directories, and those above them."""
        bases = [feed.pattern.base for feed in self.feeds]
        return frozenset(place for base in bases for place in (base, *base.parents))


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

    def note(self, source_name: str, problem: PathProblem) -> None:
        noted = self.problems.setdefault(source_name, [])
        is_alike = problem.is_notice
        count = sum(known.is_notice is is_alike for known in noted)
        if count < (_MOST_NOTICES if is_alike else _MOST_PROBLEMS):
            noted.append(problem)

    def _has_room(self, feed: Feed) -> bool:
        name, most_files = feed.source_name, self.outlook.most_files
        if self.outlook.counts.get(name, 0) + self._added[name] < most_files:
            self._added[name] += 1
            return True
        problem = too_many_files(feed.pattern.base, most_files)
        if problem not in self.problems.get(name, ()):
            self.note(name, problem)
        return False
