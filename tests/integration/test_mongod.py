"""The private mongod, on the real binary: life, death, and what people do to its directory."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import psutil
import pytest
from pymongo import AsyncMongoClient, MongoClient

from ingestd import mongod as mongod_module
from ingestd import mongod_home
from ingestd.errors import ConfigError, StoreAway, StoreRefused
from ingestd.events import Events
from ingestd.metrics import Metrics
from ingestd.mongo import ensure_replica_set
from ingestd.mongod import EmbeddedMongod, find_mongod, find_running
from ingestd.mongod_home import MongodHome

CACHE_BYTES = 2**28

DAEMON = """
import asyncio, sys
from pathlib import Path
from ingestd.events import Events
from ingestd.metrics import Metrics
from ingestd.mongo import ensure_replica_set
from ingestd.mongod import EmbeddedMongod

async def main():
    mongod = EmbeddedMongod(Path(sys.argv[1]), 2**28, Events(Metrics()), ensure_replica_set)
    print(await mongod.start(), mongod.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "mongo"


def embedded(
    directory: Path, initiate: Callable[[int], Awaitable[None]] = ensure_replica_set
) -> EmbeddedMongod:
    return EmbeddedMongod(directory, CACHE_BYTES, Events(Metrics()), initiate)


@asynccontextmanager
async def running(
    directory: Path, is_politely_stopped: bool = False
) -> AsyncIterator[tuple[EmbeddedMongod, str]]:
    mongod = embedded(directory)
    uri = await mongod.start()
    try:
        yield mongod, uri
    finally:
        if mongod.pid and not is_politely_stopped:
            os.kill(mongod.pid, signal.SIGKILL)  # a second faster
        await mongod.stop()


@asynccontextmanager
async def supervised(directory: Path) -> AsyncIterator[tuple[EmbeddedMongod, str]]:
    async with running(directory) as (mongod, uri), anyio.create_task_group() as tasks:
        tasks.start_soon(mongod.supervise)
        yield mongod, uri
        tasks.cancel_scope.cancel()


async def insert(uri: str, value: int) -> None:
    async with AsyncMongoClient[dict[str, int]](uri) as client:
        await client.db.numbers.insert_one({"value": value})


async def numbers(uri: str) -> list[int]:
    async with AsyncMongoClient[dict[str, int]](uri) as client:
        return sorted([number["value"] async for number in client.db.numbers.find()])


async def until(is_true: Callable[[], bool], limit_s: float = 60) -> None:
    with anyio.fail_after(limit_s):
        while not is_true():
            await anyio.sleep(0.02)


def start_daemon(directory: Path) -> tuple[subprocess.Popen[str], str, int]:
    daemon = subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(directory)], stdout=subprocess.PIPE, text=True
    )
    assert daemon.stdout
    while not (line := daemon.stdout.readline()).startswith("mongodb://"):
        assert line, "the daemon did not start"
    uri, pid = line.split()
    return daemon, uri, int(pid)


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def test_takes_writes_when_start_returns(home: Path) -> None:
    async with running(home) as (mongod, uri):
        await insert(uri, 1)
        assert await numbers(uri) == [1]
        assert mongod.pid is not None
        assert is_alive(mongod.pid)


async def test_listens_on_the_loopback_only(home: Path) -> None:
    async with running(home) as (mongod, _):
        sockets = psutil.Process(mongod.pid).net_connections("all")
        assert {s.laddr[0] for s in sockets if s.status == "LISTEN"} == {"127.0.0.1"}


async def test_nobody_else_can_enter_the_directory(home: Path) -> None:
    home.mkdir(mode=0o755)
    (home / "data").mkdir(mode=0o777)
    async with running(home):
        for path in (home, home / "data"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "mongod.log").stat().st_mode) == 0o600


async def test_stop_ends_it_cleanly(home: Path) -> None:
    async with running(home, is_politely_stopped=True) as (mongod, _):
        pid = mongod.pid
    assert pid is not None
    assert not is_alive(pid)
    assert mongod.pid is None
    assert '"exitCode":0' in (home / "mongod.log").read_text()


async def test_next_run_keeps_data_and_address(home: Path) -> None:
    async with running(home, is_politely_stopped=True) as (_, first_uri):
        await insert(first_uri, 1)
    async with running(home) as (_, second_uri):
        await insert(second_uri, 2)
        assert await numbers(second_uri) == [1, 2]
    assert second_uri == first_uri


