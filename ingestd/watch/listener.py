"""Listening to the kernel, so that a new file is looked at within milliseconds.

The only module that imports watchfiles. What it tells is a hint: of a new file not whether it was
renamed in or is being written, nothing when the kernel had to forget some, and an error instead
of a name that is not UTF-8. Scans know the truth: deaf, the watcher works, only later.
"""

import time

import anyio
from watchfiles import Change, awatch

from ingestd.events import Events
from ingestd.files import displayable
from ingestd.watch.scanner import Scanner

_STEP_MS = 30
"""A change is told when the next step brings no other. Shorter steps cost CPU while idle, and what
has to settle waits longer anyway …"""
_DEBOUNCE_MS = 50
"""… or after that time, while every step brings another."""
_FOR_EVER_MS = 0

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
        pause_s, is_lenient = 0.0, False
        while True:
            began_at = time.monotonic()
            try:
                await self._listen(is_lenient=is_lenient)
                is_lenient = False
                continue
            except* (OSError, RuntimeError, UnicodeEncodeError) as group:
                trouble = _first(group)
            self._tell(trouble)
            # A directory is closed to us, or one more than we may watch: what can be, then.
            is_lenient = isinstance(trouble, OSError) and not isinstance(trouble, FileNotFoundError)
            lasted_s = time.monotonic() - began_at
            pause_s = min(max(2 * pause_s - lasted_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
            await anyio.sleep(pause_s)

    async def _listen(self, *, is_lenient: bool) -> None:
        """Pass on what changes in the base directories that are there, until they are others."""
        roots = self._scanner.roots
        until = self._scanner.await_new_roots()
        if not roots:
            await until.wait()
            return
        watching = awatch(
            *roots,
            watch_filter=None,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            rust_timeout=_FOR_EVER_MS,
            stop_event=until,
            recursive=self._is_recursive,
            force_polling=False,
            ignore_permission_denied=is_lenient,  # and whatever else forbids it
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_set_when_cancelled, until)
            self._scanner.want_scan()  # for what came before; its turn is when awatch waits
            async for changes in watching:
                self._pass_on(changes)
            tasks.cancel_scope.cancel()

    def _pass_on(self, changes: set[tuple[Change, str]]) -> None:
        gone = {path for change, path in changes if change is Change.deleted}
        if not gone.isdisjoint(self._scanner.roots):
            self._scanner.distrust_roots()
        # Files that went away are no news: mostly it was us who archived them. One that came back
        # within the step is told as added, too.
        self._scanner.hint(path for change, path in changes if change is not Change.deleted)

    def _tell(self, trouble: BaseException) -> None:
        """Tell it now and then: every strange file name is another reason."""
        now = time.monotonic()
        if self._told_at is None or now - self._told_at > _TELL_EVERY_S:
            self._told_at = now
            self._events.watch_trouble("inboxes", displayable(str(trouble)))


async def _set_when_cancelled(event: anyio.Event) -> None:
    """The thread of ``awatch`` is shielded from cancellation: only its stop event ends it."""
    try:
        await anyio.sleep_forever()
    finally:
        event.set()


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
