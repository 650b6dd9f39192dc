"""The private mongod: found, started, watched over and stopped with the daemon.

Meant for trying out and for tests; it listens on the loopback only. Its directory is left to
``mongod_home.py``, making it a replica set to ``mongo.py``.
"""

import importlib.util
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import anyio
from anyio.abc import Process

from ingestd.errors import ConfigError, IngestdError, Problem, StoreAway
from ingestd.events import Events
from ingestd.mongod_home import MongodHome

_START_LIMIT_S = 120.0
_STOP_LIMIT_S = 20.0
_POLL_S = 0.02
_LONGEST_DELAY_S = 30.0
_STEADY_S = 60.0
"""A mongod that lived this long is started again at once; before, each time later."""
_LOG_CHECK_S = 600.0
_TRANSACTION_S = 10
"""How long a transaction of a daemon that was killed keeps its documents locked."""
_INDEX_BUILD_MB = 50
"""The least mongod takes: its memory is to stay the same whatever the size of a file."""
_PORT_TAKEN = 48
"""mongod's exit code EXIT_NET_ERROR: it could not listen."""
_LISTENING = b"aiting for connections"

# Run by a bare Python that then becomes mongod: the kernel sends SIGTERM when the daemon dies,
# however it dies (prctl(2), PR_SET_PDEATHSIG). The daemon may have died just before: look once.
_TETHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the daemon is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""

_HINTS = (
    ("shared librar|GLIBC", "install the library, put another mongod on PATH, or set mongo.uri"),
    (f"signal {signal.SIGILL}\\b", "MongoDB 5.0 and later need a CPU with AVX; set mongo.uri"),
    (f"signal {signal.SIGKILL}\\b", "out of memory? a smaller mongo.embedded_cache may do"),
    ("[Nn]o space left|ENOSPC", "make room on that disk"),
    ("[Pp]ermission denied|not permitted", "give the directory to the user who runs ingestd"),
    ("version|UPGRADE", "another version of MongoDB wrote the data: use that one, or move it away"),
    (
        "WT_|turtle|checksum|corrupt",
        "the data is damaged: try mongod --repair, or move the directory away",
    ),
)


def find_mongod() -> Path | None:
    """The mongod on PATH, else the one of the optional dependency, else None."""
    if on_path := shutil.which("mongod"):
        return Path(on_path)
    spec = importlib.util.find_spec("fiftyone")
    for place in (spec and spec.submodule_search_locations) or ():
        in_wheel = Path(place) / "db" / "bin" / "mongod"
        if os.access(in_wheel, os.X_OK):
            return in_wheel
    return None


def find_running(directory: Path) -> str | None:
    """The URI of the private mongod that a running daemon keeps in ``directory``, if one does."""
    port = MongodHome(directory).owned_port()
    return _uri(port) if port else None


def tether() -> list[str]:
    """The beginning of a command that gets SIGTERM when this process dies, however it dies."""
    return [sys.executable, "-I", "-S", "-c", _TETHER, str(os.getpid())]


