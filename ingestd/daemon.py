"""The life of the daemon: start order, signals, drain. Read ``serve`` from top to bottom."""

import errno
import fcntl
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TextIO

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectSendStream

from ingestd import __version__, systemd
from ingestd.access import access_problems
from ingestd.api.app import create_app
from ingestd.api.context import ApiContext
from ingestd.api.server import ApiServer
from ingestd.config.settings import Settings
from ingestd.config.source import SourceSpec
from ingestd.engine import Engine, open_engine
from ingestd.errors import ConfigError, ExitCode, Problem
from ingestd.events import Events
from ingestd.ledger import THIS_PROCESS
from ingestd.pipeline.gather import MOST_FILES
from ingestd.records import FileResult, FoundFile
from ingestd.refine import schema_of
from ingestd.vitals import Vitals
from ingestd.watch import Watcher

_PING_EVERY_S = 2.0
_GRACEFUL_PART = 0.75
"""Of the drain time: what is left of files then ends at a checkpoint instead of at their end."""


async def serve(settings: Settings, sources: Sequence[SourceSpec], events: Events) -> int:
    """Run until a signal says stop; returns the exit code.

    Raises:
        ConfigError, StoreRefused: it cannot start like this.
    """
    if problems := tuple(access_problems(settings)):
        raise ConfigError(problems)
    make_directories(settings)
    with only_daemon(settings.paths.root) as predecessor:
        watcher = Watcher(sources, settings.paths.inbox, settings.watch, events)
        watcher.prepare()
        for source in sources:
            events.metrics.add_source(source.name, source.overdue_after)
        opening = open_engine(settings, sources, events, is_moving=True, is_joining=False)
        async with opening as engine:
            daemon = Daemon(engine, watcher, predecessor)
            return await daemon.run()


