"""The directory of the private mongod: ``data/``, ``mongod.log``, ``port`` and ``lock``.

Owns what may be there from earlier runs: another daemon, a mongod that outlived its own, the
port it listened on, a long log. Starting and stopping mongod is left to ``mongod.py``.
"""

import errno
import fcntl
import json
import os
import random
import shutil
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio

from ingestd.errors import ConfigError, Problem, StoreRefused

_LOCK_LIMIT_S = 1.0
_LEFTOVER_LIMIT_S = 20.0
_POLL_S = 0.02
_LOG_BYTES = 16 * 2**20
_LAST_WORDS_BYTES = 2**17
_OWNER_HINT = "give it to the user who runs ingestd, or choose another paths.root"

# A port that outgoing connections are not given (Linux: those start at 32768), so that nobody,
# not even a driver looking for this very mongod, holds it while mongod is down.
_PORTS = range(20_000, 32_768)


class MongodHome:
    """A private mongod's directory; MongoDB asks for no password, so nobody else may enter it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.data = self.directory / "data"
        self.log = self.directory / "mongod.log"

    @contextmanager
    def errors_explained(self) -> Iterator[None]:
        """Turn what the file system refuses into a ``ConfigError``."""
        try:
            yield
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            place = error.filename or self.directory
            problem = Problem(
                "mongo",
                "paths.mongo",
                f"{place} cannot be used: {error.strerror or error}",
                "make room on that disk" if is_full else _OWNER_HINT,
            )
            raise ConfigError((problem,)) from error

    def make(self) -> None:
        """Make the directory if need be, and make it private."""
        for directory in (self.directory, self.data):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if stat.S_IMODE(directory.stat().st_mode) != 0o700:
                directory.chmod(0o700)

    async def lock(self) -> int:
        """Lock the directory for this daemon; the lock ends with the file descriptor."""
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
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
                    with anyio.fail_after(_LEFTOVER_LIMIT_S):
                        return await _locked(lock.fileno())
            raise StoreRefused(f"{self.data} is in use by another mongod", "stop that mongod")

    def _signal_leftover(self, lock: int, kill: signal.Signals) -> None:
        """Only a mongod that an ingestd started here: another one is somebody's work."""
        pid = os.pread(lock, 20, 0).strip()
        with suppress(OSError, ValueError):
            arguments = Path(f"/proc/{int(pid or b'0')}/cmdline").read_bytes().split(b"\0")
            if {os.fsencode(self.data), b"ingestd"} <= set(arguments):
                os.kill(int(pid), kill)

    def ports(self) -> Iterator[int]:
        """The port of the last run, then others."""
        if port := self._remembered_port():
            yield port
        while True:
            yield random.choice(_PORTS)  # noqa: S311 - no secret

    def _remembered_port(self) -> int | None:
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

    def owned_port(self) -> int | None:
        """The port of the mongod that a running daemon keeps here, if one does."""
        with suppress(OSError), (self.directory / "lock").open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return self._remembered_port()
        return None

    def trim_log(self) -> bool:
        """Start the log anew if it has grown long; one old one is kept."""
        if not self.log.exists() or self.log.stat().st_size <= _LOG_BYTES:
            return False
        with suppress(OSError):  # no room for the old one
            shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
        os.truncate(self.log, 0)
        return True

    def log_since(self, start: int) -> bytes:
        """The log from ``start`` on; of a long one, the last whole lines."""
        with suppress(OSError), self.log.open("rb") as log:  # none, or no descriptor for it
            end = os.fstat(log.fileno()).st_size - _LAST_WORDS_BYTES
            log.seek(max(start, end))
            if end > start:
                log.readline()
            return log.read()
        return b""

    def complaint(self, start: int) -> str:
        """The first error at the end of mongod's log; what follows it is mostly noise."""
        lines = self.log_since(start).decode(errors="replace").splitlines()
        return next(filter(None, map(_complaint, lines)), "")[:500]


async def _locked(file: int) -> None:
    """Wait until the lock of ``file`` is ours."""
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await anyio.sleep(_POLL_S)


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
    if not isinstance(value, dict):
        return value if isinstance(value, str) else ""
    found = (_innermost(value.get(key)) for key in ("error", "message", "errmsg", "msg"))
    text = next(filter(None, found), "")
    cause = value.get("error_str")  # WiredTiger: what the operating system said
    return f"{text}: {cause}" if cause else text
