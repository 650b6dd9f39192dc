"""Being told early: a bell between tasks, and names of changed paths from the kernel.

The only module that imports watchfiles. What it tells is a hint: names can be missing, late or
wrong, and it can fall silent. Scans know the truth.
"""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import anyio
from watchfiles import Change, awatch

from ingestd.files import displayable

_STEP_MS = 15
"""A change is told when the next 15 ms bring no other; shorter steps cost CPU while idle …"""
_DEBOUNCE_MS = 50
"""… or after 50 ms."""
_WAIT_MS = 60_000


class Changes(NamedTuple):
    """Paths told at once: those where something is now, and those where nothing is any more."""

    present: frozenset[str]
    gone: frozenset[str]


class Bell:
    """Wakes the one task that waits for it; a ring that finds nobody waiting is kept."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self, until: float) -> None:
        """Wait for a ring, at most until that time (monotonic)."""
        with anyio.move_on_after(max(0.0, until - time.monotonic())):
            await self._event.wait()
        self._event = anyio.Event()


class WakeUpsLost(Exception):
    """The kernel's notifications cannot be had, or broke off."""


async def tell_changes(
    tell: Callable[[Changes], None], roots: Iterable[str], stop: anyio.Event, *, is_recursive: bool
) -> None:
    """Tell what changes below the roots, until ``stop`` is set. Raises WakeUpsLost."""
    watching = awatch(
        *roots,
        watch_filter=None,
        debounce=_DEBOUNCE_MS,
        step=_STEP_MS,
        rust_timeout=_WAIT_MS,
        stop_event=stop,
        recursive=is_recursive,
        force_polling=False,
        ignore_permission_denied=True,
    )
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_set_when_cancelled, stop)
            async for changes in watching:
                gone = frozenset(path for change, path in changes if change is Change.deleted)
                tell(Changes(frozenset(path for _, path in changes) - gone, gone))
            tasks.cancel_scope.cancel()
    except (ExceptionGroup, OSError, RuntimeError) as error:  # its own error is a RuntimeError
        raise WakeUpsLost(_explain(error)) from error


async def _set_when_cancelled(event: anyio.Event) -> None:
    """The thread of ``awatch`` is shielded from cancellation: only its stop event ends it."""
    try:
        await anyio.sleep_forever()
    finally:
        event.set()


def _explain(error: Exception) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return displayable(str(error))
