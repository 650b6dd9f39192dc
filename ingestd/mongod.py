"""The private mongod: found, started, watched over and stopped with the daemon.

Meant for trying out and for tests. It listens on the loopback only and keeps everything in one
directory that nobody else can enter: ``data/``, ``mongod.log``, the ``port`` it listens on and
the ``lock`` of the daemon that owns it. Making it a replica set is left to ``mongo.py``.
"""

import fcntl
import importlib.util
import itertools
import json
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
from anyio.abc import Process

from ingestd.errors import ConfigError, IngestdError, Problem, StoreAway, StoreRefused
from ingestd.events import Events

_START_LIMIT_S = 120.0
_STOP_LIMIT_S = 20.0
_LOCK_LIMIT_S = 1.0
_POLL_S = 0.02
_LONGEST_DELAY_S = 30.0
_STEADY_S = 60.0
"""A mongod that lived this long is started again at once; before, each time later."""
_LOG_BYTES = 16 * 2**20
_LOG_CHECK_S = 600.0
_LAST_WORDS_BYTES = 2**17
_PORT_TAKEN = 48
"""mongod's exit code EXIT_NET_ERROR: it could not listen."""
_LISTENING = b"aiting for connections"

# A port that outgoing connections cannot be given (those start at 32768), so that nobody, not
# even a driver looking for this very mongod, holds it while it is down.
_PORTS = range(20_000, 32_768)

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
    ("WiredTiger", "the data is damaged: try mongod --repair, or move the directory away"),
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
    home = _Home(directory)
    with suppress(OSError), (home.directory / "lock").open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            port = home.remembered_port()
            return _uri(port) if port else None
    return None


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
        self._home = _Home(directory)
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
        is_running = self._server is not None and self._server.returncode is None
        return self._server.pid if self._server is not None and is_running else None

    async def start(self) -> str:
        """Start it and return its URI once it takes writes.

        Raises:
            ConfigError: there is no mongod, or the directory cannot be used.
            StoreRefused: another daemon uses the directory.
            StoreAway: mongod does not start.
        """
        binary = _required_mongod()
        self._home.make()
        self._lock = await self._home.lock()
        try:
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
            with suppress(IngestdError):  # the next round says why it ended
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
            await self._initiate(port)
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
                [*_tether(), *self._command(binary)],
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
        ]  # fmt: skip

    async def _wait_until_listening(self, server: Process) -> None:
        """Believe mongod's own log: a connection may reach a stranger on the same port."""
        while _LISTENING not in self._home.log_since(self._log_start):
            code = await _exit_code(server, _POLL_S)
            if code == _PORT_TAKEN:
                raise _PortTakenError(f"port {self._port} is taken")
            if code is not None:
                raise self._failure(_how_it_ended(code))

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


