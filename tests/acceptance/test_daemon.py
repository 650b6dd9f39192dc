"""The daemon as a process, on good days and bad ones: what it says, and that no data is lost."""

import json
import os
import shutil
import signal
import socket
import statistics
from pathlib import Path
from typing import Any

import pytest
from harness import DaemonProcess, Mongod, NewDaemon, wait_for
from orders import HEADER, SOURCE, files_below, mistakes, order_id, write_orders
from pymongo import MongoClient

CONFIG = 78
MONGODB_AWAY = 69


def orders_text(count: int, first: int = 1) -> bytes:
    rows = (
        f"{order_id(n)},{n},2026-01-01T00:00:00,1.5,DE,paid,1,note,true,0.5\n"
        for n in range(first, first + count)
    )
    return (HEADER + "".join(rows)).encode()


def rows_of(daemon: DaemonProcess) -> int:
    """How many rows readers see."""
    status, runs = daemon.get("/data/orders?limit=10000")
    assert status == 200, runs
    return sum(len(run["data"]) for run in runs)


# good days


def test_a_dropped_file_is_served_and_everything_is_where_it_belongs(
    daemon: DaemonProcess, tmp_path: Path
) -> None:
    orders = write_orders(tmp_path / "dropped.csv", 2000, bad_rate=0.05)
    daemon.drop("orders/deep/down/orders.csv", orders.path)
    file = daemon.wait_for_file("orders.csv")
    assert {name: file[name] for name in orders.counts} == orders.counts
    assert rows_of(daemon) == orders.counts["success_count"]
    _, errors = daemon.get("/errors/orders?limit=1000")
    assert {error["row"] for error in errors} == set(orders.refused)
    assert daemon.get("/health")[0] == 200
    assert daemon.stop() == 0
    assert daemon.uri
    assert mistakes(orders, daemon.uri, daemon.database, daemon.root) == []


def test_a_small_file_is_served_within_a_moment(daemon: DaemonProcess) -> None:
    for n in range(10):
        daemon.drop(f"orders/{n}.csv", orders_text(100, 1 + 100 * n))
        daemon.wait_for_file(f"{n}.csv")
    # The ledger is told before the log.
    daemon.wait_for(lambda: len(daemon.log("file finished")) == 10, "the log to tell of all")
    seconds = [line["queryable_s"] for line in daemon.log("file finished")]
    assert statistics.median(seconds) < 0.3
    assert rows_of(daemon) == 1000


def test_hundreds_of_files_dropped_at_once_are_all_loaded(daemon: DaemonProcess) -> None:
    for n in range(500):
        daemon.drop(f"orders/{n:03d}.csv", orders_text(3, 1 + 3 * n))
    wait_for(lambda: len(daemon.log("file finished")) == 500, "500 files", 100)
    assert {line["state"] for line in daemon.log("file finished")} == {"archived"}
    assert rows_of(daemon) == 1500
    assert len(files_below(daemon.root / "archive")) == 500
    assert files_below(daemon.inbox) == []


def test_an_upload_takes_the_place_of_another_and_both_can_be_audited(
    daemon: DaemonProcess,
) -> None:
    old = daemon.put("/ingest/orders/wrong.csv?wait=30s", orders_text(5))
    new = daemon.put(f"/ingest/orders/right.csv?wait=30s&replaces={old['file_id']}", orders_text(8))
    (run,) = daemon.get("/data/orders")[1]
    assert (run["file"], len(run["data"])) == ("right.csv", 8)
    assert daemon.get(f"/files/{old['file_id']}")[1]["state"] == "undone"
    status, audit = daemon.get(f"/files/{new['file_id']}/audit")
    assert (status, audit["is_right"], audit["record_count"]) == (200, True, 8)
    assert daemon.get(f"/files/{old['file_id']}/audit")[0] == 409
    with MongoClient[dict[str, Any]](daemon.uri) as client:
        rows = client[daemon.database]["orders"]
        rows.update_one({"order_id": order_id(3)}, {"$set": {"amount": 7.0}})
    status, audit = daemon.get(f"/files/{new['file_id']}/audit")
    assert (status, audit["is_right"], audit["row"]) == (200, False, 3)


def test_files_that_lie_there_at_start_are_taken(new_daemon: NewDaemon) -> None:
    daemon = new_daemon()
    daemon.drop("orders/early.csv", orders_text(5))
    daemon.start()
    assert daemon.wait_for_file("early.csv")["record_count"] == 5


