"""A daemon to be measured: a process of its own, asked over HTTP."""

import http.client
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.deployment import Deployment, own_environment
from benchmarks.processes import CommandFailed
from ingestd.mongod import tether

_START_LIMIT_S = 120.0
_STOP_LIMIT_S = 90.0
_POLL_S = 0.02


@dataclass(slots=True)
class Daemon:
    """A running daemon, asked over one connection that stays open."""

    deployment: Deployment
    pid: int
    url: str
    _connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        address = urlsplit(self.url)
        assert address.hostname
        self._connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)

    def get(self, path: str) -> Any:
        """What it answers, read as JSON."""
        self._connection.request("GET", path)
        return json.loads(self._connection.getresponse().read())


@contextmanager
def running_daemon(deployment: Deployment) -> Iterator[Daemon]:
    """``ingestd run``, ready and at rest, until the block ends."""
    log = deployment.root / "ingestd.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*tether(), *deployment.command("run", "--json")], env=own_environment(),
            stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
        )  # fmt: skip
    try:
        daemon = Daemon(deployment, process.pid, _await_url(process, log))
        _await_readiness(process, daemon, log)
        yield daemon
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_url(process: subprocess.Popen[bytes], log: Path) -> str:
    for _ in _patiently(process, log):
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            if '"event": "ingestd started"' in line:
                return str(json.loads(line)["url"])
    raise AssertionError("unreachable")


def _await_readiness(process: subprocess.Popen[bytes], daemon: Daemon, log: Path) -> None:
    """Until MongoDB is there and all workers are."""
    for _ in _patiently(process, log):
        health = daemon.get("/health")
        details = {check["name"]: check.get("details", {}) for check in health["checks"]}
        workers = details["workers"]
        if health["status"] == "ok" and workers["running"] == workers["configured"]:
            return


def _patiently(process: subprocess.Popen[bytes], log: Path) -> Iterator[None]:
    deadline = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        yield
        time.sleep(_POLL_S)
    words = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise CommandFailed(f"the daemon did not start: {words}")