async def test_killed_mongod_comes_back_with_its_data_on_the_same_port(home: Path) -> None:
    async with supervised(home) as (mongod, uri):
        await insert(uri, 1)
        for kill in (signal.SIGKILL, signal.SIGTERM):
            pid = mongod.pid
            assert pid is not None
            os.kill(pid, kill)
            await until(lambda pid=pid: mongod.pid not in (None, pid))  # type: ignore[misc]
            assert await numbers(uri) == [1]


async def test_supervise_goes_on_when_mongod_cannot_start_for_a_while(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    async def initiate(port: int) -> None:
        nonlocal calls
        calls += 1
        if calls in (2, 3):
            raise StoreAway("not now")
        await ensure_replica_set(port)

    mongod = embedded(home, initiate)
    uri = await mongod.start()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mongod.supervise)
            os.kill(mongod.pid or 0, signal.SIGKILL)
            await until(lambda: calls == 4)
            await insert(uri, 1)
            assert await numbers(uri) == [1]
            tasks.cancel_scope.cancel()
    finally:
        await mongod.stop()


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
async def test_does_not_outlive_its_daemon(home: Path, kill: signal.Signals) -> None:
    daemon, _, pid = await asyncio.to_thread(start_daemon, home)
    with daemon:
        daemon.send_signal(kill)
    await until(lambda: not is_alive(pid))
    assert '"exitCode":0' in (home / "mongod.log").read_text()


async def test_restart_right_after_the_daemon_was_killed_waits_for_the_old_mongod(
    home: Path,
) -> None:
    daemon, uri, pid = await asyncio.to_thread(start_daemon, home)
    with daemon:
        await insert(uri, 1)
        daemon.kill()
    async with running(home) as (_, next_uri):
        assert not is_alive(pid)
        assert await numbers(next_uri) == [1]


async def test_leftover_mongod_that_hangs_is_killed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongod_home, "_LEFTOVER_LIMIT_S", 0.5)
    daemon, uri, pid = await asyncio.to_thread(start_daemon, home)
    with daemon:
        await insert(uri, 1)
        os.kill(pid, signal.SIGSTOP)
        daemon.kill()
    async with running(home) as (_, next_uri):
        assert not is_alive(pid)
        assert await numbers(next_uri) == [1]


async def test_mongod_started_by_somebody_else_on_the_data_is_left_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongod_home, "_LEFTOVER_LIMIT_S", 0.2)
    async with running(home):
        pass
    other = subprocess.Popen(
        [str(find_mongod()), "--dbpath", "data", "--port", "0", "--nounixsocket"],
        cwd=home, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        lock = home / "data" / "mongod.lock"
        await until(lambda: lock.read_text() == f"{other.pid}\n")
        with pytest.raises(StoreRefused, match="in use by another mongod"):
            await embedded(home).start()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


async def test_ctrl_c_at_the_terminal_does_not_reach_it(home: Path) -> None:
    async with running(home) as (mongod, _):
        assert os.getsid(mongod.pid or 0) == mongod.pid


async def test_second_daemon_on_the_directory_is_refused_by_name(home: Path) -> None:
    async with running(home) as (_, uri):
        with pytest.raises(StoreRefused, match=f"another ingestd.*{os.getpid()}.*paths.root"):
            await embedded(home).start()
        await insert(uri, 1)


async def test_commands_find_the_running_one(home: Path) -> None:
    assert find_running(home) is None
    async with running(home) as (_, uri):
        assert find_running(home) == uri
    assert find_running(home) is None


async def test_two_directories_live_side_by_side(tmp_path: Path) -> None:
    async with running(tmp_path / "a") as (_, first), running(tmp_path / "b") as (_, second):
        await insert(first, 1)
        await insert(second, 2)
        assert (await numbers(first), await numbers(second)) == ([1], [2])


async def test_remembered_port_taken_by_a_stranger_means_another_and_data_stays(
    home: Path,
) -> None:
    async with running(home) as (_, first_uri):
        await insert(first_uri, 1)
    port = int((home / "port").read_text())
    stranger = await asyncio.start_server(lambda _, answer: answer.close(), "127.0.0.1", port)
    async with stranger, running(home) as (_, second_uri):
        assert second_uri != first_uri
        assert await numbers(second_uri) == [1]
    async with running(home) as (_, third_uri):
        assert third_uri == second_uri


@pytest.mark.parametrize("content", [b"", b"not a port", b"80", b"99999", b"\xff"])
def test_damaged_port_file_means_another_port(home: Path, content: bytes) -> None:
    home.mkdir()
    (home / "port").write_bytes(content)
    assert 20_000 <= next(MongodHome(home).ports()) < 32_768


async def test_file_in_place_of_the_directory_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "mongo").touch()
    with pytest.raises(ConfigError, match=r"paths\.mongo: .*cannot be used: File exists"):
        await embedded(tmp_path / "mongo").start()


