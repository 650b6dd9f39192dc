"""``replay``: refused rows once more, by the rules of today."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pipeline_world import World, csv, many, opened, source

from ingestd.errors import ActionRefused, FileRefused, FileUnavailable
from ingestd.ledger import Action, Asked
from ingestd.records import COMMITTED
from ingestd.wayback import dismiss, refused_files, replay
from ingestd.wayback.replay import finish_replay

LAX = source(validation_rules={})
"""The same source, without the rule that refused rows."""


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path) as world:
        yield world


def counts(entry: dict[str, Any]) -> tuple[int, ...]:
    names = ("record_count", "success_count", "error_count", "filtered_count")
    found = tuple(entry[name] for name in names)
    assert found[0] == sum(found[1:])
    return found


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
async def test_rows_that_pass_now_are_those_of_a_load_by_these_rules(
    world: World, pack: Any
) -> None:
    """Several chunks; the run and the ``_id`` are those of the file."""
    await world.load("a.csv", pack(many(300, refused_every=7)))
    lax = world.configured(LAX)
    entry = await replay(lax.desk, "a.csv", "ada")
    assert counts(entry) == (300, 300, 0, 0)
    assert lax.ids() == list(range(1, 301))
    assert {row["processed_at"] for row in lax.rows()} == {entry["processed_at"]}
    assert [int.from_bytes(row["_id"].binary[8:], "big") for row in lax.rows()] == lax.ids()
    errors = lax.rows("errors")
    assert {(e["state"], e["became"], e["closed_by"]) for e in errors} == {
        ("replayed", "document", "ada")
    }


async def test_rows_that_fail_again_get_the_reasons_they_have_now(world: World) -> None:
    await world.load("a.csv", csv((1, -1, "a"), (2, -5, "b"), (3, 3, "c")))
    mended = world.configured(source(validation_rules={"amount": {"min": -2}}))
    entry = await replay(mended.desk, "a.csv", "ada")
    assert counts(entry) == (3, 2, 1, 0)
    assert mended.ids() == [1, 3]
    (error,) = mended.rows("errors", state="open")
    assert error["row"] == 2
    assert error["error_message"] == "amount: -5 is below min -2"


async def test_rows_that_a_filter_removes_now_count_as_filtered(world: World) -> None:
    await world.load("a.csv", csv((1, -1, "a"), (2, 2, "b")))
    spec = source(validation_rules={}, transform=[{"filter": "amount > 0"}])
    entry = await replay(world.configured(spec).desk, "a.csv", "ada")
    assert counts(entry) == (2, 1, 0, 1)
    assert world.ids() == [2]


async def test_replays_in_turn_count_each_row_once(world: World) -> None:
    await world.load("a.csv", csv((1, -1, "a"), (2, -5, "b"), (3, 3, "c")))
    mended = world.configured(source(validation_rules={"amount": {"min": -2}}))
    for _ in range(2):
        assert counts(await replay(mended.desk, "a.csv", "ada")) == (3, 2, 1, 0)
    for _ in range(2):
        assert counts(await replay(world.configured(LAX).desk, "a.csv", "ada")) == (3, 3, 0, 0)


async def test_dismissed_rows_stay_refused(world: World) -> None:
    await world.load("a.csv", csv((1, -1, "a"), (2, -5, "b")))
    await dismiss(world.desk, "a.csv", "ada", reason="known", rows=[1])
    assert counts(await replay(world.configured(LAX).desk, "a.csv", "ada")) == (2, 1, 1, 0)
    assert world.ids() == [2]


async def test_rows_that_mongodb_refuses_stay_refused_with_its_reason(world: World) -> None:
    await world.load("a.csv", csv((1, -1, "a"), (2, -5, "b")))
    with world.refusing("orders", {"id": {"$ne": 2}}):
        entry = await replay(world.configured(LAX).desk, "a.csv", "ada")
    assert counts(entry) == (2, 1, 1, 0)
    (error,) = world.rows("errors", state="open")
    assert error["violations"][0]["rule"] == "document_validation"


async def test_unique_still_looks_at_the_rows_before(world: World) -> None:
    unique = {"id": {"unique": True}, "amount": {"min": 0}}
    twice = csv((1, 1, "a"), (1, -1, "b"), (2, -1, "c"))
    strict = world.configured(source(validation_rules=unique))
    await strict.load("a.csv", twice)
    mended = world.configured(source(validation_rules={"id": {"unique": True}}))
    assert counts(await replay(mended.desk, "a.csv", "ada")) == (3, 2, 1, 0)
    assert mended.ids() == [1, 2]


async def test_an_older_row_replayed_does_not_overwrite_a_newer_one(world: World) -> None:
    upsert = {"load": {"mode": "upsert", "key": ["id"]}}
    strict = world.configured(source(**upsert))
    await strict.load("a.csv", csv((1, -1, "old"), (2, -1, "only")))
    await strict.load("b.csv", csv((1, 5, "new")))
    lax = world.configured(source(validation_rules={}, **upsert))
    entry = await replay(lax.desk, "a.csv", "ada")
    assert counts(entry) == (2, 2, 0, 0)
    assert [(row["id"], row["note"]) for row in lax.rows()] == [(1, "new"), (2, "only")]


async def test_a_file_that_has_other_rows_by_the_rules_of_today_is_refused(world: World) -> None:
    await world.load("a.csv", csv((1, -1, "a"), (2, 2, "b")))
    spec = source(validation_rules={}, csv={"skip_lines": 0, "header": False})
    with pytest.raises(FileRefused, match=r"has 3 rows, and had 2"):
        await replay(world.configured(spec).desk, "a.csv", "ada")
    assert counts(world.files[0]) == (2, 1, 1, 0)
    assert world.files[0].get("doing") is None


async def test_without_its_original_nothing_is_done_and_the_file_stays_free(world: World) -> None:
    result = await world.load("a.csv", csv((1, -1, "a")))
    assert result.moved_to is not None
    content = result.moved_to.read_bytes()
    result.moved_to.unlink()
    lax = world.configured(LAX)
    with pytest.raises(FileUnavailable):
        await replay(lax.desk, "a.csv", "ada")
    result.moved_to.write_bytes(csv((7, 7, "x")))
    with pytest.raises(FileRefused, match="not the file that was loaded"):
        await replay(lax.desk, "a.csv", "ada")
    result.moved_to.write_bytes(content)
    assert counts(await replay(lax.desk, "a.csv", "ada")) == (1, 1, 0, 0)


async def test_a_newer_file_that_replaces_it_meanwhile_leaves_no_row_of_it(world: World) -> None:
    spec = source(load={"on_changed_file": "replace"}, validation_rules={})
    old = await world.load("a.csv", csv((1, -1, "a")))
    lax = world.configured(spec)
    asked = Asked(Action.REPLAY, "ada")
    begun = await lax.desk.ledger.actions.begin(old.file_id, asked, COMMITTED, {})
    await lax.load("a.csv", csv((2, 2, "b")))
    await finish_replay(lax.desk, begun)
    assert lax.ids() == [2]


async def test_only_files_with_something_open_are_replayed(world: World) -> None:
    first = await world.load("a.csv", csv((1, -1, "a")))
    await world.load("b.csv", csv((2, 2, "b")))
    await world.load("c.csv", b"id\n1\n")
    assert await refused_files(world.desk, "orders") == [first.file_id]
    with pytest.raises(ActionRefused, match="replay is for files that are loaded"):
        await replay(world.desk, "c.csv", "ada")
