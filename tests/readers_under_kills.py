"""Kill a loading daemon again and again, while clients walk pages and export all rows.

    python tests/readers_under_kills.py --kills 100

A client asks for the same page again until it is answered, whatever is killed meanwhile. In no walk
and in no export, broken off or not, may a row come twice or a row of a held file come at all; one
that ends well has all good rows of each file it tells of. Ends with 1 when that is not so, or
when in the end a row is missing. Not collected by pytest: ``test_readers.py`` has the same in
small.
"""

import argparse
import http.client
import json
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from crash_matrix import scratch_directory
from harness import DaemonProcess, Mongod, free_port

SOURCE = """
name = "rows"
file_pattern = "rows/*.csv"
[schema]
id = "string"
amount = "int64"
[validation_rules.amount]
min = 0
[errors]
max_rate = 0.5
"""
OPTIONS = {"refine.chunk_bytes": 2**13, "load.checkpoint_interval": 0}
"""Many chunks, and the ledger told of each: whatever the moment, it hits the middle of a load."""
ROWS, BAD_EVERY = 3000, 100
GOOD = ROWS - ROWS // BAD_EVERY
_HELD_EVERY = 4
"""Of so many files one has too many bad rows, and is held: behind good rows, so that these are
stored before anybody knows."""
_AGAIN_S = 0.02
_PAGE_ROWS = 700


def content(name: str) -> bytes:
    """A file: ``id`` tells the file and the row."""
    is_held = name.startswith("held")
    lines = [f"{name}:{n},{_amount(n, is_held)}" for n in range(1, ROWS + 1)]
    return "\n".join(["id,amount", *lines, ""]).encode()


def _amount(row: int, is_held: bool) -> int:
    return -1 if row % BAD_EVERY == 0 or (is_held and row > ROWS // 3) else row


@dataclass
class Seen:
    """The rows of one walk or export."""

    files: Counter[str] = field(default_factory=Counter)
    ids: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def add(self, ids: Iterable[str]) -> None:
        for one in ids:
            if one in self.ids:
                self.wrong.append(f"{one} came twice")
            if one.startswith("held"):
                self.wrong.append(f"{one} is of a held file")
            self.ids.add(one)
            self.files[one.partition(":")[0]] += 1

    def take(self, line: bytes) -> int | None:
        """A line of an export: a row, or how many there were."""
        told = json.loads(line)
        self.add([told["id"]] if "id" in told else [])
        return told.get("#rows")

    def end(self) -> None:
        """All that was to come has come."""
        parts = (name for name, count in self.files.items() if count != GOOD)
        self.wrong += [f"{name}: {self.files[name]} rows of {GOOD}" for name in parts]


@dataclass
class Readers:
    """Two clients, each in a thread of its own."""

    url: str
    is_over: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @contextmanager
    def reading(self) -> Iterator[None]:
        threads = [
            threading.Thread(target=self._read, args=(one,)) for one in (self.walk, self.export)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.is_over = True
            for thread in threads:
                thread.join()

    def _read(self, once: Callable[[], Seen]) -> None:
        while not self.is_over:
            self.wrong += once().wrong[:5]

    def walk(self) -> Seen:
        """All pages, from the first to the last."""
        seen, following = Seen(), f"{self.url}/data/rows?fields=id&limit={_PAGE_ROWS}"
        while following:
            answer = self._page(following)
            if answer is None:
                return seen
            body, following = answer
            seen.add(row["id"] for run in json.loads(body) for row in run["data"])
            self.counts["pages"] += 1
        seen.end()
        self.counts["walks"] += 1
        return seen

    def _page(self, url: str) -> tuple[bytes, str] | None:
        """A page, and where the next one is; asked for until it comes, or all is over."""
        while not self.is_over:
            try:
                with urllib.request.urlopen(url, timeout=20) as reply:
                    link = re.match("<(.*)>", reply.headers.get("Link", ""))
                    return reply.read(), link[1] if link else ""
            except (OSError, http.client.HTTPException) as error:
                self._note("page", error)
        return None

    def export(self) -> Seen:
        """All rows in one answer, as far as it comes."""
        seen, url = Seen(), f"{self.url}/data/rows?fields=id&format=ndjson&limit=all&trailer=count"
        try:
            with urllib.request.urlopen(url, timeout=20) as reply:
                told = [count for line in _lines(reply) if (count := seen.take(line)) is not None]
            if told != [len(seen.ids)]:
                seen.wrong.append(f"{len(seen.ids)} rows, and {told} were told")
            seen.end()
            self.counts["exports"] += 1
        except (OSError, http.client.HTTPException) as error:
            self._note("export", error)
            self.counts["rows of broken exports"] += len(seen.ids)
        return seen

    def _note(self, what: str, error: Exception) -> None:
        """What a kill explains is counted; a refusal that coming again does not help is wrong."""
        if isinstance(error, urllib.error.HTTPError) and error.code not in (429, 503):
            self.wrong.append(f"{what}: {error.code} {error.read()[:300]!r}")
            self.is_over = True
        self.counts[f"{what}s broken off"] += 1
        time.sleep(_AGAIN_S)


def _lines(reply: http.client.HTTPResponse) -> Iterator[bytes]:
    """Whole lines as they come. Iterating the answer itself would end quietly where it breaks."""
    rest = b""
    while piece := reply.read1(2**16):
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines


def missing(daemon: DaemonProcess, names: list[str], readers: Readers) -> Iterator[str]:
    """What is not as it should be once all files have ended."""
    good = {name for name in names if not name.startswith("held")}
    for state, wanted in (("archived", good), ("held", set(names) - good)):
        daemon.wait_for(lambda: len(daemon.files(state=state)) == len(wanted), f"all {state}")  # noqa: B023
    for seen in (readers.walk(), readers.export()):
        yield from seen.wrong
        if set(seen.files) != good:
            yield f"rows of {len(seen.files)} files, not {len(good)}"


def play(daemon: DaemonProcess, kills: int, seed: int = 1) -> tuple[Counter[str], list[str]]:
    """Kill so many times; what the clients saw, and what was wrong."""
    chance, names = Random(seed), list[str]()
    daemon.options = {**daemon.options, **OPTIONS, "api.port": free_port()}
    daemon.configure(SOURCE).start()
    readers = Readers(str(daemon.log("ingestd started")[-1]["url"]))
    with readers.reading():
        for number in range(kills):
            names.append(f"{'held' if number % _HELD_EVERY == 1 else 'file'}-{number}")
            daemon.drop(f"rows/{names[-1]}.csv", content(names[-1]))
            time.sleep(chance.uniform(0, 0.6))
            daemon.kill()
            daemon.start()
        daemon.wait_for(lambda: not daemon.files(state="loading"), "the last file to end")
    readers.is_over = False
    return readers.counts, readers.wrong + list(missing(daemon, names, readers))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with scratch_directory("readers-") as directory:
        mongod = Mongod(directory / "mongod").start()
        daemon = DaemonProcess(directory, mongod.uri)
        try:
            counts, wrong = play(daemon, arguments.kills, arguments.seed)
            assert daemon.stop() == 0
        finally:
            daemon.clean_up()
            mongod.stop()
    print(*(f"{what}: {count}" for what, count in sorted(counts.items())), sep="\n")
    print(*(wrong[:20] or ["all is well"]), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
