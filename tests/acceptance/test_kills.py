"""Whatever is killed, at any moment: every row is stored once, every refusal told once.

In small what ``tests/kill_rounds.py`` does in large.
"""

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from harness import DaemonProcess, Mongod, NewDaemon
from kill_rounds import kill_while_loading
from orders import HEADER, Orders, files_below, mistakes, write_orders
from pymongo import MongoClient

SMALL_STEPS = {"refine__chunk_bytes": 2**16, "load__checkpoint_interval": 0}
"""Many chunks, and the ledger told of each: whatever the moment, it hits the middle of things."""


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    return write_orders(tmp_path / "orders.csv", 40_000)


def test_restarts_after_kills_of_the_daemon_store_each_row_once(
    new_daemon: NewDaemon, orders: Orders
) -> None:
    delays_s = [random.uniform(0.05, 0.8) for _ in range(3)]
    done = kill_while_loading(new_daemon(**SMALL_STEPS), None, orders, delays_s)
    assert done.mistakes == []


def test_kills_of_mongodb_in_mid_load_lose_and_double_nothing(
    new_daemon: NewDaemon, mongod: Mongod, orders: Orders
) -> None:
    daemon = new_daemon(uri=mongod.uri, **SMALL_STEPS)
    done = kill_while_loading(daemon, mongod, orders, [0.3, 0.5])
    assert done.mistakes == []


def test_kills_while_many_small_files_load_store_each_row_once(new_daemon: NewDaemon) -> None:
    """Small files are claimed, refined, written, committed and moved many at a time."""
    daemon = new_daemon()
    for n in range(200):
        daemon.drop(f"orders/{n:03d}.csv", small_file(n))
    for _ in range(3):
        daemon.start()
        time.sleep(random.uniform(0, 0.6))  # the point: a moment that nobody chose
        daemon.kill()
    daemon.start()
    daemon.wait_for(lambda: not files_below(daemon.inbox), "an empty inbox")
    assert daemon.stop() == 0
    with MongoClient[Any](daemon.uri) as client:
        store = client[daemon.database]
        assert store["files"].count_documents({"state": "archived"}) == 200
        assert store["files"].count_documents({}) == 200
        stored = [(row["customer_id"], row["quantity"]) for row in store["orders"].find()]
        refused = [error["raw"].split(",")[1] for error in store["errors"].find()]
    assert sorted(stored) == [(n, row) for n in range(200) for row in range(1, 20)]
    assert sorted(map(int, refused)) == list(range(200))
    assert len(files_below(daemon.root / "archive")) == 200
    assert len(files_below(daemon.root / "rejects")) == 200


def small_file(number: int) -> bytes:
    """Nineteen good rows and a bad one; all say which file they are of."""
    lines = [
        f"{row},{number},2026-01-01T00:00:00,{-1 if row == 20 else 1},DE,paid,{row},x,true,0\n"
        for row in range(1, 21)
    ]
    return (HEADER + "".join(lines)).encode()


def test_a_killed_worker_costs_no_row(new_daemon: NewDaemon, orders: Orders) -> None:
    daemon = new_daemon(**SMALL_STEPS).start()
    daemon.drop("orders/orders.csv", orders.path)
    daemon.wait_for(lambda: daemon.files(state="loading"), "the load to begin")
    daemon.workers()[-1].kill()
    daemon.wait_for_file("orders.csv")
    assert daemon.log("worker replaced")
    assert the_end(daemon, orders) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_mid_load_finishes_the_file_and_ends_well(
    new_daemon: NewDaemon, orders: Orders, number: signal.Signals
) -> None:
    daemon = new_daemon(**SMALL_STEPS).start()
    daemon.drop("orders/orders.csv", orders.path)
    daemon.wait_for(lambda: daemon.files(state="loading"), "the load to begin")
    daemon.signal(number)
    assert daemon.wait() == 0
    assert the_end(daemon, orders) == []


def test_a_drain_without_time_ends_at_a_checkpoint_and_the_next_start_goes_on(
    new_daemon: NewDaemon, orders: Orders
) -> None:
    daemon = new_daemon(**SMALL_STEPS, service__drain_timeout=0.4, load__writers=1).start()
    daemon.drop("orders/orders.csv", orders.path)
    daemon.wait_for(lambda: daemon.files(state="loading"), "the load to begin")
    assert daemon.stop() == 0
    daemon.start()
    daemon.wait_for_file("orders.csv")
    assert daemon.stop() == 0
    assert the_end(daemon, orders) == []


def test_a_second_signal_ends_the_daemon_at_once_and_costs_nothing(
    new_daemon: NewDaemon, mongod: Mongod, orders: Orders
) -> None:
    """Also while MongoDB hangs, which a drain would wait for."""
    daemon = new_daemon(uri=mongod.uri, **SMALL_STEPS).start()
    daemon.drop("orders/orders.csv", orders.path)
    daemon.wait_for(lambda: daemon.files(state="loading"), "the load to begin")
    mongod.signal(signal.SIGSTOP)
    daemon.signal(signal.SIGTERM)
    daemon.wait_for(lambda: daemon.log("stopping"), "the first signal to be taken")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait(10) == 1
    mongod.signal(signal.SIGCONT)
    daemon.start()
    daemon.wait_for_file("orders.csv")
    assert daemon.stop() == 0
    assert the_end(daemon, orders) == []


def the_end(daemon: DaemonProcess, orders: Orders) -> list[str]:
    assert daemon.uri
    return mistakes(orders, daemon.uri, daemon.database, daemon.root)
