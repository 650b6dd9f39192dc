"""On which disks directories lie: what is unmounted leaves an empty place that takes files, too.

A disk that is mounted again may have another device number, so it is the mount that counts. That
one was missing at the start already, nobody here can know.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from ingestd.errors import FileUnavailable
from ingestd.files.identity import displayable


class Mounts:
    """Remembers where the disk of each of these directories is mounted."""

    def __init__(self, directories: Iterable[Path]) -> None:
        self._mounts = {directory: _mount_of(directory) for directory in directories}

    def require(self, path: Path) -> None:
        """Before anything is written to ``path``: its disk is there.

        Raises:
            FileUnavailable: it was, and is not any more.
        """
        for directory, mount in self._mounts.items():
            if path.is_relative_to(directory) and not os.path.ismount(mount):
                reason = f"{displayable(mount)} is not mounted any more"
                message = f"cannot write {displayable(path)}: {reason}"
                hint = "mount it and it goes on by itself; if that is as it should be, restart"
                raise FileUnavailable("unwritable_file", message, hint)


def _mount_of(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if os.path.ismount(place))