class _Home:
    """The directory a private mongod lives in."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.data = self.directory / "data"
        self.log = self.directory / "mongod.log"

    def make(self) -> None:
        """Make the directory if need be, and make it private: MongoDB asks for no password."""
        try:
            for directory in (self.directory, self.data):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                if stat.S_IMODE(directory.stat().st_mode) != 0o700:
                    directory.chmod(0o700)
        except OSError as error:
            raise self._unusable(error) from error

    async def lock(self) -> int:
        """Lock the directory for this daemon; the lock ends with the file descriptor."""
        try:
            lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            with anyio.fail_after(_LOCK_LIMIT_S):
                await _locked(lock)
        except TimeoutError:
            owner = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise StoreRefused(
                f"{self.directory} is used by another ingestd (process {owner})",
                "stop that one, or give this one its own paths.root",
            ) from None
        os.truncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return lock

    async def free_of_leftover(self) -> None:
        """End a mongod that outlived its daemon; it may need a moment to close its files."""
        with suppress(FileNotFoundError), (self.data / "mongod.lock").open("rb") as lock:
            for kill in (signal.SIGTERM, signal.SIGKILL):
                with suppress(TimeoutError, ProcessLookupError):
                    self._signal_leftover(lock.fileno(), kill)
                    with anyio.fail_after(_STOP_LIMIT_S):
                        return await _locked(lock.fileno())
            raise StoreRefused(f"{self.data} is in use by another mongod", "stop that mongod")

    def _signal_leftover(self, lock: int, kill: signal.Signals) -> None:
        pid = os.pread(lock, 20, 0).decode(errors="replace").strip()
        with suppress(OSError):
            arguments = Path("/proc", pid or "none", "cmdline").read_bytes().split(b"\0")
            if os.fsencode(self.data) in arguments:
                os.kill(int(pid), kill)

    def ports(self) -> Iterator[int]:
        """The port of the last run, then others."""
        if port := self.remembered_port():
            yield port
        while True:
            yield random.choice(_PORTS)  # noqa: S311 - no secret

    def remembered_port(self) -> int | None:
        try:
            port = int((self.directory / "port").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        return port if port in _PORTS else None

    def remember_port(self, port: int) -> None:
        (self.directory / "port").write_text(f"{port}\n", encoding="ascii")

    def open_log(self) -> int:
        """The log, to append to: mongod writes at its end even after ``trim_log``."""
        self.trim_log()
        return os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def trim_log(self) -> bool:
        """Start the log anew if it has grown long; one old one is kept."""
        if not self.log.exists() or self.log.stat().st_size <= _LOG_BYTES:
            return False
        shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
        os.truncate(self.log, 0)
        return True

    def log_since(self, start: int) -> bytes:
        with self.log.open("rb") as log:
            log.seek(start)
            return log.read()

    def complaint(self, start: int) -> str:
        """The first error at the end of mongod's log; what follows it is mostly noise."""
        lines = (
            self.log_since(max(start, self.log.stat().st_size - _LAST_WORDS_BYTES))
            .decode(errors="replace")
            .splitlines()
        )
        return next(filter(None, map(_complaint, lines)), "")[:500]

    def _unusable(self, error: OSError) -> ConfigError:
        return ConfigError(
            (
                Problem(
                    "mongo",
                    "paths.mongo",
                    f"{self.directory} cannot be used: {error.strerror or error}",
                    "give it to the user who runs ingestd, or choose another paths.root",
                ),
            )
        )


def _uri(port: int) -> str:
    return f"mongodb://127.0.0.1:{port}/?replicaSet=ingestd"


def _tether() -> list[str]:
    """The command that becomes the command after it, bound to this process' life."""
    return [sys.executable, "-I", "-S", "-c", _TETHER, str(os.getpid())]


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


async def _locked(file: int) -> None:
    """Wait until the lock of ``file`` is ours."""
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await anyio.sleep(_POLL_S)


async def _exit_code(server: Process, limit_s: float) -> int | None:
    """How the process ended, or None when it still runs after ``limit_s``."""
    with anyio.move_on_after(limit_s):
        return await server.wait()
    return None


async def _end(server: Process) -> None:
    with anyio.CancelScope(shield=True):
        for kill in (server.terminate, server.kill):
            with suppress(ProcessLookupError):
                kill()
            if await _exit_code(server, _STOP_LIMIT_S) is not None:
                return


def _how_it_ended(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _complaint(line: str) -> str:
    """What a line of mongod's log complains about; nothing when it does not.

    Lines are JSON (MongoDB manual, "Log Messages"), except those of the dynamic linker.
    """
    try:
        entry = json.loads(line)
    except ValueError:
        return line.strip()
    if not isinstance(entry, dict) or entry.get("s") not in ("E", "F"):
        return ""
    detail = _innermost(entry.get("attr"))
    return f"{entry.get('msg')}: {detail}" if detail else str(entry.get("msg"))


def _innermost(value: object) -> str:
    """The text inside mongod's nested error objects."""
    if isinstance(value, dict):
        found = (_innermost(value.get(key)) for key in ("error", "message", "errmsg", "msg"))
        return next(filter(None, found), "")
    return value if isinstance(value, str) else ""
