"""Several daemons on one inbox: kill or stop one of them again and again, and check every row.

    python tests/several_daemons.py --files 2000 --rows 2000 --every 3

Each kill is a ``kill -9`` and a restart; each stop a SIGSTOP for longer than the lease, so that
the others take over what it had, and then a SIGCONT. Not collected by pytest:
``test_several_daemons.py`` has the same in small.
"""

import argparse
import io
import random
import signal
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import DaemonProcess, Mongod
from orders import HEADER, SOURCE, files_below
from pymongo import MongoClient

_BAD_EVERY = 20
_COPY_EVERY, _ARCHIVE_EVERY = 25, 40
"""Of the files: how often one comes twice, and how often one comes in an archive with another."""


@dataclass
class Several:
    """Daemons that share all directories but their roots."""

    directory: Path
    uri: str
    database: str
    count: int = 3
    options: Mapping[str, Any] = field(default_factory=dict)
    daemons: list[DaemonProcess] = field(default_factory=list)
    lease_s: float = 2.0

    def start(self) -> "Several":
        shared = {
            f"paths.{name}": str(self.directory / name)
            for name in ("inbox", "archive", "rejects", "failed", "unpacked")
        }
        source = SOURCE.format(top="").replace("**/*.csv", "**/*")
        for number in range(self.count):
            own = self.directory / f"daemon-{number}"
            own.mkdir()
            options = {**shared, "ledger.lease": self.lease_s, "watch.rescan_interval": 0.5}
            daemon = DaemonProcess(own, self.uri, self.database, {**options, **self.options})
            self.daemons.append(daemon.configure(source).start(is_awaited=False))
        for daemon in self.daemons:
            daemon.wait_until_ready()
        return self

    def drop(self, name: str, content: bytes) -> None:
        target = self.directory / "inbox" / "orders" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{name}")
        temporary.write_bytes(content)
        temporary.rename(target)

    def is_done(self) -> bool:
        """No file waits, and no entry is open."""
        return not files_below(self.directory / "inbox") and self._find_open() is None

    def _find_open(self) -> Any:
        with self.store() as store:
            return store["files"].find_one(
                {"$or": [{"owner": {"$ne": None}}, {"is_put_away": False}]}
            )

    @contextmanager
    def store(self) -> Iterator[Any]:
        with MongoClient[dict[str, Any]](self.uri, tz_aware=True) as client:
            yield client[self.database]

    def clean_up(self) -> None:
        for daemon in self.daemons:
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.signal(signal.SIGCONT)
            daemon.clean_up()


