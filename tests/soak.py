"""Drop good and bad files for hours, kill workers and MongoDB meanwhile, and see that nothing grows.

    python tests/soak.py --hours 2
    python tests/soak.py --hours 0.2 --every 0.5 --fault-every 15

Tells, for the daemon, its fork server and its largest worker, how memory, descriptors and threads
went after the first quarter, and ends with 1 when memory rises by more than ``--slope`` MB an hour
(beyond what chance explains), when descriptors or threads become more, or when in the end a row, a
rejection or a file is missing or there twice.
"""  # noqa: E501

import argparse
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psutil
from crash_matrix import scratch_directory
from crashes.stories import Source, zipped
from crashes.witness import workers_of
from crashes.worlds import rows
from harness import DaemonProcess, Mongod, wait_for
from orders import files_below
from pymongo import MongoClient

REFUSED_EVERY = 50
OPTIONS = {"watch.settle": 0.05, "refine.chunk_bytes": 2**15, "refine.workers": 2}
_ROLES = ("daemon", "fork server", "largest worker")
_MOST_MORE = 2
"""Descriptors or threads that may come and go."""


@dataclass
class Dropped:
    """What was dropped so far, and what must have become of it."""

    states: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    refused: int = 0
    first_id: int = 1
    last: bytes = b""

    def good(self, count: int) -> bytes:
        """A file of rows that were never dropped before."""
        content = rows(count, REFUSED_EVERY, self.first_id)
        refused = len(
            [n for n in range(self.first_id, self.first_id + count) if not n % REFUSED_EVERY]
        )
        self.first_id += count
        self.rows += count - refused
        self.refused += refused
        self.states["archived"] += 1
        return content


@dataclass(frozen=True)
class Sample:
    """One look at one process."""

    hours: float
    role: str
    memory_mb: float
    descriptors: int
    threads: int


