"""What the daemon and the one-shot commands have in common: MongoDB, workers, pipeline."""

import pickle
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from ingestd.config.settings import Settings
from ingestd.config.source import SourceSpec
from ingestd.connection import open_mongo
from ingestd.cores import usable_cores
from ingestd.errors import StoreRefused
from ingestd.events import Events
from ingestd.ledger import COLLECTIONS, Ledger, Trail
from ingestd.load import Loader
from ingestd.mongo import Mongo
from ingestd.pipeline import Desk, Done, Pipeline, recover
from ingestd.pipeline.leftovers import remove_leftovers
from ingestd.pipeline.putaway import PutAway
from ingestd.refine import warm
from ingestd.rejects import ERRORS, Rejects
from ingestd.wayback import finish_actions
from ingestd.workers import ProcessSlots, WorkerLimits


@dataclass(frozen=True, slots=True)
class Engine:
    """Everything that turns found files into documents."""

    settings: Settings
    sources: dict[str, SourceSpec]
    """The one that the desk and the API look into, too: it changes at a reload."""
    events: Events
    mongo: Mongo
    workers: ProcessSlots
    desk: Desk

    async def prepare(self, predecessor: str | None = None) -> None:
        """Reach MongoDB, waiting for it if need be; create indexes; finish what a crash left.

        ``predecessor``: the id of a process that had this one's place, and is not there any more.

        Raises:
            StoreRefused: MongoDB does not let us.
        """
        connect = partial(self.mongo.connect, *COLLECTIONS, ERRORS)
        server = await self.mongo.patiently("connecting", connect)
        is_embedded = self.settings.mongo.uri is None
        self.events.mongo_connected(self.settings.mongo.database, server.version, is_embedded)
        await self.desk.ledger.prepare()
        await self.desk.rejects.prepare()
        await Trail(self.mongo, self.settings.api.keep_audit).prepare()
        if predecessor is not None:
            await self.desk.ledger.leases.succeed(predecessor)
        await self.prepare_sources()

    async def prepare_sources(self) -> None:
        """Create the indexes of all sources, and finish what a crash or a reload left of them."""
        for source in self.sources.values():
            await self._prepare_source(source)
        for name, moment in (await self.desk.ledger.last_loads(list(self.sources))).items():
            self.events.last_loaded(name, moment)
        await self.finish_abandoned()
        await remove_leftovers(self.desk)

    async def finish_abandoned(self) -> None:
        """Finish what a crash cut off, here or in a daemon that is not there any more.

        Files that lie in an inbox are left to the watcher: it offers them.
        """
        await self.desk.ledger.leases.look_around()
        await recover(self.desk, list(self.sources))
        await finish_actions(self.desk)

    def change_sources(self, sources: Sequence[SourceSpec]) -> None:
        """Work by these from now on; nobody may be at work by the others."""
        new = {source.name: source for source in sources}
        for name in self.sources.keys() - new.keys():
            self.events.metrics.remove_source(name)
        for source in sources:
            self.events.metrics.add_source(source.name, source.overdue_after)
        self.sources.clear()
        self.sources.update(new)
        self.desk.forget_rules()
        self.desk.loader.forget_sources()

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
        refine.workers or _usual_workers(settings),
        events,
        WorkerLimits(refine.chunk_timeout, refine.recycle_above),
        partial(warm, tuple(pickle.dumps(source) for source in sources)),
    )
    opening = open_mongo(settings, events, is_joining=is_joining)
    async with slots.started() as workers, opening as mongo:
        ledger, rejects = Ledger(mongo, settings.ledger), Rejects(mongo)
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
        async with ledger.leases.kept():
            yield Engine(settings, by_name, events, mongo, workers, desk)


def _usual_workers(settings: Settings) -> int:
    """One per processor; of a machine that a private MongoDB shares, half are left to that.

    MongoDB takes several times as much processor time per row as refining does.
    """
    cores = usable_cores()
    return cores if settings.mongo.uri else max(1, cores // 2)
