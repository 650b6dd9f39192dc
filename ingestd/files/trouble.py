"""What the operating system refused, as ``FileUnavailable`` with a hint that fits the cause."""

import errno
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ingestd.errors import FileUnavailable
from ingestd.files.identity import displayable

ErrorType = Literal["unreadable_file", "unwritable_file", "unmovable_file"]

_VERBS: dict[ErrorType, str] = {
    "unreadable_file": "read",
    "unwritable_file": "write",
    "unmovable_file": "move",
}

_HINTS = {
    errno.ENOENT: "it was removed or renamed in the meantime",
    errno.ELOOP: "links are not followed; put the file itself there",
    errno.EISDIR: "a directory stands where a file is expected",
    errno.ENOTDIR: "a file stands where a directory is expected",
    errno.EIO: "the disk or its connection fails; see the kernel log (journalctl -k)",
    errno.ESTALE: "the network file system lost it; mount it again",
    errno.ETIMEDOUT: "the network file system does not answer",
    errno.EMFILE: "too many open files; raise LimitNOFILE of the service",
    errno.ENFILE: "too many open files on this machine; raise fs.file-max",
    errno.ENOSPC: "the disk is full; make room and it goes on by itself",
    errno.EDQUOT: "the disk quota is used up; raise it or make room",
    errno.EROFS: "the file system is read-only; mount it writable, or allow the directory in "
    "the service (ReadWritePaths=)",
    errno.ENAMETOOLONG: "the name is too long for the file system; shorten it",
    errno.EFBIG: "the file is larger than the file system or the service's limit allows",
}


@contextmanager
def explaining(error_type: ErrorType, path: Path) -> Iterator[None]:
    """Turn an OSError raised inside into ``FileUnavailable`` about ``path``.

    FileExistsError passes: it asks for another name, and the caller has one.
    """
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise unavailable(error_type, path, error) from error


def unavailable(error_type: ErrorType, path: Path, error: OSError) -> FileUnavailable:
    """The error as one sentence with its cause, and what to do about it."""
    reason = error.strerror or str(error)
    message = f"cannot {_VERBS[error_type]} {displayable(path)}: {reason}"
    return FileUnavailable(error_type, message, _hint(error_type, path, error.errno))


def _hint(error_type: ErrorType, path: Path, code: int | None) -> str:
    if code in (errno.EACCES, errno.EPERM):
        place = path if error_type == "unreadable_file" else path.parent
        return _describe_rights(place, _VERBS[error_type])
    return _HINTS.get(code or 0, "it is tried again later")


def _describe_rights(path: Path, verb: str) -> str:
    """Who owns the nearest thing that can be seen, and who we are."""
    user = _user_name(os.geteuid())
    for place in (path, *path.parents):
        try:
            seen = place.stat()
        except OSError:
            continue
        owner, mode = _user_name(seen.st_uid), f"{seen.st_mode & 0o7777:04o}"
        return (
            f"{displayable(place)} belongs to {owner} with mode {mode}, and ingestd runs as "
            f"{user}: allow that user to {verb} there"
        )
    return f"ingestd runs as {user}: allow that user to {verb} there"


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a user of another machine or container
        return f"uid {uid}"
