"""Waiting for MongoDB as long as it is away, with ever longer pauses, and telling why.

However many operations wait, one voice tells it: that of the one that has waited longest.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from ingestd.errors import EntryRefused, IngestdError, StoreAway
from ingestd.events import Events

Result = TypeVar("Result")

_LONGEST_DELAY_S = 2.0


@dataclass(frozen=True, slots=True)
class Absence:
    """MongoDB does not do what it is asked to: since when (monotonic time), and why."""

    since: float
    reason: str
    hint: str


@dataclass(slots=True, eq=False)
class _Wait:
    doing: str
    since: float
    error: IngestdError


class Patience:
    """Everything that waits for one MongoDB."""

    def __init__(
        self, events: Events, slow_after_s: float, log_in_anew: Callable[[], None]
    ) -> None:
        self._events = events
        self._slow_after_s = slow_after_s
        self._log_in_anew = log_in_anew
        self._waits: list[_Wait] = []
        self._writes: dict[object, float] = {}
        self.passing: tuple[type[IngestdError], ...] = (StoreAway,)
        """What is waited for."""

    def wait_for_entry(self) -> None:
        """It let us in once: when it does so no more, somebody is about to mend that."""
        self.passing = (StoreAway, EntryRefused)

    @property
    def absence(self) -> Absence | None:
        """MongoDB is away as long as anything waits for it: it may answer one and not another."""
        if (oldest := self._oldest) is None:
            return None
        return Absence(oldest.since, oldest.error.message, oldest.error.hint)

    @property
    def slow_since(self) -> float | None:
        """Since when a write has had no answer, if that is long enough to be told."""
        first = min(self._writes.values(), default=None)
        is_slow = first is not None and time.monotonic() - first > self._slow_after_s
        return first if is_slow else None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A write is under way."""
        key = object()
        self._writes[key] = time.monotonic()
        try:
            yield
        finally:
            del self._writes[key]

    async def until_done(
        self, doing: str, operation: Callable[[], Awaitable[Result]]
    ) -> Result:  # fmt: skip
        """Do it, again and again while what it raises can pass."""
        since = time.monotonic()
        try:
            return await operation()
        except self.passing as error:
            wait = _Wait(doing, since, error)
        with self._waiting(wait):
            for delay_s in _delays():
                self._tell(wait, delay_s)
                await asyncio.sleep(delay_s)
                try:
                    return await operation()
                except self.passing as error:
                    wait.error = error
        raise AssertionError("delays do not run out")

    @property
    def _oldest(self) -> _Wait | None:
        return min(self._waits, key=lambda wait: wait.since, default=None)

    def _tell(self, wait: _Wait, delay_s: float) -> None:
        self._events.mongo_retried()
        if wait is not self._oldest:
            return
        error = wait.error
        self._events.mongo_away(wait.doing, error.message, error.hint, delay_s)
        if isinstance(error, EntryRefused):
            self._log_in_anew()

    @contextmanager
    def _waiting(self, wait: _Wait) -> Iterator[None]:
        self._waits.append(wait)
        is_answered = True
        try:
            yield
        except asyncio.CancelledError:
            is_answered = False
            raise
        finally:
            self._waits.remove(wait)
            if is_answered and not self._waits:
                self._events.mongo_back(wait.doing, time.monotonic() - wait.since)


def _delays() -> Iterator[float]:
    """Seconds between attempts, without end: ever longer, and never in step with others."""
    longest_s = 0.1
    while True:
        yield longest_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
        longest_s = min(longest_s * 2, _LONGEST_DELAY_S)
