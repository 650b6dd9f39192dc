"""The daemon and a mongod as processes of their own: started, waited for, killed."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
from orders import SOURCE
from pymongo import MongoClient

from ingestd.mongod import find_mongod, tether

Result = TypeVar("Result")

LIMIT_S = 60.0
_POLL_S = 0.02


def wait_for(look: Callable[[], Result], what: str, limit_s: float = LIMIT_S) -> Result:
    """Look until there is something to see; fails when there is not in time."""
    deadline = time.monotonic() + limit_s
    while True:
        if seen := look():
            return seen
        assert time.monotonic() < deadline, f"waited {limit_s:.0f} s in vain: {what}"
        time.sleep(_POLL_S)


@dataclass
class Mongod:
    """A mongod that can be killed and started again, on the same port and data."""

    directory: Path
    is_replica_set: bool = True
    parameters: Sequence[str] = ()
    arguments: Sequence[str] = ()
    oplog_mb: int = 256
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        options = "replicaSet=tests" if self.is_replica_set else "directConnection=true"
        return f"mongodb://127.0.0.1:{self.port}/?{options}"

    def reserve(self) -> "Mongod":
        """Choose its port, for those who are to wait for it."""
        self.port = self.port or free_port()
        return self

    def start(self) -> "Mongod":
        """Start it, and wait until it takes writes."""
        self.launch()
        wait_for(self._is_primary, "mongod to become primary")
        return self

    def launch(self) -> "Mongod":
        """Start it."""
        self.reserve()
        self.directory.mkdir(exist_ok=True)
        binary = find_mongod()
        assert binary
        self.process = subprocess.Popen([
            *tether(), str(binary), "--dbpath", str(self.directory),
            "--logpath", str(self.directory / "mongod.log"), "--logappend",
            "--bind_ip", "127.0.0.1", "--port", str(self.port), "--nounixsocket", "--quiet",
            "--oplogSize", str(self.oplog_mb),
            *(("--replSet", "tests") if self.is_replica_set else ()),
            "--wiredTigerCacheSizeGB", "0.25",
            *(arg for one in self.parameters for arg in ("--setParameter", one)),
            "--setParameter", "diagnosticDataCollectionEnabled=false",
            # How long a transaction may stay that nobody is left to finish; the default is 60.
            "--setParameter", "transactionLifetimeLimitSeconds=2", *self.arguments,
        ], stdout=subprocess.DEVNULL)  # fmt: skip
        return self

    def _is_primary(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "mongod died"
        options = {"directConnection": True, "serverSelectionTimeoutMS": 500}
        with suppress(Exception), MongoClient[Any]("127.0.0.1", self.port, **options) as client:
            if client.admin.command("hello")["isWritablePrimary"]:
                return True
            member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
            client.admin.command("replSetInitiate", {"_id": "tests", "members": [member]})
        return False

    def command(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """What it answers to a command on ``admin``."""
        options = {"directConnection": True, "serverSelectionTimeoutMS": 1000}
        with MongoClient[Any]("127.0.0.1", self.port, **options) as client:
            return dict(client.admin.command(command))

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class DaemonProcess:
    """``ingestd run`` on a directory of its own. Options are settings: ``{"load.writers": 2}``."""

    directory: Path
    uri: str | None
    database: str = "ingestd"
    options: Mapping[str, Any] = field(default_factory=dict)
    prefix: Sequence[str] = ()
    """What runs it, e.g. with fewer rights."""
    process: subprocess.Popen[bytes] | None = None
    _read_from: int = 0

    @property
    def root(self) -> Path:
        return self.directory / "root"

    @property
    def inbox(self) -> Path:
        return self.root / "inbox"

    def configure(self, *sources: str) -> "DaemonProcess":
        """Write its configuration; by default one source of orders."""
        config = self.directory / "config"
        shutil.rmtree(config, ignore_errors=True)
        (config / "sources").mkdir(parents=True)
        options = {
            "paths.root": str(self.root), "mongo.database": self.database, "api.port": 0,
            "watch.settle": 0.02, "logs.format": "json", "mongo.timeout": 2,
            "load.checkpoint_interval": 0.05, "refine.workers": 2, **self.options,
        }  # fmt: skip
        if self.uri is not None:
            options["mongo.uri"] = self.uri
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in options.items()]
        (config / "ingestd.toml").write_text("".join(lines))
        for number, source in enumerate(sources or [SOURCE.format(top="")]):
            (config / "sources" / f"source-{number}.toml").write_text(source)
        return self

    def start(self, *, is_awaited: bool = True) -> "DaemonProcess":
        """Start it, and wait until it takes files."""
        log, config = self._log_path, self.directory / "config"
        self._read_from = log.stat().st_size if log.exists() else 0
        environment = {k: v for k, v in os.environ.items() if not k.startswith("INGESTD_")}
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "ingestd", "run", "--config", config],
                stdout=stream, stderr=stream, env=environment, start_new_session=True,
            )  # fmt: skip
        return self.wait_until_ready() if is_awaited else self

    def wait_until_ready(self) -> "DaemonProcess":
        self.wait_for(lambda: self.get("/health/ready")[0] == 200, "readiness")
        return self

    def wait_for(
        self, look: Callable[[], Result], what: str, limit_s: float = LIMIT_S
    ) -> Result:  # fmt: skip
        """Like ``wait_for``, and fails at once when the daemon died."""

        def look_alive() -> Result:
            assert self.process is not None
            assert self.process.poll() is None, f"the daemon died:\n{self.output()[-5000:]}"
            return look()

        try:
            return wait_for(look_alive, what, limit_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output()[-5000:]}") from None

    # what it tells

    @property
    def _log_path(self) -> Path:
        return self.directory / "log"

    def output(self) -> str:
        """What it wrote since it was started last."""
        with self._log_path.open("rb") as stream:
            stream.seek(self._read_from)
            return stream.read().decode(errors="replace")

    def log(self, event: str | None = None) -> list[dict[str, Any]]:
        """The lines of the log since it was started last, or those of one event."""
        lines = []
        for line in self.output().splitlines():
            with suppress(ValueError):
                lines.append(json.loads(line))
        return [line for line in lines if event is None or line["event"] == event]

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON body; status 0 when nobody listens yet."""
        started = self.log("ingestd started")
        if not started:
            return 0, None
        try:
            with urllib.request.urlopen(started[-1]["url"] + path, timeout=20) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError:
            return 0, None

    def post(self, path: str) -> Any:
        """The JSON body of the answer."""
        return self._send("POST", path, b"")

    def put(self, path: str, content: bytes) -> Any:
        """The JSON body of the answer."""
        return self._send("PUT", path, content)

    def _send(self, method: str, path: str, content: bytes) -> Any:
        url = self.log("ingestd started")[-1]["url"]
        request = urllib.request.Request(url + path, data=content, method=method)
        with urllib.request.urlopen(request, timeout=40) as reply:
            return json.load(reply)

    def text(self, path: str) -> str:
        """The body of an answer that is no JSON."""
        url = self.log("ingestd started")[-1]["url"]
        with urllib.request.urlopen(url + path, timeout=20) as reply:
            return str(reply.read().decode())

    def files(self, **wanted: Any) -> list[dict[str, Any]]:
        """The files in ``/files`` that have those values."""
        status, files = self.get("/files?limit=1000")
        if status != 200:
            return []
        return [file for file in files if all(file[k] == v for k, v in wanted.items())]

    def wait_for_file(self, name: str, state: str = "archived") -> dict[str, Any]:
        """The file's entry in ``/files``, once it is in that state."""
        return self.wait_for(lambda: self.files(name=name, state=state), f"{name} {state}")[-1]

    def check(self, name: str) -> dict[str, Any]:
        """One of the checks of ``/health``."""
        _, health = self.get("/health")
        checks = health["checks"] if health else []
        return next((check for check in checks if check["name"] == name), {"is_ok": False})

    # what is done to it

    def drop(self, name: str, content: bytes | Path) -> Path:
        """A file by rename, as a careful sender does it."""
        target = self.inbox / name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}"[:200])
        if isinstance(content, Path):
            shutil.copyfile(content, temporary)
        else:
            temporary.write_bytes(content)
        temporary.rename(target)
        return target

    def workers(self) -> list[psutil.Process]:
        """Its worker processes (children of the fork server)."""
        assert self.process is not None
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.process.pid).children(recursive=True)
            return [child for child in children if _is_python(child)]
        return []

    def kill(self) -> None:
        """``kill -9`` of the daemon and all its Python processes, in one go."""
        assert self.process is not None
        victims = self.workers()
        self.process.kill()
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        self.process.wait()
        wait_for(lambda: not any(map(_is_alive, victims)), "the killed to end")

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, limit_s: float = LIMIT_S) -> int:
        """Its exit code."""
        assert self.process is not None
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"still there after {limit_s} s:\n{self.output()[-5000:]}"
            ) from None

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def clean_up(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


NewDaemon = Callable[..., DaemonProcess]
"""Makes a daemon that is configured and not started: see the fixture ``new_daemon``."""


def _is_python(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return "python" in process.name()
    return False


def _is_alive(process: psutil.Process) -> bool:
    """Not even a zombie that nobody has taken leave of does any harm."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
