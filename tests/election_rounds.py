"""Kill the primary of a replica set every few seconds of a load, and check every row at the end.

    python tests/election_rounds.py --rows 5000000 --every 10

Tells for each kill how long the set had no primary, and how long after that the load was back to
half of its usual speed. Not collected by pytest: ``test_elections.py`` has the same in small.
"""

import argparse
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness import DaemonProcess
from orders import mistakes, write_orders
from replica_set import ReplicaSet

_DOWN_S = 3.0
"""How long a killed member stays away."""
_LOOK_EVERY_S = 0.1
_WINDOW_S = 1.0


@dataclass(frozen=True)
class Election:
    """Moments, in seconds since the load began: ``recovered_at`` is missing at the end of it."""

    killed_at: float
    elected_at: float
    recovered_at: float | None = None


@dataclass
class Watch:
    """How far the load is, looked at all the time."""

    daemon: DaemonProcess
    started: float = field(default_factory=time.monotonic)
    samples: list[tuple[float, float]] = field(default_factory=list)
    is_over: bool = False

    @property
    def now(self) -> float:
        return time.monotonic() - self.started

    def run(self) -> None:
        while not self.is_over:
            self.samples.append((self.now, stored_rows(self.daemon)))
            time.sleep(_LOOK_EVERY_S)

    def rates(self) -> list[tuple[float, float]]:
        """Moments, and rows per second in the window that begins there."""
        found, later = [], 0
        for moment, rows in self.samples:
            while later < len(self.samples) and self.samples[later][0] < moment + _WINDOW_S:
                later += 1
            if later == len(self.samples):
                break
            found.append((moment, (self.samples[later][1] - rows) / _WINDOW_S))
        return found


def stored_rows(daemon: DaemonProcess) -> float:
    lines = daemon.text("/metrics").splitlines()
    counts = (line for line in lines if line.startswith("processed_records_total{"))
    return sum(float(line.split()[-1]) for line in counts)


@contextmanager
def watched(daemon: DaemonProcess) -> Iterator[Watch]:
    watch = Watch(daemon)
    thread = threading.Thread(target=watch.run)
    thread.start()
    try:
        yield watch
    finally:
        watch.is_over = True
        thread.join()


def load_through_elections(
    daemon: DaemonProcess, members: ReplicaSet, path: Path, every_s: float
) -> tuple[list[Election], Watch]:
    """Drop the file, and kill the primary every ``every_s`` until it has ended."""
    elections = []
    daemon.drop("orders/orders.csv", path)
    with watched(daemon) as watch:
        daemon.wait_for(lambda: stored_rows(daemon), "the first rows")
        while not has_ended(daemon, every_s):
            killed_at = watch.now
            killed = members.kill_primary()
            members.wait_for_primary()
            elections.append(Election(killed_at, watch.now))
            print(f"killed at {killed_at:.1f} s, elected at {watch.now:.1f} s", flush=True)
            has_ended(daemon, _DOWN_S)
            killed.launch()
        return elections, watch


def has_ended(daemon: DaemonProcess, limit_s: float) -> bool:
    """Whether the file ends within that time."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if daemon.log("file finished"):
            return True
        time.sleep(_LOOK_EVERY_S)
    return False


def with_recoveries(elections: list[Election], watch: Watch) -> tuple[list[Election], float]:
    """When the speed was back to half of the median of its good times, and that median."""
    rates = watch.rates()
    usual = statistics.median(rate for _, rate in rates if rate > 0)
    return [
        Election(
            one.killed_at, one.elected_at,
            next((at for at, rate in rates if at >= one.elected_at and rate >= usual / 2), None),
        )
        for one in elections
    ], usual  # fmt: skip


def show(elections: list[Election], usual: float) -> None:
    print("killed at, s  without primary, s  then back to half the usual speed after, s")
    for one in elections:
        without_s = one.elected_at - one.killed_at
        recovered = "the file ended first"
        if one.recovered_at is not None:
            recovered = f"{one.recovered_at - one.elected_at:.1f}"
        print(f"{one.killed_at:>12.1f}  {without_s:>18.1f}  {recovered}")
    print(f"usual speed: {usual:,.0f} rows/s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between kills")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="election-rounds-") as scratch:
        orders = write_orders(Path(scratch) / "orders.csv", arguments.rows)
        members = ReplicaSet(Path(scratch), oplog_mb=4096).start()
        (Path(scratch) / "daemon").mkdir()
        options = {"mongo.timeout": 5, "load.checkpoint_interval": 1, "refine.chunk_bytes": 2**21}
        daemon = DaemonProcess(Path(scratch) / "daemon", members.uri, options=options)
        try:
            daemon.configure().start()
            elections, watch = load_through_elections(daemon, members, orders.path, arguments.every)
            file = daemon.wait_for_file("orders.csv")
            show(*with_recoveries(elections, watch))
            print(f"{orders.rows:,} rows in {watch.now:.0f} s, {file['attempts']} attempt(s)")
            assert daemon.stop() == 0
            assert daemon.uri
            found = mistakes(orders, daemon.uri, daemon.database, daemon.root)
        finally:
            daemon.clean_up()
            members.stop()
    print("; ".join(found) or "every row is right")
    return 1 if found else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave no daemon behind
    sys.exit(main())
