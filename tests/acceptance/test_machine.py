"""The machine's bad days, each the real thing: told while they last, over by themselves."""

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from harness import DaemonProcess, Mongod, NewDaemon
from orders import HEADER, SOURCE, files_below, mistakes, order_id, write_orders
from pymongo import MongoClient

SOON = "\n[errors]\nretry_delay = 0.2\n"
STEP = """
import os, signal

def act(frame):
    notes = set(frame["note"])
    if "die" in notes:
        os.kill(os.getpid(), signal.SIGKILL)
    while "hang" in notes:
        pass
    return frame
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may")


def orders_text(count: int, first: int = 1, note: str = "note", amount: str = "1.5") -> bytes:
    rows = (
        f"{order_id(n)},{n},2026-01-01T00:00:00,{amount},DE,paid,1,{note},true,0.5\n"
        for n in range(first, first + count)
    )
    return (HEADER + "".join(rows)).encode()


def complaint(daemon: DaemonProcess, words: str, name: str = "source:orders") -> str:
    """What /health says, once it answers 503 with these words."""

    def look() -> str:
        status, health = daemon.get("/health")
        check = daemon.check(name)
        told = f"{check.get('reason')} ({check.get('hint')})"
        return told if status == 503 and health and words in told else ""

    return daemon.wait_for(look, f"the complaint {words!r}")


def require_well(daemon: DaemonProcess) -> None:
    daemon.wait_for(lambda: daemon.get("/health")[0] == 200, "health")


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """A file system of 1 MB in memory, and a file on it that takes all the room."""
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", directory], check=True)
    try:
        yield directory / ".filler"
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(bytes(4096))


# workers


def test_a_file_whose_step_kills_or_hangs_its_worker_is_set_aside_and_others_go_on(
    new_daemon: NewDaemon, tmp_path: Path
) -> None:
    (tmp_path / "bad_step.py").write_text(STEP)
    source = SOURCE.format(top="") + '\n[[transform]]\npython = "bad_step:act"\n'
    daemon = new_daemon(source, refine__chunk_timeout=2)
    daemon.prefix = ("env", f"PYTHONPATH={tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    daemon.start()
    for n, note in enumerate(["die", "good", "hang", "good"]):
        daemon.drop(f"orders/{note}-{n}.csv", orders_text(5, 10 * n + 1, note))
    (notice,) = daemon.wait_for(lambda: daemon.check("workers").get("notices"), "the notice")
    assert "is ended after 2 s" in notice
    assert "'hang-2.csv'" in notice
    daemon.wait_for_file("good-1.csv")
    daemon.wait_for_file("good-3.csv")
    died = daemon.wait_for_file("die-0.csv", "failed")
    hung = daemon.wait_for_file("hang-2.csv", "failed")
    assert "died" in died["error"]["message"]
    assert "longer than 2 s" in hung["error"]["message"]
    assert "refine.chunk_timeout" in hung["error"]["hint"]
    require_well(daemon)
    assert daemon.log("worker replaced")


# disks


@needs_root
def test_full_disks_are_told_and_files_go_their_ways_when_there_is_room(
    new_daemon: NewDaemon,
) -> None:
    daemon = new_daemon(SOURCE.format(top="") + SOON)
    places = ("archive", "rejects", "failed")
    with ExitStack() as disks:
        fillers = [disks.enter_context(small_disk(daemon.root / place)) for place in places]
        for filler in fillers:
            fill(filler)
        daemon.start()
        daemon.drop("orders/good.csv", orders_text(5))
        daemon.drop("orders/refused.csv", orders_text(5, 10, amount="-5"))
        daemon.drop("orders/empty.csv", b"")
        for name in ("good.csv", "refused.csv", "empty.csv"):
            told = complaint(daemon, name)
            assert "No space left" in told
            assert "make room and it goes on by itself" in told
        for filler in fillers:
            filler.unlink()
        daemon.wait_for_file("good.csv")
        daemon.wait_for_file("refused.csv")
        daemon.wait_for_file("empty.csv", "failed")
        require_well(daemon)
        assert files_below(daemon.inbox) == []
        assert daemon.stop() == 0


# signals


def test_a_reload_takes_up_changed_new_and_removed_sources(new_daemon: NewDaemon) -> None:
    orders = SOURCE.format(top="")
    daemon = new_daemon(orders, orders.replace("orders", "returns")).start()
    daemon.drop("orders/before.csv", orders_text(5))
    daemon.wait_for_file("before.csv")
    daemon.configure(orders.replace("max = 100_000", "max = 1"), orders.replace("orders", "stock"))
    daemon.signal(signal.SIGHUP)
    (told,) = daemon.wait_for(lambda: daemon.log("configuration reloaded"), "the reload")
    assert (told["changed_sources"], told["needs_restart"]) == (["orders", "returns", "stock"], [])
    daemon.drop("orders/after.csv", orders_text(5, 10))
    daemon.drop("stock/first.csv", orders_text(5))
    daemon.wait_for_file("first.csv")
    assert daemon.wait_for_file("after.csv")["error_count"] == 5
    assert daemon.get("/sources/returns")[0] == 404
    assert daemon.get("/data/stock")[0] == 200
    require_well(daemon)
    assert daemon.stop() == 0


def test_a_broken_configuration_is_not_taken_up_and_told_until_it_is_mended(
    new_daemon: NewDaemon,
) -> None:
    orders = SOURCE.format(top="")
    daemon = new_daemon(orders).start()
    daemon.options = {**daemon.options, "load.writers": 2}
    daemon.configure(orders.replace('"float64"', '"flaot64"'))
    daemon.signal(signal.SIGHUP)
    daemon.wait_for(lambda: notices(daemon), "the notice")
    assert "flaot64" in notices(daemon)
    assert len(daemon.log("configuration not reloaded: the old one stays")) == 1
    daemon.drop("orders/a.csv", orders_text(5))
    daemon.wait_for_file("a.csv")
    daemon.configure(orders)
    daemon.signal(signal.SIGHUP)
    daemon.wait_for(lambda: "load.writers is changed, and needs" in notices(daemon), "the notice")
    daemon.configure(orders)
    assert daemon.get("/health")[0] == 200


def notices(daemon: DaemonProcess) -> str:
    return "; ".join(daemon.check("configuration").get("notices", ()))


def test_a_file_at_work_when_the_configuration_is_reloaded_is_loaded_by_one_of_the_two(
    new_daemon: NewDaemon, tmp_path: Path
) -> None:
    orders = write_orders(tmp_path / "dropped.csv", 60_000, bad_rate=0.01)
    source = SOURCE.format(top="")
    daemon = new_daemon(source, refine__chunk_bytes=2**16).start()
    daemon.drop("orders/orders.csv", orders.path)
    daemon.wait_for(lambda: daemon.files(state="loading"), "the load to begin")
    for _ in range(3):
        daemon.configure(source, source.replace("orders", "returns"))
        daemon.signal(signal.SIGHUP)
        daemon.configure(source)
        daemon.signal(signal.SIGHUP)
    daemon.wait_for_file("orders.csv")
    assert daemon.stop() == 0
    assert daemon.uri
    assert mistakes(orders, daemon.uri, daemon.database, daemon.root) == []


# directories


@needs_root
def test_directories_that_vanish_or_close_are_told_and_used_again(new_daemon: NewDaemon) -> None:
    daemon = new_daemon(SOURCE.format(top="") + SOON)
    daemon.prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    daemon.start()
    inbox, archive = daemon.inbox / "orders", daemon.root / "archive"

    inbox.rmdir()
    complaint(daemon, "is missing")
    daemon.drop("orders/gone.csv", orders_text(5))
    daemon.wait_for_file("gone.csv")

    archive.chmod(0o500)
    shutil.rmtree(archive / "orders")
    daemon.drop("orders/closed.csv", orders_text(5, 10))
    complaint(daemon, "with mode 0500")
    archive.chmod(0o700)
    daemon.wait_for_file("closed.csv")

    with small_disk(archive):
        subprocess.run(["mount", "-o", "remount,ro", archive], check=True)
        daemon.drop("orders/frozen.csv", orders_text(5, 20))
        complaint(daemon, "the file system is read-only")
        subprocess.run(["mount", "-o", "remount,rw", archive], check=True)
        daemon.wait_for_file("frozen.csv")
        require_well(daemon)
        assert daemon.stop() == 0


@needs_root
def test_where_a_disk_was_mounted_nothing_is_written_until_it_is_back(
    new_daemon: NewDaemon,
) -> None:
    daemon = new_daemon(SOURCE.format(top="") + SOON)
    archive = daemon.root / "archive"
    with small_disk(archive):
        daemon.start()
        daemon.drop("orders/a.csv", orders_text(5))
        daemon.wait_for_file("a.csv")
    daemon.drop("orders/b.csv", orders_text(5, 10))
    assert "mount it and it goes on by itself" in complaint(daemon, "is not mounted any more")
    assert files_below(archive) == []
    with small_disk(archive):
        daemon.wait_for_file("b.csv")
        require_well(daemon)
        assert daemon.stop() == 0


@needs_root
def test_logs_on_a_full_disk_stop_nothing(new_daemon: NewDaemon, tmp_path: Path) -> None:
    errors = tmp_path / "logs" / "errors.log"
    daemon = new_daemon(logs__error_file=str(errors))
    with small_disk(errors.parent) as filler:
        fill(filler)
        daemon.start()
        for n in range(3):
            daemon.drop(f"orders/{n}.csv", b"no orders\n%d\n" % n)
            daemon.wait_for_file(f"{n}.csv", "failed")
        filler.unlink()
        daemon.drop("orders/3.csv", b"no orders\n3\n")
        daemon.wait_for(lambda: b"3.csv" in errors.read_bytes(), "the error to be written")
        assert daemon.stop() == 0


@needs_root
def test_too_few_file_descriptors_are_told_and_cost_nothing(new_daemon: NewDaemon) -> None:
    daemon = new_daemon(SOURCE.format(top="") + SOON).start()
    assert daemon.process is not None
    few, usual = 10, resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (few, usual[1]))
    daemon.drop("orders/a.csv", orders_text(5))
    (told, *_) = daemon.wait_for(lambda: daemon.log("path left alone"), "the complaint")
    assert "Too many open files" in told["reason"]
    assert "LimitNOFILE" in told["hint"]
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, usual)
    daemon.wait_for_file("a.csv")
    require_well(daemon)
    assert daemon.stop() == 0


# clocks


def test_a_file_dated_in_the_future_is_taken_at_once(daemon: DaemonProcess) -> None:
    path = daemon.inbox / "orders" / "future.csv"
    hidden = path.with_name(".future.csv")
    hidden.write_bytes(orders_text(5))
    os.utime(hidden, (4_000_000_000, 4_000_000_000))
    hidden.rename(path)
    assert daemon.wait_for_file("future.csv")["success_count"] == 5


# crowds


def test_five_thousand_files_at_once_are_loaded_once_each_and_health_answers_meanwhile(
    daemon: DaemonProcess, mongo_uri: str, database: str
) -> None:
    files, inbox = 5000, daemon.inbox / "orders"
    hidden = daemon.root / "hidden"
    hidden.mkdir()
    for n in range(files):
        (hidden / f"{n}.csv").write_bytes(orders_text(1, n))
    began, slowest_s = time.monotonic(), 0.0
    for n in range(files):
        (hidden / f"{n}.csv").rename(inbox / f"{n}.csv")
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        ledger, rows = client[database]["files"], client[database]["orders"]
        while ledger.count_documents({"state": "archived", "is_put_away": True}) < files:
            asked = time.monotonic()
            assert daemon.get("/health")[0] == 200
            slowest_s = max(slowest_s, time.monotonic() - asked)
            assert time.monotonic() - began < 30, "12 s on a machine with two cores to itself"
        ids = sorted(row["order_id"] for row in rows.find())
        assert ids == [order_id(n) for n in range(files)]
        assert ledger.count_documents({}) == files
    assert slowest_s < 2
    assert files_below(daemon.inbox) == []


# stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_stop_at_any_moment_is_clean_and_costs_nothing(
    new_daemon: NewDaemon, tmp_path: Path, number: signal.Signals
) -> None:
    orders = write_orders(tmp_path / "dropped.csv", 30_000, bad_rate=0.01)
    daemon = new_daemon(refine__chunk_bytes=2**16, service__drain_timeout=1)
    daemon.drop("orders/orders.csv", orders.path)
    moments = (
        lambda: daemon.log("ingestd started"),
        lambda: daemon.log("MongoDB connected"),
        lambda: daemon.files(state="loading") or daemon.files(state="archived"),
    )
    for moment in moments:
        daemon.start(is_awaited=False)
        daemon.wait_for(moment, "the moment")
        daemon.signal(number)
        assert daemon.wait() == 0
    daemon.start()
    daemon.wait_for_file("orders.csv")
    assert daemon.stop() == 0
    assert daemon.uri
    assert mistakes(orders, daemon.uri, daemon.database, daemon.root) == []


def test_a_stop_that_takes_longer_than_its_deadline_ends_all_the_same(
    new_daemon: NewDaemon, mongod: Mongod, tmp_path: Path
) -> None:
    orders = write_orders(tmp_path / "dropped.csv", 100_000)
    daemon = new_daemon(uri=mongod.uri, refine__chunk_bytes=2**17, service__drain_timeout=1)
    daemon.start()
    daemon.drop("orders/orders.csv", orders.path)
    daemon.wait_for(lambda: daemon.files(state="loading"), "the load to begin")
    mongod.signal(signal.SIGSTOP)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait(15) == 0
    assert daemon.log("stopped before these files ended; they go on at restart")
    mongod.signal(signal.SIGCONT)
    daemon.start()
    daemon.wait_for_file("orders.csv")
    assert daemon.stop() == 0
    assert mistakes(orders, mongod.uri, daemon.database, daemon.root) == []
