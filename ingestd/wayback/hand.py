"""Actions in hand: while this process is there, nobody else takes up what it has begun."""

from collections.abc import Awaitable, Callable
from functools import wraps

from ingestd.mongo import Document
from ingestd.pipeline.desk import Desk

Finish = Callable[[Desk, Document], Awaitable[Document]]


def in_hand(finish: Finish) -> Finish:
    """Mark the second half of an action: what is done once it is begun."""

    @wraps(finish)
    async def finish_in_hand(desk: Desk, entry: Document) -> Document:
        with desk.ledger.actions.in_hand(entry):
            return await finish(desk, entry)

    return finish_in_hand