class Soak:
    """One daemon and one mongod, for a long time."""

    def __init__(
        self, daemon: DaemonProcess, mongod: Mongod, arguments: argparse.Namespace
    ) -> None:
        self._daemon = daemon
        self._mongod = mongod
        self._arguments = arguments
        self._chance = Random(arguments.seed)
        self._started = time.monotonic()
        self.dropped = Dropped()
        self.samples: list[Sample] = []
        self.faults: Counter[str] = Counter()

    @property
    def hours(self) -> float:
        """Since the start."""
        return (time.monotonic() - self._started) / 3600

    def run(self) -> None:
        """Until time is up and everything that was dropped has ended."""
        next_fault_s = self._arguments.fault_every
        number = 0
        while self.hours < self._arguments.hours:
            self._drop(number)
            self._look()
            if self.hours * 3600 > next_fault_s:
                self._break_something()
                next_fault_s += self._arguments.fault_every
            number += 1
            time.sleep(self._arguments.every)
        wait_for(lambda: not files_below(self._daemon.inbox), "an empty inbox", 120)

    def _drop(self, number: int) -> None:
        kind = self._chance.choices(["good", "bad", "again", "zip"], [16, 2, 1, 1])[0]
        dropped, name = self.dropped, f"orders/{number:06}.csv"
        if kind == "bad":
            dropped.states["failed"] += 1
            self._daemon.drop(name, b"id,note\n%d,a\n" % number)
        elif kind == "again" and dropped.last:
            dropped.states["duplicate"] += 1
            self._daemon.drop(name, dropped.last)
        elif kind == "zip":
            members = {f"{n}.csv": dropped.good(self._arguments.rows // 2) for n in range(2)}
            self._daemon.drop(name.replace(".csv", ".zip"), zipped(members))
        else:
            dropped.last = dropped.good(self._chance.randint(1, 2 * self._arguments.rows))
            self._daemon.drop(name, dropped.last)

    def _break_something(self) -> None:
        """A worker mostly, MongoDB now and then."""
        if self._chance.random() < 0.25:
            self.faults["mongod killed"] += 1
            self._mongod.signal(signal.SIGKILL)
            self._mongod.start()
        elif workers := workers_of(self._pid):
            self.faults["worker killed"] += 1
            with suppress(psutil.NoSuchProcess):
                self._chance.choice(workers).kill()

    @property
    def _pid(self) -> int:
        assert self._daemon.process
        return self._daemon.process.pid

    def _look(self) -> None:
        with suppress(psutil.NoSuchProcess):
            daemon, workers = psutil.Process(self._pid), workers_of(self._pid)
            self._note("daemon", daemon)
            if workers:
                self._note("fork server", psutil.Process(workers[0].ppid()))
                self._note("largest worker", max(workers, key=lambda one: one.memory_info().rss))

    def _note(self, role: str, process: psutil.Process) -> None:
        with suppress(psutil.NoSuchProcess):
            memory_mb = process.memory_info().rss / 1e6
            seen = process.num_fds(), process.num_threads()
            self.samples.append(Sample(self.hours, role, memory_mb, *seen))


# the verdict


@dataclass(frozen=True)
class Trend:
    """How the memory of a process went, MB per hour; ``error``: its standard error."""

    slope: float
    error: float


def trend_of(samples: Sequence[Sample]) -> Trend:
    """Least squares over the samples."""
    hours = [sample.hours for sample in samples]
    memory = [sample.memory_mb for sample in samples]
    slope, offset = statistics.linear_regression(hours, memory)
    squares = sum((m - offset - slope * h) ** 2 for h, m in zip(hours, memory, strict=True))
    spread = sum((h - statistics.fmean(hours)) ** 2 for h in hours)
    return Trend(slope, (squares / (len(samples) - 2) / spread) ** 0.5)


def grown(samples: Sequence[Sample], most_mb: float) -> Iterator[str]:
    """What grew, process by process; each is told on stdout."""
    latest = samples[-1].hours
    for role in _ROLES:
        mine = [one for one in samples if one.role == role and one.hours > latest / 4]
        if len(mine) < 10:
            yield f"{role}: too few samples"
            continue
        trend = trend_of(mine)
        quarter = len(mine) // 3
        first, last = mine[:quarter], mine[-quarter:]
        memory = statistics.median(one.memory_mb for one in last)
        print(f"{role}: {memory:.0f} MB, {trend.slope:+.2f} ± {trend.error:.2f} MB/h", end="")
        if trend.slope - 2 * trend.error > most_mb:
            yield f"{role}: memory grows by {trend.slope:.1f} MB/h"
        for what in ("descriptors", "threads"):
            before = statistics.median(getattr(one, what) for one in first)
            after = statistics.median(getattr(one, what) for one in last)
            print(f", {what} {before:.0f} → {after:.0f}", end="")
            if after > before + _MOST_MORE:
                yield f"{role}: {what} grew from {before:.0f} to {after:.0f}"
        print()


def miscounted(dropped: Dropped, store: Any) -> Iterator[str]:
    """What MongoDB has too much or too little of."""
    refused = {"row": {"$gt": 0}}
    found = {
        "rows": store["orders"].count_documents({}),
        "different rows": len(store["orders"].distinct("id")) if dropped.rows < 10**5 else None,
        "rejections": store["errors"].count_documents(refused),
        "states": {
            one["_id"]: one["n"]
            for one in store["files"].aggregate([{"$group": {"_id": "$state", "n": {"$sum": 1}}}])
        },
    }
    wanted = {
        "rows": dropped.rows, "different rows": dropped.rows if dropped.rows < 10**5 else None,
        "rejections": dropped.refused, "states": dict(dropped.states),
    }  # fmt: skip
    for what, value in wanted.items():
        if found[what] != value:
            yield f"{what}: {found[what]}, not {value}"


# the command


@contextmanager
def open_soak(arguments: argparse.Namespace) -> Iterator[tuple[Soak, Any]]:
    """A running daemon, and its database."""
    with scratch_directory("soak-") as directory:
        mongod = Mongod(directory / "mongod").start()
        daemon = DaemonProcess(directory, mongod.uri, "soak", OPTIONS).configure(Source().text)
        try:
            daemon.start()
            with MongoClient[dict[str, Any]](mongod.uri) as client:
                yield Soak(daemon, mongod, arguments), client["soak"]
            assert daemon.stop() == 0
        finally:
            daemon.clean_up()
            mongod.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two files")
    parser.add_argument("--rows", type=int, default=500, help="of a file, on average")
    parser.add_argument(
        "--fault-every", type=float, default=30.0, help="seconds between two faults"
    )
    parser.add_argument("--slope", type=float, default=1.0, help="most MB per hour")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with open_soak(arguments) as (soak, store):
        soak.run()
        print(f"{soak.hours:.2f} hours, {soak.dropped.rows:,} rows, {dict(soak.dropped.states)}")
        print(f"faults: {dict(soak.faults)}")
        wrong = [*grown(soak.samples, arguments.slope), *miscounted(soak.dropped, store)]
    print(*(wrong or ["all is well"]), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
