"""Whether a file is complete: what can be seen of it, and what follows from that."""

import os
from dataclasses import dataclass
from pathlib import Path

from ingestd.config.settings import WatchSettings
from ingestd.files import has_writer, look
from ingestd.records import FileStat
from ingestd.watch.sightings import Candidate


@dataclass(frozen=True, slots=True)
class Look:
    """A close look at one file."""

    stat: FileStat
    has_writer: bool | None
    is_marked: bool = False
    """Its done-marker is there …"""
    is_vouched: bool = False
    """… and not older than the file."""


def look_closely(path: Path, marker: Path | None) -> Look:
    """Look at the file, its marker and its writers. Raises FileUnavailable."""
    stat = look(path)
    marked_ns = _ctime_ns(marker) if marker else None
    if marker is None or marked_ns is None:
        return Look(stat, has_writer(path))
    if has_writer(marker):  # it may be a manifest, of which half is wrong
        return Look(stat, has_writer=True, is_marked=True)
    if marked_ns >= stat.ctime_ns:
        return Look(stat, None, is_marked=True, is_vouched=True)
    return Look(stat, has_writer(path), is_marked=True)


def complete_at(seen: Look, file: Candidate, settings: WatchSettings) -> float | None:
    """When the file counts as complete if it stays as it is; None while somebody writes to it.

    Monotonic seconds. A marker that is older than its file proves nothing: it may be left from
    an earlier file of that name.
    """
    if seen.is_vouched:
        return file.unchanged_since
    if seen.has_writer is None:
        return file.unchanged_since + settings.settle_unproven
    if seen.has_writer:
        return None
    return file.unchanged_since + quiet_time_s(file, settings)


def quiet_time_s(file: Candidate, settings: WatchSettings) -> float:
    """How long a file without writers must stay unchanged: no time if it got its name last.

    The kernel told of the rename; or the times do: Linux sets both on a write, while a rename, a
    link and setting the times move the ctime only. That takes a tick of the clock in between.
    An empty file was perhaps just opened.
    """
    assert file.stat is not None
    is_named_last = file.is_moved_in or file.stat.ctime_ns > file.stat.mtime_ns
    return 0.0 if is_named_last and file.stat.size_bytes else settings.settle


def _ctime_ns(path: Path) -> int | None:
    try:
        return os.lstat(path).st_ctime_ns
    except OSError:
        return None
