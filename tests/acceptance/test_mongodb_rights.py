"""A MongoDB that asks who is there: rights that are missing, users that go and come back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from harness import Mongod, NewDaemon
from orders import HEADER, SOURCE
from pymongo import MongoClient

MONGODB_AWAY = 69
ROW = b"1,1,2026-01-01T00:00:00,1.5,DE,paid,1,note,true,0.5\n"
LEDGER = ("files", "ingestd_sources", "ingestd_leases", "ingestd_selftest")
NEEDED = ("find", "insert", "update", "remove", "createIndex")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    """A mongod with users; ``root`` may do everything."""
    directory = tmp_path_factory.mktemp("guarded")
    guarded = Mongod(directory, is_replica_set=False, arguments=["--auth"]).start()
    try:
        guarded.command({"createUser": "root", "pwd": "root", "roles": ["root"]})
        yield guarded
    finally:
        guarded.stop()


@contextmanager
def administered(guarded: Mongod, database: str) -> Iterator[Any]:
    uri = f"mongodb://root:root@127.0.0.1:{guarded.port}/?directConnection=true"
    with MongoClient[Any](uri) as client:
        yield client[database]


def uri_of(user: str, guarded: Mongod, database: str) -> str:
    login = f"{user}:secret@" if user else ""
    source = f"&authSource={database}" if user else ""
    return f"mongodb://{login}127.0.0.1:{guarded.port}/?directConnection=true{source}"


@pytest.mark.parametrize(
    ("allowed", "told"),
    [
        ({"": ("find",)}, "insert on errors, update on errors, remove on errors"),
        ({"": NEEDED[:4]}, "createIndex on files"),
        (
            dict.fromkeys(
                ("files", "ingestd_sources", "ingestd_leases", "ingestd_selftest"), NEEDED
            ),
            "insert on errors",
        ),
    ],
    ids=["reads only", "no index", "not its collections"],
)
def test_rights_that_are_missing_end_the_start_and_are_named(
    new_daemon: NewDaemon, guarded: Mongod, database: str, allowed: Any, told: str
) -> None:
    privileges = [
        {"resource": {"db": database, "collection": collection}, "actions": list(actions)}
        for collection, actions in allowed.items()
    ]
    with administered(guarded, database) as store:
        store.command("createRole", "some", privileges=privileges, roles=[])
        store.command("createUser", "loader", pwd="secret", roles=["some"])
    daemon = new_daemon(uri=uri_of("loader", guarded, database)).start(is_awaited=False)
    assert daemon.wait(30) == MONGODB_AWAY
    assert told in daemon.output()
    assert "readWrite" in daemon.output()
    assert "secret" not in daemon.output()


def test_a_uri_without_a_user_ends_the_start_where_one_is_asked_for(
    new_daemon: NewDaemon, guarded: Mongod, database: str
) -> None:
    daemon = new_daemon(uri=uri_of("", guarded, database)).start(is_awaited=False)
    assert daemon.wait(30) == MONGODB_AWAY
    assert "has to name a user" in daemon.output()


def test_a_user_who_is_dropped_and_made_again_is_waited_for(
    new_daemon: NewDaemon, guarded: Mongod, database: str
) -> None:
    """No file is to blame. Connections of the dropped user never get their rights back."""
    daemon = new_daemon(uri=uri_of("loader", guarded, database))
    user = {"pwd": "secret", "roles": ["readWrite"]}
    with administered(guarded, database) as store:
        store.command("createUser", "loader", **user)
        daemon.start()
        daemon.drop("orders/a.csv", HEADER.encode() + ROW)
        daemon.wait_for_file("a.csv")
        store.command("dropUser", "loader")
        daemon.drop("orders/b.csv", HEADER.encode() + ROW + ROW)
        check = daemon.wait_for(
            lambda: (c := daemon.check("mongodb")).get("hint") and c, "the complaint"
        )
        assert "away" in check["reason"]
        assert "password" in check["hint"]
        store.command("createUser", "loader", **user)
        assert daemon.wait_for_file("b.csv")["attempts"] == 1
    assert daemon.get("/health")[0] == 200


def test_a_role_that_is_taken_away_blocks_files_and_given_back_lets_them_go_on(
    new_daemon: NewDaemon, guarded: Mongod, database: str
) -> None:
    daemon = new_daemon(
        SOURCE.format(top="") + "\n[errors]\nretry_delay = 1\n",
        uri=uri_of("loader", guarded, database),
    )
    with administered(guarded, database) as store:
        store.command("createUser", "loader", pwd="secret", roles=["readWrite"])
        daemon.start()
        store.command("updateUser", "loader", roles=["read"])
        daemon.drop("orders/a.csv", HEADER.encode() + ROW)
        check = daemon.wait_for(
            lambda: (c := daemon.check("source:orders")).get("hint") and c, "the complaint"
        )
        assert "not authorized" in check["reason"]
        assert "readWrite" in check["hint"]
        store.command("updateUser", "loader", roles=["readWrite"])
        daemon.wait_for_file("a.csv")
    daemon.wait_for(lambda: daemon.get("/health")[0] == 200, "health")