class Daemon:
    """One running daemon."""

    def __init__(self, engine: Engine, watcher: Watcher, predecessor: str | None) -> None:
        self._engine = engine
        self._predecessor = predecessor
        self._events = engine.events
        self._watcher = watcher
        self._pipeline = engine.pipeline(self._file_done)
        self._vitals = Vitals(engine, watcher, self._pipeline)
        self._drain_s = engine.settings.service.drain_timeout
        self._exit_code = ExitCode.OK
        self._finding = anyio.CancelScope()

    async def run(self) -> int:
        """Start, take files until a signal comes, drain, stop."""
        async with self._serving(), anyio.create_task_group() as life:
            life.start_soon(self._obey_signals, life, name="signals")
            life.start_soon(systemd.feed_watchdog, self._vitals.is_alive, name="watchdog")
            await self._engine.prepare(self._predecessor)
            life.start_soon(self._watch_mongo, name="mongo")
            life.start_soon(self._watch_others, name="others")
            await self._take_files()
            life.cancel_scope.cancel()
        self._events.stopped(is_clean=self._exit_code == ExitCode.OK)
        return self._exit_code

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        """HTTP from the very start: ``/health`` is there to say what start-up waits for."""
        engine, server = self._engine, ApiServer()
        context = ApiContext(
            settings=engine.settings.api,
            sources=engine.sources,
            schemas={name: schema_of(source) for name, source in engine.sources.items()},
            mongo=engine.mongo,
            events=self._events,
            desk=engine.desk,
            checks=self._vitals.checks,
            is_ready=self._vitals.accepts_requests,
            is_alive=self._vitals.is_alive,
            activity=self._vitals.activity,
        )
        url = await server.start(create_app(context), engine.settings.api)
        self._events.started(__version__, url, list(engine.sources), engine.workers.count)
        systemd.ready()
        systemd.status("waiting for MongoDB")
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await server.stop()

    async def _take_files(self) -> None:
        """Until the watcher is stopped and everything it had handed over has ended."""
        send, receive = anyio.create_memory_object_stream[FoundFile](MOST_FILES)
        async with anyio.create_task_group() as group:
            group.start_soon(self._find_files, send, name="watcher")
            self._vitals.is_ready = True
            systemd.status("taking files")
            await self._pipeline.run(receive)

    async def _find_files(self, outbox: MemoryObjectSendStream[FoundFile]) -> None:
        with self._finding:
            await self._watcher.run(outbox, self._pipeline.has_room)

    def _file_done(
        self, found: FoundFile, result: FileResult | None, retry_after_s: float | None
    ) -> None:
        self._watcher.finished(found, retry_after_s)
        marker = self._watcher.marker_path(found)
        if not os.path.lexists(found.path):
            self._events.file_vanished(found.path)
        if retry_after_s is None:
            self._events.file_unblocked(found.source_name, found.path)
            if result is not None and marker is not None:
                self._remove_marker(marker)

    def _remove_marker(self, marker: Path) -> None:
        try:
            marker.unlink(missing_ok=True)
        except OSError as error:  # somebody else's directory: the marker stays, and is harmless
            self._events.marker_left(marker, error.strerror or "")

    async def _watch_mongo(self) -> None:
        """Notice within seconds that MongoDB is away, also while nothing is loaded."""
        while True:
            await self._engine.mongo.patiently("ping", self._engine.mongo.ping)
            await anyio.sleep(_PING_EVERY_S)

    async def _watch_others(self) -> None:
        """What another daemon that died has left in no inbox, nobody else would find."""
        while True:
            await anyio.sleep(self._engine.settings.ledger.lease)
            await self._engine.finish_abandoned()

    async def _obey_signals(self, life: TaskGroup) -> None:
        """The first signal drains, a second one is immediate."""
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async for number in signals:
                if number == signal.SIGHUP:
                    self._events.reload_ignored()
                elif self._vitals.is_stopping:
                    self._exit_code = ExitCode.FAILED
                    life.cancel_scope.cancel()
                else:
                    self._vitals.is_stopping = True
                    self._events.stopping(number.name, self._drain_s)
                    life.start_soon(self._drain, life, name="drain")

    async def _drain(self, life: TaskGroup) -> None:
        """Find no more files; finish those taken, while there is time; leave the rest safely."""
        systemd.stopping()
        self._finding.cancel()
        if not self._vitals.is_ready:
            life.cancel_scope.cancel()
        await anyio.sleep(self._drain_s * _GRACEFUL_PART)
        self._pipeline.stop_soon()
        await anyio.sleep(self._drain_s * (1 - _GRACEFUL_PART))
        self._events.drain_cut_short([job.file.name for job in self._pipeline.jobs])
        life.cancel_scope.cancel()


def make_directories(settings: Settings) -> None:
    """Make the daemon's own directories.

    Raises:
        ConfigError: one of them cannot be made or written to.
    """
    problems = []
    for name in ("root", "inbox", "archive", "rejects", "failed", "unpacked"):
        path: Path = getattr(settings.paths, name)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not os.access(path, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "no right to write there")
        except OSError as error:
            hint = f"give it to user {os.geteuid()}, or set paths.{name}"
            message = f"{path} cannot be used: {error.strerror}"
            problems.append(Problem("settings", f"paths.{name}", message, hint))
    if problems:
        raise ConfigError(tuple(problems))


@contextmanager
def only_daemon(root: Path) -> Iterator[str | None]:
    """Hold the lock of a root, which tells who holds it, or held it last.

    Yields:
        the id of the daemon before, which is not there any more.

    Raises:
        ConfigError: another daemon holds it.
    """
    with open(root / "ingestd.lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _read_owner(lock)
            who = f", process {holder['pid']} on {holder['host']}," if holder else ""
            hint = "stop it, or give this one a paths.root of its own"
            problem = Problem("settings", "paths.root", f"another ingestd{who} uses {root}", hint)
            raise ConfigError((problem,)) from error
        before = _read_owner(lock)
        lock.truncate(0)
        lock.write(json.dumps(THIS_PROCESS.as_document()))
        lock.flush()
        yield before["id"] if before else None


def _read_owner(lock: TextIO) -> dict[str, Any] | None:
    """Who holds it, or held it last; a crash or an older version may have left nothing."""
    lock.seek(0)
    try:
        owner = json.loads(lock.read())
        return {name: owner[name] for name in ("id", "host", "pid")}
    except (ValueError, LookupError, TypeError):
        return None
