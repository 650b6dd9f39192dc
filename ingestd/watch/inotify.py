"""Being told by the kernel what happens in directories: inotify(7), which Python lacks.

What it tells is a hint: on network file systems others' changes are missing. Names come as they
are, in whatever bytes; and the kernel says when it had to forget some.
"""

import ctypes
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple, Self

_libc = ctypes.CDLL(None, use_errno=True)

_EVENT = struct.Struct("iIII")
"""``struct inotify_event``: watch, mask, cookie, and the length of the name that follows."""
_READ_BYTES = 2**16

_ATTRIB, _CLOSE_WRITE, _MOVED_TO, _CREATE = 0x4, 0x8, 0x80, 0x100
_DELETE_SELF, _MOVE_SELF = 0x400, 0x800
_UNMOUNT, _OVERFLOW, _IGNORED = 0x2000, 0x4000, 0x8000
_ONLYDIR, _ISDIR = 0x0100_0000, 0x4000_0000

# Not single writes (IN_MODIFY): a file is no news before its writer closes it. And not what
# leaves: mostly it was us who archived it.
_WANTED = _ATTRIB | _CLOSE_WRITE | _MOVED_TO | _CREATE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
_DIRECTORY_ENDED = _DELETE_SELF | _UNMOUNT | _IGNORED


class Change(NamedTuple):
    """What happened to one path."""

    path: str
    is_moved_in: bool
    """It got its name by a rename."""


class Inotify:
    """Watches directories, each by itself: not what lies below it."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._directories: dict[int, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def fileno(self) -> int:
        """Readable when there is something to tell."""
        return self._fd

    def watch(self, directory: str) -> None:
        """Watch a directory from now on, from any thread; again is no harm. Raises OSError."""
        watch = _checked(_libc.inotify_add_watch(self._fd, os.fsencode(directory), _WANTED))
        self._directories[watch] = directory

    def read(self) -> list[Change] | None:
        """What has happened to files; None when only a scan can tell what else has changed."""
        changes: list[Change] = []
        is_certain = True
        for watch, mask, name in _events(os.read(self._fd, _READ_BYTES)):
            directory = self._directories.get(watch)
            if mask & (_MOVE_SELF | _OVERFLOW | _ISDIR):
                is_certain = False
            if mask & _MOVE_SELF:  # and all below it: who knows what their names are now
                self._forget_all()
            elif mask & _DIRECTORY_ENDED:
                is_certain = is_certain and self._directories.pop(watch, None) is None
            elif directory is not None and name:
                changes.append(Change(os.path.join(directory, name), bool(mask & _MOVED_TO)))
        return changes if is_certain else None

    def _forget_all(self) -> None:
        while self._directories:
            watch, _ = self._directories.popitem()
            _libc.inotify_rm_watch(self._fd, watch)


def _events(octets: bytes) -> Iterator[tuple[int, int, str]]:
    """Watch, mask and name of each event."""
    place = 0
    while place < len(octets):
        watch, mask, _, length = _EVENT.unpack_from(octets, place)
        place += _EVENT.size
        yield watch, mask, os.fsdecode(octets[place : place + length].rstrip(b"\0"))
        place += length


def _checked(answer: int) -> int:
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer
