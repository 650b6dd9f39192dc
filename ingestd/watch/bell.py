"""Waking a task that waits."""

import time

import anyio


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
