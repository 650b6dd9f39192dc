"""Listening to the kernel, so that a new file is looked at within a millisecond.

Deaf, the watcher still works: only later, at the next rescan.
"""

import errno
import time

import anyio

from ingestd.events import Events
from ingestd.watch.inotify import Inotify
from ingestd.watch.scanner import Scanner

_PAUSE_S = 60.0
_TELL_EVERY_S = 600.0
_LIMITS = {
    errno.EMFILE: "the limit fs.inotify.max_user_instances is reached, or that of open files",
    errno.ENOSPC: "the limit fs.inotify.max_user_watches is reached",
}
"""What an error means that says something else."""
_TOLD_BY_SCANS = {errno.ENOENT, errno.ENOTDIR, errno.EACCES}


class Listener:
    """Hears what happens in the directories that scans come through."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._inotify: Inotify | None = None
        self._told_at: float | None = None

    async def run(self, scanner: Scanner) -> None:
        """Give the scanner hints, for ever; where nobody may listen, try now and then."""
        while True:
            try:
                with Inotify() as self._inotify:
                    scanner.want_scan()  # which names the directories
                    await _pass_on(self._inotify, scanner)
            except OSError as error:
                self._tell(error)
            finally:
                self._inotify = None
            await anyio.sleep(_PAUSE_S)

    def watch(self, directory: str) -> None:
        """Hear of this directory from now on. Called by scans, in their thread."""
        if self._inotify is not None:
            try:
                self._inotify.watch(directory)
            except OSError as error:
                if error.errno not in _TOLD_BY_SCANS:
                    self._tell(error)

    def _tell(self, error: OSError) -> None:
        """Tell it now and then: every directory is another reason."""
        now = time.monotonic()
        if self._told_at is None or now - self._told_at > _TELL_EVERY_S:
            self._told_at = now
            reason = _LIMITS.get(error.errno or 0, error.strerror or "")
            self._events.watch_trouble("inboxes", reason)


async def _pass_on(inotify: Inotify, scanner: Scanner) -> None:
    """Raises OSError."""
    while True:
        await anyio.wait_readable(inotify)
        changes = inotify.read()
        if changes is None:
            scanner.want_scan()
        else:
            scanner.hint(changes)
