"""Runs: ``processed_at`` of files, strictly rising within a source, whoever gives them out.

``visible.py`` relies on more: the ledger never learns of an earlier run after a later one. Within a
process, runs are given out and recorded in turns. Between processes each looks, once its own are
recorded, whether a later one was given out meanwhile; then it gets new ones.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from ingestd.ledger.entry import SOURCES
from ingestd.mongo import Mongo

Result = TypeVar("Result")


class Runs:
    """Gives out runs. Calls wait while MongoDB is away, and are safe to repeat."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def record(
        self, source_name: str, count: int,
        record: Callable[[Sequence[datetime]], Awaitable[Result]],
    ) -> Result:  # fmt: skip
        """Let ``record`` write so many new runs into the ledger: again, with others, when a later
        one was there before they were."""
        async with self._turns[source_name]:
            while True:
                last = await self.give_out(source_name, count)
                runs = [last - timedelta(milliseconds=n) for n in reversed(range(count))]
                recorded = await record(runs)
                if await self._is_last(source_name, last):
                    return recorded

    async def give_out(self, source_name: str, count: int = 1) -> datetime:
        """The next run of a source: now, or a millisecond after the last one.

        Of ``count`` runs it is the last; the others are the milliseconds before it.
        """
        first = {"$max": ["$$NOW", {"$add": ["$processed_at", 1]}]}
        later = {"$add": [first, count - 1]}
        run = await self._mongo.patiently(
            "ordering a file",
            lambda: self._mongo.update_returning(
                SOURCES, {"_id": source_name}, [{"$set": {"processed_at": later}}], upsert=True
            ),
        )
        assert run is not None
        moment: datetime = run["processed_at"]
        return moment

    async def _is_last(self, source_name: str, run: datetime) -> bool:
        newest = await self._mongo.patiently(
            "ordering a file", lambda: self._mongo.find_one(SOURCES, {"_id": source_name})
        )
        return newest is not None and newest["processed_at"] == run
