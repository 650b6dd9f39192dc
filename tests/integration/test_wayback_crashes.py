"""A crash just before and just after every write of an action, then a restart, then once more."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pipeline_world import Crash, CrashingMongo, World, csv, many, opened, source

from ingestd.config.source import SourceSpec
from ingestd.errors import ActionRefused
from ingestd.mongo import Document
from ingestd.pipeline import Desk
from ingestd.wayback import dismiss, forget, replay, retry, undo

SOURCE = source()
OTHER = csv((1000, 1, "b"), (1001, -1, "b"))


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path) as world:
        yield world


@dataclass(frozen=True)
class Deed:
    """An action on ``a.csv``, and what must be so whenever it was done, however often."""

    act: Callable[[Desk], Awaitable[Any]]
    is_well: Callable[[World], None]
    content: bytes = many(100)
    rules: SourceSpec = SOURCE
    """The source when it is done: its rules may have changed since the file was loaded."""
    prepare: Callable[[World], Awaitable[Any]] | None = None
    """What else has happened before."""


def entry_of(world: World) -> Document:
    (entry,) = (file for file in world.files if file["name"] == "a.csv")
    assert entry.get("doing") is None
    return entry


def others_are_untouched(world: World) -> None:
    assert [row["id"] for row in world.rows() if row["id"] >= 1000] == [1000]
    assert [error["row"] for error in world.rows("errors", file="b.csv")] == [2]


def is_undone(world: World) -> None:
    entry = entry_of(world)
    assert (entry["state"], entry["has_rows"]) == ("undone", False)
    assert world.ids() == [1000]
    assert world.rows("errors", file="a.csv") == []
    assert world.found("rejects", "orders") == ["b.csv.rejects.csv"]


def is_back(world: World) -> None:
    entry = entry_of(world)
    assert (entry["state"], entry["archived_to"]) == ("failed", None)
    assert world.found("inbox", "orders") == ["a.csv"]
    assert world.found("failed") == []


def is_forgotten(world: World) -> None:
    assert entry_of(world)["is_forgotten"]
    assert len(world.ids()) == 91


def is_dismissed(world: World) -> None:
    entry_of(world)
    errors = world.rows("errors", file="a.csv")
    assert [(e["state"], e["reason"]) for e in errors] == [("dismissed", "tests")] * 10
    assert len(world.ids()) == 91


LAX = source(validation_rules={"amount": {"min": -1}})


def is_replayed(world: World) -> None:
    entry = entry_of(world)
    assert [entry[f"{part}_count"] for part in ("record", "success", "error")] == [100, 100, 0]
    assert world.ids() == [*range(1, 101), 1000]
    states = {(e["state"], e["became"]) for e in world.rows("errors", file="a.csv")}
    assert states == {("replayed", "document")}


async def fail_again(world: World) -> None:
    """Under another name, after it was forgotten, by rules of which it breaks more."""
    await forget(world.desk, "a.csv", "ada")
    strict = world.configured(source(errors={"max_rows": 0}))
    await strict.load("c.csv", many(100))


def is_back_beside(world: World) -> None:
    assert entry_of(world)["state"] == "archived"
    (beside,) = (file for file in world.files if file["name"] == "c.csv")
    assert (beside["state"], beside["archived_to"], beside["is_put_away"]) == ("undone", None, True)
    assert world.found("inbox", "orders") == ["c.csv"]
    assert world.found("failed") == []
    assert len(world.ids()) == 91


async def fail_under_another_name(world: World) -> None:
    await world.load("c.csv", b"id\n1\n")


def is_one_of_two_back(world: World) -> None:
    assert entry_of(world)["state"] == "undone"
    (other,) = (file for file in world.files if file["name"] == "c.csv")
    assert (other["state"], other.get("doing")) == ("failed", None)
    assert world.found("inbox", "orders") == ["a.csv"]
    assert world.found("failed", "orders") == ["c.csv", "c.csv.error.json"]


async def retry_unless_it_is_back(desk: Desk) -> None:
    with suppress(ActionRefused):
        await retry(desk, "a.csv", "ada")


DEEDS = {
    "undo": Deed(partial(undo, file="a.csv", by="ada"), is_undone),
    "dismiss": Deed(partial(dismiss, file="a.csv", by="ada", reason="tests"), is_dismissed),
    "replay": Deed(partial(replay, file="a.csv", by="ada"), is_replayed, many(100), rules=LAX),
    "retry": Deed(partial(retry, file="a.csv", by="ada"), is_back, b"id\n1\n"),
    "retry of what was forgotten": Deed(
        retry_unless_it_is_back, is_back_beside, prepare=fail_again
    ),
    "retry of one of two": Deed(
        retry_unless_it_is_back, is_one_of_two_back, b"id\n1\n", prepare=fail_under_another_name
    ),
    "forget": Deed(partial(forget, file="a.csv", by="ada"), is_forgotten),
}


async def begin(world: World, deed: Deed) -> World:
    """An empty world but for the two files."""
    world.client.drop_database(world.desk.settings.mongo.database)
    for path in (path for path in world.root.rglob("*") if path.is_file()):
        path.unlink()
    world = world.on(world.mongo).configured(SOURCE)
    await world.desk.ledger.prepare()
    await world.load("b.csv", OTHER)
    await world.load("a.csv", deed.content)
    if deed.prepare is not None:
        await deed.prepare(world)
    return world


async def crash(world: World, deed: Deed, at: int | None, *, is_after: bool = False) -> int:
    """Do it, and crash at the ``at``-th write; how many there were."""
    settings = world.desk.settings.mongo
    assert settings.uri
    mongo = CrashingMongo(settings.uri.get_secret_value(), settings, world.desk.events)
    await mongo.connect()
    desk = world.configured(deed.rules).on(mongo).desk
    await desk.ledger.leases.assure()  # so that the first write is the beginning
    mongo.begin(at, is_after=is_after)
    with suppress(Crash):
        await deed.act(desk)
    mongo.close()
    return mongo.writes


@pytest.mark.parametrize("name", DEEDS)
async def test_a_crash_at_any_write_of_an_action_changes_nothing_in_the_end(
    world: World, name: str
) -> None:
    deed = DEEDS[name]
    world = await begin(world, deed)
    writes = await crash(world, deed, None)
    deed.is_well(world)
    for at in range(1, writes + 1):
        for is_after in (False, True):
            world = await begin(world, deed)
            assert await crash(world, deed, at, is_after=is_after) == at
            await world.configured(deed.rules).recover()
            if at > 1 or is_after:  # it was begun, so the restart has finished it
                deed.is_well(world)
            await deed.act(world.configured(deed.rules).desk)
            deed.is_well(world)
            others_are_untouched(world)
