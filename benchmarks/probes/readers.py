"""Clients that read pages, at a steady rate or one after the other, and how long they wait."""

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from random import Random

import aiohttp

from benchmarks.processes import CommandFailed

Milliseconds = list[float]

_RATE_PER_S = 50
_AGAIN_S = 0.1
_CHOSEN = Random(7)


def ask_steadily(urls: Sequence[str], goes_on: Callable[[float], bool]) -> Milliseconds:
    """Of these lists 50 pages a second, every other one further on; until ``goes_on``, which is
    told the seconds so far, says no. The first second warms up."""
    return asyncio.run(_ask_steadily(urls, goes_on))


async def _ask_steadily(urls: Sequence[str], goes_on: Callable[[float], bool]) -> Milliseconds:
    """A request is sent when its time has come, whether those before it were answered or not."""
    following: list[str] = []
    tasks: list[asyncio.Task[float]] = []
    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        started = time.perf_counter()
        for number in itertools.count():
            due_s = number / _RATE_PER_S
            await asyncio.sleep(started + due_s - time.perf_counter())
            if not goes_on(due_s):
                break
            url = following.pop() if following and number % 2 else _CHOSEN.choice(urls)
            tasks.append(group.create_task(_time_page(http, url, following)))
    return [task.result() for task in tasks[_RATE_PER_S:]]


def time_pages(url: str, count: int) -> tuple[Milliseconds, str]:
    """So many pages of one list, each when the one before is there; and where it goes on."""
    return asyncio.run(_time_pages(url, count))


async def _time_pages(url: str, count: int) -> tuple[Milliseconds, str]:
    following = [url]
    async with aiohttp.ClientSession() as http:
        waits = [await _time_page(http, following.pop(), following) for _ in range(count)]
    return waits, following.pop()


async def _time_page(http: aiohttp.ClientSession, url: str, following: list[str]) -> float:
    """Until the page is there: who is told to come again in a moment waits as well."""
    started = time.perf_counter()
    while not await _read_page(http, url, following):  # noqa: ASYNC110 - of another process
        await asyncio.sleep(_AGAIN_S)
    return 1000 * (time.perf_counter() - started)


async def _read_page(http: aiohttp.ClientSession, url: str, following: list[str]) -> bool:
    async with http.get(url) as response:
        body = await response.read()
        if response.status not in (200, 429):
            raise CommandFailed(f"{url}: {response.status} {body[:500]!r}")
        if link := response.links.get("next"):
            following.append(str(link["url"]))
        return response.status == 200
