"""A pipeline on a real MongoDB, without watcher, daemon and processes; and ways to break it."""

import io
import warnings
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import polars as pl
from pymongo import MongoClient

from ingestd.config.settings import Settings
from ingestd.config.source import SourceSpec
from ingestd.errors import StoreRefused
from ingestd.events import Events
from ingestd.files import look
from ingestd.ledger import THIS_PROCESS, Ledger, Owner, now
from ingestd.load import Loader
from ingestd.metrics import Metrics
from ingestd.mongo import Mongo
from ingestd.pipeline import Desk, Pipeline, recover
from ingestd.pipeline.putaway import PutAway
from ingestd.records import FileResult, FoundFile
from ingestd.rejects import Rejects
from ingestd.wayback import finish_actions
from ingestd.workers import Workers

Result = TypeVar("Result")
Answer = tuple[FileResult | None, float | None]
WRITES = (
    "write_sequence", "insert_missing", "update", "update_each", "update_returning",
    "update_together", "delete",
)  # fmt: skip


def source(name: str = "orders", **changes: Any) -> SourceSpec:
    """Three columns; an amount below zero is refused."""
    spec = {
        "name": name, "file_pattern": f"{name}/*.csv",
        "schema": {"id": "int64", "amount": "float64", "note": "string"},
        "validation_rules": {"amount": {"min": 0}}, **changes,
    }  # fmt: skip
    return SourceSpec.model_validate(spec)


def csv(*rows: tuple[Any, ...]) -> bytes:
    lines = ["id,amount,note", *(",".join(map(str, row)) for row in rows)]
    return "".join(line + "\n" for line in lines).encode()


def many(count: int, refused_every: int = 10, first: int = 1) -> bytes:
    """Several chunks; some rows are refused."""
    return csv(*(
        (n, -1 if n % refused_every == 0 else n / 4, f"note {n}")
        for n in range(first, first + count)
    ))  # fmt: skip


def zipped(*files: tuple[str, bytes]) -> bytes:
    """An archive, of which a name may stand there twice."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def refuse_booms(frame: pl.DataFrame) -> pl.DataFrame:
    """A step of somebody's that cannot bear one value."""
    if (frame["note"] == "boom").any():
        raise ValueError("boom")
    return frame


class InThread(Workers):
    """Workers without processes. ``after`` is called when a task is done."""

    def __init__(self, after: Callable[[], None] = lambda: None) -> None:
        self.tasks = 0
        self._after = after

    async def run(self, function: Callable[..., Result], *arguments: object) -> Result:
        result = await anyio.to_thread.run_sync(function, *arguments)
        self.tasks += 1
        self._after()
        return result


class Crash(BaseException):
    """What a ``kill -9`` is to a process, to the tasks of a test."""


class CrashingMongo(Mongo):
    """Crashes at a write to MongoDB: just before or just after the one of that number."""

    writes = 0
    crash_at: int | None = None
    is_after = False
    refused = ""

    def begin(self, crash_at: int | None, *, is_after: bool, refused: str = "") -> None:
        """Count writes from here on. ``refused``: the name of one that MongoDB refuses."""
        self.writes, self.crash_at, self.is_after = 0, crash_at, is_after
        self.refused = refused

    async def _count(self, name: str, arguments: Any, options: Any) -> Any:
        self.writes += 1
        is_due = self.writes == self.crash_at
        if is_due and not self.is_after:
            raise Crash
        if name == self.refused:
            raise StoreRefused("not authorized", "give the user the role readWrite")
        result = await getattr(Mongo, name)(self, *arguments, **options)
        if is_due:
            raise Crash
        return result


def _counting(name: str) -> Any:
    async def write(self: CrashingMongo, *arguments: Any, **options: Any) -> Any:
        return await self._count(name, arguments, options)

    return write


for _name in WRITES:
    setattr(CrashingMongo, _name, _counting(_name))


