"""The daemon of the demo: a process of its own, in a scratch directory, asked over HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingestd.demo.samples import Sample
from ingestd.errors import IngestdError
from ingestd.mongod import tether

_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 30.0
_SOURCES = Path(__file__).parent / "sources"
_FOREIGN = ("INGESTD_", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY")
"""A demo must never meet somebody's real MongoDB or directories."""


@dataclass(frozen=True, slots=True)
class ChildDaemon:
    """A running daemon."""

    root: Path
    url: str

    @property
    def configuration(self) -> Path:
        """The directory of its configuration."""
        return self.root / "config"

    def get(self, path: str) -> Any:
        """What it answers, read as JSON; an error's answer, too."""
        return ask(self.url, path)

    def inbox(self, source_name: str) -> Path:
        """Where files of a source are dropped."""
        return self.root / "inbox" / source_name

    def drop(self, sample: Sample) -> float:
        """Put a file there as programs should: written under another name, then renamed.

        Returns:
            the moment of the renaming, monotonic seconds.
        """
        temporary = self.inbox(sample.source_name) / f".{sample.name}"
        temporary.write_bytes(sample.content)
        dropped_at = time.monotonic()
        temporary.rename(temporary.with_name(sample.name))
        return dropped_at


def ask(url: str, path: str) -> Any:
    """What a daemon answers, read as JSON; an error's answer, too."""
    try:
        with urllib.request.urlopen(url + path, timeout=30) as answer:  # noqa: S310 - http
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def make_configuration(root: Path) -> Path:
    """A configuration whose every path lies under ``root``."""
    directory = root / "config"
    (directory / "sources").mkdir(parents=True)
    main = f'[paths]\nroot = {json.dumps(str(root))}\n[api]\nport = 0\n[logs]\nformat = "json"\n'
    (directory / "ingestd.toml").write_text(main, encoding="utf-8")
    for source in _SOURCES.glob("*.toml"):
        (directory / "sources" / source.name).write_bytes(source.read_bytes())
        (root / "inbox" / source.stem).mkdir(parents=True)
    return directory


@contextmanager
def running_daemon(root: Path) -> Iterator[ChildDaemon]:
    """``ingestd run`` until the block ends.

    Raises:
        IngestdError: it does not start.
    """
    command = [sys.executable, "-m", "ingestd", "run", "--config", str(make_configuration(root))]
    with daemon_process(command, root / "ingestd.log") as (_, url):
        yield ChildDaemon(root, url)


@contextmanager
def daemon_process(command: Sequence[str], log: Path) -> Iterator[tuple[int, str]]:
    """A daemon that is ready and at rest, until the block ends: its process id and URL.

    Raises:
        IngestdError: it does not start.
    """
    with log.open("wb") as stream:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*tether(), *command], env=own_environment(), stdin=subprocess.DEVNULL, stdout=stream,
            stderr=stream, start_new_session=True,  # Ctrl-C is for us, who stop it
        )  # fmt: skip
    try:
        url = _wait_for_url(process, log)
        _wait_until_idle(process, url, log)
        yield process.pid, url
    finally:
        _stop(process)


def own_environment() -> dict[str, str]:
    """This process's environment without what would configure an ingestd."""
    return {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}


def _wait_for_url(process: subprocess.Popen[bytes], log: Path) -> str:
    for _ in _patiently(process, log):
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            if '"event": "ingestd started"' in line:
                return str(json.loads(line)["url"])
    raise AssertionError("unreachable")


def _wait_until_idle(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Until MongoDB is there and all workers are, so that times are those of a daemon at rest."""
    for _ in _patiently(process, log):
        health = ask(url, "/health")
        details = {check["name"]: check.get("details", {}) for check in health["checks"]}
        workers = details["workers"]
        if health["status"] == "ok" and workers["running"] == workers["configured"]:
            return


def _patiently(process: subprocess.Popen[bytes], log: Path) -> Iterator[None]:
    deadline = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise IngestdError("the daemon did not start", _last_words(log))
        yield
        time.sleep(0.02)
    raise IngestdError(f"the daemon was not ready after {_START_LIMIT_S:.0f} s", _last_words(log))


def _last_words(log: Path) -> str:
    return " ".join(log.read_text(encoding="utf-8", errors="replace").split())[-1000:]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
