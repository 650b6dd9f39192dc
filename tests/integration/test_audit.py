"""``audit``: every row is the right document, a recorded rejection, or filtered."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pipeline_world import World, many, opened, source

from ingestd.errors import ActionRefused, FileUnavailable
from ingestd.mongo import row_id
from ingestd.records import Counts
from ingestd.wayback import audit, dismiss, replay

FILTERING = source(transform=[{"filter": "id % 9 <> 0"}])
CONTENT = many(300)
"""Several chunks; every tenth row is refused, and one in nine of the others filtered."""


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path, FILTERING) as world:
        yield world


@pytest.fixture
async def file_id(world: World) -> str:
    return (await world.load("a.csv", CONTENT)).file_id


async def change(world: World, collection: str, identity: ObjectId, **fields: Any) -> None:
    assert await world.mongo.update(collection, {"_id": identity}, {"$set": fields})


async def test_a_file_as_it_was_loaded_is_right(world: World, file_id: str) -> None:
    done = await audit(world.desk, file_id)
    assert (done.difference, done.has_new_rules) == ("", False)
    assert done.counts == Counts(300, 240, 30, 30)


async def test_a_file_is_right_after_rows_were_dismissed_and_replayed(
    world: World, file_id: str
) -> None:
    await dismiss(world.desk, file_id, "ada", reason="known", rows=[10])
    lax = world.configured(source(validation_rules={}, transform=FILTERING.transform))
    await replay(lax.desk, file_id, "ada")
    done = await audit(lax.desk, file_id)
    assert (done.difference, done.has_new_rules) == ("", True)
    assert done.counts.error_count == 1


async def test_rows_that_mongodb_refused_are_accounted_for(world: World) -> None:
    await world.mongo.insert_missing("orders", [{"_id": ObjectId(), "id": -1}])
    with world.refusing("orders", {"id": {"$ne": 7}}):
        result = await world.load("a.csv", CONTENT)
    done = await audit(world.desk, result.file_id)
    assert (done.difference, done.counts) == ("", Counts(300, 239, 31, 30))


async def test_the_first_wrong_value_is_named(world: World, file_id: str) -> None:
    for row in (251, 41):
        await change(world, "orders", row_id(file_id, row), note="forged", amount=1.5)
    done = await audit(world.desk, file_id)
    assert (done.row, done.difference) == (41, "amount is 1.5 and should be 10.25")


async def test_a_missing_row_is_named(world: World, file_id: str) -> None:
    await world.mongo.delete("orders", {"_id": row_id(file_id, 7)})
    done = await audit(world.desk, file_id)
    assert (done.row, done.difference) == (7, "there is neither a document nor a rejection")


async def test_a_missing_rejection_is_named(world: World, file_id: str) -> None:
    await world.mongo.delete("errors", {"_id": row_id(file_id, 20)})
    done = await audit(world.desk, file_id)
    assert done.row == 20
    assert "no rejection is recorded" in done.difference


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (9, "there is a document, and it should have been filtered"),
        (10, "there is a document and an open rejection"),
        (301, "1 document too many, with numbers of rows that it never had"),
    ],
)
async def test_a_row_too_many_is_named(world: World, file_id: str, row: int, told: str) -> None:
    await world.mongo.insert_missing("orders", [{"_id": row_id(file_id, row), "id": 1}])
    assert (await audit(world.desk, file_id)).difference == told


async def test_wrong_counts_are_told(world: World, file_id: str) -> None:
    await world.mongo.update("files", {"_id": file_id}, {"$inc": {"success_count": 1}})
    done = await audit(world.desk, file_id)
    assert done.row is None
    assert done.difference.startswith("the ledger counts 241 documents, 30 rejections")


async def test_other_rules_than_those_of_the_load_are_told(world: World, file_id: str) -> None:
    other = world.configured(source(transform=[{"round": {"amount": 0}}, *FILTERING.transform]))
    done = await audit(other.desk, file_id)
    assert done.difference.startswith("amount is ")
    assert done.has_new_rules


async def test_without_original_or_documents_there_is_nothing_to_audit(
    world: World, file_id: str
) -> None:
    Path(world.files[0]["archived_to"]).unlink()
    with pytest.raises(FileUnavailable):
        await audit(world.desk, file_id)
    await world.load("b.csv", b"id\n1\n")
    with pytest.raises(ActionRefused, match="nothing of it is stored"):
        await audit(world.desk, "b.csv")
