"""A daemon of its own for each test."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crash_matrix import open_stage
from crashes.stage import Stage
from harness import DaemonProcess, Mongod, NewDaemon


@pytest.fixture
def new_daemon(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[NewDaemon]:
    """Makes a daemon that is configured, not started; on the shared MongoDB if none is given.

    Arguments: the texts of its sources, ``uri``, and settings as keywords (``load__writers=2``).
    """
    made: list[DaemonProcess] = []

    def make(*sources: str, uri: str | None = None, **options: Any) -> DaemonProcess:
        dotted = {key.replace("__", "."): value for key, value in options.items()}
        uri = uri or request.getfixturevalue("mongo_uri")
        database = request.getfixturevalue("database") if uri else "ingestd"
        daemon = DaemonProcess(tmp_path, uri, database, dotted).configure(*sources)
        made.append(daemon)
        return daemon

    yield make
    for daemon in made:
        daemon.clean_up()


@pytest.fixture
def daemon(new_daemon: NewDaemon) -> DaemonProcess:
    """A running daemon with one source of orders."""
    return new_daemon().start()


@pytest.fixture
def mongod(tmp_path: Path) -> Iterator[Mongod]:
    """A running mongod that a test may kill."""
    mongod = Mongod(tmp_path / "mongod").start()
    yield mongod
    mongod.stop()


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """Where stories are played in which something is killed."""
    with open_stage(keeps_collections=True) as stage:
        yield stage
