"""``replace``: readers see the old file or the new one, never both, never neither."""

from collections.abc import AsyncIterator
from dataclasses import replace as changed
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pipeline_world import World, csv, found, many, opened, source, stop_after_a_chunk

from ingestd.errors import ActionRefused
from ingestd.files import file_id
from ingestd.records import FileResult, FileState
from ingestd.wayback import Replacement, begin_replace, note_replacement, retry, undo

OLD, NEW = csv((1, 1, "old"), (2, -2, "old")), csv((3, 3, "new"))


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path) as world:
        yield world


async def put_in_place(world: World, content: bytes, **options: Any) -> FileResult:
    """Of ``a.csv``, a file of another name."""
    found = world.drop("b.csv", content)
    old = await begin_replace(world.desk, "a.csv", "ada", found.path)
    ((result, _),) = await world.offer(changed(found, replaces=old["_id"], **options))
    assert result is not None
    return result


async def drop_back(world: World) -> FileResult:
    """What the daemon does with the only file in the inbox."""
    ((result, _),) = await world.offer_inbox()
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


async def test_rejections_and_rejects_of_the_old_file_go_with_its_rows(world: World) -> None:
    await world.load("a.csv", OLD)
    assert world.found("rejects") == ["orders/a.csv.rejects.csv"]
    await put_in_place(world, HELD)
    assert [error["file"] for error in world.rows("errors")] == ["b.csv"]
    assert world.found("rejects") == ["orders/b.csv.rejects.csv"]


async def test_the_old_file_stays_when_the_new_one_does_not_load(world: World) -> None:
    await world.load("a.csv", OLD)
    assert (await put_in_place(world, b"id\n1\n")).state is FileState.FAILED
    assert world.ids() == [1]
    assert [file["state"] for file in world.files] == ["archived", "failed"]


async def test_content_that_is_loaded_already_is_refused_and_replaces_nothing(
    world: World,
) -> None:
    await world.load("a.csv", OLD)
    other = await world.load("c.csv", NEW)
    for content, name in ((OLD, "a.csv"), (NEW, f"c.csv ({other.file_id})")):
        with pytest.raises(ActionRefused, match="which is loaded already") as refusal:
            await put_in_place(world, content)
        assert name in refusal.value.message
    assert world.ids() == [1, 3]


async def test_content_that_was_loaded_just_before_it_could_replace_anything_fails(
    world: World,
) -> None:
    old = await world.load("a.csv", OLD)
    await world.load("c.csv", NEW)
    late = changed(world.drop("b.csv", NEW), replaces=old.file_id)
    ((result, _),) = await world.offer(late)
    assert result is not None
    assert (result.state, world.ids()) == (FileState.FAILED, [1, 3])


async def note(world: World, content: bytes) -> None:
    """That this content is to take the place of the file that was loaded first."""
    new = Replacement(file_id("orders", sha256(content).digest()), "b.csv")
    await note_replacement(world.desk, world.files[0], "ada", new)


async def test_content_that_was_noted_before_it_came_takes_the_place(world: World) -> None:
    """As an upload does: the daemon finds it in the inbox like any other."""
    old = await world.load("a.csv", OLD)
    await note(world, NEW)
    await world.load("c.csv", csv((9, 9, "other")))
    assert world.ids() == [1, 9]
    new = await world.load("b.csv", NEW)
    assert world.ids() == [3, 9]
    entries = {file["_id"]: file for file in world.files}
    assert (entries[old.file_id]["state"], entries[old.file_id]["replaced_by"]) == (
        "undone", new.file_id,
    )  # fmt: skip


async def test_a_note_holds_for_the_rows_that_were_there_then(world: World) -> None:
    await world.load("a.csv", OLD)
    await note(world, NEW)
    new = await world.load("b.csv", NEW)
    await undo(world.desk, new.file_id, "ada")
    await world.load("a.csv", OLD)
    await world.load("b.csv", NEW)
    assert world.ids() == [1, 3]


STRICT = source(errors={"max_rows": 0})
HELD = csv((3, 3, "new"), (4, -4, "new"))


