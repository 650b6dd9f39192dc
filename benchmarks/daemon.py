"""A daemon to be measured: a process of its own, asked over HTTP."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from benchmarks.deployment import Deployment
from benchmarks.processes import CommandFailed
from ingestd.demo.child import daemon_process
from ingestd.errors import IngestdError


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
    command, log = deployment.command("run", "--json"), deployment.root / "ingestd.log"
    try:
        with daemon_process(command, log) as (pid, url):
            yield Daemon(deployment, pid, url)
    except IngestdError as error:
        raise CommandFailed(f"{error.message}: {error.hint}") from error
