"""Pages of 100 rows of a large collection: at rest, beside a load, and far from the first."""

import struct
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from threading import Event

import bson
from bson import Int64, ObjectId
from pymongo.database import Database

from benchmarks.daemon import running_daemon
from benchmarks.deployment import Deployment, make_deployment
from benchmarks.generate import orders, write_file
from benchmarks.probes.readers import Milliseconds, ask_steadily, time_pages
from benchmarks.processes import CommandFailed
from benchmarks.rounds import Effort, scratch, tell
from benchmarks.scenarios import SOURCES
from benchmarks.server import running_server
from benchmarks.summary import Spread
from ingestd.config.source import LoadSpec
from ingestd.ledger import FILES
from ingestd.load import ordered_indexes
from ingestd.mongo.sequence import DocumentSequence
from ingestd.records import FileState

_ROWS = 10_000_000
_QUICK_ROWS = 200_000
_ROWS_EACH = 100_000
"""Of one file."""
_AT_ONCE = 10_000
_CUSTOMERS = 1000
_SECONDS = 20.0
_FAR_ROWS = 1_000_000
"""How far the page called far is: 10,000 pages of 100."""
_LOADS = 3
"""Files that are loaded alone, and as many beside readers."""
_LOAD_ROWS = 1_000_000
_LIMIT_S = 120.0
_POLL_S = 0.02
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _World:
    url: str
    deployment: Deployment
    database: Database[dict[str, object]]
    rows: int

    @property
    def filtered(self) -> list[str]:
        """A page of each customer."""
        return [f"{self.url}/data/orders?customer_id={number}" for number in range(_CUSTOMERS)]


def measure_pages(effort: Effort, directory: Path) -> Mapping[str, Spread | float]:
    """Milliseconds at 50 requests a second; each for another value, or further on in its pages.
    ``load_slowed_by``: the part of its speed that a load loses to them."""
    rows = _QUICK_ROWS if effort.is_quick else _ROWS
    with _world(directory / "pages", rows) as world:
        rest = ask_steadily(world.filtered, lambda seconds: seconds < _SECONDS)
        figures = {"page_rows": float(rows)} | _percentiles(rest, "page")
        figures |= _measure_far(world)
        return figures | _measure_busy(world, rows // 10 if effort.is_quick else _LOAD_ROWS)


@contextmanager
def _world(directory: Path, rows: int) -> Iterator[_World]:
    """A full collection, and a daemon whose other source has nothing yet."""
    texts = {name: (SOURCES / f"{name}.toml").read_text() for name in ("indexed", "orders")}
    sources = {"orders": texts["indexed"], "new": texts["orders"].replace("orders", "new")}
    with scratch(directory) as place, running_server(place / "mongo") as server:
        (place / "root").mkdir()
        deployment = make_deployment(place / "root", server.uri, sources)
        with server.database() as database:
            tell(f"  filling the collection with {rows:,} rows …")
            _fill(database, rows)
            with running_daemon(deployment) as daemon:
                yield _World(daemon.url, deployment, database, rows)


def _percentiles(milliseconds: Milliseconds, name: str) -> dict[str, float]:
    ordered = sorted(milliseconds)
    p50, p99 = median(ordered), ordered[int(0.99 * len(ordered))]
    return {f"{name}_p50_ms": p50, f"{name}_p99_ms": p99, f"{name}_requests": float(len(ordered))}


def _measure_far(world: _World) -> dict[str, float]:
    """Pages without a filter: the first ones, and those that follow a million rows further on."""
    url, far = f"{world.url}/data/orders", min(_FAR_ROWS, world.rows // 2)
    near, _ = time_pages(url, 100)
    _, following = time_pages(f"{url}?limit=10000", far // 10_000)
    beyond, _ = time_pages(following.replace("limit=10000", "limit=100"), 100)
    return {"near_page_p50_ms": median(near), "far_page_p50_ms": median(beyond)}


def _measure_busy(world: _World, rows: int) -> dict[str, float]:
    """In turns, so that a busy moment of the machine hits both."""
    files = [_write(world, rows, number) for number in range(2 * _LOADS)]
    alone, beside, waits = 0.0, 0.0, Milliseconds()
    for first, second in zip(files[::2], files[1::2], strict=True):
        alone += _load(world, first)
        seconds, waited = _load_beside_readers(world, second)
        beside += seconds
        waits += waited
    return {
        **_percentiles(waits, "busy_page"), "load_slowed_by": 1 - alone / beside,
        "load_alone_rows_per_s": _LOADS * rows / alone,
        "load_beside_rows_per_s": _LOADS * rows / beside,
    }  # fmt: skip


def _write(world: _World, rows: int, number: int) -> Path:
    file = world.deployment.staging / f"{number}.csv"
    write_file(file, orders(first_order=number * rows), rows)
    return file


def _load_beside_readers(world: _World, file: Path) -> tuple[float, Milliseconds]:
    is_over = Event()
    with ThreadPoolExecutor(1) as readers:
        asked = readers.submit(ask_steadily, world.filtered, lambda _: not is_over.is_set())
        try:
            seconds = _load(world, file)
        finally:
            is_over.set()
        return seconds, asked.result()


def _load(world: _World, file: Path) -> float:
    """Seconds from the drop of a file to its place in the archive."""
    started = time.perf_counter()
    file.rename(world.deployment.root / "inbox" / "new" / file.name)
    archived = {"source_name": "new", "name": file.name, "state": FileState.ARCHIVED.value}
    while world.database[FILES].find_one(archived) is None:
        if time.perf_counter() - started > _LIMIT_S:
            raise CommandFailed(f"{file.name} was not loaded after {_LIMIT_S:.0f} s")
        time.sleep(_POLL_S)
    return time.perf_counter() - started


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
    for keys in ordered_indexes(LoadSpec(indexes=(("customer_id",),))):
        database["orders"].create_index([(key, 1) for key in keys])


def _row(file: int, first: int, row: int, run: datetime) -> bytes:
    return bson.encode(
        {
            "_id": ObjectId(struct.pack(">QI", file, row + 1)), "order_id": f"ORD-{first + row}",
            "customer_id": Int64(row * 7919 % _CUSTOMERS), "amount": row / 4, "country": "DE",
            "processed_at": run, "source_name": "orders",
        }
    )  # fmt: skip
