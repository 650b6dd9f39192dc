"""Writing that survives a power cut: a file is there as a whole or not at all."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from ingestd.files.linux import rename_without_replacing
from ingestd.files.temporary import temporary_in
from ingestd.files.trouble import explaining

_NO_SUCH_CALL = (errno.EINVAL, errno.ENOSYS)


def write_atomically(
    target: Path, parts: Iterable[bytes], *, replace: bool, mode: int = 0o666
) -> None:
    """Write the parts, joined, as the file ``target``; durable when this returns.

    The directory is made when it is missing; the umask takes away from ``mode``. Raises
    FileExistsError when the target is there and ``replace`` is not set, FileUnavailable when the
    disk says no. A crash may leave a hidden file behind until the next one is written there, never
    a part of a file under the final name.
    """
    with explaining("unwritable_file", target):
        make_directory(target.parent)
        with temporary_in(target.parent, mode) as (temporary, file):
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
            (os.replace if replace else rename_new)(temporary, target)
        sync_directory(target.parent)


def make_directory(directory: Path) -> None:
    """Make the directory and what is missing above it, each durable in its parent."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    try:
        directory.mkdir(exist_ok=True)
    except FileExistsError as error:  # which callers read as "the target is there"
        raise NotADirectoryError(
            errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory)
        ) from error
    sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable (fsync(2) of a file does not cover its name)."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has nothing to sync
            raise
    finally:
        os.close(fd)


def rename_new(source: Path, target: Path) -> None:
    """Rename within a file system; raises FileExistsError instead of replacing the target.

    Where the file system cannot do that in one step, both names exist for a moment.
    """
    try:
        rename_without_replacing(source, target)
    except OSError as error:
        if error.errno not in _NO_SUCH_CALL:
            raise
        os.link(source, target, follow_symlinks=False)
        source.unlink()
