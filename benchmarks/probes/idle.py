"""What a daemon costs that has nothing to do: ten sources, and many files in its archive."""

import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from pymongo.database import Database

from benchmarks.daemon import running_daemon
from benchmarks.deployment import Deployment, make_deployment
from benchmarks.generate import orders, write_file
from benchmarks.processes import Meter
from benchmarks.rounds import Effort, scratch, tell
from benchmarks.scenarios import SOURCES
from benchmarks.server import running_server
from benchmarks.summary import Spread
from ingestd.ledger import FILES
from ingestd.records import FileState

_SOURCES = 10
_FILES = 100_000
_QUICK_FILES = 10_000
_REST_S = 5.0
_WATCHED_S = 30.0
_QUICK_WATCHED_S = 10.0
_POLL_S = 0.05
_AT_ONCE = 5_000


def measure_idle(effort: Effort, directory: Path) -> Mapping[str, Spread | float]:
    """Percent of one core, and memory, while nothing happens."""
    files = _QUICK_FILES if effort.is_quick else _FILES
    text = (SOURCES / "orders.toml").read_text(encoding="utf-8")
    sources = {f"s{n}": text.replace("orders", f"s{n}") for n in range(_SOURCES)}
    with scratch(directory / "idle") as place, running_server(place / "mongo") as server:
        (place / "root").mkdir()
        deployment = make_deployment(place / "root", server.uri, sources)
        with server.database() as database:
            load_one(deployment, database)
            tell(f"  archiving {files:,} files …")
            _archive_more(deployment, database, files)
        return _watch(deployment, server.pid, effort) | {"archived_files": float(files)}


def _watch(deployment: Deployment, mongod_pid: int, effort: Effort) -> dict[str, float]:
    watched_s = _QUICK_WATCHED_S if effort.is_quick else _WATCHED_S
    started = time.perf_counter()
    with running_daemon(deployment) as daemon:
        start_s = time.perf_counter() - started
        time.sleep(_REST_S)
        with Meter(mongod_pid) as server, Meter(daemon.pid) as client:
            time.sleep(watched_s)
    return {
        "main_cpu_percent": 100 * client.cost.main_cpu_s / watched_s,
        "workers_cpu_percent": 100 * client.cost.workers_cpu_s / watched_s,
        "mongod_cpu_percent": 100 * server.cost.cpu_s / watched_s,
        "rss_mb": client.cost.peak_rss_bytes / 1e6,
        "pss_mb": client.cost.peak_pss_bytes / 1e6,
        "start_s": start_s,
    }


def load_one(deployment: Deployment, database: Database[dict[str, Any]]) -> None:
    """One real file, so that the ledger has an entry of today's form."""
    file = deployment.staging / "first.csv"
    write_file(file, orders(), 100)
    with running_daemon(deployment):
        file.rename(deployment.root / "inbox" / "s0" / file.name)
        while not database[FILES].find_one({"state": FileState.ARCHIVED.value}):
            time.sleep(_POLL_S)


def _archive_more(
    deployment: Deployment, database: Database[dict[str, Any]], count: int
) -> None:  # fmt: skip
    """Copies of that entry, each with a file in the archive."""
    entry = database[FILES].find_one()
    assert entry is not None
    day = Path(entry["archived_to"]).parent.relative_to(deployment.root / "archive" / "s0")
    for n in range(_SOURCES):
        (deployment.root / "archive" / f"s{n}" / day).mkdir(parents=True, exist_ok=True)
    copies = _copies(deployment, entry, day, count)
    while batch := list(islice(copies, _AT_ONCE)):
        database[FILES].insert_many(batch)
        for copy in batch:
            Path(copy["archived_to"]).touch()


def _copies(
    deployment: Deployment, entry: dict[str, Any], day: Path, count: int
) -> Iterator[dict[str, Any]]:  # fmt: skip
    for n in range(count):
        source_name, name = f"s{n % _SOURCES}", f"copy-{n}.csv"
        target = deployment.root / "archive" / source_name / day / name
        yield entry | {
            "_id": f"{n + 1:016x}", "sha256": f"{n + 1:064x}", "source_name": source_name,
            "name": name, "path": str(deployment.root / "inbox" / source_name / name),
            "archived_to": str(target),
            "processed_at": entry["processed_at"] - timedelta(milliseconds=n),
        }  # fmt: skip
