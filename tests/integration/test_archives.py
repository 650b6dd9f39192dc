"""Zip archives with several files: each is one of its own, whatever becomes of the others."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pipeline_world import World, csv, many, opened, source, stop_after_a_chunk, zipped

from ingestd.config.source import SourceSpec
from ingestd.errors import ActionRefused
from ingestd.files import look
from ingestd.ledger import Owner, now
from ingestd.pipeline.leftovers import remove_leftovers
from ingestd.pipeline.unpack import unpack
from ingestd.records import FileState, FoundFile
from ingestd.wayback import replay, retry

SAMPLES = Path(__file__).parents[1] / "data" / "compressed"
MAY, JUNE = csv((1, 1, "may"), (2, -1, "refused")), csv((3, 1, "june"))


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path) as world:
        yield world


def states(world: World) -> dict[str, str]:
    return {file["name"]: file["state"] for file in world.files}


async def test_each_file_in_it_is_a_file_of_its_own(world: World) -> None:
    content = zipped(("2024/may.csv", MAY), ("2024/june.csv", JUNE))
    result = await world.load("a.zip", content)
    may, june = world.files
    assert (may["name"], june["name"]) == ("a.zip/2024/may.csv", "a.zip/2024/june.csv")
    assert [(one["record_count"], one["error_count"]) for one in (may, june)] == [(2, 1), (1, 0)]
    assert (may["state"], june["state"]) == ("archived", "archived")
    assert Path(may["archived_to"]).read_bytes() == MAY
    assert world.ids() == [1, 3]
    (error,) = world.rows("errors")
    assert (error["file"], error["raw"]) == ("a.zip/2024/may.csv", "2,-1,refused")
    assert world.found("rejects", "orders") == ["may.csv.rejects.csv"]
    assert (result.state, result.counts.record_count) == (FileState.ARCHIVED, 3)
    assert result.moved_to is not None
    assert result.moved_to.read_bytes() == content
    assert world.found("inbox") == world.found("unpacked") == []


async def test_the_archive_of_the_samples_loads(world: World) -> None:
    """Both of its files hold the same, so one of them is a duplicate."""
    ((_, retry_s),) = await world.offer(
        world.drop("a.zip", (SAMPLES / "several-members.zip").read_bytes())
    )
    if retry_s is not None:  # the first was at work
        await world.offer_inbox()
    assert sorted(states(world).values()) == ["archived", "duplicate"]
    assert len(world.rows()) == 19


async def test_one_that_does_not_fit_keeps_no_other(world: World) -> None:
    result = await world.load("a.zip", zipped(("README.txt", b"Hello\n"), ("may.csv", MAY)))
    assert states(world) == {"a.zip/README.txt": "failed", "a.zip/may.csv": "archived"}
    assert world.found("failed", "orders") == ["README.txt", "README.txt.error.json"]
    report = json.loads((world.root / "failed/orders/README.txt.error.json").read_text())
    assert report["file"] == "a.zip/README.txt"
    assert (result.state, "a.zip/README.txt" in result.message) == (FileState.FAILED, True)
    assert result.moved_to is not None
    assert result.moved_to.is_relative_to(world.root / "archive")


async def test_what_a_mac_adds_is_no_file_of_the_sender(world: World) -> None:
    await world.load("a.zip", zipped(
        ("dir/", b""), ("dir/may.csv", MAY), ("dir/.DS_Store", b"x"), ("june.csv", JUNE),
        ("__MACOSX/dir/._may.csv", b"x"),
    ))  # fmt: skip
    assert states(world) == {"a.zip/dir/may.csv": "archived", "a.zip/june.csv": "archived"}


async def test_files_of_other_formats_and_compressed_ones_may_be_in_it(world: World) -> None:
    world = world.configured(source(format="json"))
    rows = [{"id": n, "amount": 1, "note": None} for n in (1, 2)]
    content = zipped(("a.json", json.dumps(rows[:1]).encode()), ("b", json.dumps(rows[1]).encode()))
    await world.load("a.zip", content)
    assert world.ids() == [1, 2]


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ([("may.csv", MAY), ("may.csv", JUNE)], "wrong_archive"),
        ([("may.csv", MAY), ("../june.csv", JUNE)], "wrong_archive"),
        ([("may.csv", MAY), ("/june.csv", JUNE)], "wrong_archive"),
        ([("may.csv", MAY), ("c:\\..\\june.csv", JUNE)], "wrong_archive"),
        ([("may.csv", MAY), *((f"{n}.csv", JUNE) for n in range(10_000))], "wrong_archive"),
    ],
)
async def test_of_an_archive_that_is_not_sound_nothing_is_loaded(
    world: World, files: list[tuple[str, bytes]], error: str
) -> None:
    result = await world.load("a.zip", zipped(*files))
    (file,) = world.files
    assert (file["name"], file["state"], file["error"]["type"]) == ("a.zip", "failed", error)
    assert result.hint
    assert world.found("failed", "orders") == ["a.zip", "a.zip.error.json"]
    assert world.rows() == world.found("unpacked") == []


async def test_damage_in_one_of_its_files_refuses_all_of_it(world: World) -> None:
    content = bytearray(zipped(("may.csv", MAY), ("june.csv", many(500))))
    content[-1500] ^= 1
    await world.load("a.zip", bytes(content))
    (file,) = world.files
    assert (file["state"], file["error"]["type"]) == ("failed", "damaged_archive")
    assert world.rows() == world.found("unpacked") == []


async def test_together_its_files_may_not_unpack_to_too_much(
    mongo_uri: str, database: str, tmp_path: Path
) -> None:
    limits = {"max_unpacked_bytes": 2**20, "chunk_bytes": 2**12}
    async with opened(mongo_uri, database, tmp_path, refine=limits) as world:
        large = csv(*((n, 1, "x" * 1000) for n in range(600)))
        await world.load("a.zip", zipped(("a.csv", large), ("b.csv", large + b"\n")))
        assert world.files[0]["error"]["type"] == "unpacks_to_too_much"
        assert world.rows() == world.found("unpacked") == []


async def test_an_archive_in_an_archive_may_hold_one_file(world: World) -> None:
    await world.load("a.zip", zipped(
        ("one.zip", zipped(("may.csv", MAY))),
        ("two.zip", zipped(("may.csv", MAY), ("june.csv", JUNE))),
    ))  # fmt: skip
    assert states(world) == {"a.zip/one.zip": "archived", "a.zip/two.zip": "failed"}
    (error,) = world.rows("errors", row=0)
    assert error["error_type"] == "several_members"


async def test_sources_with_manifests_take_no_archive_of_several(world: World) -> None:
    """A manifest tells of one file: what it says of several is anybody's guess."""
    spec = source(manifest={"suffix": ".count"})
    world = world.configured(spec)
    file = world.drop("a.zip", zipped(("may.csv", MAY), ("june.csv", JUNE)))
    manifest = spec.manifest_of(file.path)
    assert manifest is not None
    manifest.write_text("3")
    await world.offer(FoundFile("orders", file.path, look(file.path), now(), manifest))
    assert [one["error"]["type"] for one in world.files] == ["several_members"]


