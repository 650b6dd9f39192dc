"""Plays a story with strikes on real processes and a real mongod, restarts, and compares."""

import json
import re
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import urlopen

from harness import Mongod
from pymongo import MongoClient
from pymongo.errors import ConnectionFailure

from crashes.stories import Source, Story, dropped
from crashes.witness import Orders, Strike
from crashes.worlds import Places, World, expected
from crashes.zygote import Started, Zygote

Result = TypeVar("Result")

IN_MEMORY = Path("/dev/shm")
LIMIT_S = 30.0
_POLL_S = 0.01
_DATABASE = "crashes"
_COMMAND_CODES = (0, 1, 2, 65)
"""Done; refused, because it was done already; data were refused."""


@dataclass
class Played:
    """What happened. ``hits``: the strikes that fell; a process may end before its turn came."""

    hits: list[Strike] = field(default_factory=list)
    found: World = field(default_factory=World)
    """The world just after the last strike."""
    put_right_by: list[str] = field(default_factory=list)
    """The steps that were taken after it, in order, each once."""
    wrong: list[str] = field(default_factory=list)
    log: str = ""


class Stage:
    """A directory, a mongod and a zygote, for one story after the other.

    ``keeps_collections``: a story finds them and their indexes, empty, instead of none at all;
    making them takes most of a start.
    """

    def __init__(
        self, directory: Path, mongod: Mongod, *, keeps_collections: bool = False
    ) -> None:  # fmt: skip
        self._directory = directory
        self._mongod = mongod
        self._keeps_collections = keeps_collections
        self._zygote = Zygote()
        self._client: MongoClient[dict[str, Any]] = MongoClient(
            mongod.uri, tz_aware=True, serverSelectionTimeoutMS=200
        )  # fmt: skip
        self._earlier: dict[str, _Saved] = {}
        """What stories have before them, by what makes it so."""
        self._other_disk = Path(tempfile.mkdtemp(prefix="crashes-", dir=_other_than(directory)))
        self._config = directory / "config"
        self._journal = directory / "journal"
        self._log = directory / "log"
        self._archive = directory / "root" / "archive"

    def close(self) -> None:
        """End everything but the mongod."""
        self._client.close()
        self._zygote.close()
        shutil.rmtree(self._other_disk, ignore_errors=True)

    @property
    def root(self) -> Path:
        """The daemon's directory."""
        return self._directory / "root"

    def journal(self) -> list[str]:
        """The moments of steps that the last process went through: ``before rows: …``."""
        return self._journal.read_text().splitlines() if self._journal.exists() else []

    def _told(self) -> str:
        """The log since the story began."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    # the play

    def play(self, story: Story, *starts: Sequence[Strike]) -> Played:
        """From the beginning to the end; each start of the daemon or the command is struck.

        Starts that would find nothing to do any more are left out.
        """
        played = Played()
        self._prepare(story)
        for strikes in (story.ruins, *starts) if story.ruins else starts:
            played.hits += self._struck(story, strikes)
            if len(starts) > 1 and not self._look(story).differences(story.world):
                break
        played.found = self._look(story)
        self._journal.unlink(missing_ok=True)
        played.wrong = self._put_right(story)
        played.put_right_by = list(dict.fromkeys(
            line.removeprefix("after ") for line in self.journal() if line.startswith("after ")
        ))  # fmt: skip
        played.log = self._told()
        return played

    def rehearse(self, story: Story) -> list[str]:
        """Every moment of the process that is to be struck, when it is not.

        How a daemon ends is a story of its own.
        """
        self._prepare(story)
        if story.ruins:
            self._struck(story, story.ruins)
        if story.command or story.stops_at:
            self._struck(story, ())
        else:
            self._journal.unlink(missing_ok=True)
            process = self._start(["run"])
            self._await_world(process, story, story.world)
            process.signal(signal.SIGKILL)
            process.wait()
        return self.journal()

    def _prepare(self, story: Story) -> None:
        """The world before the story: what was loaded earlier, and what lies in the inbox."""
        self._archive = (self._other_disk if story.is_elsewhere else self.root) / "archive"
        self._configure(story, story.sources)
        earlier = repr((story.before, story.sources))
        self._begin(self._earlier.get(earlier, _Saved()))
        if story.before and earlier not in self._earlier:
            self._drop(dropped(*story.before))
            world = expected(story.before, story.upserted)
            wrong = self._run_until(story, world)
            assert not wrong, f"{wrong}\n{self._told()}"
            self._earlier[earlier] = self._save()
        self._configure(story, story.new_sources or story.sources)
        self._drop(story.drops)
        for name, content in story.manual.items():
            _write(self._directory / "manual" / name, content)

    def _struck(self, story: Story, strikes: Sequence[Strike]) -> list[Strike]:
        """Start what is to be struck, and wait for its end; the strikes that hit it."""
        self._journal.unlink(missing_ok=True)
        both = [*strikes, *([story.stops_at] if story.stops_at else [])]
        if story.command:
            self._start(self._arguments(story), both).wait(LIMIT_S)
        else:
            self._run_until(story, story.world, both)
        self._revive_mongod()
        return [strike for strike in strikes if f"STRIKE {strike}" in self.journal()]

    def _put_right(self, story: Story) -> list[str]:
        """As an operator does it: start the daemon, and run the command again."""
        process = self._start(["run"])
        wrong: list[str] = []
        if story.command:
            wrong += self._repeat(story)
        self._drop(story.late)
        wrong += self._await_world(process, story, story.world)
        return wrong + self._stop(process, story, story.world)

    def _repeat(self, story: Story) -> list[str]:
        """The command once more, while the daemon runs: in a process of its own."""
        with _own_zygote() as zygote:
            orders = Orders(self._directory / "journal of the command")
            again = zygote.start([*self._arguments(story), *self._configured], self._log, orders)
            code = again.wait(LIMIT_S)
        return [] if code in _COMMAND_CODES else [f"the command ended with {code}"]

    def _run_until(self, story: Story, world: World, strikes: Sequence[Strike] = ()) -> list[str]:
        """Run the daemon until the world is as wanted or it was killed; what is wrong then."""
        process = self._start(["run"], strikes)
        wrong = self._await_world(process, story, world)
        if process.poll() is not None:
            return wrong
        return wrong + self._stop(process, story, world)

    def _await_world(self, process: Started, story: Story, world: World) -> list[str]:
        """Wait until it is as wanted; what is wrong when the process ended, or time is up."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            is_over = process.poll() is not None or time.monotonic() > deadline
            if is_over or self._has_files(world):
                wrong = self._look(story).differences(world)
                if is_over or not wrong:
                    return wrong
            time.sleep(_POLL_S)

    def _stop(self, process: Started, story: Story, world: World) -> list[str]:
        """End the daemon, and look once more: it must have done nothing else meanwhile."""
        self._await_readiness(process)
        process.signal(signal.SIGTERM)
        code = process.wait(LIMIT_S)
        wrong = self._look(story).differences(world)
        return wrong + ([f"the daemon ended with {code}"] if code else [])

    def _await_readiness(self, process: Started) -> None:
        """Wait until all is done that a start does first."""
        deadline = time.monotonic() + LIMIT_S
        while process.poll() is None and not self._is_ready():
            self._revive_mongod()
            assert time.monotonic() < deadline, f"the daemon is not ready:\n{self._told()[-5000:]}"
            time.sleep(_POLL_S)

    def _is_ready(self) -> bool:
        urls = re.findall(r'"url": "([^"]+)"', self._told())
        with suppress(OSError, IndexError), urlopen(f"{urls[-1]}/health/ready", timeout=5) as reply:
            return bool(reply.status == 200)
        return False

    # the scenery

    def _start(self, arguments: Sequence[str], strikes: Sequence[Strike] = ()) -> Started:
        assert self._mongod.process
        pid = self._mongod.process.pid
        orders = Orders(self._journal, tuple(strikes), pid)
        return self._zygote.start([*arguments, *self._configured], self._log, orders)

    def _arguments(self, story: Story) -> list[str]:
        manual = str(self._directory / "manual")
        return [one.format(manual=manual) for one in story.command]

    @property
    def _configured(self) -> list[str]:
        return ["--config", str(self._config)]

    def _configure(self, story: Story, sources: Sequence[Source]) -> None:
        shutil.rmtree(self._config, ignore_errors=True)
        options = {
            "paths.root": str(self.root), "paths.archive": str(self._archive),
            "mongo.uri": self._mongod.uri, "mongo.database": _DATABASE, "mongo.timeout": 2,
            "api.port": 0, "watch.settle": 0.02, "logs.format": "json", "refine.workers": 1,
            "ledger.lease": 1, **story.options,
        }  # fmt: skip
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in options.items()]
        _write(self._config / "ingestd.toml", "".join(lines).encode())
        for source in sources:
            _write(self._config / "sources" / f"{source.name}.toml", source.text.encode())

    def _drop(self, files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            hidden = self.root / "inbox" / Path(name).with_name(f".{Path(name).name}")
            _write(hidden, content)
            hidden.rename(self.root / "inbox" / name)

    def _begin(self, saved: "_Saved") -> None:
        """The world as it was saved; an empty one, if nothing was."""
        store = self._client[_DATABASE]
        if self._keeps_collections:
            for name in self._collections():
                store[name].delete_many({})
        else:
            self._client.drop_database(_DATABASE)
        for name, documents in saved.collections.items():
            store[name].insert_many(documents)
        for place in (self.root, self._other_disk, self._directory / "manual"):
            shutil.rmtree(place, ignore_errors=True)
        for path, content in saved.files.items():
            _write(path, content)
        self._log.unlink(missing_ok=True)

    def _save(self) -> "_Saved":
        store = self._client[_DATABASE]
        collections = {
            name: found for name in self._collections() if (found := list(store[name].find()))
        }
        files = {path: path.read_bytes() for path in self.root.rglob("*") if path.is_file()}
        return _Saved(collections, files)

    def _collections(self) -> list[str]:
        found = self._client[_DATABASE].list_collection_names()
        return [name for name in found if not name.startswith("system.")]

    def _has_files(self, world: World) -> bool:
        """Whether the ledger says what it must: only then a look at everything is worth it."""
        return Counter(self._seen(lambda places: places.files())) == Counter(world.files)

    def _look(self, story: Story) -> World:
        return self._seen(lambda places: places.look(story.upserted))

    def _seen(self, look: Callable[[Places], Result]) -> Result:
        """A look, once nothing moves meanwhile and MongoDB lives."""
        while True:
            self._revive_mongod()
            with suppress(FileNotFoundError, ConnectionFailure):
                return look(Places(self._client[_DATABASE], self.root, self._archive))

    def _revive_mongod(self) -> None:
        if self._mongod.process is None or self._mongod.process.poll() is not None:
            self._mongod.start()


@dataclass(frozen=True)
class _Saved:
    """A world to begin with."""

    collections: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    files: Mapping[Path, bytes] = field(default_factory=dict)


def _other_than(directory: Path) -> Path | None:
    """A directory on another file system."""
    return None if directory.is_relative_to(IN_MEMORY) else IN_MEMORY


@contextmanager
def _own_zygote() -> Iterator[Zygote]:
    zygote = Zygote()
    try:
        yield zygote
    finally:
        zygote.close()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