@dataclass
class World:
    """One daemon's worth of stores, between two starts."""

    desk: Desk
    mongo: Mongo
    client: MongoClient[dict[str, Any]]
    workers: InThread

    @property
    def root(self) -> Path:
        return self.desk.settings.paths.root

    @property
    def inbox(self) -> Path:
        return self.root / "inbox" / "orders"

    # what is there

    @property
    def files(self) -> list[dict[str, Any]]:
        """The ledger, in order of arrival."""
        return list(self._database["files"].find(sort=[("processed_at", 1)]))

    def rows(self, collection: str = "orders", **match: Any) -> list[dict[str, Any]]:
        return list(self._database[collection].find(match, sort=[("_id", 1)]))

    def ids(self) -> list[int]:
        """The column ``id`` of all rows."""
        return sorted(row["id"] for row in self.rows())

    def blocked(self) -> list[str]:
        return [file.reason for file in self.desk.events.blocked_files("orders")]

    def found(self, *parts: str) -> list[str]:
        """The files below a directory of the root."""
        below = self.root.joinpath(*parts)
        return sorted(str(path.relative_to(below)) for path in below.rglob("*") if path.is_file())

    # what happens

    def drop(self, name: str, content: bytes) -> FoundFile:
        self.inbox.mkdir(parents=True, exist_ok=True)
        path = self.inbox / name
        path.write_bytes(content)
        return found(path)

    async def offer(self, *files: FoundFile) -> list[Answer]:
        """Send files through the pipeline as the watcher does; what became of each."""
        answers: dict[Path, Answer] = {}

        def done(file: FoundFile, result: FileResult | None, retry_s: float | None) -> None:
            answers[file.path] = (result, retry_s)
            if retry_s is None:
                self.desk.events.file_unblocked(file.source_name, file.path)

        await run(Pipeline(self.desk, done, 1), *files)
        return [answers[file.path] for file in files]

    async def load(self, name: str, content: bytes) -> FileResult:
        """Drop one file and see it end."""
        ((result, _),) = await self.offer(self.drop(name, content))
        assert result is not None, self.blocked()
        return result

    async def recover(self) -> None:
        """What a start does first."""
        await recover(self.desk, ["orders"])
        await finish_actions(self.desk)

    async def offer_inbox(self) -> list[Answer]:
        return await self.offer(*(found(path) for path in sorted(self.inbox.iterdir())))

    # other circumstances

    def configured(self, spec: SourceSpec) -> "World":
        """After a restart with another source file."""
        return replace(self, desk=replace(self.desk, sources={spec.name: spec}))

    def on(self, mongo: Mongo, me: Owner = THIS_PROCESS) -> "World":
        """After a restart, with another connection; or, as somebody else, in another process."""
        desk = make_desk(self.desk.settings, self.desk.sources, mongo, self.workers, me)
        return replace(self, desk=desk, mongo=mongo)

    def with_workers(self, workers: Workers) -> "World":
        return replace(self, desk=replace(self.desk, workers=workers))

    @contextmanager
    def refusing(self, collection: str, allowed: dict[str, Any] | None = None) -> Iterator[None]:
        """MongoDB refuses documents of a collection, but those that match ``allowed``."""
        validator = allowed or {"nothing": {"$exists": True}}
        self._database.command({"collMod": collection, "validator": validator})
        try:
            yield
        finally:
            self._database.command({"collMod": collection, "validator": {}})

    @property
    def _database(self) -> Any:
        return self.client[self.desk.settings.mongo.database]


def found(path: Path) -> FoundFile:
    return FoundFile("orders", path, look(path), now())


async def run(pipeline: Pipeline, *files: FoundFile) -> None:
    """Until all of them have ended."""
    send, receive = anyio.create_memory_object_stream[FoundFile](len(files))
    async with send:
        for file in files:
            await send.send(file)
    await pipeline.run(receive)


async def stop_after_a_chunk(world: World, file: FoundFile) -> list[Any]:
    """The answers of a pipeline that is told to stop as soon as a worker has done something."""
    answers: list[Any] = []

    def stop() -> None:
        pipeline.stop_soon()

    desk = world.with_workers(InThread(after=stop)).desk
    pipeline = Pipeline(desk, lambda *answer: answers.append(answer), 1)
    await run(pipeline, file)
    return answers


def make_desk(
    settings: Settings, sources: Any, mongo: Mongo, workers: Workers, me: Owner = THIS_PROCESS
) -> Desk:
    events = Events(Metrics())
    ledger, rejects = Ledger(mongo, settings.ledger, me), Rejects(mongo)
    return Desk(
        sources=sources, settings=settings, ledger=ledger, loader=Loader(mongo, settings.load),
        rejects=rejects, workers=workers, events=events,
        put_away=PutAway(settings.paths, ledger, rejects, events),
    )  # fmt: skip


@asynccontextmanager
async def opened(
    uri: str, database: str, root: Path, *specs: SourceSpec, **sections: Any
) -> AsyncIterator[World]:
    """A world with these sources; ``sections`` as in the settings: ``load={"writers": 1}``."""
    settings = Settings.model_validate({
        "mongo": {"uri": uri, "database": database, "timeout": 2},
        "refine": {"chunk_bytes": 2**12}, **sections,
        "paths": {"root": str(root), **sections.get("paths", {})},
    })  # fmt: skip
    mongo = Mongo(uri, settings.mongo, Events(Metrics()))
    workers = InThread()
    sources = {spec.name: spec for spec in specs or [source()]}
    desk = make_desk(settings, sources, mongo, workers)
    await mongo.connect()
    await desk.ledger.prepare()
    await desk.rejects.prepare()
    with MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
        yield World(desk, mongo, client, workers)
    mongo.close()
