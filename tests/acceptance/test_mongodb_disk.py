"""MongoDB's own disk runs full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from harness import Mongod, NewDaemon, wait_for
from orders import mistakes, write_orders


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Mongod]:
    """A mongod on a disk of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=450m", "tmpfs", disk], check=True)
    server = Mongod(disk / "data", oplog_mb=16, arguments=["--syncdelay", "1"])
    try:
        yield server.start()
    finally:
        server.stop()
        subprocess.run(["umount", "-l", disk], check=True)


def fill(filler: Path) -> None:
    """Leave no room at all."""
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(bytes(2**16))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk_of_mongodb_is_told_and_costs_nothing(
    new_daemon: NewDaemon, server: Mongod, tmp_path: Path
) -> None:
    """MongoDB ends when a checkpoint finds no room; it is started again once there is some."""
    orders = write_orders(tmp_path / "orders.csv", 3_000)
    daemon = new_daemon(uri=server.uri, mongo__timeout=0.5).start()
    filler = server.directory.parent / "filler"
    fill(filler)
    daemon.drop("orders/orders.csv", orders.path)
    check = daemon.wait_for(
        lambda: (c := daemon.check("mongodb")).get("hint") and c, "the complaint"
    )
    assert check["reason"].startswith("away")
    assert server.process is not None
    wait_for(lambda: server.process and server.process.poll() is not None, "mongod to give up")
    filler.unlink()
    server.start()
    assert daemon.wait_for_file("orders.csv")["attempts"] == 1
    daemon.wait_for(lambda: daemon.get("/health")[0] == 200, "health")
    assert daemon.stop() == 0
    assert mistakes(orders, server.uri, daemon.database, daemon.root) == []
