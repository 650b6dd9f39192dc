"""What the daemon and the one-shot commands have in common: MongoDB, workers, pipeline."""

import pickle
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import anyio

from ingestd.config.settings import Settings
from ingestd.config.source import SourceSpec
from ingestd.errors import StoreRefused
from ingestd.events import Events
from ingestd.ledger import Ledger
from ingestd.load import Loader
from ingestd.mongo import Mongo, ensure_replica_set
from ingestd.mongod import EmbeddedMongod, find_running
from ingestd.pipeline import Desk, Done, Pipeline, recover
from ingestd.pipeline.putaway import PutAway
from ingestd.refine import warm
from ingestd.rejects import Rejects
from ingestd.workers import ProcessSlots, WorkerLimits, usable_cores


@asynccontextmanager
async def open_mongo(
    settings: Settings, events: Events, *, is_joining: bool = True
) -> AsyncIterator[Mongo]:
    """The configured MongoDB; else the private one, started if nobody runs it already.

    ``is_joining``: one that somebody else runs will do, though it ends with them. The daemon
    needs one of its own. The connection is made at the first command.
    """
    async with AsyncExitStack() as stack:
        uri = settings.mongo.uri.get_secret_value() if settings.mongo.uri else None
        if uri is None and is_joining:
            uri = find_running(settings.paths.mongo)
        if uri is None:
            uri = await stack.enter_async_context(_private_mongod(settings, events))
        mongo = Mongo(uri, settings.mongo, events)
        stack.callback(mongo.close)
        yield mongo


@asynccontextmanager
async def _private_mongod(settings: Settings, events: Events) -> AsyncIterator[str]:
    mongod = EmbeddedMongod(
        settings.paths.mongo, settings.mongo.embedded_cache, events, ensure_replica_set
    )
    uri = await mongod.start()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(mongod.supervise, name="mongod")
            yield uri
            group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await mongod.stop()


@dataclass(frozen=True, slots=True)
class Engine:
    """Everything that turns found files into documents."""

    settings: Settings
    sources: Mapping[str, SourceSpec]
    events: Events
    mongo: Mongo
    workers: ProcessSlots
    desk: Desk

    async def prepare(self) -> None:
        """Reach MongoDB, waiting for it if need be; create indexes; finish what a crash left.

        Raises:
            StoreRefused: MongoDB does not let us.
        """
        server = await self.mongo.patiently("connecting", self.mongo.connect)
        is_embedded = self.settings.mongo.uri is None
        self.events.mongo_connected(self.settings.mongo.database, server.version, is_embedded)
        await self.desk.ledger.prepare()
        await self.desk.rejects.prepare()
        for source in self.sources.values():
            await self._prepare_source(source)
        for name, moment in (await self.desk.ledger.last_loads(list(self.sources))).items():
            self.events.last_loaded(name, moment)
        await recover(self.desk.ledger, self.desk.loader, self.events, list(self.sources))

    async def _prepare_source(self, source: SourceSpec) -> None:
        """One source that MongoDB refuses keeps no other from loading; its files wait."""
        try:
            await self.desk.loader.prepare(source)
        except StoreRefused as refusal:
            self.events.source_refused(source.name, refusal.message, refusal.hint)

    def pipeline(self, done: Done) -> Pipeline:
        """A pipeline over these stores and workers."""
        return Pipeline(self.desk, done, self.workers.count)


@asynccontextmanager
async def open_engine(
    settings: Settings,
    sources: Sequence[SourceSpec],
    events: Events,
    *,
    is_moving: bool,
    is_joining: bool = True,
) -> AsyncIterator[Engine]:
    """Start workers and MongoDB.

    ``is_moving``: loaded files leave the directory they lie in. ``is_joining``: see ``open_mongo``.
    """
    refine = settings.refine
    slots = ProcessSlots(
        refine.workers or usable_cores(),
        events,
        WorkerLimits(refine.chunk_timeout, refine.recycle_above),
        partial(warm, tuple(pickle.dumps(source) for source in sources)),
    )
    opening = open_mongo(settings, events, is_joining=is_joining)
    async with slots.started() as workers, opening as mongo:
        ledger, rejects = Ledger(mongo), Rejects(mongo)
        by_name = {source.name: source for source in sources}
        desk = Desk(
            sources=by_name,
            settings=settings,
            ledger=ledger,
            loader=Loader(mongo, settings.load),
            rejects=rejects,
            workers=workers,
            put_away=PutAway(settings.paths, ledger, rejects, events, is_moving=is_moving),
            events=events,
        )
        yield Engine(settings, by_name, events, mongo, workers, desk)
