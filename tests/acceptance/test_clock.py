"""A clock that is set while the daemon runs: by a library that tells the process another time."""

import glob
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import DaemonProcess, NewDaemon
from orders import HEADER, order_id
from pymongo import MongoClient

LIBRARIES = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
pytestmark = pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed")

JUMPS = ("+1d", "-1d", "+10y")
ROWS = 1000


@dataclass
class Clock:
    """The clock of one daemon and its workers, as an offset to the true one. Time that passes is
    measured as ever, and the kernel dates files as ever, as on a machine whose clock was set just
    before them, or just after."""

    file: Path

    def set(self, offset: str) -> None:
        hidden = self.file.with_name("hidden")
        hidden.write_text(offset)
        hidden.rename(self.file)

    def given_to(self, daemon: DaemonProcess) -> DaemonProcess:
        self.set("+0")
        daemon.prefix = (
            "env", f"LD_PRELOAD={LIBRARIES[0]}", f"FAKETIME_TIMESTAMP_FILE={self.file}",
            "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1",
        )  # fmt: skip
        return daemon


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


def orders_from(first: int, count: int = ROWS) -> bytes:
    rows = (
        f"{order_id(n)},{n},2026-01-01T00:00:00,1.5,DE,paid,1,note,true,0.5\n"
        for n in range(first, first + count)
    )
    return (HEADER + "".join(rows)).encode()


def test_a_clock_that_jumps_loses_no_row_stalls_no_file_and_makes_nothing_old(
    new_daemon: NewDaemon, clock: Clock, mongo_uri: str, database: str
) -> None:
    keep = {f"retention__{kind}": "30d" for kind in ("archive", "rejects", "errors", "ledger")}
    options: dict[str, Any] = {"refine__workers": 1, "refine__chunk_bytes": 2**14, **keep}
    daemon = clock.given_to(new_daemon(**options)).start()
    for n, jump in enumerate(JUMPS):
        jump_while_files_arrive(daemon, clock, n, jump)
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        ids = sorted(row["order_id"] for row in client[database]["orders"].find())
    assert ids == [order_id(n) for n in range(len(JUMPS) * 3 * ROWS)]
    assert daemon.get("/health")[0] == 200
    assert daemon.stop() == 0
    assert daemon.log()[-1]["timestamp"] > "2030", "the clock was not set"
    daemon.start()  # with the clock years ahead, by which everything is too old
    (told,) = daemon.wait_for(lambda: daemon.log("cannot be removed"), "the doubt")
    # ten years ahead of true time, or of the day that the first jump brought
    assert re.match("the clock is (3649|3650) days", told["reason"])
    assert all(Path(file["archived_to"]).exists() for file in daemon.files())


def jump_while_files_arrive(daemon: DaemonProcess, clock: Clock, n: int, jump: str) -> None:
    """One file is half written, and one has just been dropped."""
    first = n * 3 * ROWS
    text = orders_from(first)
    slow = daemon.inbox / "orders" / f"slow-{n}.csv"
    slow.parent.mkdir(parents=True, exist_ok=True)
    with slow.open("wb", buffering=0) as stream:
        stream.write(text[: len(text) // 2])
        daemon.drop(f"orders/before-{n}.csv", orders_from(first + ROWS))
        clock.set(jump)
        daemon.drop(f"orders/after-{n}.csv", orders_from(first + 2 * ROWS))
        for name in ("before", "after"):
            assert daemon.wait_for_file(f"{name}-{n}.csv")["attempts"] == 1
        assert daemon.files(name=slow.name) == []
        stream.write(text[len(text) // 2 :])
    assert daemon.wait_for_file(slow.name)["record_count"] == ROWS
