"""Where work for an answer is done: in a thread, so that the loop goes on, or at once if small."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

_SMALL_BYTES = 2**15
"""About a millisecond of work. The way to a thread and back can take longer than that: where a load
keeps the interpreter busy, each turn is waited for."""


async def worked_on(octets: bytes, work: Callable[[bytes], Result]) -> Result:
    """What ``work`` makes of the octets."""
    if len(octets) <= _SMALL_BYTES:
        return work(octets)
    return await asyncio.to_thread(work, octets)
