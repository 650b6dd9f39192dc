"""MongoDB's bad days, each the real thing: what ``/health`` says, and that the daemon comes back.

Nothing is lost or doubled, no file fails for what passes, and no retry of a file is used up.
"""

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
    "mongo__write_timeout": 4,
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
    return write_orders(tmp_path / "orders.csv", 20_000)


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


def test_a_connection_that_goes_dead_without_a_word_is_noticed(
    new_daemon: NewDaemon, server: Mongod, proxy: Proxy, orders: Orders
) -> None:
    """Packets vanish, and nobody closes anything: a firewall that forgot, a cable that is out."""
    uri = f"{proxy.uri}&heartbeatFrequencyMS=500"
    daemon = new_daemon(uri=uri, **SMALL_STEPS).start()
    begin(daemon, orders)
    proxy.is_silent = True
    complaint(daemon, "away")
    proxy.is_silent = False
    require_exact(daemon, orders, server)


def test_connections_that_break_and_answers_that_are_lost_cost_nothing(
    new_daemon: NewDaemon, server: Mongod, proxy: Proxy, orders: Orders
) -> None:
    """What was asked for is done, and nobody hears so; twice in a row, as once the driver mends."""
    daemon = new_daemon(uri=proxy.uri, **SMALL_STEPS).start()
    commands = [b"\x02%s\0" % name for name in (b"insert", b"update", b"findAndModify")]
    proxy.lost.update(dict.fromkeys(commands, 4))
    begin(daemon, orders)
    daemon.wait_for(lambda: any(file["rows_done"] > 5_000 for file in daemon.files()), "rows")
    proxy.cut()
    require_exact(daemon, orders, server)
    assert not any(proxy.lost.values())


def test_a_server_that_takes_no_writes_for_a_while_is_told_as_slow(
    new_daemon: NewDaemon, server: Mongod, orders: Orders
) -> None:
    """Locked for a backup it answers pings, and lets writes wait."""
    daemon = new_daemon(uri=server.uri, **SMALL_STEPS).start()
    begin(daemon, orders)
    server.command({"fsync": 1, "lock": True})
    try:
        complaint(daemon, "slow")
    finally:
        server.command({"fsyncUnlock": 1})
    require_exact(daemon, orders, server)


def test_answers_that_come_late_are_told_and_waited_for(
    new_daemon: NewDaemon, server: Mongod, proxy: Proxy, orders: Orders
) -> None:
    daemon = new_daemon(uri=proxy.uri, **SMALL_STEPS).start()
    begin(daemon, orders)
    proxy.delay_s = 0.8
    complaint(daemon, "for ")
    proxy.delay_s = 0.01
    require_exact(daemon, orders, server)


def test_a_primary_that_steps_down_in_mid_load_is_waited_for(
    new_daemon: NewDaemon, server: Mongod, orders: Orders
) -> None:
    daemon = new_daemon(uri=server.uri, **SMALL_STEPS).start()
    begin(daemon, orders)
    server.command({"replSetStepDown": 3, "secondaryCatchUpPeriodSecs": 0, "force": True})
    check = complaint(daemon, "away")
    assert "replicaSet" in check["hint"]
    require_exact(daemon, orders, server)


TIMED_OUT = "waiting for replication timed out"


def test_answers_that_pass_are_told_in_their_words_and_waited_for(
    new_daemon: NewDaemon, server: Mongod, orders: Orders
) -> None:
    daemon = new_daemon(uri=server.uri, **SMALL_STEPS).start()
    begin(daemon, orders)
    with failing(server, writeConcernError={"code": 64, "errmsg": TIMED_OUT}):
        assert "members" in complaint(daemon, TIMED_OUT)["hint"]
    with failing(server, errorCode=14031):
        assert "make room" in complaint(daemon, "code 14031")["hint"]
    require_exact(daemon, orders, server)


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
