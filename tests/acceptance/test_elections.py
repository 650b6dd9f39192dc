"""A replica set that loses its primary in mid-load: nothing lost, nothing twice, no retry used up.

In small what ``tests/election_rounds.py`` does in large.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import LIMIT_S, DaemonProcess, NewDaemon
from orders import HEADER, mistakes, write_orders
from replica_set import ReplicaSet

SMALL_STEPS = {
    "refine__chunk_bytes": 2**16, "load__checkpoint_interval": 0, "mongo__timeout": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    members = ReplicaSet(tmp_path_factory.mktemp("members"))
    try:
        yield members.start()
    finally:
        members.stop()


def test_a_load_goes_on_with_each_new_primary(
    new_daemon: NewDaemon, members: ReplicaSet, tmp_path: Path
) -> None:
    """One is killed, one hangs and comes back as if nothing had been, one steps down."""
    orders = write_orders(tmp_path / "orders.csv", 30_000)
    daemon = new_daemon(uri=f"{members.uri}&heartbeatFrequencyMS=500", **SMALL_STEPS).start()
    daemon.drop("orders/orders.csv", orders.path)
    wait_for_rows(daemon, 3_000)
    killed = members.kill_primary()
    wait_for_rows(daemon, 13_000)
    killed.launch()
    hung = members.wait_for_primary()
    hung.signal(signal.SIGSTOP)
    wait_for_rows(daemon, 15_000)
    hung.signal(signal.SIGCONT)
    members.wait_for_primary().command({"replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 5})
    file = daemon.wait_for_file("orders.csv")
    assert file["attempts"] == 1
    # whoever stepped down may have done so after the last write: that is told for a moment
    daemon.wait_for(lambda: daemon.get("/health")[0] == 200, "health", LIMIT_S)
    assert daemon.stop() == 0
    assert mistakes(orders, members.uri, daemon.database, daemon.root) == []


def wait_for_rows(daemon: DaemonProcess, rows: int) -> None:
    """Until so many are durable, as the ledger knows."""
    daemon.wait_for(
        lambda: any(file["rows_done"] >= rows for file in daemon.files()), f"{rows} rows", LIMIT_S
    )


def test_a_uri_that_names_a_secondary_only_is_told_and_waited_for(
    new_daemon: NewDaemon, members: ReplicaSet
) -> None:
    """It may become primary; that it should be named with the others is said meanwhile."""
    secondary = members.secondaries()[0]
    uri = f"mongodb://127.0.0.1:{secondary.port}/?directConnection=true"
    daemon = new_daemon(uri=uri).start(is_awaited=False)
    daemon.drop("orders/a.csv", HEADER.encode() + b"1,1,2026-01-01T00:00:00,1,DE,paid,1,x,true,0\n")
    check = daemon.wait_for(
        lambda: (c := daemon.check("mongodb")).get("hint") and c, "the complaint"
    )
    assert "primary" in check["reason"]
    assert "name all of them in mongo.uri" in check["hint"]
    members.step_up(secondary)
    daemon.wait_for_file("a.csv")
    assert daemon.get("/health")[0] == 200
