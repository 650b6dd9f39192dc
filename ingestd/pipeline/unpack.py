"""The files in an archive, as files on disk. Synchronous: runs in a thread.

They lie in a directory that appears at once, when all of them are there. From then on it says what
is left to do: a file that has ended has left it. What a crash comes to:

    a crash while       leaves                     what follows the next start
    unpacking           a hidden directory         is removed, and all of it done again
    loading             files in the directory     they are loaded; those that are gone have ended
    it is put away      an empty directory         nothing is loaded, and the archive is put away
    clearing            an empty directory         nothing: it is of this one arrival of the archive
"""

import hashlib
import os
import secrets
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ingestd.files import explaining, look, make_directory, name_with, sync_directory
from ingestd.formats.content import bounded, require_unchanged
from ingestd.formats.limits import Limits
from ingestd.formats.zips import opened_members
from ingestd.records import FoundFile

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
    place = directory / archive.source_name / _key(archive)
    with (
        explaining("unreadable_file", archive.path),
        archive.path.open("rb") as stream,
        opened_members(stream) as members,
    ):
        if not place.exists():
            with explaining("unwritable_file", place), _appearing(place) as hidden:
                _write_all(members, hidden, archive.stat.size_bytes, limits)
                require_unchanged(stream, archive.path, archive.stat)
        return Unpacked(archive, place, tuple(_found(members, place, archive)))


def clear(unpacked: Unpacked) -> None:
    """Remove what is left of an archive whose files have all ended, and has been put away."""
    with explaining("unwritable_file", unpacked.directory):
        shutil.rmtree(unpacked.directory)


def _key(archive: FoundFile) -> str:
    """Of the archive as it arrived this time."""
    stat = archive.stat
    text = f"{stat.inode} {stat.size_bytes} {stat.mtime_ns} ".encode() + os.fsencode(archive.path)
    return hashlib.sha256(text).hexdigest()[:32]


@contextmanager
def _appearing(place: Path) -> Iterator[Path]:
    """A hidden directory, which gets its name when all has gone well, and else is removed.

    Another one is of a process that was killed, or has been paused for so long that it lost the
    archive: whatever it still writes must not get that name.
    """
    for other in place.parent.glob(f".{place.name}*"):
        shutil.rmtree(other, ignore_errors=True)
    hidden = place.with_name(f".{place.name}-{secrets.token_hex(8)}")
    make_directory(hidden)
    try:
        yield hidden
        sync_directory(hidden)
        hidden.rename(place)
        sync_directory(place.parent)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


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
