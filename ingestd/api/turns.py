"""How many queries run at the same time: one more is refused at once, not kept waiting."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import web

from ingestd.api.problems import ProblemDocument, RequestRefused

_RETRY_AFTER_S = "1"


@dataclass(slots=True)
class Turns:
    """At most so many of a kind at once; ``setting`` says how many."""

    most: int
    setting: str
    taken: int = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """One of them, for as long as the block takes.

        Raises:
            RequestRefused: 429: all are taken.
        """
        if self.taken >= self.most:
            raise RequestRefused(
                ProblemDocument(
                    429, "too-many-queries", "Too many at once",
                    f"{self.most} are being answered at this moment ({self.setting})",
                    "try again in a moment", headers={"Retry-After": _RETRY_AFTER_S},
                )
            )  # fmt: skip
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


QUERIES = web.AppKey("queries", Turns)
EXPORTS = web.AppKey("exports", Turns)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def in_turn(handler: Handler) -> Handler:
    """A handler that asks MongoDB, and counts as a query until it has answered."""

    async def take_turn(request: web.Request) -> web.StreamResponse:
        with request.app[QUERIES].one():
            return await handler(request)

    return take_turn
