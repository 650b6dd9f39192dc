"""Looking through the inboxes: the truth about which files are there.

Reads directories and never a file; follows no link below a base. Synchronous: runs in a
thread, and gives differences, so that a full but quiet inbox costs the event loop nothing.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from ingestd.files import stat_of
from ingestd.watch import problems
from ingestd.watch.findings import Findings, Outlook
from ingestd.watch.patterns import State
from ingestd.watch.sightings import Feed, Sighting

Taker = tuple[Feed, State]
"""A source that may take files in a directory, and how much of its pattern is matched there."""


def scan(outlook: Outlook) -> Findings:
    """Look through all inboxes."""
    return _Scan(outlook, Findings(outlook)).run()


@dataclass(slots=True)
class _Scan:
    outlook: Outlook
    found: Findings
    starts: dict[str, list[Taker]] = field(default_factory=dict)
    visited: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    unread: list[str] = field(default_factory=list)

    def run(self) -> Findings:
        known_before = list(self.outlook.known)
        for feed in self.outlook.feeds:
            self.starts.setdefault(feed.base, []).append((feed, feed.pattern.start))
        for base in sorted(self.starts, key=len):  # one inside another is met on the way
            if base not in self.visited:
                self._walk(base)
        self.found.vanished = [path for path in known_before if self._is_gone(path)]
        return self.found

    def _is_gone(self, path: str) -> bool:
        """Not seen, and not just because a directory could not be read."""
        return path not in self.seen and not path.startswith(tuple(self.unread))

    def _walk(self, base: str) -> None:
        waiting: list[tuple[str, list[Taker]]] = [(base, [])]
        while waiting:
            directory, inherited = waiting.pop()
            self.visited.add(directory)
            waiting.extend(self._read(directory, inherited + self.starts.get(directory, [])))

    def _read(self, directory: str, takers: list[Taker]) -> Iterator[tuple[str, list[Taker]]]:
        """Sight the files in one directory; yields the directories in it that matter."""
        entries = self._list(directory, takers)
        has_markers = any(feed.done_marker for feed, _ in takers)
        names = frozenset(entry.name for entry in entries) if has_markers else frozenset()
        for entry in entries:
            if self.outlook.is_ignored(entry.name):
                continue
            try:
                self._judge(entry, takers, names)
                if entry.is_dir(follow_symlinks=False) and (below := _descend(takers, entry.name)):
                    yield entry.path, below
            except FileNotFoundError:  # gone since the directory was read
                continue
            except OSError as error:
                self._note_unread(entry.path, takers, error)

    def _list(self, directory: str, takers: list[Taker]) -> list[os.DirEntry[str]]:
        try:
            if directory in self.starts:
                root = os.stat(directory)
                self.found.roots[directory] = root.st_dev, root.st_ino
            with os.scandir(directory) as entries:
                return list(entries)
        except FileNotFoundError:
            for feed, _ in self.starts.get(directory, []):
                self.found.note(feed, problems.missing_inbox(directory))
        except OSError as error:
            self._note_unread(directory, takers, error)
        return []

    def _note_unread(self, path: str, takers: list[Taker], error: OSError) -> None:
        self.seen.add(path)
        self.unread.append(f"{path}/")
        for feed, _ in takers:
            self.found.note(feed, problems.unreadable(path, error))

    def _judge(self, entry: os.DirEntry[str], takers: list[Taker], names: frozenset[str]) -> None:
        """Sight the entry, or say why it is left alone."""
        if entry.is_symlink():
            self._judge_link(entry, takers)
            return
        owners = [feed for feed, state in takers if feed.accepts(state, entry.name)]
        if not owners:
            return
        seen = entry.stat(follow_symlinks=False)
        if not stat.S_ISREG(seen.st_mode):
            self._note_kind(entry.path, seen.st_mode, owners)
        elif len(owners) > 1:
            self._note_claims(entry.path, owners)
        else:
            self._sight(
                owners[0], entry.path, seen, f"{entry.name}{owners[0].done_marker}" in names
            )

    def _sight(self, feed: Feed, path: str, seen: os.stat_result, is_marked: bool) -> None:
        if self.found.sight(feed, Sighting(feed.source_name, path, stat_of(seen), is_marked)):
            self.seen.add(path)

    def _judge_link(self, entry: os.DirEntry[str], takers: list[Taker]) -> None:
        """A link that leads to a place inside is another name for it, and no problem."""
        target = os.path.realpath(entry.path)
        is_directory = os.path.isdir(target)
        for feed, state in takers:
            step = feed.pattern.descend if is_directory else feed.accepts
            if step(state, entry.name) and os.path.commonpath((feed.base, target)) != feed.base:
                self.found.note(feed, problems.link_outside(entry.path, target))

    def _note_kind(self, path: str, mode: int, owners: list[Feed]) -> None:
        for feed in owners:
            if not (stat.S_ISDIR(mode) and feed.pattern.is_any_name):
                self.found.note(feed, problems.not_a_file(path, mode))

    def _note_claims(self, path: str, owners: list[Feed]) -> None:
        for feed in owners:
            names = [owner.source_name for owner in owners]
            self.found.note(feed, problems.claimed_by_several(path, names))


def _descend(takers: list[Taker], name: str) -> list[Taker]:
    below = [(feed, feed.pattern.descend(state, name)) for feed, state in takers]
    return [(feed, state) for feed, state in below if state]
