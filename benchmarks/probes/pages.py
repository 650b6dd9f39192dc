"""Pages of 100 rows, filtered by an indexed column, at a steady rate; of a large collection."""

import asyncio
import itertools
import struct
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import aiohttp
import bson
from bson import Int64, ObjectId
from pymongo.database import Database

from benchmarks.daemon import running_daemon
from benchmarks.deployment import Deployment, make_deployment
from benchmarks.processes import CommandFailed
from benchmarks.rounds import Effort, scratch, tell
from benchmarks.scenarios import SOURCES
from benchmarks.server import running_server
from benchmarks.summary import Spread
from ingestd.ledger import FILES
from ingestd.load import ordered_index
from ingestd.mongo.sequence import DocumentSequence
from ingestd.records import FileState

_ROWS = 10_000_000
_QUICK_ROWS = 200_000
_ROWS_EACH = 100_000
"""Of one file."""
_AT_ONCE = 10_000
_CUSTOMERS = 1000
_RATE_PER_S = 50
_SECONDS = 20
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_CHOSEN = Random(7)


def measure_pages(effort: Effort, directory: Path) -> Mapping[str, Spread | float]:
    """Milliseconds at 50 requests a second; each for another value, or further on in its pages."""
    rows = _QUICK_ROWS if effort.is_quick else _ROWS
    text = (SOURCES / "indexed.toml").read_text(encoding="utf-8")
    with scratch(directory / "pages") as place, running_server(place / "mongo") as server:
        (place / "root").mkdir()
        deployment = make_deployment(place / "root", server.uri, {"orders": text})
        with server.database() as database:
            tell(f"  filling the collection with {rows:,} rows …")
            _fill(database, rows)
            return {"page_rows": float(rows)} | _ask(deployment)


def _fill(database: Database[dict[str, object]], rows: int) -> None:
    """As the loader would: 100,000 rows a file, in order of arrival."""
    database["orders"].create_index([("processed_at", 1), ("_id", 1)])
    for number, first in enumerate(range(0, rows, _ROWS_EACH), 1):
        run = _FIRST + timedelta(minutes=number)
        entry = {
            "_id": f"{number:016x}", "source_name": "orders", "name": f"{number}.csv",
            "state": FileState.ARCHIVED.value, "processed_at": run, "finished_at": run,
            "record_count": _ROWS_EACH, "success_count": _ROWS_EACH, "error_count": 0,
            "filtered_count": 0, "attempts": 1, "is_put_away": True, "sha256": "",
            "path": "", "size": 0,
        }  # fmt: skip
        for start in range(0, _ROWS_EACH, _AT_ONCE):
            raw = b"".join(_row(number, first, row, run) for row in range(start, start + _AT_ONCE))
            command = {"insert": "orders", "ordered": False, "documents": [DocumentSequence(raw)]}
            database.command(command)
        database[FILES].insert_one(entry)
    keys = ordered_index(("customer_id",))
    database["orders"].create_index([(key, 1) for key in keys])


def _row(file: int, first: int, row: int, run: datetime) -> bytes:
    return bson.encode(
        {
            "_id": ObjectId(struct.pack(">QI", file, row + 1)), "order_id": f"ORD-{first + row}",
            "customer_id": Int64(row * 7919 % _CUSTOMERS), "amount": row / 4, "country": "DE",
            "processed_at": run, "source_name": "orders",
        }
    )  # fmt: skip


def _ask(deployment: Deployment) -> dict[str, float]:
    with running_daemon(deployment) as daemon:
        milliseconds = sorted(asyncio.run(_ask_steadily(daemon.url)))
    middle, last = len(milliseconds) // 2, int(0.99 * len(milliseconds))
    return {"page_p50_ms": milliseconds[middle], "page_p99_ms": milliseconds[last]}


async def _ask_steadily(url: str) -> list[float]:
    """A request is sent when its time has come, whether those before it were answered or not."""
    following: list[str] = []
    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        await _time_page(http, f"{url}/data/orders?customer_id=1", following)
        started, tasks = time.perf_counter(), []
        for number in range(_RATE_PER_S * _SECONDS):
            await asyncio.sleep(started + number / _RATE_PER_S - time.perf_counter())
            query = f"{url}/data/orders?customer_id={_CHOSEN.randrange(_CUSTOMERS)}"
            page = following.pop() if following and number % 2 else query
            tasks.append(group.create_task(_time_page(http, page, following)))
    return [task.result() for task in itertools.islice(tasks, _RATE_PER_S, None)]


async def _time_page(http: aiohttp.ClientSession, url: str, following: list[str]) -> float:
    started = time.perf_counter()
    async with http.get(url) as response:
        body = await response.read()
        if response.status != 200:
            raise CommandFailed(f"{url}: {response.status} {body[:500]!r}")
        if link := response.links.get("next"):
            following.append(str(link["url"]))
    return 1000 * (time.perf_counter() - started)
