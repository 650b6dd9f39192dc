"""Which MongoDB: the configured one, the private one of a running daemon, or one of our own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio

from ingestd.config.settings import Settings
from ingestd.events import Events
from ingestd.mongo import Mongo, ensure_replica_set
from ingestd.mongod import EmbeddedMongod, find_running


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
