"""What a daemon does with a ledger of millions of files: start, take a file, answer."""

import itertools
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import bson
from pymongo.database import Database

from benchmarks.daemon import Daemon, running_daemon
from benchmarks.deployment import Deployment, make_deployment
from benchmarks.generate import orders, write_file
from benchmarks.probes.idle import load_one
from benchmarks.rounds import Effort, scratch, tell
from benchmarks.scenarios import SOURCES
from benchmarks.server import running_server
from benchmarks.summary import Spread
from ingestd.ledger import FILES
from ingestd.mongo.sequence import DocumentSequence

_SOURCES = 10
_FILES = 5_000_000
_QUICK_FILES = 100_000
_AT_ONCE = 20_000
_TAKEN = 20
_POLL_S = 0.002
_PAGES = {
    "health": "/health", "files": "/files", "failed_files": "/files?state=failed",
    "named_files": "/files?name=old-77.csv", "sources": "/sources", "data": "/data/s1",
}  # fmt: skip
_STATES = ("archived",) * 97 + ("duplicate", "failed", "undone")


def measure_ledger(effort: Effort, directory: Path) -> Mapping[str, Spread | float]:
    """Milliseconds of each, with that many files in the ledger."""
    count = _QUICK_FILES if effort.is_quick else _FILES
    text = (SOURCES / "orders.toml").read_text(encoding="utf-8")
    sources = {f"s{n}": text.replace("orders", f"s{n}") for n in range(_SOURCES)}
    with scratch(directory / "ledger") as place, running_server(place / "mongo") as server:
        (place / "root").mkdir()
        deployment = make_deployment(place / "root", server.uri, sources)
        with server.database() as database:
            load_one(deployment, database)
            tell(f"  filling the ledger with {count:,} files …")
            _fill(database, count)
            return {"ledger_files": float(count)} | _measure(deployment, database)


def _measure(deployment: Deployment, database: Database[dict[str, Any]]) -> dict[str, float]:
    started = time.perf_counter()
    with running_daemon(deployment) as daemon:
        start_s = time.perf_counter() - started
        pages = {f"{name}_ms": _time_page(daemon, page) for name, page in _PAGES.items()}
        taken_ms = [_time_file(deployment, database, n) for n in range(_TAKEN)]
    return {"start_s": start_s, **pages, "file_ms": sorted(taken_ms)[_TAKEN // 2]}


def _time_page(daemon: Daemon, page: str) -> float:
    """The second answer: the first one also reads from disk."""
    daemon.get(page)
    started = time.perf_counter()
    daemon.get(page)
    return 1000 * (time.perf_counter() - started)


def _time_file(deployment: Deployment, database: Database[dict[str, Any]], n: int) -> float:
    """From the drop of a small file until its end: two claims' worth of commands and a move."""
    file = deployment.staging / f"taken-{n}.csv"
    write_file(file, orders(first_order=10 * n + 1000), 10)
    started = time.perf_counter()
    file.rename(deployment.root / "inbox" / "s0" / file.name)
    while not database[FILES].find_one({"name": file.name, "state": "archived"}):
        time.sleep(_POLL_S)
    return 1000 * (time.perf_counter() - started)


def _fill(database: Database[dict[str, Any]], count: int) -> None:
    """Copies of the one entry there is, as raw bytes; indexes are built when all are there."""
    entry = database[FILES].find_one()
    assert entry is not None
    indexes = [index for index in database[FILES].list_indexes() if index["name"] != "_id_"]
    database[FILES].drop_indexes()
    copies = map(bson.encode, _copies(entry, count))
    while raw := b"".join(itertools.islice(copies, _AT_ONCE)):
        database.command({"insert": FILES, "ordered": False, "documents": [DocumentSequence(raw)]})
    for index in indexes:
        database[FILES].create_index(list(index["key"].items()))


def _copies(entry: dict[str, Any], count: int) -> Iterator[dict[str, Any]]:
    for n in range(count):
        source_name, name, state = f"s{n % _SOURCES}", f"old-{n}.csv", _STATES[n % len(_STATES)]
        first = {"duplicate_of": f"{0:016x}"} if state == "duplicate" else {}
        yield entry | first | {
            "_id": f"{n + 1:016x}", "sha256": f"{n + 1:064x}", "source_name": source_name,
            "name": name, "path": f"/inbox/{source_name}/{name}", "state": state,
            "archived_to": f"/archive/{source_name}/2026/01/31/{name}",
            "processed_at": entry["processed_at"] - timedelta(seconds=n),
        }  # fmt: skip
