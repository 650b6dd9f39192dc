"""What is too old is removed, step by step; content that was loaded never becomes new by it."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from pipeline_world import World, csv, many, opened

from ingestd.config.settings import RetentionSettings
from ingestd.records import FileState
from ingestd.retention import Retention
from ingestd.wayback import undo

DAY_S = 86_400.0
ALL = {"archive": DAY_S, "rejects": DAY_S, "errors": DAY_S, "ledger": DAY_S}
LONG_AGO = datetime(2020, 2, 3, tzinfo=UTC)


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path) as opened_world:
        yield opened_world


def sweeper(world: World, **ages: float) -> Retention:
    settings = world.desk.settings.model_copy(update={"retention": RetentionSettings(**ages)})
    return Retention(world.mongo, settings, world.desk.events)


def age(world: World) -> None:
    """All that is there was loaded years ago."""
    database: Any = world.client[world.desk.settings.mongo.database]
    for n, entry in enumerate(world.files):
        moment = LONG_AGO + timedelta(minutes=n)
        change = {"$set": {"processed_at": moment}}
        database["files"].update_one({"_id": entry["_id"]}, change)
        database["orders"].update_many({"processed_at": entry["processed_at"]}, change)
    database["errors"].update_many({}, {"$set": {"error_time": LONG_AGO}})
    old_day = world.root / "archive" / "orders" / "2020" / "02" / "03"
    old_day.mkdir(parents=True)
    for path in (world.root / "archive" / "orders").glob("*/*/*/*"):
        path.rename(old_day / path.name)
    for path in (world.root / "rejects").glob("*/*"):
        os.utime(path, (LONG_AGO.timestamp(), LONG_AGO.timestamp()))


async def test_nothing_is_removed_unless_somebody_asks_for_it(world: World) -> None:
    await world.load("a.csv", many(40))
    age(world)
    before = (world.files, world.rows("errors"), world.found("archive"), world.found("rejects"))
    await sweeper(world).sweep()
    after = (world.files, world.rows("errors"), world.found("archive"), world.found("rejects"))
    assert before == after


async def test_what_is_too_old_is_removed_and_what_is_newer_stays(world: World) -> None:
    for n in range(5):
        await world.load(f"{n}.csv", many(40, first=1 + 100 * n))
    age(world)
    await world.load("new.csv", many(40, first=1001))
    await replace(sweeper(world, **ALL), at_once=3).sweep()
    assert [Path(name).name for name in world.found("archive")] == ["new.csv"]
    assert world.found("rejects") == ["orders/new.csv.rejects.csv"]
    assert {error["file"] for error in world.rows("errors")} == {"new.csv"}
    assert ["path" in entry for entry in world.files] == [False] * 5 + [True]
    assert len(world.ids()) == 6 * 36, "no row of a loaded file is ever removed"
    await sweeper(world, **ALL).sweep()
    registry = world.desk.events.metrics.registry
    assert registry.get_sample_value("ingestd_removed_total", {"kind": "ledger"}) == 5


async def test_content_of_which_only_the_identity_is_left_is_a_duplicate_when_it_comes_again(
    world: World,
) -> None:
    first = await world.load("a.csv", many(40))
    await world.load("again.csv", many(40))
    age(world)
    await sweeper(world, **ALL).sweep()
    (entry,) = world.files
    assert (entry["state"], entry["record_count"], "archived_to" in entry) == (
        "archived",
        40,
        False,
    )
    third = await world.load("third.csv", many(40))
    assert third.state is FileState.DUPLICATE
    assert world.files[-1]["duplicate_of"] == first.file_id
    assert len(world.ids()) == 36


async def test_files_that_wait_for_a_person_keep_their_entries(world: World) -> None:
    await world.load("a.csv", b"")
    age(world)
    before = world.files
    await sweeper(world, ledger=DAY_S).sweep()
    assert world.files == before


async def test_a_file_of_which_the_details_are_gone_can_be_undone_and_loaded_again(
    world: World,
) -> None:
    content = csv((1, 1.0, "a"))
    await world.load("a.csv", content)
    age(world)
    await sweeper(world, **ALL).sweep()
    await undo(world.desk, "a.csv", "ada")
    assert world.ids() == []
    assert (await world.load("a.csv", content)).state is FileState.ARCHIVED
    assert world.ids() == [1]


async def test_a_sweep_that_cannot_be_made_ends_nothing(world: World) -> None:
    day = world.root / "archive" / "orders" / "2020" / "01"
    day.mkdir(parents=True)
    (day / "01").write_text("no directory")
    with anyio.move_on_after(0.5) as waiting:
        await sweeper(world, **ALL).run()
    assert waiting.cancelled_caught


async def test_a_clock_that_was_set_years_ahead_removes_nothing_for_a_day_and_is_told(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    await world.load("a.csv", many(40))
    retention = sweeper(world, **ALL)
    await retention.sweep_by_clock()
    age(world)
    before = datetime.now(UTC) - timedelta(days=3650)
    await world.mongo.update("ingestd_retention", {"_id": "clock"}, {"$set": {"at": before}})
    for _ in range(23):
        await retention.sweep_by_clock()
    assert (len(world.found("archive")), len(world.rows("errors"))) == (1, 4)
    told = capsys.readouterr()
    assert f"{told.out}{told.err}".count("the clock is 3650 days ahead") == 23
    await retention.sweep_by_clock()
    assert (world.found("archive"), world.rows("errors")) == ([], [])


async def test_a_clock_that_was_set_right_again_is_believed_at_once(world: World) -> None:
    await world.load("a.csv", many(40))
    age(world)
    ahead = datetime.now(UTC) + timedelta(days=3650)
    mark = {"$set": {"at": ahead, "doubts": 5}}
    await world.mongo.update("ingestd_retention", {"_id": "clock"}, mark, upsert=True)
    await sweeper(world, **ALL).sweep_by_clock()
    assert world.found("archive") == []
    mark = world.rows("ingestd_retention", _id="clock")[0]
    assert (mark["doubts"], mark["at"] < ahead) == (0, True)
