"""Found files in groups: what waits of a source at one moment goes together, if it is small.

Nothing is waited for: a file that comes alone is a group of its own, and under load the groups
become large.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from typing import TypeVar

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from ingestd.records import FoundFile

Item = TypeVar("Item")

MOST_FILES = 64
MOST_BYTES = 2**20
"""Of a group: enough to pay for one frame, one batch and one commit."""


async def gather(
    inbox: MemoryObjectReceiveStream[FoundFile],
) -> AsyncIterator[Sequence[FoundFile]]:
    """Groups of one source each, until the inbox is closed."""
    async for first in inbox:
        files = sorted([first, *_waiting(inbox)], key=_source_name)
        for _, of_source in groupby(files, _source_name):
            for group in runs(of_source, _size_bytes):
                yield group


def _waiting(inbox: MemoryObjectReceiveStream[FoundFile]) -> Iterator[FoundFile]:
    with suppress(anyio.WouldBlock, anyio.EndOfStream):
        for _ in range(MOST_FILES - 1):
            yield inbox.receive_nowait()


def _source_name(found: FoundFile) -> str:
    return found.source_name


def _size_bytes(found: FoundFile) -> int:
    return found.stat.size_bytes


def runs(items: Iterable[Item], size_bytes: Callable[[Item], int]) -> Iterator[Sequence[Item]]:
    """The items in their order, in runs of at most ``MOST_BYTES``; a larger one goes alone."""
    run: list[Item] = []
    room_bytes = MOST_BYTES
    for item in items:
        room_bytes -= size_bytes(item)
        if run and room_bytes < 0:
            yield run
            run, room_bytes = [], MOST_BYTES - size_bytes(item)
        run.append(item)
    if run:
        yield run
