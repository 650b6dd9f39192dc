"""Reading a database: from the loop, or several reads one after the other in a thread.

The way to a thread and back costs as much as most reads, and more beside a load, which keeps the
interpreter busy. Who reads takes ``Reads``, and need not know which of both it is.
"""

from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pymongo.database import Database

from ingestd.mongo.answers import errors_mapped
from ingestd.mongo.rows import Document

Result = TypeVar("Result")


class Reads(Protocol):
    """What can be read. ``options``: sort, limit, projection, max_time_ms, hint."""

    async def find(self, collection: str, match: Document, **options: Any) -> list[Document]:
        """All documents that match."""

    async def aggregate(
        self, collection: str, pipeline: Sequence[Document], **options: Any
    ) -> list[Document]:
        """All documents that the pipeline makes; ``options``: maxTimeMS, hint."""

    def iterate_raw(
        self, collection: str, match: Document, **options: Any
    ) -> AsyncGenerator[bytes, None]:
        """What matches as concatenated BSON, one reply of the server (16 MiB) at a time.

        ``options`` as for ``find``, and batch_size: rows per reply.
        """


@dataclass(frozen=True, slots=True)
class ReadsAtOnce:
    """``Reads`` in the thread that it is called from: what it answers is there, not awaited."""

    database: Database[Document]
    timed: Callable[[str, str], AbstractContextManager[None]]
    """Around a command on a collection: its metrics, and errors as ours."""

    async def find(self, collection: str, match: Document, **options: Any) -> list[Document]:
        """See ``Reads``."""
        with self.timed("find", collection):
            return list(self.database[collection].find(match, **options))

    async def aggregate(
        self, collection: str, pipeline: Sequence[Document], **options: Any
    ) -> list[Document]:
        """See ``Reads``."""
        with self.timed("aggregate", collection):
            return list(self.database[collection].aggregate(pipeline, **options))

    async def iterate_raw(
        self, collection: str, match: Document, **options: Any
    ) -> AsyncGenerator[bytes, None]:
        """See ``Reads``."""
        cursor: Any = self.database[collection].find_raw_batches(match, **options)
        with errors_mapped(f"reading {collection}"), cursor:
            for reply in cursor:
                yield reply


def finished(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """What a coroutine returns that awaits nothing but ``ReadsAtOnce``: it never stops."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    coroutine.close()
    raise AssertionError("it waits for a loop, and there is none in this thread")
