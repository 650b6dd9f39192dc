"""The files in an archive, as files on disk. Synchronous: runs in a thread.

They lie in a directory that appears at once, when all of them are there. From then on it says what
is left to do: a file that has ended has left it. What a crash comes to:

    a crash while       leaves                     what follows the next start
    unpacking           a hidden directory         is removed, and all of it done again
    loading             files in the directory     they are loaded; those that are gone have ended
    it is put away      an empty directory         nothing is loaded, and the archive is put away
    clearing            an empty directory         is removed: it is an orphan

What is of an archive that has gone, or has changed, is an orphan: see ``leftovers.py``.
"""

import hashlib
import os
import re
import secrets
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ingestd.files import explaining, look, make_directory, name_with, stat_of, sync_directory
from ingestd.formats.content import bounded, require_unchanged
from ingestd.formats.limits import Limits
from ingestd.formats.zips import opened_members
from ingestd.records import FileStat, FoundFile

_ORIGIN = "archive"
"""The file that tells of which archive it all is: its path."""

_NAME = re.compile(r"(\.?)([0-9a-f]{32})(?:-[0-9a-f]{16})?")

Members = Mapping[str, Callable[[], Iterator[bytes]]]


@dataclass(frozen=True, slots=True)
class Unpacked:
    """An archive, and those of its files that are still to be loaded."""

    archive: FoundFile
    directory: Path
    files: tuple[FoundFile, ...]


def unpack(archive: FoundFile, directory: Path, limits: Limits) -> Unpacked:
    """Unpack an archive below ``directory``, or find what is left of it there.

    Raises:
        FileRefused: it is damaged, or unpacks to more than it may; nothing of it is there.
        FileUnavailable: it cannot be read or unpacked now, or changed since it was found.
    """
    place = directory / archive.source_name / _key(archive.path, archive.stat)
    with (
        explaining("unreadable_file", archive.path),
        archive.path.open("rb") as stream,
        opened_members(stream) as members,
    ):
        if not place.exists():
            with explaining("unwritable_file", place), _appearing(place) as hidden:
                (hidden / _ORIGIN).write_bytes(os.fsencode(archive.path))
                _write_all(members, hidden, archive.stat.size_bytes, limits)
                require_unchanged(stream, archive.path, archive.stat)
        return Unpacked(archive, place, tuple(_found(members, place, archive)))


def clear(unpacked: Unpacked) -> None:
    """Remove what is left of an archive whose files have all ended, and has been put away."""
    with explaining("unwritable_file", unpacked.directory):
        shutil.rmtree(hide(unpacked.directory))


def find_orphans(directory: Path, least_age_s: float) -> list[Path]:
    """What is there of archives that are not there any more as they arrived.

    What holds a file that could be loaded counts only once it has been there for so long.
    """
    before_s = time.time() - least_age_s
    try:
        places = [place for place in directory.iterdir() if _NAME.fullmatch(place.name)]
        orphans = [place for place in places if _is_orphan(place)]
        return [one for one in orphans if one.stat().st_mtime < before_s or _has_ended(one)]
    except OSError:  # not there; or it cannot be told what is, and nothing is an orphan
        return []


def hide(place: Path) -> Path:
    """Give a directory a name by which nobody goes on with it."""
    return place if place.name.startswith(".") else place.rename(_hidden(place))


def _is_orphan(place: Path) -> bool:
    named = _NAME.fullmatch(place.name)
    assert named is not None
    is_hidden, key = named.groups()
    try:
        archive = Path(os.fsdecode((place / _ORIGIN).read_bytes()))
    except FileNotFoundError:
        return bool(is_hidden)  # a crash just after it was made, or while it was removed
    try:
        return _key(archive, stat_of(os.lstat(archive))) != key
    except FileNotFoundError:
        return archive.parent.is_dir()


def _has_ended(place: Path) -> bool:
    """Whether all files of an archive have left the directory."""
    return [path for path in place.rglob("*") if path.is_file()] == [place / _ORIGIN]


def _key(archive: Path, stat: FileStat) -> str:
    """Of the archive as it arrived this time."""
    text = f"{stat.inode} {stat.size_bytes} {stat.mtime_ns} ".encode() + os.fsencode(archive)
    return hashlib.sha256(text).hexdigest()[:32]


@contextmanager
def _appearing(place: Path) -> Iterator[Path]:
    """A hidden directory, which gets its name when all has gone well, and else is removed.

    Another one is of a process that was killed, or has been paused for so long that it lost the
    archive: whatever it still writes must not get that name.
    """
    for other in _hidden_for(place):
        shutil.rmtree(other, ignore_errors=True)
    hidden = _hidden(place)
    make_directory(hidden)
    try:
        yield hidden
        sync_directory(hidden)
        hidden.rename(place)
        sync_directory(place.parent)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


def _hidden_for(place: Path) -> list[Path]:
    """Not by a pattern: those are compiled, and kept, one per archive."""
    start = f".{place.name}"
    with suppress(FileNotFoundError):
        return [other for other in place.parent.iterdir() if other.name.startswith(start)]
    return []


def _hidden(place: Path) -> Path:
    return place.with_name(f".{place.name}-{secrets.token_hex(8)}")


def _write_all(members: Members, directory: Path, packed_bytes: int, limits: Limits) -> None:
    deque(bounded(_written(members, directory), packed_bytes, limits), maxlen=0)


def _written(members: Members, directory: Path) -> Iterator[bytes]:
    """What has just been written."""
    for place, pieces in zip(_places(members, directory), members.values(), strict=True):
        make_directory(place.parent)
        with place.open("xb") as stream:
            for piece in pieces():
                stream.write(piece)
                yield piece
            stream.flush()
            os.fsync(stream.fileno())
        sync_directory(place.parent)


def _found(members: Members, directory: Path, archive: FoundFile) -> Iterator[FoundFile]:
    for name, place in zip(members, _places(members, directory), strict=True):
        if place.exists():
            yield replace(
                archive, path=place, stat=look(place), name_in_archive=f"{archive.path.name}/{name}"
            )


def _places(members: Members, directory: Path) -> Iterator[Path]:
    """Each has a directory of its own: their names may differ by their directories alone."""
    for number, name in enumerate(members):
        yield directory / str(number) / name_with(PurePosixPath(name).name, "")
