"""A MongoDB for one measurement: fresh, and started as ingestd starts its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal
from pymongo import MongoClient
from pymongo.database import Database

from ingestd import logs
from ingestd.config.settings import MongoSettings
from ingestd.events import Events
from ingestd.metrics import Metrics
from ingestd.mongo import ensure_replica_set
from ingestd.mongod import EmbeddedMongod

_SETTINGS = MongoSettings()


@dataclass(frozen=True, slots=True)
class Server:
    """A running mongod."""

    uri: str
    pid: int

    @contextmanager
    def database(self) -> Iterator[Database[dict[str, Any]]]:
        """The database that everything is written to."""
        with MongoClient[dict[str, Any]](self.uri, tz_aware=True) as client:
            yield client[_SETTINGS.database]


@contextmanager
def running_server(directory: Path) -> Iterator[Server]:
    """A mongod with an empty data directory, until the block ends."""
    logs.configure("critical", "json", None, sys.stderr)
    events = Events(Metrics())
    mongod = EmbeddedMongod(directory, _SETTINGS.embedded_cache, events, ensure_replica_set)
    with start_blocking_portal() as portal:
        uri = portal.call(mongod.start)
        try:
            assert mongod.pid is not None
            yield Server(uri, mongod.pid)
        finally:
            portal.call(mongod.stop)
