"""``kill -9`` of a command in the middle of an action, then the same command again."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import DaemonProcess, NewDaemon, wait_for
from orders import SOURCE, write_orders
from pymongo import MongoClient

ROWS = 30_000
LAX = SOURCE.format(top="").replace("min = 0\nmax = 100_000\n", "")
"""Some of the bad amounts are good ones by these rules."""


@pytest.fixture
def commands(new_daemon: NewDaemon) -> DaemonProcess:
    """A configuration, and no daemon."""
    return new_daemon(refine__chunk_bytes=2**16)


@pytest.fixture
def store(commands: DaemonProcess) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](commands.uri) as client:
        yield client[commands.database]


def command(commands: DaemonProcess, *arguments: str | Path) -> list[str]:
    config = commands.directory / "config"
    return [sys.executable, "-m", "ingestd", *map(str, arguments), "--config", str(config)]


def run(commands: DaemonProcess, *arguments: str | Path) -> int:
    return subprocess.run(
        command(commands, *arguments), capture_output=True, check=False, timeout=90
    ).returncode


def kill_in_the_middle(commands: DaemonProcess, store: Any, *arguments: str) -> None:
    """Several times, each at a moment that nobody chose; it may be done before the last."""
    for _ in range(3):
        with subprocess.Popen(command(commands, *arguments), stderr=subprocess.DEVNULL) as process:
            token = doing(store)
            wait_for(
                lambda before=token, p=process: doing(store) != before or p.poll() is not None,
                "the action to begin",
            )
            time.sleep(random.uniform(0, 0.3))
            process.kill()


def doing(store: Any) -> str | None:
    entry = store["files"].find_one({"doing": {"$ne": None}})
    return entry["doing"]["token"] if entry else None


def test_undo_and_replay_survive_kills(commands: DaemonProcess, store: Any) -> None:
    orders = write_orders(commands.directory / "orders.csv", ROWS, bad_rate=0.3)
    assert run(commands, "load", orders.path, "--source", "orders") == 65
    mended = {n for n, line in orders.refused.items() if ",-5," in line or ",999999999," in line}
    assert 0 < len(mended) < len(orders.refused)

    commands.configure(LAX)
    kill_in_the_middle(commands, store, "replay", "orders.csv")
    assert run(commands, "replay", "orders.csv") == 65
    file = store["files"].find_one({})
    assert file["success_count"] == ROWS - len(orders.refused) + len(mended)
    assert file["error_count"] == len(orders.refused) - len(mended)
    refused = [error["row"] for error in store["errors"].find({"state": "open"}).sort("_id")]
    assert refused == sorted(orders.refused.keys() - mended)
    rows = [int.from_bytes(r["_id"].binary[8:], "big") for r in store["orders"].find().sort("_id")]
    assert rows == [n for n in range(1, ROWS + 1) if n not in refused]

    kill_in_the_middle(commands, store, "undo", "orders.csv")
    assert run(commands, "undo", "orders.csv") == 0
    file = store["files"].find_one({})
    assert (file["state"], file["has_rows"], file.get("doing")) == ("undone", False, None)
    assert store["orders"].count_documents({}) == 0
    assert store["errors"].count_documents({}) == 0