async def test_it_goes_on_where_it_was_stopped(
    mongo_uri: str, database: str, tmp_path: Path
) -> None:
    async with opened(mongo_uri, database, tmp_path, load={"checkpoint_interval": 0}) as world:
        content = zipped(("a.csv", many(2000)), ("b.csv", many(2000, first=2001)))
        answers = await stop_after_a_chunk(world, world.drop("a.zip", content))
        assert [answer[1:] for answer in answers] == [(None, None)]
        assert world.found("inbox") == ["orders/a.zip"]
        await world.offer_inbox()
        assert set(states(world).values()) == {"archived"}
        assert world.ids() == [n for n in range(1, 4001) if n % 10]


async def test_the_same_archive_again_is_full_of_duplicates(world: World) -> None:
    content = zipped(("may.csv", MAY), ("june.csv", JUNE))
    await world.load("a.zip", content)
    result = await world.load("a.zip", content)
    assert sorted(file["state"] for file in world.files) == ["archived"] * 2 + ["duplicate"] * 2
    assert world.ids() == [1, 3]
    assert result.moved_to is not None
    assert result.moved_to.name == "a-2.zip"


async def test_when_it_cannot_be_archived_it_is_not_unpacked_again(world: World) -> None:
    file = world.drop("a.zip", zipped(("may.csv", MAY), ("june.csv", JUNE)))
    day = world.root / "archive" / "orders" / now().strftime("%Y/%m/%d")
    (world.root / "archive").mkdir()
    (world.root / "archive" / "orders").write_bytes(b"a file where a directory should be")
    ((result, retry_s),) = await world.offer(file)
    assert (result, retry_s is not None, len(world.blocked())) == (None, True, 3)
    (world.root / "archive" / "orders").unlink()
    await world.offer(file)
    assert set(states(world).values()) == {"archived"}
    assert sorted(path.name for path in day.iterdir()) == ["a.zip", "june.csv", "may.csv"]


