"""Ledger, loader, rejects and a whole pipeline on a real MongoDB, without watcher and daemon."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
from pymongo import MongoClient

from ingestd.config.settings import Settings
from ingestd.config.source import SourceSpec
from ingestd.engine import Engine, open_engine
from ingestd.events import Events
from ingestd.files import look
from ingestd.ledger import now
from ingestd.metrics import Metrics
from ingestd.pipeline import Pipeline
from ingestd.records import FileResult, FoundFile

Answer = tuple[FileResult | None, float | None]


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


@dataclass
class World:
    """A prepared engine; every file that is offered is waited for."""

    engine: Engine
    client: MongoClient[dict[str, Any]]
    database: str
    answers: dict[Path, list[Answer]] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.engine.settings.paths.root

    @property
    def inbox(self) -> Path:
        return self.root / "inbox" / "orders"

    @property
    def files(self) -> list[dict[str, Any]]:
        """The ledger, in order of arrival."""
        return list(self._collection("files").find(sort=[("processed_at", 1)]))

    def rows(self, collection: str = "orders", **match: Any) -> list[dict[str, Any]]:
        return list(self._collection(collection).find(match, sort=[("_id", 1)]))

    def ids(self) -> list[int]:
        """The column ``id`` of all rows, in the order of ``_id``."""
        return [row["id"] for row in self.rows()]

    def _collection(self, name: str) -> Any:
        return self.client[self.database][name]

    def change_file(self, name: str, **fields: Any) -> None:
        """Put an entry of the ledger back to where a crash left it."""
        done = self._collection("files").update_one({"name": name}, {"$set": fields})
        assert done.matched_count == 1

    @contextmanager
    def refused(self, role_of: str) -> Iterator[None]:
        """MongoDB refuses to write to a collection, by a validator that nothing passes."""
        command = {"collMod": role_of, "validationLevel": "strict"}
        database = self.client[self.database]
        database.command({**command, "validator": {"nothing": {"$type": "minKey"}}})
        try:
            yield
        finally:
            database.command({**command, "validator": {}})

    def drop(self, name: str, content: bytes) -> FoundFile:
        self.inbox.mkdir(parents=True, exist_ok=True)
        path = self.inbox / name
        path.write_bytes(content)
        return FoundFile("orders", path, look(path), now())

    async def offer(self, *found: FoundFile) -> list[Answer]:
        """Send files through a pipeline of their own; what became of each."""
        answers: dict[Path, Answer] = {}

        def done(file: FoundFile, result: FileResult | None, retry_s: float | None) -> None:
            answers[file.path] = (result, retry_s)
            if retry_s is None:
                self.engine.events.file_unblocked(file.source_name, file.path)

        pipeline = self.engine.pipeline(done)
        await self.run(pipeline, *found)
        return [answers[file.path] for file in found]

    async def run(self, pipeline: Pipeline, *found: FoundFile) -> None:
        send, receive = anyio.create_memory_object_stream[FoundFile](len(found))
        async with anyio.create_task_group() as group:
            group.start_soon(pipeline.run, receive)
            async with send:
                for file in found:
                    await send.send(file)

    async def load(self, name: str, content: bytes) -> FileResult:
        """Drop one file and see it end."""
        ((result, _),) = await self.offer(self.drop(name, content))
        assert result is not None, self.engine.events.blocked_files("orders")
        return result

    def with_source(self, spec: SourceSpec) -> "World":
        """The same world after the configuration of the source was changed."""
        sources = {**self.engine.sources, spec.name: spec}
        desk = replace(self.engine.desk, sources=sources)
        return replace(self, engine=replace(self.engine, sources=sources, desk=desk))


@asynccontextmanager
async def opened(
    uri: str, database: str, root: Path, *specs: SourceSpec, **sections: Any
) -> AsyncIterator[World]:
    """A world with these sources; ``sections`` as in the settings: ``load={"writers": 1}``."""
    settings = Settings.model_validate({
        "paths": {"root": str(root)}, "mongo": {"uri": uri, "database": database, "timeout": 2},
        **sections, "refine": {"workers": 1, "chunk_bytes": 2**12, **sections.get("refine", {})},
    })  # fmt: skip
    events = Events(Metrics())
    async with open_engine(settings, specs or [source()], events, is_moving=True) as engine:
        await engine.prepare()
        with MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
            yield World(engine, client, database)
