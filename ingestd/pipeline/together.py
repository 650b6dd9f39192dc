"""Many small calls as a few large ones: what comes while a call is under way goes with the next.

Nothing waits for company: a call that comes alone is made at once. Under load the calls of many
files become one command to MongoDB, or one turn of a thread.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import anyio
import anyio.to_thread

Item = TypeVar("Item")
Result = TypeVar("Result")

Errand = Callable[[], Any]
"""Something short to do in a thread."""


@dataclass(slots=True)
class _Ticket(Generic[Item, Result]):
    item: Item
    called: anyio.Event = field(default_factory=anyio.Event)
    result: "Result | Exception | None" = None
    is_done: bool = False


class Together(Generic[Item, Result]):
    """Makes calls together. ``run`` answers several items, each with a result or an error."""

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        most: int = 64,
    ) -> None:
        self._run = run
        self._most = most
        self._waiting: list[_Ticket[Item, Result]] = []
        self._is_running = False

    async def __call__(self, item: Item) -> Result:
        """The result for this item; raises the item's error."""
        ticket: _Ticket[Item, Result] = _Ticket(item)
        self._waiting.append(ticket)
        if self._is_running:
            await self._wait(ticket)
        if not ticket.is_done:
            await self._lead(ticket)
        if isinstance(ticket.result, Exception):
            raise ticket.result
        return ticket.result  # type: ignore[return-value]

    async def _wait(self, ticket: "_Ticket[Item, Result]") -> None:
        """Until the item is done, or it is our turn to make the next call."""
        try:
            await ticket.called.wait()
        except BaseException:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                if ticket.called.is_set():
                    self._hand_over()
            raise

    async def _lead(self, own: "_Ticket[Item, Result]") -> None:
        """Make one call for all that wait, then leave the next to the first of those behind."""
        self._is_running = True
        batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            results: Sequence[Result | Exception] = await self._run([t.item for t in batch])
        except Exception as error:  # noqa: BLE001 - every caller gets it
            results = [error] * len(batch)
        except BaseException:  # we are cancelled: the others make their call without us
            self._waiting = [ticket for ticket in batch if ticket is not own] + self._waiting
            self._hand_over()
            raise
        for ticket, result in zip(batch, results, strict=True):
            ticket.result, ticket.is_done = result, True
            ticket.called.set()
        self._hand_over()

    def _hand_over(self) -> None:
        self._is_running = bool(self._waiting)
        if self._waiting:
            self._waiting[0].called.set()


async def run_errands(errands: Sequence[Errand]) -> Sequence[Any]:
    """Do all of them in one turn of a thread."""
    return await anyio.to_thread.run_sync(_do_all, errands)


def _do_all(errands: Sequence[Errand]) -> list[Any]:
    results: list[Any] = []
    for errand in errands:
        try:
            results.append(errand())
        except Exception as error:  # noqa: BLE001 - whose errand it was, raises it
            results.append(error)
    return results