async def test_a_refused_row_of_it_can_be_replayed(world: World) -> None:
    await world.load("a.zip", zipped(("may.csv", MAY), ("june.csv", JUNE)))
    world = world.configured(without_rules())
    entry = await replay(world.desk, "a.zip/may.csv", "me")
    assert (entry["success_count"], world.ids()) == (2, [1, 2, 3])
    assert [error["file"] for error in world.rows("errors")] == ["a.zip/may.csv"]


async def test_one_file_of_it_that_failed_can_be_tried_again_by_itself(world: World) -> None:
    await world.load("a.zip", zipped(("may.csv", b"id,sum\n5,1\n"), ("june.csv", JUNE)))
    assert states(world) == {"a.zip/may.csv": "failed", "a.zip/june.csv": "archived"}
    mended = world.configured(source(schema={"id": "int64", "sum": "float64"}, validation_rules={}))
    back = await retry(mended.desk, "a.zip/may.csv", "me")
    assert Path(back["path"]) == mended.root / "inbox" / "orders" / "may.csv"
    assert mended.found("failed", "orders") == []
    await mended.offer_inbox()
    assert sorted(mended.ids()) == [3, 5]
    assert {file["state"] for file in mended.files} == {"archived"}


async def test_one_file_of_it_that_nobody_would_find_is_left_to_the_command(world: World) -> None:
    world = world.configured(source(file_pattern="orders/*.zip"))
    await world.load("a.zip", zipped(("may.csv", b"x,y\n"), ("june.csv", JUNE)))
    with pytest.raises(ActionRefused, match="does not watch") as refused:
        await retry(world.desk, "a.zip/may.csv", "me")
    assert "may.csv' --source orders" in refused.value.hint


def unpacked_by_a_crash(world: World) -> Path:
    """What lies in ``unpacked``, of an archive of which no file is claimed yet."""
    file = world.drop("a.zip", zipped(("may.csv", MAY), ("june.csv", JUNE)))
    return unpack(file, world.root / "unpacked", world.desk.limits).directory


async def test_what_was_unpacked_from_an_archive_that_is_gone_is_removed(world: World) -> None:
    place = unpacked_by_a_crash(world)
    hidden = place.with_name(f".{place.name}-0123456789abcdef")
    hidden.mkdir()
    os.utime(hidden, (0, 0))
    (world.inbox / "a.zip").unlink()
    await remove_leftovers(world.desk)
    assert (place.exists(), hidden.exists()) == (True, False)  # one of them is young
    os.utime(place, (0, 0))
    await remove_leftovers(world.desk)
    assert list(place.parent.iterdir()) == []


async def test_what_is_left_when_all_files_of_an_archive_have_gone_is_removed_at_once(
    world: World,
) -> None:
    """A crash just after the archive was moved."""
    place = unpacked_by_a_crash(world)
    (world.inbox / "a.zip").unlink()
    for file in place.glob("*/*.csv"):
        file.unlink()
    await remove_leftovers(world.desk)
    assert not place.exists()


async def test_what_was_unpacked_stays_as_long_as_its_archive_does(world: World) -> None:
    place = unpacked_by_a_crash(world)
    await remove_leftovers(world.desk, -1)
    assert place.exists()
    os.utime(world.inbox / "a.zip", (1, 1))  # it will be unpacked anew
    await remove_leftovers(world.desk, -1)
    assert not place.exists()


async def test_what_was_unpacked_stays_while_the_inbox_is_not_there(world: World) -> None:
    place = unpacked_by_a_crash(world)
    world.inbox.rename(world.inbox.with_name("elsewhere"))
    await remove_leftovers(world.desk, -1)
    assert place.exists()


async def test_what_another_daemon_has_unpacked_stays(world: World) -> None:
    place = unpacked_by_a_crash(world)
    (world.inbox / "a.zip").unlink()
    other = world.on(world.mongo, Owner("other", "elsewhere", 1))
    assert await other.desk.ledger.archives.take("0" * 16)
    await remove_leftovers(world.desk, -1)
    assert place.exists()
    await other.desk.ledger.leases.end("other")
    await remove_leftovers(world.desk, -1)
    assert not place.exists()


async def test_what_an_open_entry_needs_stays(world: World) -> None:
    content = zipped(("a.csv", many(2000)), ("b.csv", many(2000, first=2001)))
    await stop_after_a_chunk(world, world.drop("a.zip", content))
    (place,) = (world.root / "unpacked" / "orders").iterdir()
    archive = (world.inbox / "a.zip").rename(world.root / "a.zip")
    await remove_leftovers(world.desk, -1)
    assert place.exists()
    archive.rename(world.inbox / "a.zip")
    await world.offer_inbox()
    assert world.ids() == [n for n in range(1, 4001) if n % 10]


def without_rules() -> SourceSpec:
    rules: dict[str, Any] = {}
    return source(validation_rules=rules)
