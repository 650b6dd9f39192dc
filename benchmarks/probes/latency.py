"""From the rename of a small file until ``/data`` shows its rows, one file after the other."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from urllib.parse import quote

from pymongo.database import Database

from benchmarks.daemon import Daemon, running_daemon
from benchmarks.deployment import Deployment, make_deployment
from benchmarks.generate import orders, write_file
from benchmarks.processes import CommandFailed
from benchmarks.rounds import Effort, scratch, tell
from benchmarks.scenarios import SOURCES
from benchmarks.server import running_server
from benchmarks.summary import Spread, spread
from ingestd.ledger import FILES
from ingestd.records import FileState

_ROWS = 100
_FILES = 100
_QUICK_FILES = 20
_BIG_FILES = 6
_BIG_ROWS = 1_000_000
_LIMIT_S = 60.0
_POLL_S = 0.002
_READY_AGE_S = 1.0
_PAUSES = Random(7)
"""Drops must not keep step with the daemon's own clock."""


@dataclass(frozen=True, slots=True)
class _World:
    daemon: Daemon
    deployment: Deployment
    database: Database[dict[str, object]]


def measure_latency(effort: Effort, directory: Path) -> Mapping[str, Spread | float]:
    """An idle daemon. *Fresh* files are renamed in as soon as they are written, *ready* ones
    lay still for a second before, as those do that another program copied."""
    count = _QUICK_FILES if effort.is_quick else _FILES
    with _world(directory) as world:
        _samples(world, _files(world, 5, first=10**6), is_alone=True)
        fresh = _samples(world, _fresh_files(world, count, first=0), is_alone=True)
        ready = _files(world, count, first=2 * 10**6)
        time.sleep(_READY_AGE_S)
        return _figures(fresh, "fresh") | _figures(_samples(world, ready, is_alone=True), "ready")


def measure_busy_latency(effort: Effort, directory: Path) -> Mapping[str, Spread | float]:
    """While another source's large file is loading, all the time that a small one takes."""
    count = 2 if effort.is_quick else _BIG_FILES
    seconds: list[float] = []
    with _world(directory) as world:
        for n in range(count):
            big = world.deployment.staging / f"big-{n}.csv"
            write_file(big, orders(first_order=(n + 1) * 10**7), _BIG_ROWS)
            big.rename(world.deployment.root / "inbox" / "orders" / big.name)
            small = _fresh_files(world, 10**6, first=10**8 + n * 10**6)
            seconds += _samples_while_loading(world, big.name, small)
    if not seconds:
        raise CommandFailed("no small file became visible while a large one was loading")
    return _figures(seconds, "busy")


def _samples_while_loading(world: _World, big: str, small: Iterator[Path]) -> list[float]:
    """Samples that began and ended while the large file was loading."""
    seconds: list[float] = []
    _await_state(world, big, FileState.LOADING)
    while True:
        taken = _samples(world, iter([next(small)]), is_alone=False)
        if _state_of(world, big) != FileState.LOADING:
            break
        seconds += taken
    _await_state(world, big, FileState.ARCHIVED)
    tell(f"  {len(seconds)} small files while one large file was loading")
    return seconds


@contextmanager
def _world(directory: Path) -> Iterator[_World]:
    """A daemon with the sources ``orders`` and ``small``."""
    text = (SOURCES / "orders.toml").read_text(encoding="utf-8")
    sources = {"orders": text, "small": text.replace("orders", "small")}
    with scratch(directory / "latency") as place, running_server(place / "mongo") as server:
        (place / "root").mkdir()
        deployment = make_deployment(place / "root", server.uri, sources)
        with running_daemon(deployment) as daemon, server.database() as database:
            yield _World(daemon, deployment, database)


def _fresh_files(world: _World, count: int, first: int) -> Iterator[Path]:
    """Files that are written when they are asked for."""
    for n in range(count):
        path = world.deployment.staging / f"small-{first + n}.csv"
        write_file(path, orders(first_order=first + n * _ROWS), _ROWS)
        yield path


def _files(world: _World, count: int, first: int) -> Iterator[Path]:
    """Files that are all written before."""
    return iter(list(_fresh_files(world, count, first)))


def _samples(world: _World, files: Iterator[Path], *, is_alone: bool) -> list[float]:
    """Seconds of each file. Alone: the next is dropped once the daemon is at rest again."""
    seconds = []
    for file in files:
        seconds.append(_drop(world, file))
        if is_alone:
            _await_state(world, file.name, FileState.ARCHIVED)
            time.sleep(_PAUSES.uniform(0.05, 0.15))
    return seconds


def _drop(world: _World, file: Path) -> float:
    """Rename a file into the inbox; seconds until its rows are answered.

    Only runs from now on are asked for: earlier files do not answer, and an index does.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    query = f"/data/small?limit=1&start_date={quote(now)}"
    started = time.perf_counter()
    file.rename(world.deployment.root / "inbox" / "small" / file.name)
    while not world.daemon.get(query):
        if time.perf_counter() - started > _LIMIT_S:
            raise CommandFailed(f"{file.name} was not visible after {_LIMIT_S:.0f} s")
        time.sleep(_POLL_S)
    return time.perf_counter() - started


def _state_of(world: _World, name: str) -> object:
    return (world.database[FILES].find_one({"name": name}) or {}).get("state")


def _await_state(world: _World, name: str, state: FileState) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while _state_of(world, name) != state:
        if time.monotonic() > deadline:
            raise CommandFailed(f"{name} is not {state} after {_LIMIT_S:.0f} s")
        time.sleep(_POLL_S)


def _figures(seconds: list[float], kind: str) -> dict[str, Spread | float]:
    """Milliseconds. The 99th percentile of fewer than 100 samples is their maximum."""
    milliseconds = sorted(1000 * value for value in seconds)
    p99 = milliseconds[min(len(milliseconds) - 1, int(0.99 * len(milliseconds)))]
    return {f"{kind}_ms": spread(milliseconds), f"{kind}_p99_ms": round(p99, 1)}
