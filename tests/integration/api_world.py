"""A running API on a real MongoDB, and ways to put files and rows there as the loader does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import bson
import yarl
from bson import ObjectId
from pipeline_world import InThread, make_desk
from pymongo import MongoClient

from ingestd.api.app import create_app
from ingestd.api.context import ApiContext
from ingestd.api.server import ApiServer
from ingestd.config.settings import ApiSettings, MongoSettings, PathSettings, Settings
from ingestd.config.source import SourceSpec
from ingestd.events import Events
from ingestd.ledger import Ledger
from ingestd.metrics import Metrics
from ingestd.mongo import Mongo

START = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
SCHEMA = {"order_id": "string", "amount": "float64", "country": "string"}


def source(
    name: str = "orders", schema: dict[str, Any] | None = None, **load: Any
) -> SourceSpec:  # fmt: skip
    return SourceSpec.model_validate(
        {"name": name, "file_pattern": f"{name}/*.csv", "schema": schema or SCHEMA, "load": load}
    )


@dataclass
class World:
    """One API and what it reads from."""

    mongo: Mongo
    context: ApiContext
    uri: str
    url: str
    http: aiohttp.ClientSession
    runs: int = 0

    async def add_file(
        self,
        rows: list[dict[str, Any]],
        state: str = "archived",
        source_name: str = "orders",
        **fields: Any,
    ) -> str:
        """A file with those rows, a minute after the one before."""
        self.runs += 1
        identity = fields.pop("_id", f"{self.runs:016x}")
        moment = fields.pop("processed_at", START + timedelta(minutes=self.runs))
        document = {
            "_id": identity, "source_name": source_name, "name": f"file-{self.runs}.csv",
            "state": state, "processed_at": moment, "discovered_at": moment, "attempts": 1,
            "record_count": len(rows), "success_count": len(rows), "error_count": 0,
            "filtered_count": 0, **fields,
        }  # fmt: skip
        await self.mongo.insert_missing("files", [document])
        await self.add_rows(identity, moment, rows, source_name)
        return identity

    async def add_rows(
        self, identity: str, moment: datetime, rows: list[dict[str, Any]], source_name: str
    ) -> None:
        documents = [
            {
                "_id": ObjectId(f"{identity}{number:08x}"), **row, "processed_at": moment,
                "source_name": source_name,
            }
            for number, row in enumerate(rows, 1)
        ]  # fmt: skip
        step = min(1000, 2**23 // len(bson.encode(documents[0]))) if documents else 1
        for first in range(0, len(documents), step):
            await self.mongo.insert_missing(source_name, documents[first : first + step])

    async def get(self, path: str, **options: Any) -> tuple[int, Any, Any]:
        """Status, JSON body and headers; the path goes out exactly as written."""
        target = path if path.startswith("http") else self.url + path
        async with self.http.get(yarl.URL(target, encoded=True), **options) as response:
            return response.status, await response.json(content_type=None), response.headers

    async def post(self, path: str, **options: Any) -> tuple[int, Any]:
        """Status and JSON body."""
        async with self.http.post(self.url + path, **options) as response:
            return response.status, await response.json(content_type=None)

    def documents_returned(self) -> int:
        """How many documents the server has given to readers so far."""
        with MongoClient[dict[str, Any]](self.uri) as client:
            status = client.admin.command("serverStatus")
            return int(status["metrics"]["document"]["returned"])

    async def rows(self, path: str) -> list[dict[str, Any]]:
        """The rows of one page."""
        status, body, _ = await self.get(path)
        assert status == 200, body
        return [row for run in body for row in run["data"]]

    async def pages(self, path: str) -> AsyncIterator[Any]:
        """All pages, by way of ``Link``."""
        following: str | None = path
        while following is not None:
            status, body, headers = await self.get(following)
            assert status == 200, body
            yield body
            link = headers.get("Link")
            following = None if link is None else link.removeprefix("<").split(">")[0]


@asynccontextmanager
async def running(
    uri: str,
    database: str,
    specs: tuple[SourceSpec, ...] = (source(),),
    is_prepared: bool = True,
    root: Path | None = None,
    **changes: Any,
) -> AsyncIterator[World]:
    """An API over those sources. ``changes`` replace fields of its ``ApiContext``."""
    whole = Settings() if root is None else Settings(paths=PathSettings(root=root))
    events = Events(Metrics())
    mongo = Mongo(uri, MongoSettings(database=database, timeout=0.5), events)
    context = ApiContext(
        settings=ApiSettings(port=0), sources={spec.name: spec for spec in specs},
        schemas={spec.name: spec.columns for spec in specs}, mongo=mongo, events=events,
        desk=make_desk(whole, {spec.name: spec for spec in specs}, mongo, InThread()),
    )  # fmt: skip
    context = replace(context, **changes)
    server = ApiServer(events)
    try:
        if is_prepared:
            await Ledger(mongo).prepare()
        for spec in specs if is_prepared else ():
            await mongo.ensure_indexes(spec.name, ("processed_at", "_id"))
        url = await server.start(create_app(context), context.settings)
        async with aiohttp.ClientSession(max_field_size=2**15) as http:
            yield World(mongo, context, uri, url, http)
    finally:
        await server.stop()
        mongo.close()
