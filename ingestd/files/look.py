"""What a file looks like at this moment, and whether somebody still writes to it."""

import errno
import fcntl
import os
import signal
import stat
from pathlib import Path

from ingestd.errors import FileUnavailable
from ingestd.files.identity import displayable
from ingestd.files.linux import knows_writers
from ingestd.files.trouble import explaining
from ingestd.records import FileStat, FoundFile

_OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def stat_of(seen: os.stat_result) -> FileStat:
    """The part of a stat that tells one version of a file from another."""
    return FileStat(seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)


def kind_of(mode: int) -> str:
    """What something that is no regular file is, in words."""
    return _KINDS.get(stat.S_IFMT(mode), "something unknown")


def look(path: Path) -> FileStat:
    """What the regular file at ``path`` looks like now; a link is not followed.

    Raises FileUnavailable, also for anything that is not a regular file.
    """
    with explaining("unreadable_file", path):
        seen = os.lstat(path)
    if not stat.S_ISREG(seen.st_mode):
        raise FileUnavailable(
            "unreadable_file",
            f"cannot read {displayable(path)}: it is {kind_of(seen.st_mode)}, not a file",
            "put a regular file there",
        )
    return stat_of(seen)


def is_there(found: FoundFile) -> bool:
    """Whether a found file is still where it was found, as it was.

    Opened, so that a network file system asks its server.
    """
    try:
        fd = os.open(found.path, _OPEN_FLAGS)
    except OSError:
        return False
    try:
        return stat_of(os.fstat(fd)).is_same_content(found.stat)
    finally:
        os.close(fd)


def has_writer(path: Path) -> bool | None:
    """Whether somebody has the file open for writing; None where Linux cannot tell.

    Linux grants a read lease (fcntl(2), "Leases") only while nobody has the file open for
    writing. It answers the owner of the file and holders of CAP_LEASE, on local file systems.
    Never blocks on pipes and devices: only regular files are opened.
    """
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        fd = os.open(path, _OPEN_FLAGS)
    except OSError:
        return None
    try:
        return _is_lease_refused(fd)
    finally:
        os.close(fd)


def _is_lease_refused(fd: int) -> bool | None:
    if not stat.S_ISREG(os.fstat(fd).st_mode) or not knows_writers(fd):
        return None
    try:
        # Who opens the file for writing while we hold the lease waits for us, and the kernel
        # signals us: by default with SIGIO, which would kill the process. SIGURG is ignored.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
