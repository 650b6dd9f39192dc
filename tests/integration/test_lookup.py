"""What people call a file, and which entry of the ledger it leads to."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pipeline_world import World, csv, found, opened, zipped

from ingestd.errors import ActionRefused, UnknownFile
from ingestd.ledger import find_file, find_files
from ingestd.wayback import forget, undo

BAD = b"id\n1\n"


def rows(first: int) -> bytes:
    return csv((first, 1, "a"))


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path) as opened_world:
        yield opened_world


async def test_a_file_is_found_by_its_name_whatever_became_of_it(world: World) -> None:
    await world.load("loaded.csv", rows(1))
    await world.load("again.csv", rows(1))
    await world.load("failed.csv", BAD)
    await world.load("undone.csv", rows(2))
    await undo(world.desk, "undone.csv", "ada")
    await world.load("forgotten.csv", rows(3))
    await forget(world.desk, "forgotten.csv", "ada")
    told = {
        name: (await find_file(world.mongo, f"{name}.csv"))["state"]
        for name in ("loaded", "again", "failed", "undone", "forgotten")
    }
    assert told == {
        "loaded": "archived", "again": "duplicate", "failed": "failed", "undone": "undone",
        "forgotten": "archived",
    }  # fmt: skip


async def test_the_loaded_file_comes_before_its_duplicates_of_the_same_name(world: World) -> None:
    first = await world.load("a.csv", rows(1))
    await world.load("a.csv", rows(1))
    assert (await find_file(world.mongo, "a.csv"))["_id"] == first.file_id
    assert (await find_file(world.mongo, f"{first.file_id}-2"))["state"] == "duplicate"


async def test_a_file_is_found_by_every_path_that_it_had_or_has(world: World) -> None:
    await world.load("a.csv", rows(1))
    await world.load("a.csv", rows(2))
    second = world.files[1]
    archived = Path(second["archived_to"])
    assert archived.name == "a-2.csv"
    for text in ("a-2.csv", str(archived), f"./{archived.relative_to(world.root)}"):
        assert (await find_file(world.mongo, text))["_id"] == second["_id"]
    await world.load("b.csv", BAD)
    for text in (str(world.inbox / "b.csv"), "../failed/orders/b.csv", "orders/b.csv"):
        assert (await find_file(world.mongo, text))["name"] == "b.csv"


async def test_a_file_of_an_archive_is_found_by_its_names_there_and_outside(world: World) -> None:
    content = zipped(("2026/may.csv", rows(1)), ("2026/june.csv", rows(2)))
    archive = world.drop("a.zip", content)
    await world.offer(found(archive.path))
    may = world.files[0]
    assert may["name"] == "a.zip/2026/may.csv"
    for text in ("a.zip/2026/may.csv", "2026/may.csv", "may.csv", may["archived_to"]):
        assert (await find_file(world.mongo, text))["_id"] == may["_id"]


async def test_several_files_of_one_name_are_told_with_what_tells_them_apart(world: World) -> None:
    await world.load("a.csv", rows(1))
    await world.load("a.csv", BAD)
    with pytest.raises(ActionRefused, match=r"2 files are called a\.csv") as refusal:
        await find_file(world.mongo, "a.csv")
    for entry in world.files:
        assert f"{entry['_id']} ({entry['state']}, orders, 20" in refusal.value.hint
    assert len(await find_files(world.mongo, "a.csv")) == 2


@pytest.mark.parametrize(
    "text", ["sales-may.csv", "elsewhere/sales_may.csv", "SALES_MAI.CSV", "orders/sales_mai.csv"]
)
async def test_an_unknown_file_is_told_with_names_that_are_near(world: World, text: str) -> None:
    await world.load("sales_may.csv", rows(1))
    await world.load("customers.csv", rows(2))
    with pytest.raises(UnknownFile, match="there is no file") as refusal:
        await find_file(world.mongo, text)
    assert "did you mean sales_may.csv?" in refusal.value.hint
    assert "customers" not in refusal.value.hint


@pytest.mark.parametrize("text", ["", ".", "/", "..", "[", "a\udcff.csv", "$where", "0" * 5000])
async def test_what_is_no_name_of_a_file_is_unknown(world: World, text: str) -> None:
    await world.load("a.csv", rows(1))
    with pytest.raises(UnknownFile, match="there is no file"):
        await find_file(world.mongo, text)
