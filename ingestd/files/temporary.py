"""Hidden files that get their name when they are complete; and what a crash left of such files.

Whoever writes one holds a lock on it (flock(2)), which ends with the process at the latest: one
that nobody holds is left over.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO

_PATTERN = ".ingestd-*.tmp"


def open_temporary(directory: Path, mode: int = 0o666, buffering: int = -1) -> BinaryIO:
    """A new hidden file that is this process's alone until it is closed; ``name`` is its path.

    The first one in a directory removes what killed processes left there.
    """
    remove_abandoned(directory)
    while True:
        path = directory / _PATTERN.replace("*", secrets.token_hex(8))
        file = open(path, "xb", buffering, opener=partial(os.open, mode=mode))  # noqa: SIM115
        if _is_held(file):
            return file
        file.close()


@contextmanager
def temporary_in(directory: Path, mode: int = 0o666) -> Iterator[tuple[Path, BinaryIO]]:
    """The same, with its path; removed in the end, unless it has got another name."""
    with open_temporary(directory, mode) as file:
        path = Path(file.name)
        try:
            yield path, file
        finally:
            path.unlink(missing_ok=True)


def _is_held(file: BinaryIO) -> bool:
    """Take the lock; not if somebody has taken the new file for one that was left over."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks: there nobody can take one, and nothing is removed
    return os.fstat(file.fileno()).st_nlink > 0


@lru_cache(maxsize=1024)
def remove_abandoned(directory: Path) -> None:
    """Remove what killed processes left; once in the life of this one: there may be many files."""
    for path in directory.glob(_PATTERN):
        with suppress(OSError), path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