async def test_a_held_replacement_takes_its_place_when_it_is_retried(world: World) -> None:
    strict = world.configured(STRICT)
    old = await strict.load("a.csv", csv((1, 1, "old")))
    held = await put_in_place(strict, HELD)
    assert held.state is FileState.HELD
    assert f"ingestd replace {old.file_id} FILE" in held.hint
    await retry(strict.desk, held.file_id, "ada")
    assert (await drop_back(strict)).state is FileState.HELD
    await retry(strict.desk, held.file_id, "ada", ignores_budget=True)
    assert (await drop_back(strict)).state is FileState.ARCHIVED
    assert world.ids() == [3]
    assert {file["_id"]: file["state"] for file in world.files} == {
        old.file_id: "undone", held.file_id: "archived"
    }  # fmt: skip


async def test_a_replacement_ignores_the_budget_when_it_is_told_to(world: World) -> None:
    strict = world.configured(STRICT)
    await strict.load("a.csv", csv((1, 1, "old")))
    assert (await put_in_place(strict, HELD, ignores_budget=True)).state is FileState.ARCHIVED
    assert world.ids() == [3]


async def test_a_replacement_from_elsewhere_comes_to_the_inbox_when_it_is_retried(
    world: World, tmp_path: Path
) -> None:
    await world.load("a.csv", OLD)
    elsewhere = tmp_path / "b.csv"
    elsewhere.write_bytes(HELD)
    old = await begin_replace(world.desk, "a.csv", "ada", elsewhere)
    ((held, _),) = await world.configured(STRICT).offer(
        changed(found(elsewhere), replaces=old["_id"])
    )
    assert held is not None
    assert held.state is FileState.HELD
    await retry(world.desk, held.file_id, "ada")
    assert world.found("inbox", "orders") == ["b.csv"]
    await drop_back(world)
    assert world.ids() == [3]


async def test_a_replacement_that_lies_in_no_inbox_is_told_the_command_that_goes_on(
    world: World, tmp_path: Path
) -> None:
    old = await world.load("a.csv", OLD)
    held = await put_in_place(world, b"id\n1\n")
    elsewhere = str(tmp_path / "b.csv")
    moved = {"path": elsewhere, "archived_to": None}
    await world.mongo.update("files", {"_id": held.file_id}, {"$set": moved})
    with pytest.raises(ActionRefused, match="does not watch") as refusal:
        await retry(world.desk, held.file_id, "ada")
    assert refusal.value.hint.startswith(f"ingestd replace {old.file_id} '{elsewhere}'")


async def test_a_replacement_of_what_is_not_seen_any_more_is_not_retried(world: World) -> None:
    old = await world.load("a.csv", OLD)
    held = await put_in_place(world.configured(STRICT), HELD)
    await undo(world.desk, old.file_id, "ada")
    with pytest.raises(ActionRefused, match="is not seen any more") as refusal:
        await retry(world.desk, held.file_id, "ada")
    assert refusal.value.hint.startswith("ingestd load")


async def test_a_load_that_was_stopped_still_replaces_when_it_goes_on(world: World) -> None:
    old = await world.load("a.csv", OLD)
    file = world.drop("b.csv", many(1000))
    await begin_replace(world.desk, "a.csv", "ada", file.path)
    await stop_after_a_chunk(world, changed(file, replaces=old.file_id))
    assert 1 in world.ids()
    assert world.files[0]["state"] == "archived"
    ((result, _),) = await world.offer(file)
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
    with pytest.raises(ActionRefused, match="loaded already"):  # nothing is left to do
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
    new = world.drop("b.csv", NEW).path
    with pytest.raises(ActionRefused, match="replace is for files that are loaded"):
        await begin_replace(world.desk, "a.csv", "ada", new)
    upserts = world.configured(source(load={"mode": "upsert", "key": ["id"]}))
    with pytest.raises(ActionRefused, match="replaced others"):
        await begin_replace(upserts.desk, "a.csv", "ada", new)
