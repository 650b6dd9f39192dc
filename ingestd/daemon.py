"""The life of the daemon: start order, signals, reload, drain. Read it from top to bottom."""

import errno
import fcntl
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from ingestd import __version__, systemd
from ingestd.access import access_problems
from ingestd.api.app import create_app
from ingestd.api.context import ApiContext, Columns
from ingestd.api.server import ApiServer
from ingestd.config.settings import Settings
from ingestd.engine import Engine, open_engine
from ingestd.errors import ConfigError, ExitCode, Problem, StoreAway
from ingestd.events import Events
from ingestd.ledger import THIS_PROCESS
from ingestd.pipeline.policy import describe
from ingestd.refine import schema_of
from ingestd.reload import Configuration, Reread, changed_sources, needs_restart
from ingestd.retention import Retention
from ingestd.shift import Shift
from ingestd.vitals import Vitals
from ingestd.watch import Watcher

_PING_EVERY_S = 2.0
_LOOKS = 8
"""From one ping to the next it is looked so often whether MongoDB is lost; that costs nothing."""
_SWITCH_INTERVAL_S = 0.0005
"""The loop waits this long for each thread that is busy, and a page of rows has a dozen turns."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_GRACEFUL_PART = 0.75
"""Of the drain time: what is left of files then ends at a checkpoint instead of at their end."""


async def serve(configuration: Configuration, reread: Reread, events: Events) -> int:
    """Run until a signal says stop; returns the exit code.

    Raises:
        ConfigError, StoreRefused: it cannot start like this.
    """
    settings, sources = configuration.settings, configuration.sources
    if problems := tuple(access_problems(settings)):
        raise ConfigError(problems)
    make_directories(settings)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    with only_daemon(settings.paths.root) as predecessor:
        watcher = make_watcher(configuration, events)
        for source in sources:
            events.metrics.add_source(source.name, source.overdue_after)
        opening = open_engine(settings, sources, events, is_moving=True, is_joining=False)
        async with opening as engine:
            daemon = Daemon(engine, Shift(engine, watcher), configuration, reread)
            return await daemon.run(predecessor)


def make_watcher(configuration: Configuration, events: Events) -> Watcher:
    """Raises ConfigError: a directory of a source cannot be made."""
    settings = configuration.settings
    watcher = Watcher(configuration.sources, settings.paths.inbox, settings.watch, events)
    watcher.prepare()
    return watcher


class Daemon:
    """One running daemon."""

    def __init__(
        self, engine: Engine, shift: Shift, configuration: Configuration, reread: Reread
    ) -> None:
        self._engine = engine
        self._events = engine.events
        self._shift = shift
        self._configuration = configuration
        self._reread = reread
        self._next: tuple[Shift, Configuration] | None = None
        """Who takes over when the present shift has ended."""
        self._vitals = Vitals(engine, shift.watcher, shift.pipeline)
        self._schemas: dict[str, Columns] = {}
        self._exit_code = ExitCode.OK

    async def run(self, predecessor: str | None) -> int:
        """Start, take files until a signal comes, drain, stop; see ``only_daemon``."""
        with anyio.open_signal_receiver(*_SIGNALS) as signals:
            await self._live(signals, predecessor)
        self._events.stopped(is_clean=self._exit_code == ExitCode.OK)
        return self._exit_code

    async def _live(self, signals: AsyncIterator[signal.Signals], predecessor: str | None) -> None:
        async with self._serving(), anyio.create_task_group() as life:
            life.start_soon(self._obey_signals, signals, life, name="signals")
            life.start_soon(systemd.feed_watchdog, self._vitals.is_alive, name="watchdog")
            await self._engine.prepare(predecessor)
            life.start_soon(self._watch_mongo, name="mongo")
            life.start_soon(self._watch_others, name="others")
            retention = Retention(self._engine.mongo, self._engine.settings, self._events)
            life.start_soon(retention.run, name="retention")
            await self._take_files()
            life.cancel_scope.cancel()

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        """HTTP from the very start: ``/health`` is there to say what start-up waits for."""
        engine, server = self._engine, ApiServer(self._events)
        self._describe_sources()
        context = ApiContext(
            settings=engine.settings.api,
            sources=engine.sources,
            schemas=self._schemas,
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

    def _describe_sources(self) -> None:
        """What readers are told of columns; at once, so that none sees half of it."""
        schemas = {name: schema_of(source) for name, source in self._engine.sources.items()}
        self._schemas.clear()
        self._schemas.update(schemas)

    async def _take_files(self) -> None:
        """Shift after shift, until one ends and none takes over."""
        while True:
            await self._engine.mongo.patiently("reading pauses", self._obey_pauses)
            self._vitals.is_ready = True
            systemd.status("taking files")
            await self._shift.run()
            if self._next is None or self._vitals.is_stopping:
                return
            await self._change_shifts()

    async def _change_shifts(self) -> None:
        """Nobody works by the old configuration any more."""
        assert self._next is not None
        (self._shift, self._configuration), self._next = self._next, None
        self._vitals.watcher, self._vitals.pipeline = self._shift.watcher, self._shift.pipeline
        self._engine.change_sources(self._configuration.sources)
        self._describe_sources()
        await self._engine.prepare_sources()

    async def _watch_mongo(self) -> None:
        """Notice at once that MongoDB is away, also while nothing is loaded; and within seconds
        that it does not answer."""
        while True:
            await self._engine.mongo.patiently("ping", self._engine.mongo.ping)
            with anyio.move_on_after(_PING_EVERY_S), suppress(StoreAway):  # the next ping tells
                await self._obey_pauses()
            await self._rest()

    async def _rest(self) -> None:
        """Until the next ping, which is due at once when MongoDB is lost."""
        for _ in range(_LOOKS):
            await anyio.sleep(_PING_EVERY_S / _LOOKS)
            if not self._engine.mongo.has_primary:
                break

    async def _obey_pauses(self) -> None:
        """Files of paused sources wait, whichever daemon was told so."""
        self._vitals.paused = await self._engine.desk.ledger.pauses.all()
        self._shift.watcher.pause(self._vitals.paused.keys())

    async def _watch_others(self) -> None:
        """What another daemon that died has left in no inbox, nobody else would find."""
        while True:
            await anyio.sleep(self._engine.settings.ledger.lease)
            try:
                await self._engine.finish_abandoned()
            except Exception as error:  # noqa: BLE001 - it is tried again, and loading goes on
                self._events.abandoned_left(describe(error))

    async def _obey_signals(self, signals: AsyncIterator[signal.Signals], life: TaskGroup) -> None:
        """The first signal drains, a second one is immediate; SIGHUP reloads."""
        async for number in signals:
            if number == signal.SIGHUP:
                await self._reload(life)
            elif self._vitals.is_stopping:
                self._exit_code = ExitCode.FAILED
                life.cancel_scope.cancel()
            else:
                self._vitals.is_stopping = True
                drain_s = self._configuration.settings.service.drain_timeout
                self._events.stopping(number.name, drain_s)
                life.start_soon(self._drain, life, drain_s, name="drain")

    async def _reload(self, life: TaskGroup) -> None:
        """Take up the configuration as it is now; with a mistake in it, none of it."""
        systemd.reloading()
        try:
            found = await anyio.to_thread.run_sync(self._reread)
            new = self._configuration.taking_up(found)
            watcher = make_watcher(new, self._events)
        except ConfigError as error:
            self._vitals.configuration_mistakes = tuple(map(str, error.problems))
            self._events.reload_refused(self._vitals.configuration_mistakes)
        else:
            self._vitals.configuration_mistakes = ()
            self._vitals.outdated = tuple(needs_restart(new.settings, found.settings))
            self._hand_over(new, watcher, life)
        systemd.ready()

    def _hand_over(self, new: Configuration, watcher: Watcher, life: TaskGroup) -> None:
        old = self._configuration
        changed = changed_sources(old.sources, new.sources)
        self._events.reloaded(changed, self._vitals.outdated)
        if self._next is None and not new.is_for_other_work(old):
            self._configuration = new
            return
        self._next = Shift(self._engine, watcher), new
        self._shift.end_soon()
        life.start_soon(self._limit, self._shift, new.settings.service.drain_timeout)

    async def _limit(self, shift: Shift, limit_s: float) -> None:
        """A file that takes its time, or hangs, must not keep the next shift waiting."""
        await anyio.sleep(limit_s)
        shift.cut_short()

    async def _drain(self, life: TaskGroup, drain_s: float) -> None:
        """Find no more files; finish those taken, while there is time; leave the rest safely."""
        systemd.stopping()
        self._shift.end()
        if not self._vitals.is_ready:
            life.cancel_scope.cancel()
        await anyio.sleep(drain_s * _GRACEFUL_PART)
        self._shift.end_soon()
        await anyio.sleep(drain_s * (1 - _GRACEFUL_PART))
        self._events.drain_cut_short([job.file.name for job in self._shift.pipeline.jobs])
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