@pytest.mark.parametrize("name", ["lock", "mongod.log", "port"])
async def test_file_that_cannot_be_written_is_named(home: Path, name: str) -> None:
    (home / name).mkdir(parents=True)
    with pytest.raises(ConfigError, match=rf"paths\.mongo: {home}/{name} cannot be used: Is a dir"):
        await embedded(home).start()
    assert find_running(home) is None


async def test_without_a_mongod_both_remedies_are_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"ingestd\[embedded\].*INGESTD_MONGO__URI"):
        await embedded(home).start()
    assert not home.exists()


def fake_mongod(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.mkdir(exist_ok=True)
    binary = directory / "mongod"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


async def test_mongod_on_path_comes_before_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_mongod(tmp_path / "bin", "exit 0", monkeypatch)
    assert find_mongod() == tmp_path / "bin" / "mongod"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'mongod: error while loading shared libraries: libx.so.9' >&2; exit 127",
         "exit code 127: mongod: error while loading shared libraries: libx.so.9 .install the lib"),
        ("kill -ILL $$", "killed by signal 4 .*AVX"),
        ("kill -KILL $$", "killed by signal 9 .*out of memory"),
        ("exit 3", "exit code 3 .see .*mongod.log"),
        ("""echo '{"s":"I","msg":"hello"}'
            echo '{"s":"E","msg":"WT","attr":{"error":28,"message":{"msg":"pwrite failed",'`
                 `'"error_str":"No space left on device"}}}'
            echo '{"s":"F","msg":"aborting"}'; kill -ABRT $$""",
         "killed by signal 6: WT: pwrite failed: No space left on device .make room"),
    ],
)  # fmt: skip
async def test_mongod_that_does_not_start_is_explained(
    home: Path, script: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_mongod(tmp_path / "bin", script, monkeypatch)
    with pytest.raises(StoreAway, match=message):
        await embedded(home).start()


async def test_damaged_data_is_explained_and_the_directory_is_free_again(home: Path) -> None:
    async with running(home):
        pass
    (home / "data" / "WiredTiger.turtle").write_bytes(b"\xff" * 2000)
    for _ in range(2):
        with pytest.raises(StoreAway, match=r"WiredTiger.*the data is damaged"):
            await embedded(home).start()


async def test_mongod_that_hangs_at_start_is_given_up(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongod_module, "_START_LIMIT_S", 0.2)
    fake_mongod(tmp_path / "bin", "exec sleep 60", monkeypatch)
    with pytest.raises(StoreAway, match="not ready after"):
        await embedded(home).start()


async def test_cancelled_start_leaves_no_mongod(home: Path) -> None:
    initiated = anyio.Event()
    mongod = embedded(home, lambda _: _forever(initiated))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mongod.start)
        await initiated.wait()
        pid = mongod.pid
        tasks.cancel_scope.cancel()
    assert pid is not None
    assert not is_alive(pid)
    assert find_running(home) is None


async def _forever(started: anyio.Event) -> None:
    started.set()
    await anyio.sleep_forever()


async def test_log_stays_short_while_mongod_runs(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongod_module, "_LOG_CHECK_S", 0.05)
    monkeypatch.setattr(mongod_home, "_LOG_BYTES", 100_000)
    log = home / "mongod.log"
    async with supervised(home) as (_, uri):
        with log.open("a") as stranger:
            stranger.write("x" * 100_001)
        await until(lambda: log.stat().st_size < 100_000)
        with MongoClient[dict[str, int]](uri) as client:
            client.admin.command("logRotate", "server")
            client.admin.command("setParameter", 1, logLevel=1)
            client.db.numbers.insert_one({"value": 1})
        assert b"\0" not in log.read_bytes()
    assert (home / "mongod.log.1").stat().st_size > 100_000
