"""Kill the daemon, or MongoDB, at random moments of loads, and check every row each time.

    python tests/kill_rounds.py --rounds 30 --rows 1000000 --victim daemon

Each round loads one file into an empty database, kills once (``--kills`` for more), restarts, and
waits for the end. Not collected by pytest: ``test_kills.py`` has the same in small.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness import DaemonProcess, Mongod
from orders import Orders, mistakes, write_orders
from pymongo import MongoClient

Victim = Literal["daemon", "mongod"]


@dataclass(frozen=True)
class Round:
    """What a round did. ``killed_at``: rows that were durable at each kill, as the ledger knew."""

    killed_at: list[int]
    attempts: int
    seconds: float
    mistakes: list[str]


def kill_while_loading(
    daemon: DaemonProcess, mongod: Mongod | None, orders: Orders, delays_s: list[float]
) -> Round:
    """Drop the file, kill after each delay and start again, and wait until the file has ended.

    With a ``mongod`` it is the victim; else the daemon and its workers.
    """
    started = time.monotonic()
    daemon.start()
    daemon.drop("orders/orders.csv", orders.path)
    killed_at = []
    for delay_s in delays_s:
        time.sleep(delay_s)  # the point: a moment that nobody chose
        killed_at.append(_rows_done(daemon))
        if mongod is None:
            daemon.kill()
            daemon.start()
        else:
            mongod.signal(signal.SIGKILL)
            mongod.start()
    file = daemon.wait_for_file("orders.csv")
    assert daemon.stop() == 0, daemon.output()[-3000:]
    assert daemon.uri
    found = mistakes(orders, daemon.uri, daemon.database, daemon.root)
    return Round(killed_at, file["attempts"], time.monotonic() - started, found)


def _rows_done(daemon: DaemonProcess) -> int:
    return max((file["rows_done"] for file in daemon.files()), default=0)


def run_rounds(victim: Victim, rounds: int, orders: Orders, arguments: argparse.Namespace) -> int:
    """All rounds against one mongod; returns how many went wrong."""
    chance = random.Random(arguments.seed)
    failures = 0
    with tempfile.TemporaryDirectory(prefix="kill-rounds-") as scratch:
        mongod = Mongod(Path(scratch) / "mongod").start()
        try:
            for number in range(1, rounds + 1):
                directory = Path(scratch) / f"round-{number}"
                directory.mkdir()
                database = f"round_{number}"
                daemon = DaemonProcess(directory, mongod.uri, database, _OPTIONS).configure()
                kills = [chance.uniform(0, arguments.seconds) for _ in range(arguments.kills)]
                target = mongod if victim == "mongod" else None
                try:
                    done = kill_while_loading(daemon, target, orders, kills)
                finally:
                    daemon.clean_up()
                _show(number, kills, done)
                failures += bool(done.mistakes)
                with MongoClient(mongod.uri) as client:
                    client.drop_database(database)
        finally:
            mongod.stop()
    return failures


_OPTIONS = {"load.checkpoint_interval": 1, "refine.chunk_bytes": 2**21}
"""The defaults, which the tests make smaller."""


def _show(number: int, kills: list[float], done: Round) -> None:
    moments = " ".join(f"{delay_s:.2f}" for delay_s in kills)
    rows = " ".join(f"{rows:,}" for rows in done.killed_at)
    verdict = "; ".join(done.mistakes) or "right"
    numbers = f"{number:>5}  {moments:>12}  {rows:>16}  {done.attempts:>8}  {done.seconds:>7.1f}"
    print(f"{numbers}  {verdict}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--victim", choices=["daemon", "mongod"], default="daemon")
    parser.add_argument("--kills", type=int, default=1, help="per round")
    parser.add_argument("--seconds", type=float, default=8.0, help="latest moment of a kill")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-orders-") as scratch:
        orders = write_orders(Path(scratch) / "orders.csv", arguments.rows, seed=arguments.seed)
        size_mb = orders.path.stat().st_size / 1e6
        print(f"{orders.rows:,} rows, {len(orders.refused):,} of them bad, {size_mb:.0f} MB")
        print("round  killed at, s      durable then  attempts  seconds  outcome")
        failures = run_rounds(arguments.victim, arguments.rounds, orders, arguments)
    print(f"{arguments.rounds - failures} of {arguments.rounds} rounds right")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
