"""What the operating system refused, as ``FileUnavailable`` with a hint that fits the cause."""

import errno
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ingestd.causes import HINTS
from ingestd.errors import FileUnavailable
from ingestd.files.identity import displayable

ErrorType = Literal["unreadable_file", "unwritable_file", "unmovable_file"]

_VERBS: dict[ErrorType, str] = {
    "unreadable_file": "read",
    "unwritable_file": "write",
    "unmovable_file": "move",
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
    return FileUnavailable(error_type, message, _hint(error_type, path, error))


def _hint(error_type: ErrorType, path: Path, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        place = path if error_type == "unreadable_file" else _closed_directory(path, error)
        return _describe_rights(place, _VERBS[error_type])
    return HINTS.get(error.errno or 0, "it is tried again later")


def _closed_directory(path: Path, error: OSError) -> Path:
    """Which directory may not be changed: of a move it is the one at either end."""
    named = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if name]
    for place in named:
        nearest = next(above for above in place.parents if above.is_dir())
        if not os.access(nearest, os.W_OK | os.X_OK):
            return nearest
    return path.parent


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