class EmbeddedMongod:
    """One mongod in ``directory``; ``initiate(port)`` makes it a replica set that takes writes.

    The address stays the same while the daemon runs. ``initiate`` is called after every start,
    must do nothing to a set that is as it should be, and must put up with a set whose only
    member is known by another port.
    """

    def __init__(
        self,
        directory: Path,
        cache_bytes: int,
        events: Events,
        initiate: Callable[[int], Awaitable[None]],
    ) -> None:
        self._home = MongodHome(directory)
        self._cache_bytes = cache_bytes
        self._events = events
        self._initiate = initiate
        self._lock: int | None = None
        self._server: Process | None = None
        self._port = 0
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        server = self._server
        return server.pid if server is not None and server.returncode is None else None

    async def start(self) -> str:
        """Start it and return its URI once it takes writes.

        Raises:
            ConfigError: there is no mongod, or the directory cannot be used.
            StoreRefused: another daemon uses the directory.
            StoreAway: mongod does not start.
        """
        binary = _required_mongod()
        try:
            with self._home.errors_explained():
                self._home.make()
                self._lock = await self._home.lock()
                await self._home.free_of_leftover()
                await self._launch_somewhere(binary)
        except BaseException:
            await self.stop()
            raise
        return _uri(self._port)

    async def supervise(self) -> None:
        """Start it again whenever it dies, until cancelled."""
        delay_s = 0.0
        while True:
            born = time.monotonic()
            code = await self._wait_for_end()
            is_steady = time.monotonic() - born > _STEADY_S
            delay_s = 0.0 if is_steady else min(max(0.1, 2 * delay_s), _LONGEST_DELAY_S)
            self._events.mongod_died(code, self._home.complaint(self._log_start))
            await anyio.sleep(delay_s)
            with suppress(IngestdError, OSError):  # the next round says why it ended
                await self._launch(_required_mongod(), self._port)

    async def stop(self) -> None:
        """Stop it: politely, then by force. Cancel ``supervise`` first."""
        if self._server is not None:
            await _end(self._server)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _launch_somewhere(self, binary: Path) -> None:
        """Launch on the remembered port, or on another when a stranger has taken that."""
        for port in itertools.islice(self._home.ports(), 5):
            with suppress(_PortTakenError):
                await self._launch(binary, port)
                self._home.remember_port(port)
                return
        raise StoreAway("private MongoDB: no free port found", "set mongo.uri")

    async def _launch(self, binary: Path, port: int) -> None:
        began = time.monotonic()
        self._port = port
        self._server = await self._spawn(binary)
        try:
            with anyio.fail_after(_START_LIMIT_S):
                await self._wait_until_listening(self._server)
            await self._make_primary(self._server)
        except TimeoutError as error:
            await _end(self._server)
            raise self._failure(f"not ready after {_START_LIMIT_S:.0f} s") from error
        except BaseException:
            await _end(self._server)
            raise
        self._events.mongod_started(str(binary), port, time.monotonic() - began)

    async def _spawn(self, binary: Path) -> Process:
        log = self._home.open_log()
        try:
            self._log_start = os.fstat(log).st_size
            return await anyio.open_process(
                [*tether(), *self._command(binary)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the daemon, which drains first
            )
        finally:
            os.close(log)

    def _command(self, binary: Path) -> list[str]:
        return [
            str(binary), "--dbpath", str(self._home.data), "--bind_ip", "127.0.0.1",
            "--port", str(self._port), "--nounixsocket", "--replSet", "ingestd",
            "--wiredTigerCacheSizeGB", f"{self._cache_bytes / 2**30:.3f}", "--oplogSize", "512",
            "--quiet", "--slowms", "1000", "--noscripting",
            "--setParameter", "diagnosticDataCollectionEnabled=false",
            "--setParameter", f"transactionLifetimeLimitSeconds={_TRANSACTION_S}",
            "--setParameter", f"maxIndexBuildMemoryUsageMegabytes={_INDEX_BUILD_MB}",
        ]  # fmt: skip

    async def _wait_until_listening(self, server: Process) -> None:
        """Believe mongod's own log: a connection may reach a stranger on the same port."""
        while _LISTENING not in self._home.log_since(self._log_start):
            code = await _exit_code(server, _POLL_S)
            if code == _PORT_TAKEN:
                raise _PortTakenError(f"port {self._port} is taken")
            if code is not None:
                raise self._failure(_how_it_ended(code))

    async def _make_primary(self, server: Process) -> None:
        """Initiate, but await no answer from a mongod that died meanwhile (a full disk, say)."""
        refusal: IngestdError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_at_end, server, tasks.cancel_scope)
            try:
                await self._initiate(self._port)
            except IngestdError as error:
                refusal = error
            tasks.cancel_scope.cancel()
        if server.returncode is not None:
            raise self._failure(_how_it_ended(server.returncode)) from refusal
        if refusal is not None:
            raise refusal

    async def _wait_for_end(self) -> int:
        assert self._server is not None, "supervise() comes after start()"
        while True:
            code = await _exit_code(self._server, _LOG_CHECK_S)
            if code is not None:
                return code
            if self._home.trim_log():
                self._log_start = 0

    def _failure(self, how: str) -> StoreAway:
        complaint = self._home.complaint(self._log_start)
        text = f"the private MongoDB did not start: {how}" + (complaint and f": {complaint}")
        hints = (hint for pattern, hint in _HINTS if re.search(pattern, text))
        return StoreAway(text, next(hints, f"see {self._home.log}"))


class _PortTakenError(IngestdError):
    """Somebody else listens on the port mongod was given."""


def _uri(port: int) -> str:
    return f"mongodb://127.0.0.1:{port}/?replicaSet=ingestd"


def _required_mongod() -> Path:
    if binary := find_mongod():
        return binary
    raise ConfigError(
        (
            Problem(
                "mongo",
                "mongo.uri",
                "is not set, and there is no mongod to start a private MongoDB with",
                "pip install 'ingestd[embedded]', or set mongo.uri or INGESTD_MONGO__URI",
            ),
        )
    )


async def _exit_code(server: Process, limit_s: float) -> int | None:
    """How the process ended, or None when it still runs after ``limit_s``."""
    with anyio.move_on_after(limit_s):
        return await server.wait()
    return None


async def _cancel_at_end(server: Process, scope: anyio.CancelScope) -> None:
    await server.wait()
    scope.cancel()


async def _end(server: Process) -> None:
    with anyio.CancelScope(shield=True):
        for kill in (server.terminate, server.kill):
            with suppress(ProcessLookupError):
                kill()
            if await _exit_code(server, _STOP_LIMIT_S) is not None:
                return


def _how_it_ended(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