def test_one_bad_file_stops_no_other(daemon: DaemonProcess) -> None:
    daemon.drop("orders/empty.csv", b"")
    daemon.drop("orders/headless.csv", b"order_id,customer_id\n1,2\n")
    daemon.drop("orders/only-header.csv", HEADER.encode())
    daemon.drop("orders/good.csv", orders_text(5))
    daemon.wait_for_file("good.csv")
    empty = daemon.wait_for_file("empty.csv", "failed")
    headless = daemon.wait_for_file("headless.csv", "failed")
    only_header = daemon.wait_for_file("only-header.csv", "failed")
    assert empty["error"]["type"] == "empty_file"
    assert "'created_at'" in headless["error"]["message"]
    assert only_header["error"]["type"] == "no_rows"
    assert all(file["error"]["hint"] for file in (empty, headless, only_header))
    report = daemon.root / "failed" / "orders" / "empty.csv.error.json"
    assert json.loads(report.read_text())["error_type"] == "empty_file"


def test_a_file_that_is_still_written_is_not_touched_until_it_is_complete(
    daemon: DaemonProcess,
) -> None:
    text = orders_text(400)
    path = daemon.inbox / "orders" / "slow.csv"
    with path.open("wb") as stream:
        for start in range(0, len(text), len(text) // 4 + 1):
            stream.write(text[start : start + len(text) // 4 + 1])
            stream.flush()
            daemon.drop(f"orders/other-{start}.csv", orders_text(3, 1000 + start))
            daemon.wait_for_file(f"other-{start}.csv")
        assert daemon.files(name="slow.csv") == []
    assert daemon.wait_for_file("slow.csv")["record_count"] == 400


# bad days: configuration


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ([SOURCE.format(top="") + '\n[schema.extra]\ntype = "nubmer"\n'], "nubmer"),
        ([SOURCE.format(top="") + "\n[validation_rules.amuont]\nmin = 0\n"], "amuont"),
        (
            [SOURCE.format(top=""), SOURCE.format(top="").replace('"orders"', '"returns"', 1)],
            "orders/**/*.csv",
        ),
        ([SOURCE.format(top="").replace("orders/**", "/etc/orders/**")], "/etc/orders"),
    ],
    ids=["unknown type", "rule on a missing column", "two sources, one file", "outside the roots"],
)
def test_a_configuration_that_cannot_work_is_refused_with_its_reason(
    new_daemon: NewDaemon, sources: list[str], told: str
) -> None:
    daemon = new_daemon(*sources).start(is_awaited=False)
    assert daemon.wait(30) == CONFIG
    assert told in daemon.output()
    assert not daemon.log("ingestd started")


def test_a_port_that_is_taken_is_told_with_what_to_do(new_daemon: NewDaemon) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        daemon = new_daemon(api__port=other.getsockname()[1]).start(is_awaited=False)
        assert daemon.wait(30) == CONFIG
    assert "is taken" in daemon.output()
    assert "api.port" in daemon.output()


def test_a_second_daemon_on_the_same_root_is_refused(
    daemon: DaemonProcess, new_daemon: NewDaemon
) -> None:
    second = DaemonProcess(daemon.directory, daemon.uri, daemon.database)
    second.start(is_awaited=False)
    assert second.wait(30) == CONFIG
    assert daemon.process
    host = socket.gethostname()
    assert f"another ingestd, process {daemon.process.pid} on {host}, uses" in second.output()
    assert daemon.get("/health")[0] == 200


# bad days: files


def test_an_unreadable_file_is_told_and_loaded_once_it_can_be_read(new_daemon: NewDaemon) -> None:
    daemon = new_daemon(SOURCE.format(top="") + "\n[errors]\nretry_delay = 1\n")
    if os.geteuid() == 0:  # root reads everything, unless that right is taken from it
        daemon.prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
        if shutil.which("setpriv") is None:
            pytest.skip("only setpriv can make root as blind as others")
    daemon.start()
    secret = daemon.drop("orders/secret.csv", orders_text(5))
    secret.chmod(0)
    daemon.drop("orders/open.csv", orders_text(7, 100))
    daemon.wait_for_file("open.csv")
    check = daemon.wait_for(lambda: not_ok(daemon, "source:orders"), "the complaint")
    assert "secret.csv" in check["reason"]
    assert check["hint"]
    secret.chmod(0o600)
    daemon.wait_for_file("secret.csv")


def not_ok(daemon: DaemonProcess, name: str) -> dict[str, str]:
    """A check of /health, when it says that something is wrong."""
    check = daemon.check(name)
    return {} if check["is_ok"] or "reason" not in check else check


def test_an_archive_that_cannot_be_written_is_told_and_costs_nothing(
    new_daemon: NewDaemon,
) -> None:
    daemon = new_daemon(SOURCE.format(top="") + "\n[errors]\nretry_delay = 1\n").start()
    obstacle = daemon.root / "archive" / "orders"
    obstacle.write_text("in the way")
    daemon.drop("orders/a.csv", orders_text(5))
    daemon.wait_for_file("a.csv", "loaded")
    assert rows_of(daemon) == 5
    check = daemon.wait_for(lambda: not_ok(daemon, "source:orders"), "the complaint")
    assert "a.csv" in check["reason"]
    assert check["hint"] == "a file stands where a directory is expected"
    obstacle.unlink()
    daemon.wait_for_file("a.csv")
    daemon.wait_for(lambda: daemon.check("source:orders")["is_ok"], "health")
    assert rows_of(daemon) == 5
    assert [path.name for path in files_below(daemon.root / "archive")] == ["a.csv"]


def test_a_blocked_file_that_somebody_removes_is_no_complaint_any_more(
    new_daemon: NewDaemon,
) -> None:
    daemon = new_daemon().start()
    (daemon.root / "archive" / "orders").write_text("in the way")
    path = daemon.drop("orders/a.csv", orders_text(5))
    daemon.wait_for(lambda: not_ok(daemon, "source:orders"), "the complaint")
    path.unlink()
    daemon.wait_for(lambda: daemon.check("source:orders")["is_ok"], "health")


# bad days: MongoDB


def test_mongodb_away_at_start_is_told_and_waited_for(
    new_daemon: NewDaemon, tmp_path: Path
) -> None:
    mongod = Mongod(tmp_path / "late").reserve()
    daemon = new_daemon(uri=mongod.uri, mongo__timeout=0.5).start(is_awaited=False)
    daemon.drop("orders/a.csv", orders_text(5))
    check = daemon.wait_for(lambda: away(daemon), "the complaint")
    assert "none is lost" in check["reason"]
    assert "mongo.uri" in check["hint"]
    assert daemon.get("/health/live")[0] == 200
    assert daemon.get("/health/ready")[0] == 503
    try:
        mongod.start()
        daemon.wait_for_file("a.csv")
        assert rows_of(daemon) == 5
    finally:
        mongod.stop()


def away(daemon: DaemonProcess) -> dict[str, str]:
    check = not_ok(daemon, "mongodb")
    return check if "away" in check.get("reason", "") else {}


def test_a_daemon_that_waits_for_mongodb_can_be_stopped(new_daemon: NewDaemon) -> None:
    daemon = new_daemon(uri="mongodb://127.0.0.1:1/", mongo__timeout=0.5).start(is_awaited=False)
    daemon.wait_for(lambda: daemon.log("MongoDB is away, waiting"), "the complaint")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait(20) == 0


def test_mongodb_hanging_in_mid_load_stops_reading_and_costs_nothing(
    new_daemon: NewDaemon, mongod: Mongod, tmp_path: Path
) -> None:
    """Memory stays flat, health tells it, and the load goes on where it was."""
    orders = write_orders(tmp_path / "dropped.csv", 100_000)
    daemon = new_daemon(
        uri=mongod.uri, mongo__timeout=1, mongo__write_timeout=3, load__memory=2**22,
        refine__chunk_bytes=2**17,
    ).start()  # fmt: skip
    daemon.drop("orders/orders.csv", orders.path)
    daemon.wait_for(lambda: daemon.files(state="loading"), "the load to begin")
    mongod.signal(signal.SIGSTOP)
    daemon.wait_for(lambda: away(daemon), "the complaint")
    assert queued_bytes(daemon) <= 2**22 + 2**20
    assert daemon.get("/health/live")[0] == 200
    mongod.signal(signal.SIGCONT)
    daemon.wait_for_file("orders.csv")
    assert daemon.stop() == 0
    assert mistakes(orders, mongod.uri, daemon.database, daemon.root) == []


def queued_bytes(daemon: DaemonProcess) -> float:
    lines = daemon.text("/metrics").splitlines()
    queue = next(line for line in lines if line.startswith("ingestd_queue_bytes{"))
    return float(queue.split()[1])


def test_a_wrong_password_is_told_and_ends_the_start(new_daemon: NewDaemon, mongo_uri: str) -> None:
    uri = mongo_uri.replace("mongodb://", "mongodb://somebody:secret@")
    daemon = new_daemon(uri=uri).start(is_awaited=False)
    assert daemon.wait(30) == MONGODB_AWAY
    assert "password" in daemon.output()
    assert "secret" not in daemon.output()


# pauses


def test_a_paused_source_stays_paused_through_a_restart(new_daemon: NewDaemon) -> None:
    daemon = new_daemon().start()
    assert daemon.post("/sources/orders/pause")["paused"]["by"]
    daemon.wait_for(lambda: daemon.get("/sources/orders")[1]["paused"], "the pause")
    daemon.stop()
    daemon.start()
    daemon.drop("orders/waiting.csv", orders_text(5))
    daemon.wait_for(lambda: daemon.get("/sources/orders")[1]["waiting"] == 1, "a waiting file")
    assert daemon.files() == []
    assert daemon.post("/sources/orders/resume")["paused"] is None
    daemon.wait_for_file("waiting.csv")
