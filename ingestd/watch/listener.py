"""Listening to the kernel, so that a new file is looked at within milliseconds.

Deaf, the watcher still works: only later, at the next rescan.
"""

import time

import anyio

from ingestd.events import Events
from ingestd.watch.scanner import Scanner
from ingestd.watch.wakeups import Changes, WakeUpsLost, tell_changes

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 60.0
_TELL_EVERY_S = 600.0


class Listener:
    """Turns changes below the base directories into hints for the scanner."""

    def __init__(self, scanner: Scanner, events: Events, *, is_recursive: bool) -> None:
        self._scanner = scanner
        self._events = events
        self._is_recursive = is_recursive
        self._told_at: float | None = None

    async def run(self) -> None:
        """Listen, for ever; ever less often where it fails at once."""
        pause_s = _FIRST_PAUSE_S
        while True:
            began_at = time.monotonic()
            try:
                await self._listen()
            except WakeUpsLost as error:
                self._tell(str(error))
                self._scanner.want_scan()
                await anyio.sleep(pause_s)
                lasted_s = time.monotonic() - began_at
                is_lasting = lasted_s > 10 * pause_s
                pause_s = _FIRST_PAUSE_S if is_lasting else min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _listen(self) -> None:
        """Listen to the base directories that are there, until they are others."""
        roots = self._scanner.roots
        until = self._scanner.await_new_roots()
        if not roots:
            await until.wait()
            return
        self._scanner.want_scan()  # for what came before we listened
        await tell_changes(self._pass_on, roots, until, is_recursive=self._is_recursive)

    def _pass_on(self, changes: Changes) -> None:
        if changes.gone & self._scanner.roots.keys():
            self._scanner.distrust_roots()
        # Other files that went away are no news: mostly it was us who archived them.
        self._scanner.hint(changes.present)

    def _tell(self, reason: str) -> None:
        """Tell it now and then: every strange file name is another reason."""
        now = time.monotonic()
        if self._told_at is None or now - self._told_at > _TELL_EVERY_S:
            self._told_at = now
            self._events.watch_trouble("inboxes", reason)
