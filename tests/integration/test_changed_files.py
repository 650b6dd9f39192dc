"""Files that come again, change, grow or go while they are loaded: each content is one entry."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pipeline_world import InThread, World, csv, found, many, opened, source

from ingestd.records import FileState

GOOD = csv((1, 1.0, "a"), (2, 2.0, "b"), (3, 3.0, "c"))
LONGER = GOOD + b"4,4.0,d\n"


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path) as opened_world:
        yield opened_world


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.write_bytes(LONGER), "file_changed"),
        (lambda path: path.exists() and path.rename(path.with_name("away.csv")), "file_removed"),
    ],
    ids=["rewritten", "removed"],
)
async def test_an_attempt_at_content_that_went_away_is_undone_and_waits_for_nothing(
    world: World, spoil: Callable[[Path], object], told: str
) -> None:
    file = world.drop("a.csv", many(500))
    spoiled = world.with_workers(InThread(after=lambda: spoil(file.path)))
    ((result, retry_s),) = await spoiled.offer(file)
    assert (result, retry_s) == (None, 300.0)
    (entry,) = world.files
    assert (entry["state"], entry["retry_at"], entry["error"]["type"]) == ("undone", None, told)
    assert world.rows() == world.rows("errors") == []


async def test_content_that_went_away_while_it_was_loaded_is_loaded_when_it_comes_back(
    world: World,
) -> None:
    content = many(500, refused_every=0x1000)
    file = world.drop("a.csv", content)
    spoiled = world.with_workers(InThread(after=lambda: file.path.write_bytes(LONGER)))
    await spoiled.offer(file)
    assert (await world.offer(found(file.path)))[0][0] is not None
    again = await world.load("a.csv", content)
    assert (again.state, again.counts.success_count) == (FileState.ARCHIVED, 500)
    assert [entry["state"] for entry in world.files] == ["archived", "archived"]


async def test_a_file_that_grew_after_it_was_loaded_is_a_file_of_its_own(world: World) -> None:
    await world.load("a.csv", GOOD)
    await world.load("a.csv", LONGER)
    assert world.ids() == [1, 1, 2, 2, 3, 3, 4]
    assert [entry["state"] for entry in world.files] == ["archived", "archived"]


async def test_a_file_that_grew_takes_the_place_of_its_shorter_self_where_that_is_asked_for(
    world: World,
) -> None:
    replacing = world.configured(source(load={"on_changed_file": "replace"}))
    await replacing.load("a.csv", GOOD)
    await replacing.load("a.csv", LONGER)
    assert world.ids() == [1, 2, 3, 4]
    first, second = world.files
    assert (first["state"], first["replaced_by"]) == ("undone", second["_id"])


async def test_a_file_of_zero_bytes_is_set_aside_each_time_it_comes(world: World) -> None:
    assert (await world.load("a.csv", b"")).state is FileState.FAILED
    assert (await world.load("b.csv", b"")).state is FileState.FAILED
    (entry,) = world.files
    assert (entry["error"]["type"], entry["attempts"]) == ("empty_file", 2)
    assert world.found("failed", "orders") == [
        "a.csv", "a.csv.error.json", "b.csv", "b.csv.error.json",
    ]  # fmt: skip
