"""Starts ``ingestd`` processes quickly: one that has imported the libraries it needs forks them.

Of ``ingestd`` itself that much is imported before which knows nothing of processes: each makes its
own name for the ledger. What comes out has a session, workers and a log of its own, like one that
was started by a shell; it ends with whoever started the zygote.
"""

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing import forkserver, util
from pathlib import Path
from typing import Any

from crashes.witness import Orders, Strike, install

_IMPORTED = (
    "aiofiles", "aiohttp.web", "motor.motor_asyncio", "numpy", "polars", "prometheus_client",
    "pyarrow.compute", "pydantic_settings", "rich.console", "rich.progress", "rich.table",
    "structlog", "typer", "watchfiles",
    "ingestd.config.reading", "ingestd.export", "ingestd.mongo", "ingestd.refine",
    "ingestd.watch", "ingestd.workers",
)  # fmt: skip
_PR_SET_PDEATHSIG = 1
_TESTS = Path(__file__).parents[1]


class Zygote:
    """Owns the forking process. One process at a time."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(_TESTS), str(_TESTS.parent)])
        environment = {k: v for k, v in os.environ.items() if not k.startswith("INGESTD_")}
        self._server = subprocess.Popen(
            [sys.executable, "-m", "crashes.zygote"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env=environment | {"PYTHONPATH": path}, text=True,
        )  # fmt: skip

    def start(self, arguments: Sequence[str], log: Path, orders: Orders) -> "Started":
        """Run ``ingestd`` with these arguments, under a witness."""
        order = {"arguments": list(arguments), "log": str(log), **asdict(orders)}
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(order, default=str) + "\n")
        self._server.stdin.flush()
        return Started(int(self._server.stdout.readline()), self._server.stdout)

    def close(self) -> None:
        """End it, and what it started."""
        assert self._server.stdin
        with suppress(OSError):
            self._server.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._server.wait(5)
        self._server.kill()
        self._server.wait()
        assert self._server.stdout
        self._server.stdout.close()


@dataclass
class Started:
    """A process that was forked. ``code``: how it ended; -9 when it was killed."""

    pid: int
    _answers: Any
    code: int | None = None

    def poll(self) -> int | None:
        """How it ended, once it has."""
        if self.code is None and not _is_running(self.pid):
            self.code = int(self._answers.readline())
        return self.code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, limit_s: float = 60.0) -> int:
        """Its exit code."""
        deadline = time.monotonic() + limit_s
        while (code := self.poll()) is None:
            assert time.monotonic() < deadline, f"process {self.pid} does not end"
            time.sleep(0.005)
        return code


def _is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def serve() -> None:
    """Fork a process per line of stdin; answer with its id, and with its exit code at its end."""
    for module in _IMPORTED:
        importlib.import_module(module)
    _end_with_parent(os.getppid())
    while line := sys.stdin.readline():
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            _end_with_parent(parent)
            _become_ingestd(json.loads(line))
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _end_with_parent(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _become_ingestd(order: dict[str, Any]) -> None:
    from ingestd import __main__

    sys.modules["__main__"] = __main__  # workers import it
    os.setsid()
    _start_fork_server()
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for fd, of_process in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(fd, of_process)
    strikes = tuple(Strike(**strike) for strike in order["strikes"])
    install(Orders(Path(order["journal"]), strikes, order["mongod_pid"]))
    sys.argv = ["ingestd", *order["arguments"]]
    __main__.main()


def _start_fork_server() -> None:
    """A child, like any fork server; its workers need not import anything once more."""
    os.environ["POLARS_MAX_THREADS"] = "1"  # as the daemon does before it starts workers
    util.spawnv_passfds = _fork_into
    forkserver.ensure_running()


def _fork_into(_path: bytes, arguments: Sequence[str], fds: Sequence[int]) -> int:
    """What the interpreter would do with these arguments, without starting one."""
    pid = os.fork()
    if pid == 0:
        for fd in {int(name) for name in os.listdir("/proc/self/fd")} - {0, 1, 2, *fds}:
            with suppress(OSError):
                os.close(fd)
        try:
            exec(arguments[-1])
        finally:
            os._exit(0)
    return pid


if __name__ == "__main__":
    serve()
