"""Whether a file is complete: what can be seen of it, and what follows from that."""

import os
from dataclasses import dataclass
from pathlib import Path

from ingestd.config.settings import WatchSettings
from ingestd.files import has_writer, look
from ingestd.records import FileStat


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


def complete_at(seen: Look, unchanged_since: float, settings: WatchSettings) -> float | None:
    """When the file counts as complete if it stays as it is; None while somebody writes to it.

    Monotonic seconds. A marker that is older than its file proves nothing: it may be left from
    an earlier file of that name.
    """
    if seen.is_vouched:
        return unchanged_since
    if seen.has_writer is None:
        return unchanged_since + settings.settle_unproven
    if seen.has_writer:
        return None
    return unchanged_since + quiet_time_s(seen.stat, settings)


def quiet_time_s(stat: FileStat, settings: WatchSettings) -> float:
    """How long a file without writers must stay unchanged.

    Linux sets both times on a write; a rename, a link and setting the times move the ctime only.
    So a later ctime means that the file got its name, or its old times back, after the last write.
    An empty file was perhaps just opened.
    """
    is_finished_off = stat.ctime_ns > stat.mtime_ns and stat.size_bytes > 0
    return 0.0 if is_finished_off else settings.settle


def still_time_s(stat: FileStat, now_ns: int, settings: WatchSettings) -> float:
    """How long a file has been as it was just seen, by its ctime, which only the kernel sets.

    Not believed beyond what has to settle: it may come from another host, whose clock is wrong.
    """
    return min(max((now_ns - stat.ctime_ns) / 1e9, 0.0), settings.settle)


def _ctime_ns(path: Path) -> int | None:
    try:
        return os.lstat(path).st_ctime_ns
    except OSError:
        return None