@dataclass
class Feed:
    """Files of which it is known what must become of them."""

    files: int
    rows: int
    copies: int = 0
    archives: int = 0

    def drop(self, several: Several) -> None:
        """All of them, as fast as that goes."""
        held: list[tuple[str, bytes]] = []
        for number in range(self.files):
            name, content = f"{number:05}.csv", _file(number, self.rows)
            if number % _ARCHIVE_EVERY < 2:  # two neighbours in one archive
                held.append((name, content))
                if len(held) == 2:
                    several.drop(f"{number:05}.zip", _zipped(held))
                    self.archives, held = self.archives + 1, []
                continue
            several.drop(name, content)
            if number % _COPY_EVERY == 5:
                several.drop(f"{number:05}-copy.csv", content)
                self.copies += 1

    def mistakes(self, several: Several) -> list[str]:
        """What is not as it must be; nothing, if all is well."""
        with several.store() as store:
            found = [*self._wrong_rows(store), *self._wrong_files(store)]
        return [*found, *self._wrong_places(several.directory)]

    def _wrong_rows(self, store: Any) -> Iterator[str]:
        good = [row for row in range(1, self.rows + 1) if row % _BAD_EVERY]
        wanted = dict.fromkeys(range(self.files), (len(good), sum(good)))
        sums = {"n": {"$sum": 1}, "sum": {"$sum": "$quantity"}}
        grouped = store["orders"].aggregate([{"$group": {"_id": "$customer_id", **sums}}])
        stored = {group["_id"]: (group["n"], group["sum"]) for group in grouped}
        wrong = [
            number for number in stored.keys() | wanted if stored.get(number) != wanted.get(number)
        ]
        if wrong:
            told = [stored.get(number) for number in wrong[:3]]
            yield f"rows of {len(wrong)} files: {wrong[:3]} are {told}"
        refused = store["errors"].count_documents({"state": "open"})
        if refused != self.files * (self.rows // _BAD_EVERY):
            yield f"{refused} rejections"

    def _wrong_files(self, store: Any) -> Iterator[str]:
        files = list(store["files"].find())
        states = Counter(file["state"] for file in files)
        if states != {"archived": self.files} | ({"duplicate": self.copies} if self.copies else {}):
            yield f"states: {dict(states)}, and {self.copies} copies were dropped"
        bad = self.rows // _BAD_EVERY
        counts = Counter(
            (file["record_count"], file["success_count"], file["error_count"])
            for file in files
            if file["state"] == "archived"
        )
        if counts != {(self.rows, self.rows - bad, bad): self.files}:
            yield f"counts: {dict(counts)}"
        runs = {file["processed_at"] for file in files}
        if len(runs) != len(files):
            yield f"{len(files)} files have {len(runs)} runs"
        if open_files := [file for file in files if file["owner"] or not file["is_put_away"]]:
            yield f"open: {open_files[:3]}"

    def _wrong_places(self, directory: Path) -> Iterator[str]:
        wanted = {
            "inbox": 0, "failed": 0, "unpacked": 0, "rejects": self.files,
            "archive": self.files + self.copies + self.archives,
        }  # fmt: skip
        for name, count in wanted.items():
            if len(found := files_below(directory / name)) != count:
                yield f"{name}: {len(found)} files, not {count}: {[f.name for f in found[:3]]}"


def _file(number: int, rows: int) -> bytes:
    """Each row says of which file it is, and which of them; one in twenty is bad."""
    lines = (
        f"{row},{number},2026-01-01T00:00:00,{_amount(row)},DE,paid,{row},x,true,0\n"
        for row in range(1, rows + 1)
    )
    return (HEADER + "".join(lines)).encode()


def _amount(row: int) -> int:
    return 1 if row % _BAD_EVERY else -1


def _zipped(files: list[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files:
            archive.writestr(name, content)
    return stream.getvalue()


def disturb(several: Several, every_s: float, chance: random.Random) -> Counter[str]:
    """Until all is done: one of the daemons is killed and started, or stopped for a while."""
    done: Counter[str] = Counter()
    while not several.is_done():
        time.sleep(every_s)  # the point: a moment that nobody chose
        daemon = chance.choice(several.daemons)
        if chance.random() < 0.5:
            daemon.kill()
            daemon.start(is_awaited=False)
            done["kills"] += 1
        else:
            daemon.signal(signal.SIGSTOP)
            time.sleep(1.5 * several.lease_s)  # longer than its lease
            daemon.signal(signal.SIGCONT)
            done["stops"] += 1
    return done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=2000, help="of each file")
    parser.add_argument("--daemons", type=int, default=3)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between disturbances")
    parser.add_argument("--lease", type=float, default=3.0, help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="several-daemons-") as scratch:
        mongod = Mongod(Path(scratch) / "mongod").start()
        several = Several(Path(scratch), mongod.uri, "several", given.daemons, lease_s=given.lease)
        feed = Feed(given.files, given.rows)
        try:
            several.start()
            began_at = time.monotonic()
            feed.drop(several)
            done = disturb(several, given.every, random.Random(given.seed))
            seconds = time.monotonic() - began_at
            shares = shares_of(several)
            found = feed.mistakes(several)
        finally:
            several.clean_up()
            mongod.stop()
    print(
        f"{given.files} files of {given.rows} rows, {feed.copies} copies and {feed.archives} "
        f"archives, {given.daemons} daemons: {seconds:.0f} s, {done['kills']} kills, "
        f"{done['stops']} stops, {shares}"
    )
    print("\n".join(found) or "every row is stored once, every file is in one place")
    return 1 if found else 0


def shares_of(several: Several) -> str:
    """How often files were taken over."""
    with several.store() as store:
        attempts = Counter(file["attempts"] for file in store["files"].find({}, {"attempts": 1}))
    return "attempts " + ", ".join(f"{n}: {count}" for n, count in sorted(attempts.items()))


if __name__ == "__main__":
    sys.exit(main())
