"""Files that come again, change, grow or go while they are loaded: each content is one entry."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pipeline_world import InThread, World, csv, found, many, opened, source, zipped

from ingestd.errors import ActionRefused
from ingestd.records import SET_ASIDE, FileState, FoundFile
from ingestd.wayback import begin_replace, retry, undo

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


REPLACING = source(file_pattern="orders/**/*.csv", load={"on_changed_file": "replace"})


def dropped_in(world: World, directory: str, content: bytes) -> FoundFile:
    file = world.drop("a.csv", content)
    place = world.inbox / directory / "a.csv"
    place.parent.mkdir(exist_ok=True)
    return replace(found(file.path.rename(place)), directory=directory)


async def test_files_of_one_name_in_two_directories_do_not_replace_each_other(
    world: World,
) -> None:
    replacing = world.configured(REPLACING)
    for number, directory in enumerate(["eu", "us", "eu"], 1):
        await replacing.offer(dropped_in(world, directory, csv((number, 1.0, "a"))))
    assert world.ids() == [2, 3]
    assert [entry["name_in_source"] for entry in world.files] == [
        "eu/a.csv",
        "us/a.csv",
        "eu/a.csv",
    ]
    assert [entry["state"] for entry in world.files] == ["undone", "archived", "archived"]


async def test_a_file_from_elsewhere_replaces_the_one_of_its_name_right_in_the_inbox(
    world: World, tmp_path: Path
) -> None:
    replacing = world.configured(REPLACING)
    await replacing.load("a.csv", csv((1, 1.0, "a")))
    await replacing.offer(dropped_in(world, "eu", csv((2, 1.0, "a"))))
    elsewhere = tmp_path / "a.csv"
    elsewhere.write_bytes(csv((3, 1.0, "a")))
    await replacing.offer(found(elsewhere))
    assert world.ids() == [2, 3]


@pytest.mark.parametrize(("directory", "left"), [("eu", [2, 3]), ("us", [1, 3]), ("", [3])])
async def test_entries_of_before_names_in_sources_are_known_by_their_paths(
    world: World, directory: str, left: list[int]
) -> None:
    for number, place in enumerate(["eu", "us"], 1):
        await world.configured(REPLACING).offer(dropped_in(world, place, csv((number, 1.0, "a"))))
    await world.mongo.update_all("files", {}, {"$unset": {"name_in_source": ""}})
    new = dropped_in(world, directory, csv((3, 1.0, "a")))
    await world.configured(REPLACING).offer(new)
    assert world.ids() == left


async def test_a_retry_does_not_let_an_older_version_take_the_place_of_a_newer_one(
    world: World,
) -> None:
    replacing = world.configured(
        source(load={"on_changed_file": "replace"}, errors={"max_rows": 0})
    )
    old = await replacing.load("a.csv", csv((1, -1.0, "a"), (2, 2.0, "b")))
    assert old.state is FileState.HELD
    new = await replacing.load("a.csv", GOOD)
    with pytest.raises(ActionRefused, match=r"a newer a\.csv was loaded since") as refusal:
        await retry(replacing.desk, old.file_id, "ada", ignores_budget=True)
    assert refusal.value.hint.endswith(f"ingestd replace {new.file_id} '{old.moved_to}'")
    await undo(replacing.desk, new.file_id, "ada")
    await retry(replacing.desk, old.file_id, "ada", ignores_budget=True)
    await replacing.offer_inbox()
    assert world.ids() == [2]


def set_aside(world: World) -> list[tuple[str, str, str]]:
    """Name, state and place of what is listed as failed or held."""
    return [
        (entry["name"], entry["state"], Path(entry["archived_to"]).name)
        for entry in world.files
        if entry["state"] in SET_ASIDE
    ]


async def test_each_file_of_zero_bytes_is_listed_with_its_name_and_place(world: World) -> None:
    for name in ("a.csv", "b.csv", "a.csv"):
        assert (await world.load(name, b"")).state is FileState.FAILED
    assert set_aside(world) == [
        ("a.csv", "failed", "a.csv"), ("b.csv", "failed", "b.csv"), ("a.csv", "failed", "a-2.csv"),
    ]  # fmt: skip
    first, second, last = world.files
    assert {entry["error"]["type"] for entry in world.files} == {"empty_file"}
    assert (first["duplicate_of"], second["duplicate_of"]) == (last["_id"], last["_id"])
    assert world.found("failed", "orders") == [
        "a-2.csv", "a-2.csv.error.json", "a.csv", "a.csv.error.json", "b.csv", "b.csv.error.json",
    ]  # fmt: skip


async def test_a_failed_file_stays_listed_when_its_content_loads_under_another_name(
    world: World,
) -> None:
    await world.load("a.csv", b"id,note\n1,x\n")
    mended = world.configured(source(schema={"id": "int64", "note": "string"}, validation_rules={}))
    result = await mended.load("b.csv", b"id,note\n1,x\n")
    assert result.state is FileState.ARCHIVED
    assert set_aside(world) == [("a.csv", "failed", "a.csv")]


async def test_a_failed_file_that_somebody_brings_back_by_hand_is_listed_once(
    world: World,
) -> None:
    await world.load("a.csv", b"")
    (world.root / "failed" / "orders" / "a.csv").rename(world.inbox / "a.csv")
    await world.offer_inbox()
    assert set_aside(world) == [("a.csv", "failed", "a.csv")]


async def test_of_two_files_of_one_content_each_is_tried_again_by_itself(world: World) -> None:
    strict = world.configured(source(errors={"max_rows": 0}))
    content = csv((1, 1, "a"), (2, -2, "b"))
    first, second = [await strict.load(name, content) for name in ("a.csv", "b.csv")]
    assert first.file_id == second.file_id
    back = await retry(strict.desk, "a.csv", "ada", ignores_budget=True)
    assert (strict.found("inbox"), back["name"]) == (["orders/a.csv"], "a.csv")
    assert set_aside(world) == [("b.csv", "held", "b.csv")]
    ((result, _),) = await strict.offer_inbox()
    assert result is not None
    assert (result.state, result.name) == (FileState.ARCHIVED, "a.csv")
    assert set_aside(world) == [("b.csv", "held", "b.csv")]
    await retry(strict.desk, "b.csv", "ada")
    ((result, _),) = await strict.offer_inbox()
    assert result is not None
    assert (result.state, result.name) == (FileState.DUPLICATE, "b.csv")
    assert (set_aside(world), world.ids()) == ([], [1])


async def test_undone_content_that_comes_as_another_file_arrived_when_that_did(
    world: World,
) -> None:
    old = await world.load("a.csv", GOOD)
    await undo(world.desk, old.file_id, "ada")
    file = world.drop("b.csv", GOOD)
    await world.offer(file)
    (entry,) = world.files
    assert (entry["name"], entry["discovered_at"]) == ("b.csv", file.found_at)


async def replaced(world: World, old: str, path: Path) -> None:
    """What ``ingestd replace`` does with a file from elsewhere."""
    entry = await begin_replace(world.desk, old, "ada", path)
    await world.offer(replace(found(path), replaces=entry["_id"]))


async def test_a_file_that_replaces_another_by_hand_is_a_version_of_that_one(
    world: World, tmp_path: Path
) -> None:
    replacing = world.configured(REPLACING)
    for number, directory in enumerate(["eu", "us"], 1):
        await replacing.offer(dropped_in(world, directory, csv((number, 1.0, "a"))))
    for number, entry in enumerate(world.files, 11):
        corrected = tmp_path / f"{number}" / "a.csv"
        corrected.parent.mkdir()
        corrected.write_bytes(csv((number, 1.0, "corrected")))
        await replaced(replacing, entry["_id"], corrected)
    assert world.ids() == [11, 12]
    await replacing.offer(dropped_in(world, "eu", csv((21, 1.0, "next"))))
    assert world.ids() == [12, 21]


async def test_the_next_version_replaces_a_correction_of_another_name(
    world: World, tmp_path: Path
) -> None:
    replacing = world.configured(REPLACING)
    old = await replacing.load("a.csv", csv((1, 1.0, "a")))
    corrected = tmp_path / "corrected.csv"
    corrected.write_bytes(csv((2, 1.0, "b")))
    await replaced(replacing, old.file_id, corrected)
    assert world.ids() == [2]
    await replacing.load("a.csv", csv((3, 1.0, "c")))
    assert world.ids() == [3]


async def test_a_file_of_an_archive_stays_one_when_it_is_retried(world: World) -> None:
    strict = world.configured(
        source(file_pattern="orders/*", load={"on_changed_file": "replace"}, errors={"max_rows": 0})
    )
    for number, day in enumerate(["monday", "tuesday"], 1):
        pays = csv((number, 1.0, "a"), (-number, -1.0, "b"))
        files = (("pays.csv", pays), ("other.csv", csv((10 * number, 1.0, "o"))))
        await strict.load(f"{day}.zip", zipped(*files))
        (held,) = (entry for entry in world.files if entry["state"] == "held")
        await retry(strict.desk, held["_id"], "ada", ignores_budget=True)
        await strict.offer_inbox()
    assert world.ids() == [1, 2, 10, 20]
    files = (("pays.csv", csv((3, 1.0, "a"))), ("other.csv", csv((30, 1.0, "o"))))
    await strict.load("tuesday.zip", zipped(*files))
    assert world.ids() == [1, 3, 10, 30]
