"""MongoDB's bad days, each the real thing: what ``/health`` says, and that the daemon comes back.

Nothing is lost or doubled, no file fails for what passes, and no retry of a file is used up.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness import DaemonProcess, Mongod, NewDaemon
from orders import Orders, mistakes, write_orders
from proxy import Proxy

SMALL_STEPS = {
    "refine__chunk_bytes": 2**16, "load__checkpoint_interval": 0, "mongo__timeout": 0.5,
    "mongo__write_timeout": 3,
}  # fmt: skip
"""Many chunks, the ledger told of each, and short limits."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    """A mongod with fail points."""
    server = Mongod(tmp_path_factory.mktemp("server"), parameters=["enableTestCommands=1"])
    yield server.start()
    server.stop()


@pytest.fixture
def proxy(server: Mongod) -> Iterator[Proxy]:
    """What stands between the daemon and that mongod."""
    proxy = Proxy(server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    return write_orders(tmp_path / "orders.csv", 30_000)


def begin(daemon: DaemonProcess, orders: Orders) -> None:
    """Drop the file, and wait until it loads."""
    daemon.drop("orders/orders.csv", orders.path)
    daemon.wait_for(lambda: daemon.files(state="loading"), "the load to begin")


def complaint(daemon: DaemonProcess, words: str) -> dict[str, Any]:
    """What ``/health`` says of MongoDB, once it says that."""

    def look() -> dict[str, Any]:
        status, _ = daemon.get("/health")
        check = daemon.check("mongodb")
        return check if status == 503 and words in check.get("reason", "") else {}

    check = daemon.wait_for(look, words)
    assert check["hint"]
    assert daemon.get("/health/live")[0] == 200
    return check


def require_exact(daemon: DaemonProcess, orders: Orders, server: Mongod) -> None:
    """The file ends as if nothing had been; it was claimed once and failed never."""
    file = daemon.wait_for_file("orders.csv")
    assert file["attempts"] == 1
    daemon.wait_for(lambda: daemon.get("/health")[0] == 200, "health")
    assert not daemon.log("file waits for a retry")
    assert daemon.stop() == 0
    assert mistakes(orders, server.uri, daemon.database, daemon.root) == []


def test_what_the_network_does_in_mid_load_is_told_and_costs_nothing(
    new_daemon: NewDaemon, server: Mongod, proxy: Proxy, orders: Orders
) -> None:
    """Answers are lost after the write was done, twice in a row, as once the driver mends; all
    connections break; packets vanish, and nobody closes anything; answers come late."""
    uri = f"{proxy.uri}&heartbeatFrequencyMS=500"
    daemon = new_daemon(uri=uri, **SMALL_STEPS).start()
    commands = [b"\x02%s\0" % name for name in (b"insert", b"update", b"findAndModify")]
    proxy.lost.update(dict.fromkeys(commands, 4))
    begin(daemon, orders)
    daemon.wait_for(lambda: any(file["rows_done"] > 2_000 for file in daemon.files()), "rows")
    proxy.cut()
    proxy.is_silent = True
    complaint(daemon, "away")
    proxy.is_silent = False
    proxy.delay_s = 0.8
    complaint(daemon, "for ")
    proxy.delay_s = 0.0
    require_exact(daemon, orders, server)
    assert not any(proxy.lost.values())


TIMED_OUT = "waiting for replication timed out"


def test_what_the_server_does_in_mid_load_is_told_in_its_words_and_costs_nothing(
    new_daemon: NewDaemon, server: Mongod, orders: Orders
) -> None:
    """Locked for a backup it answers pings, and lets writes wait; then it refuses, for a while."""
    daemon = new_daemon(uri=server.uri, **SMALL_STEPS).start()
    begin(daemon, orders)
    with locked(server):
        complaint(daemon, "slow: a write has had no answer")
    with failing(server, writeConcernError={"code": 64, "errmsg": TIMED_OUT}):
        assert "members" in complaint(daemon, TIMED_OUT)["hint"]
    with failing(server, errorCode=14031):
        assert "make room" in complaint(daemon, "code 14031")["hint"]
    server.command({"replSetStepDown": 3, "secondaryCatchUpPeriodSecs": 0, "force": True})
    assert "name all of them in mongo.uri" in complaint(daemon, "Primary()")["hint"]
    require_exact(daemon, orders, server)


@contextmanager
def locked(server: Mongod) -> Iterator[None]:
    """No write is answered."""
    server.command({"fsync": 1, "lock": True})
    try:
        yield
    finally:
        server.command({"fsyncUnlock": 1})


@contextmanager
def failing(server: Mongod, **answer: Any) -> Iterator[None]:
    """Every insert of rows is answered so."""
    point = {"configureFailPoint": "failCommand"}
    data = {"failCommands": ["insert"], "appName": "ingestd", **answer}
    server.command({**point, "mode": "alwaysOn", "data": data})
    try:
        yield
    finally:
        server.command({**point, "mode": "off"})


def test_a_mongodb_that_dies_is_told_at_once_however_long_it_may_take_to_answer(
    new_daemon: NewDaemon, mongod: Mongod
) -> None:
    daemon = new_daemon(uri=mongod.uri, mongo__timeout=30).start()
    assert daemon.get("/health")[0] == 200
    mongod.signal(signal.SIGKILL)
    daemon.wait_for(lambda: daemon.get("/health")[0] == 503, "the complaint", limit_s=2)
    assert "Connection refused" in complaint(daemon, "away")["reason"]
    mongod.start()
    daemon.wait_for(lambda: daemon.get("/health")[0] == 200, "health")
