"""Moving a file for good, so that it can be repeated after a crash at any point.

What a crash can leave, and what the same call then does:

    source   target        left by                            the call
    there    nothing       nothing done yet, or half a copy   starts again, removes the half
    there    same inode    link made, source not yet removed  removes the source
    there    same content  copied across file systems, ditto  removes the source
    there    other file    nothing: somebody else's           takes the next free name
    gone     there         only the answer was lost           says where it is
    gone     nothing       somebody else removed it           FileUnavailable
"""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ingestd.errors import FileUnavailable
from ingestd.files.identity import displayable
from ingestd.files.look import look, stat_of
from ingestd.files.names import name_with, names_like
from ingestd.files.temporary import temporary_in
from ingestd.files.trouble import explaining
from ingestd.files.write import make_directory, rename_new, sync_directory
from ingestd.records import FileStat

FILE_GONE = "file_gone"
"""The error type when there is nothing to move, and never will be."""


@dataclass(frozen=True, slots=True)
class Move:
    """From where to where; with ``expected``, only that very content is moved."""

    source: Path
    target: Path
    expected: FileStat | None = None


def move(source: Path, target: Path, expected: FileStat | None = None) -> Path:
    """Move a regular file to ``target``, or beside it (``a-2.csv``) when the name is taken.

    Never overwrites, makes missing directories, is durable when it returns, and returns where
    the file now is. With ``expected``, a file that took its place in the meantime stays. Raises
    FileUnavailable.
    """
    (moved,) = move_all([Move(source, target, expected)])
    if isinstance(moved, FileUnavailable):
        raise moved
    return moved


def move_all(moves: Sequence[Move]) -> list[Path | FileUnavailable]:
    """Move several files; each directory is made durable once, after all of them.

    Returns:
        per file what ``move`` returns or raises.
    """
    moved = [_outcome(one) for one in moves]
    places = {place.parent for place in moved if isinstance(place, Path)}
    sources = {one.source.parent for one in moves}
    try:
        for directory in (*places, *(sources - places)):  # first there, then no longer here
            _make_durable(directory)
    except FileUnavailable as error:
        return [error] * len(moves)
    return moved


def move_beside(manifest: Path, source: Path, place: Path) -> None:
    """Move the side file of ``source`` after it, to ``place``. Nothing is done if it is gone.

    Raises:
        FileUnavailable: it cannot be moved now.
    """
    if os.path.lexists(manifest):
        move(manifest, place.with_name(name_with(place.name, manifest.name[len(source.name) :])))


def _outcome(one: Move) -> Path | FileUnavailable:
    try:
        return _move(one)
    except FileUnavailable as error:
        return error


def _make_durable(directory: Path) -> None:
    with explaining("unmovable_file", directory), suppress(FileNotFoundError):
        sync_directory(directory)


def _move(one: Move) -> Path:
    """Not durable yet: a crash may leave either name, never none."""
    source, target = one.source, one.target
    with explaining("unmovable_file", source):
        make_directory(target.parent)
        present = _look_for(source, one.expected)
        if present is None:
            return _find_moved(source, target)
        for place in names_like(target):
            try:
                if not _is_copy(source, place):
                    _carry(source, place, present)
            except FileExistsError:
                continue
            _remove(source, present)
            return place
    raise AssertionError("names do not run out")


def _look_for(source: Path, expected: FileStat | None) -> FileStat | None:
    """The stat of the source; None when it is not there, or another file has its name."""
    if not os.path.lexists(source):
        return None
    present = look(source)
    return present if expected is None or present.is_same_content(expected) else None


def _find_moved(source: Path, target: Path) -> Path:
    if os.path.lexists(target):
        return target
    raise FileUnavailable(
        FILE_GONE,
        f"cannot move {displayable(source)}: it is gone, or another file took its name",
        "somebody else removed or replaced it; what was read of it is not affected",
    )


def _is_copy(source: Path, place: Path) -> bool:
    """Whether ``place`` is what an interrupted move of this source left."""
    try:
        there, here = os.lstat(place), os.lstat(source)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(there.st_mode):
        return False
    if os.path.samestat(there, here):
        return True
    if (there.st_size, there.st_mtime_ns) != (here.st_size, here.st_mtime_ns):
        return False
    return _digest(source) == _digest(place)


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _carry(source: Path, place: Path, present: FileStat) -> None:
    """Bring the file to ``place``; across file systems the source stays for now."""
    try:
        rename_new(source, place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(source, place, present)
        sync_directory(place.parent)  # before the source goes
    else:
        _check_renamed(source, place, present)


def _check_renamed(source: Path, place: Path, present: FileStat) -> None:
    """A rename takes whatever has the name at that instant: give back what is not ours."""
    if not look(place).is_same_content(present):
        rename_new(place, source)
        raise _changed(source)


def _copy(source: Path, place: Path, present: FileStat) -> None:
    """Copy with mode and times under a hidden name, then rename."""
    with temporary_in(place.parent) as (temporary, file):
        shutil.copyfile(source, temporary)
        if look(source) != present:
            raise _changed(source)
        shutil.copystat(source, temporary)
        os.fsync(file.fileno())
        rename_new(temporary, place)


def _remove(source: Path, present: FileStat) -> None:
    """Remove what a copy or a link left of the source, unless it is another file by now."""
    try:
        if stat_of(os.lstat(source)).is_same_content(present):
            source.unlink()
    except FileNotFoundError:
        pass  # renamed: nothing was left


def _changed(source: Path) -> FileUnavailable:
    return FileUnavailable(
        "unmovable_file",
        f"cannot move {displayable(source)}: it was changed or replaced at this moment",
        "write under a temporary name and rename when complete",
    )
