"""Sees every durable effect of this process just before and just after, and strikes when told.

Nothing in the daemon knows of it: the driver tells of each command to MongoDB, and the calls that
change files are watched in ``os``. Who strikes the daemon itself kills this process, at once and
without any clean-up.
"""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Literal

import psutil
from pymongo import monitoring

from crashes.steps import command_step, file_step

Moment = Literal["before", "after"]
Victim = Literal["daemon", "workers", "mongod", "stop"]
"""``stop`` is SIGTERM to the daemon: what comes then belongs to its shut-down."""


@dataclass(frozen=True)
class Strike:
    """Hits the victim at a step's n-th time. Without a step, every moment of any step counts.

    ``after_s``: not at a step, but so many seconds after the start.
    """

    step: str | None
    nth: int
    moment: Moment = "before"
    victim: Victim = "daemon"
    after_s: float | None = None

    def __str__(self) -> str:
        """As a person says it."""
        if self.after_s is not None:
            return f"{self.victim} after {self.after_s:.2f} s"
        what = f"{self.moment} «{self.step}»" if self.step else "at any step"
        return f"{self.victim} {what}, time {self.nth}"


@dataclass(frozen=True)
class Orders:
    """What a witness is to do."""

    journal: Path
    """Gets a line for every moment of every step."""
    strikes: tuple[Strike, ...] = ()
    mongod_pid: int = 0


_ANY = (None, None)


class Witness(monitoring.CommandListener):
    """Counts, writes down, strikes."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._journal = os.open(orders.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._seen: Counter[tuple[str | None, Moment | None]] = Counter()
        self._turn = threading.Lock()
        self._steps: dict[int, str] = {}
        self._at_steps = [strike for strike in orders.strikes if strike.after_s is None]
        for strike in orders.strikes:
            if strike.after_s is not None:
                timer = threading.Timer(strike.after_s, self._strike, [strike])
                timer.daemon = True
                timer.start()

    def see(self, step: str | None, moment: Moment) -> None:
        """A step is about to be taken, or was taken."""
        if step is None:
            return
        with self._turn:
            self._seen[step, moment] += 1
            self._seen[_ANY] += 1
            os.write(self._journal, f"{moment} {step}\n".encode())
            for strike in self._at_steps:
                key = (strike.step, strike.moment) if strike.step else _ANY
                if key in ((step, moment), _ANY) and self._seen[key] == strike.nth:
                    self._strike(strike)

    def _strike(self, strike: Strike) -> None:
        os.write(self._journal, f"STRIKE {strike}\n".encode())
        if strike.victim == "daemon":
            os.kill(os.getpid(), signal.SIGKILL)
        elif strike.victim == "stop":
            os.kill(os.getpid(), signal.SIGTERM)
        elif strike.victim == "mongod":
            os.kill(self._orders.mongod_pid, signal.SIGKILL)
        else:
            kill_workers(os.getpid())

    # what the driver tells

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """A command is about to be sent."""
        step = command_step(event.command_name, event.command)
        if step is not None:
            self._steps[event.request_id] = step
        self.see(step, "before")

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """It was answered."""
        self.see(self._steps.pop(event.request_id, None), "after")

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """It was not, or with no."""
        self._steps.pop(event.request_id, None)


def kill_workers(daemon_pid: int) -> None:
    """Kill the worker processes of a daemon."""
    for process in workers_of(daemon_pid):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def workers_of(daemon_pid: int) -> list[psutil.Process]:
    """The worker processes of a daemon: the children of its fork server."""
    workers = []
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(daemon_pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.ppid() != daemon_pid and "python" in process.name():
                    workers.append(process)
    return workers


def install(orders: Orders) -> None:
    """From here on this process is watched. To be called before it opens any connection."""
    witness = Witness(orders)
    monitoring.register(witness)
    for name in ("rename", "replace", "link"):
        _watch(witness, os, name, lambda verb, source, target, **_: (verb, source, target))
    for name in ("unlink", "remove", "rmdir"):
        _watch(witness, os, name, lambda _verb, path, **at: ("remove from", _full(path, at)))
    _watch(witness, os, "mkdir", lambda _verb, path, *_, **at: ("make", Path(path).parent))
    _watch(witness, os, "fsync", lambda verb, fd: (verb, _path_of(fd)))
    _watch(witness, os, "sendfile", lambda _verb, out, into, *_: (
        "copy", _path_of(into), _path_of(out)))  # fmt: skip
    _watch_renameat2(witness)


def _watch_renameat2(witness: Witness) -> None:
    from ingestd.files import linux

    _watch(witness, linux._libc, "renameat2", lambda _verb, _, source, __, target, ___: (
        "rename", os.fsdecode(source), os.fsdecode(target)))  # fmt: skip


def _watch(witness: Witness, owner: Any, name: str, told: Callable[..., tuple[Any, ...]]) -> None:
    """Put a function in its place that sees the step; ``told``: a verb, and paths."""
    original = getattr(owner, name)

    @wraps(original, assigned=("__doc__", "__name__"))
    def watched(*arguments: Any, **options: Any) -> Any:
        step = file_step(*told(name, *arguments, **options))
        witness.see(step, "before")
        result = original(*arguments, **options)
        witness.see(step, "after")
        return result

    setattr(owner, name, watched)


def _path_of(fd: Any) -> str:
    return os.readlink(f"/proc/self/fd/{fd if isinstance(fd, int) else fd.fileno()}")


def _full(path: Any, at: dict[str, Any]) -> Path:
    directory = at.get("dir_fd")
    return Path(_path_of(directory) if directory is not None else "", os.fsdecode(path))
