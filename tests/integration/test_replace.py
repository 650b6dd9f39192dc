"""``replace``: readers see the old file or the new one, never both, never neither."""

from collections.abc import AsyncIterator
from dataclasses import replace as changed
from pathlib import Path

import pytest
from pipeline_world import World, csv, found, many, opened, source, stop_after_a_chunk

from ingestd.errors import ActionRefused
from ingestd.records import FileResult, FileState
from ingestd.wayback import begin_replace

OLD, NEW = csv((1, 1, "old"), (2, -2, "old")), csv((3, 3, "new"))


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path) as world:
        yield world


async def put_in_place(world: World, content: bytes) -> FileResult:
    """Of ``a.csv``, a file of another name."""
    old = await begin_replace(world.desk, "a.csv", "ada", Path("b.csv"))
    found = changed(world.drop("b.csv", content), replaces=old["_id"])
    ((result, _),) = await world.offer(found)
    assert result is not None
    return result


async def test_the_new_file_takes_the_place_of_that_one_alone(world: World) -> None:
    old = await world.load("a.csv", OLD)
    await world.load("c.csv", csv((9, 9, "other")))
    new = await put_in_place(world, NEW)
    assert world.ids() == [3, 9]
    entries = {file["name"]: file for file in world.files}
    assert (entries["a.csv"]["state"], entries["b.csv"]["state"]) == ("undone", "archived")
    assert entries["a.csv"]["replaced_by"] == new.file_id
    assert entries["b.csv"]["replaces"] == old.file_id
    assert not entries["a.csv"]["has_rows"]
    assert entries["a.csv"]["actions"][0]["new_name"] == "b.csv"


async def test_the_old_file_stays_when_the_new_one_does_not_load(world: World) -> None:
    await world.load("a.csv", OLD)
    assert (await put_in_place(world, b"id\n1\n")).state is FileState.FAILED
    assert world.ids() == [1]
    assert [file["state"] for file in world.files] == ["archived", "failed"]


async def test_the_same_content_replaces_nothing(world: World) -> None:
    await world.load("a.csv", OLD)
    assert (await put_in_place(world, OLD)).state is FileState.DUPLICATE
    assert world.ids() == [1]


async def test_a_load_that_was_stopped_still_replaces_when_it_goes_on(world: World) -> None:
    old = await world.load("a.csv", OLD)
    await begin_replace(world.desk, "a.csv", "ada", Path("b.csv"))
    found = world.drop("b.csv", many(1000))
    await stop_after_a_chunk(world, changed(found, replaces=old.file_id))
    assert 1 in world.ids()
    assert world.files[0]["state"] == "archived"
    ((result, _),) = await world.offer(found)
    assert result is not None
    assert result.state is FileState.ARCHIVED
    assert [file["state"] for file in world.files] == ["undone", "archived"]
    assert len(world.ids()) == 900


async def test_a_replacement_that_could_not_be_put_away_goes_on_when_it_is_asked_for_again(
    world: World,
) -> None:
    """A crash between its commit and its move; no watcher finds it where it lies."""
    await world.load("a.csv", OLD)
    new = await put_in_place(world, NEW)
    assert new.moved_to is not None
    path = new.moved_to.rename(world.inbox / "b.csv")
    with pytest.raises(ActionRefused, match="is undone"):  # nothing is left to do
        await begin_replace(world.desk, "a.csv", "ada", path)
    await world.mongo.update("files", {"_id": new.file_id}, {"$set": {"is_put_away": False}})
    old = await begin_replace(world.desk, "a.csv", "ada", path)
    ((result, _),) = await world.offer(changed(found(path), replaces=old["_id"]))
    assert result is not None
    assert (result.state, world.ids(), path.exists()) == (FileState.ARCHIVED, [3], False)
    path.write_bytes(OLD)
    await world.mongo.update("files", {"_id": new.file_id}, {"$set": {"is_put_away": False}})
    with pytest.raises(ActionRefused, match="is undone"):  # it is another file by now
        await begin_replace(world.desk, "a.csv", "ada", path)


async def test_replace_is_for_loaded_files_of_inserts(world: World) -> None:
    await world.load("a.csv", b"id\n1\n")
    with pytest.raises(ActionRefused, match="replace is for files that are loaded"):
        await begin_replace(world.desk, "a.csv", "ada", Path("b.csv"))
    upserts = world.configured(source(load={"mode": "upsert", "key": ["id"]}))
    with pytest.raises(ActionRefused, match="replaced others"):
        await begin_replace(upserts.desk, "a.csv", "ada", Path("b.csv"))
