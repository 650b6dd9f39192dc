"""Whatever is killed, at any moment: every row is stored once, every refusal told once.

In small what ``tests/random_kills.py`` does in large.
"""

import signal
from pathlib import Path

import pytest
from crashes.stage import Stage
from harness import DaemonProcess, Mongod, NewDaemon
from orders import Orders, mistakes, write_orders
from random_kills import round_of

SMALL_STEPS = {"refine__chunk_bytes": 2**16, "load__checkpoint_interval": 0}
"""Many chunks, and the ledger told of each: whatever the moment, it hits the middle of things."""


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    return write_orders(tmp_path / "orders.csv", 40_000)


@pytest.mark.parametrize("seed", [5, 6, 8, 10, 11, 12])
def test_random_kills_change_nothing_in_the_end(stage: Stage, seed: int) -> None:
    """About ten in each."""
    one = round_of(seed, 2_000)
    played = stage.play(one.story, *one.starts)
    assert played.hits
    assert not played.wrong, f"{one}: {played.log}"


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
