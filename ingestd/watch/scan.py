"""Looking through the inboxes: the truth about which files are there.

Reads directories and never a file; follows no link below a base. Synchronous: runs in a
thread, and gives differences, so that a full but quiet inbox costs the event loop nothing.
"""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ingestd.files import stat_of
from ingestd.watch import problems
from ingestd.watch.findings import NOBODY, Findings, Outlook
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
        self._note_strays()
        self.found.vanished = [path for path in known_before if self._is_gone(path)]
        return self.found

    def _is_gone(self, path: str) -> bool:
        """Not seen, and not just because a directory could not be read."""
        return path not in self.seen and not path.startswith(tuple(self.unread))

    def _note_strays(self) -> None:
        """A slip in the name of a directory would keep files waiting for ever."""
        inbox, ways = self.outlook.inbox, self.outlook.ways
        if inbox is None or any(feed.pattern.base == inbox for feed in self.outlook.feeds):
            return
        for entry in self._list(str(inbox), []):
            if not self.outlook.is_ignored(entry.name) and Path(entry.path) not in ways:
                with suppress(FileNotFoundError):
                    self._note_stray(NOBODY, entry)

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
                self.found.note(feed.source_name, problems.missing_inbox(directory))
        except OSError as error:
            self._note_unread(directory, takers, error)
        return []

    def _note_unread(self, path: str, takers: list[Taker], error: OSError) -> None:
        self.seen.add(path)
        self.unread.append(f"{path}/")
        for feed, _ in takers:
            self.found.note(feed.source_name, problems.unreadable(path, error))

    def _judge(self, entry: os.DirEntry[str], takers: list[Taker], names: frozenset[str]) -> None:
        """Sight the entry, or say why it is left alone."""
        if entry.is_symlink():
            self._judge_link(entry, takers)
            return
        owners = [feed for feed, state in takers if feed.accepts(state, entry.name)]
        if not owners:
            self._note_unmatched(entry, takers)
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
        is_directory, is_there = os.path.isdir(target), os.path.exists(target)
        for feed, state in takers:
            step = feed.pattern.descend if is_directory else feed.accepts
            is_inside = os.path.commonpath((feed.base, target)) == feed.base
            if step(state, entry.name) and not (is_there and is_inside):
                tell = problems.link_outside if is_there else problems.dangling_link
                self.found.note(feed.source_name, tell(entry.path, target))

    def _note_unmatched(self, entry: os.DirEntry[str], takers: list[Taker]) -> None:
        """Told of one of the sources that look here: whose it was meant to be, nobody knows."""
        if entry.is_dir(follow_symlinks=False):
            is_odd = not self._may_be_there(entry, takers)
        else:
            is_odd = not any(feed.is_marker(entry.name) for feed, _ in takers)
        if is_odd:
            self._note_stray(takers[0][0].source_name, entry)

    def _may_be_there(self, directory: os.DirEntry[str], takers: list[Taker]) -> bool:
        """Somebody looks into it, or takes every name here and leaves directories alone."""
        is_base = any(f"{base}/".startswith(f"{directory.path}/") for base in self.starts)
        takes_all = any(feed.pattern.is_any_name for feed, _ in takers)
        return is_base or takes_all or bool(_descend(takers, directory.name))

    def _note_stray(self, source_name: str, entry: os.DirEntry[str]) -> None:
        """A file is one when it has been still for a while: it may get its name when complete."""
        if entry.is_dir(follow_symlinks=False):
            self.found.note(source_name, problems.unmatched_directory(entry.path))
        elif time.time() - entry.stat(follow_symlinks=False).st_ctime > self.outlook.stray_after_s:
            self.found.note(source_name, problems.unmatched_file(entry.path))

    def _note_kind(self, path: str, mode: int, owners: list[Feed]) -> None:
        for feed in owners:
            if not (stat.S_ISDIR(mode) and feed.pattern.is_any_name):
                self.found.note(feed.source_name, problems.not_a_file(path, mode))

    def _note_claims(self, path: str, owners: list[Feed]) -> None:
        for feed in owners:
            names = [owner.source_name for owner in owners]
            self.found.note(feed.source_name, problems.claimed_by_several(path, names))


def _descend(takers: list[Taker], name: str) -> list[Taker]:
    below = [(feed, feed.pattern.descend(state, name)) for feed, state in takers]
    return [(feed, state) for feed, state in below if state]
