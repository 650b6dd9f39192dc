"""Files through the whole pipeline: what they end as, and what keeps them from it."""

import math
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from pipeline_world import (
    InThread,
    World,
    csv,
    found,
    many,
    opened,
    run,
    source,
    stop_after_a_chunk,
)  # fmt: skip

from ingestd.errors import FileUnavailable, WorkerLost
from ingestd.pipeline import Pipeline
from ingestd.pipeline.stages import ByteBudget
from ingestd.records import FileState

GOOD = csv((1, 1.5, "a"), (2, 2.5, "b"), (3, 3.5, "c"))
MIXED = csv((1, 1.5, "a"), (2, -2.5, "b"), (3, "x", "c"))


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path) as world:
        yield world


# how files end


async def test_a_clean_file_is_loaded_and_archived(world: World) -> None:
    result = await world.load("a.csv", GOOD)
    assert (result.state, result.counts.success_count) == (FileState.ARCHIVED, 3)
    assert result.queryable_s is not None
    assert world.ids() == [1, 2, 3]
    (file,) = world.files
    assert (file["state"], file["archived_to"]) == ("archived", str(result.moved_to))
    assert {row["processed_at"] for row in world.rows()} == {file["processed_at"]}
    assert [Path(name).name for name in world.found("archive")] == ["a.csv"]
    assert world.found("inbox") == []


async def test_refused_rows_are_told_in_errors_ledger_and_rejects_file(world: World) -> None:
    result = await world.load("a.csv", MIXED)
    assert (result.counts.success_count, result.counts.error_count) == (1, 2)
    errors = [(e["row"], e["line"], e["violations"][0]["column"]) for e in world.rows("errors")]
    assert errors == [(2, 3, "amount"), (3, 4, "amount")]
    assert result.rejects_file == world.root / "rejects" / "orders" / "a.csv.rejects.csv"
    assert result.rejects_file.read_bytes() == b"id,amount,note\n2,-2.5,b\n3,x,c\n"


async def test_a_mended_rejects_file_can_be_dropped(world: World) -> None:
    result = await world.load("a.csv", MIXED)
    assert result.rejects_file is not None
    mended = result.rejects_file.read_bytes().replace(b"-2.5", b"2.5").replace(b"x", b"9")
    assert (await world.load("a.csv.rejects.csv", mended)).counts.error_count == 0
    assert world.ids() == [1, 2, 3]


@pytest.mark.parametrize(
    ("content", "error_type"),
    [
        (b"", "empty_file"),
        (b"id,amount,note\n", "no_rows"),
        (b"id,note\n1,a\n", "missing_column"),
        (b"\x1f\x8b\x08rest", "damaged_archive"),
        (b"PAR1rest", "wrong_format"),
    ],
)
async def test_a_file_that_cannot_load_is_set_aside_with_a_report(
    world: World, content: bytes, error_type: str
) -> None:
    result = await world.load("a.csv", content)
    assert result.state is FileState.FAILED
    assert result.message
    assert result.hint
    assert world.found("failed") == ["orders/a.csv", "orders/a.csv.error.json"]
    (error,) = world.rows("errors")
    assert (error["row"], error["error_type"], error["record"]) == (0, error_type, None)
    (file,) = world.files
    assert file["error"]["type"] == error_type
    assert file["archived_to"] == str(world.root / "failed" / "orders" / "a.csv")


async def test_a_failed_file_that_is_dropped_again_fails_again(world: World) -> None:
    """It is neither a duplicate nor forgotten, and the first one is not overwritten, nor hidden."""
    for expected in (["a.csv"], ["a-2.csv", "a.csv"]):
        assert (await world.load("a.csv", b"")).state is FileState.FAILED
        failed = world.found("failed", "orders")
        assert [name for name in failed if not name.endswith(".json")] == expected
    assert [file["attempts"] for file in world.files] == [1, 2]


async def test_a_file_that_loads_under_mended_rules_leaves_no_open_error(world: World) -> None:
    content = b"id,amount,price\n1,2,3\n"
    await world.load("a.csv", content)
    schema = {"id": "int64", "amount": "float64", "price": "float64"}
    mended = world.configured(source(schema=schema))
    assert (await mended.load("a.csv", content)).state is FileState.ARCHIVED
    assert [error["state"] for error in world.rows("errors")] == ["replayed"]


async def test_a_file_over_its_error_budget_is_held_and_nothing_of_it_shows(
    world: World,
) -> None:
    held = world.configured(source(errors={"max_rate": 0.05}))
    result = await held.load("a.csv", many(400))
    assert result.state is FileState.HELD
    assert "40 of 400" in result.message
    assert "--ignore-budget" in result.hint
    (entry,) = world.files
    told = [entry[f"{part}_count"] for part in ("record", "success", "error", "filtered")]
    assert told == [400, 0, 40, 0], "nothing of it is stored"
    assert world.rows() == []
    assert len(world.rows("errors")) == 41, "its rows, and the file itself"
    # dropped again under looser rules, it loads, and its rejections are told once
    assert (await world.load("a.csv", many(400))).counts.error_count == 40
    assert [e["row"] for e in world.rows("errors", state="open")] == list(range(10, 401, 10))


class Dead(InThread):
    """Workers that are killed at each task. ``alone``: how many were tried with no other."""

    alone = 0

    async def run(self, *_: Any) -> Any:
        raise WorkerLost("a worker process died", "killed for memory?")

    async def run_alone(self, *_: Any) -> Any:
        self.alone += 1
        return await self.run()


@pytest.mark.parametrize("errors", [{}, {"max_rate": 0.05}], ids=["loaded", "surveyed"])
async def test_a_file_that_kills_its_worker_alone_too_is_set_aside(
    world: World, errors: dict[str, Any]
) -> None:
    dead = Dead()
    broken = world.configured(source(errors=errors)).with_workers(dead)
    result = await broken.load("a.csv", GOOD)
    assert (result.state, result.hint) == (FileState.FAILED, "killed for memory?")
    assert broken.files[0]["error"]["type"] == "worker_lost"
    assert dead.alone == 1


async def test_a_file_is_tried_again_as_often_as_its_source_says(world: World) -> None:
    class Unreadable(InThread):
        async def run(self, *_: Any) -> Any:
            raise FileUnavailable("unreadable_file", "cannot be read", "mount it again")

    spec = source(errors={"retries": 2, "retry_delay": 0})
    broken = world.configured(spec).with_workers(Unreadable())
    file = broken.drop("a.csv", GOOD)
    assert await broken.offer(file) == [(None, 1.0)], "never in a hot loop"
    assert await broken.offer(file) == [(None, 1.0)]
    ((result, retry_s),) = await broken.offer(file)
    assert result is not None
    assert (result.state, retry_s) == (FileState.FAILED, None)
    assert result.hint == "mount it again"


# the same content, the same name


async def test_the_same_content_again_is_set_aside(world: World) -> None:
    await world.load("a.csv", GOOD)
    result = await world.load("b.csv", GOOD)
    assert result.state is FileState.DUPLICATE
    assert world.ids() == [1, 2, 3]
    assert [Path(name).name for name in world.found("archive")] == ["a.csv", "b.csv"]


async def test_the_same_content_again_fails_where_asked(world: World) -> None:
    strict = world.configured(source(load={"on_duplicate_file": "fail"}))
    await strict.load("a.csv", GOOD)
    result = await strict.load("b.csv", GOOD)
    assert result.state is FileState.FAILED
    assert world.found("failed", "orders") == ["b.csv", "b.csv.error.json"]
    assert world.files[-1]["error"]["type"] == "duplicate_file"


async def test_of_identical_files_dropped_at_once_one_loads(world: World) -> None:
    files = [world.drop(f"{n}.csv", many(500)) for n in range(6)]
    answers = await world.offer(*files)
    while waiting := [file for file, (_, retry_s) in zip(files, answers, strict=True) if retry_s]:
        files, answers = waiting, await world.offer(*waiting)
    states = sorted(file["state"] for file in world.files)
    assert states == ["archived"] + ["duplicate"] * 5
    assert world.ids() == [n for n in range(1, 501) if n % 10]
    assert len(world.rows("errors")) == 50
    assert len(world.found("archive")) == 6


async def test_small_files_go_together_and_end_as_each_would_alone(world: World) -> None:
    """One that no step can bear, one without its columns: the others do not notice."""
    step = {"python": "pipeline_world:refuse_booms"}
    stepped = world.configured(source(transform=[step]))
    files = [stepped.drop(f"{n}.csv", many(20, first=1 + 20 * n)) for n in range(40)]
    files.append(stepped.drop("boom.csv", csv((900, 1, "boom"), (901, 2, "calm"))))
    files.append(stepped.drop("bare.csv", b"id,note\n950,x\n"))
    answers = await stepped.offer(*files)
    states = [result.state for result, _ in answers if result is not None]
    assert states == [FileState.ARCHIVED] * 40 + [FileState.FAILED] * 2
    assert world.ids() == [n for n in range(1, 801) if n % 10]
    assert len(world.rows("errors", row={"$gt": 0})) == 80
    for file in (file for file in world.files if file["state"] == "archived"):
        assert (file["success_count"], file["error_count"], file["rows_done"]) == (18, 2, 20)
        rows = world.rows(processed_at=file["processed_at"])
        assert {str(row["_id"])[:16] for row in rows} == {file["_id"]}
        assert len(rows) == 18
    assert len(world.found("archive")) == len(world.found("rejects", "orders")) == 40
    assert world.workers.tasks < 40


async def test_a_small_file_is_loaded_while_a_large_one_keeps_its_lane_busy(world: World) -> None:
    class Stuck(InThread):
        """With every chunk of the large file, until the small one is in the archive."""

        async def run(self, function: Any, plan: Any, chunk: Any, *more: Any) -> Any:
            if not isinstance(chunk, list) and chunk.path.name == "large.csv":
                with anyio.fail_after(20):
                    while not world.found("archive"):
                        await anyio.sleep(0.01)
            return await super().run(function, plan, chunk, *more)

    held = world.with_workers(Stuck())
    large, small = held.drop("large.csv", many(2000)), held.drop("small.csv", csv((0, 1, "x")))
    answers = await held.offer(large, small)
    assert [result.state for result, _ in answers if result] == [FileState.ARCHIVED] * 2
    assert len(world.ids()) == 1801


async def test_while_as_many_large_files_load_as_may_there_is_room_for_small_ones_only(
    mongo_uri: str, database: str, tmp_path: Path
) -> None:
    rooms: set[tuple[bool, bool]] = set()

    class Watched(InThread):
        async def run(self, *task: Any) -> Any:
            rooms.add((pipeline.has_room(size_bytes), pipeline.has_room(100)))
            return await super().run(*task)

    one_at_once = {"large_files_at_once": 1}
    async with opened(mongo_uri, database, tmp_path, load=one_at_once) as world:
        file = world.drop("large.csv", many(2000))
        size_bytes = file.stat.size_bytes
        pipeline = Pipeline(world.with_workers(Watched()).desk, lambda *_: None, 1)
        assert pipeline.has_room(size_bytes)
        await run(pipeline, file)
    assert rooms == {(False, True)}
    assert pipeline.has_room(size_bytes)


async def test_a_collection_that_refuses_a_row_refuses_it_to_its_own_file(world: World) -> None:
    await world.load("first.csv", GOOD)
    files = [world.drop(f"{n}.csv", csv((n, n, "x"), (n + 100, n, "y"))) for n in range(10, 30)]
    with world.refusing("orders", {"id": {"$ne": 117}}):
        answers = await world.offer(*files)
    refused = [result.counts.error_count for result, _ in answers if result is not None]
    assert refused == [int(n == 17) for n in range(10, 30)]
    (error,) = world.rows("errors")
    assert (error["file"], error["row"], error["raw"]) == ("17.csv", 2, "117,17,y")


async def test_files_of_one_name_in_two_directories_do_not_overwrite_each_other(
    world: World,
) -> None:
    (world.inbox / "sub").mkdir(parents=True)
    files = [world.drop("a.csv", many(50)), world.drop("sub/a.csv", many(60, first=100))]
    await world.offer(*files)
    assert sorted(Path(name).name for name in world.found("archive")) == ["a-2.csv", "a.csv"]
    assert len(world.found("rejects", "orders")) == 2
    sizes = {file["size"]: Path(file["archived_to"]).stat().st_size for file in world.files}
    assert all(said == found for said, found in sizes.items())


async def test_a_new_version_replaces_the_old_one_where_asked(world: World) -> None:
    replacing = world.configured(source(load={"on_changed_file": "replace"}))
    await replacing.load("a.csv", GOOD)
    result = await replacing.load("a.csv", csv((7, 1, "new")))
    assert result.state is FileState.ARCHIVED
    assert world.ids() == [7]
    assert [(f["state"], f.get("has_rows")) for f in world.files] == [
        ("undone", False), ("archived", None),
    ]  # fmt: skip


# what MongoDB refuses


async def test_a_source_that_mongodb_refuses_waits_and_others_load(
    mongo_uri: str, database: str, tmp_path: Path
) -> None:
    upsert = {"mode": "upsert", "key": ["id"]}
    refused = source("orders", load=upsert, errors={"retry_delay": 0})
    async with opened(mongo_uri, database, tmp_path, refused) as world:
        await world.mongo.insert_missing("orders", [{"_id": n, "id": 1} for n in range(2)])
        ((result, retry_s),) = await world.offer(world.drop("a.csv", GOOD))
        assert (result, retry_s) == (None, 1.0)
        assert "E11000" in world.blocked()[0]
        await world.mongo.delete("orders", {})
        assert (await world.load("a.csv", GOOD)).state is FileState.ARCHIVED
        assert world.blocked() == []


async def test_a_file_whose_end_cannot_be_recorded_stays_in_the_inbox(world: World) -> None:
    file = world.drop("a.csv", many(400))
    with world.refusing("errors"):
        assert await world.offer(file) == [(None, 300.0)]
        assert "errors" in world.blocked()[0]
        assert world.found("inbox") == ["orders/a.csv"]
    ((result, _),) = await world.offer(file)
    assert result is not None
    assert (result.state, result.counts.error_count) == (FileState.ARCHIVED, 40)
    assert world.ids() == [n for n in range(1, 401) if n % 10]


async def test_a_file_that_cannot_be_claimed_stays_in_the_inbox(world: World) -> None:
    file = world.drop("a.csv", GOOD)
    with world.refusing("files"):
        assert await world.offer(file) == [(None, 300.0)]
    assert world.found("inbox") == ["orders/a.csv"]
    assert (await world.offer(file))[0][0] is not None


async def test_rows_that_readers_can_see_stay_whatever_comes_after(world: World) -> None:
    with world.refusing("files", allowed={"state": {"$ne": "archived"}}):
        ((result, retry_s),) = await world.offer(world.drop("a.csv", GOOD))
    assert result is not None
    assert (result.state, retry_s) == (FileState.LOADED, 300.0)
    assert world.ids() == [1, 2, 3]
    assert world.blocked()
    await world.recover()
    assert [file["state"] for file in world.files] == ["archived"]


async def test_an_index_that_mongodb_refuses_keeps_no_file_in_the_inbox(world: World) -> None:
    await world.mongo.ensure_indexes("orders", ("note",), unique=True)
    result = await world.configured(source(load={"indexes": [["note"]]})).load("a.csv", GOOD)
    assert result.state is FileState.ARCHIVED
    assert world.ids() == [1, 2, 3]


# what the file system refuses


async def test_an_archive_that_cannot_be_written_is_told_and_tried_again(world: World) -> None:
    (world.root / "archive").mkdir()
    (world.root / "archive" / "orders").write_text("a file in the way")
    file = world.drop("a.csv", MIXED)
    ((result, retry_s),) = await world.offer(file)
    assert result is not None
    assert (result.state, retry_s) == (FileState.LOADED, 300.0)
    assert world.ids() == [1]
    assert world.found("inbox") == ["orders/a.csv"]
    assert "Not a directory" in world.blocked()[0]
    assert await world.offer(file) == [(None, 300.0)]
    (world.root / "archive" / "orders").unlink()
    ((result, retry_s),) = await world.offer(file)
    assert result is not None
    assert (result.state, retry_s, world.blocked()) == (FileState.ARCHIVED, None, [])
    assert world.ids() == [1]


async def test_a_rejects_directory_that_cannot_be_written_is_told_and_tried_again(
    world: World,
) -> None:
    (world.root / "rejects").write_text("a file in the way")
    file = world.drop("a.csv", MIXED)
    ((result, _),) = await world.offer(file)
    assert result is not None
    assert result.state is FileState.LOADED
    (world.root / "rejects").unlink()
    await world.offer(file)
    assert world.found("rejects", "orders") == ["a.csv.rejects.csv"]
    assert world.files[0]["state"] == "archived"


async def test_a_failed_directory_that_cannot_be_written_is_told_and_tried_again(
    world: World,
) -> None:
    (world.root / "failed").write_text("a file in the way")
    file = world.drop("a.csv", b"")
    assert await world.offer(file) == [(None, 300.0)]
    assert world.found("inbox") == ["orders/a.csv"]
    (world.root / "failed").unlink()
    ((result, _),) = await world.offer(file)
    assert result is not None
    assert result.state is FileState.FAILED
    assert world.found("failed", "orders") == ["a.csv", "a.csv.error.json"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system takes root's rights")
    yield place
    subprocess.run(["umount", str(place)], check=True)


async def test_a_full_disk_under_the_archive_costs_no_file(
    mongo_uri: str, database: str, tmp_path: Path, small_disk: Path
) -> None:
    paths = {"archive": str(small_disk)}
    async with opened(mongo_uri, database, tmp_path / "root", paths=paths) as world:
        content = csv(*((n, 1, "x" * 2000) for n in range(1000)))
        file = world.drop("a.csv", content)
        ((result, _),) = await world.offer(file)
        assert result is not None
        assert result.state is FileState.LOADED
        assert "No space left" in world.blocked()[0]
        assert file.path.read_bytes() == content
        assert not [path for path in small_disk.rglob("*") if path.is_file()]
        subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
        await world.offer(file)
        assert Path(world.files[0]["archived_to"]).read_bytes() == content
        assert not file.path.exists()


async def test_a_file_that_vanishes_while_it_loads_is_loaded_and_told(world: World) -> None:
    file = world.drop("a.csv", GOOD)
    vanishing = world.with_workers(InThread(after=file.path.unlink))
    ((result, retry_s),) = await vanishing.offer(file)
    assert result is not None
    assert (result.state, result.moved_to, retry_s) == (FileState.LOADED, None, None)
    assert world.ids() == [1, 2, 3]
    (entry,) = world.files
    assert (entry["is_put_away"], entry["archived_to"]) == (True, None)


async def test_a_file_that_is_rewritten_while_it_loads_shows_nothing_of_either(
    world: World,
) -> None:
    file = world.drop("a.csv", many(500))

    def rewrite() -> None:
        file.path.write_bytes(GOOD)

    rewritten = world.configured(source(errors={"retry_delay": 9}))
    answers = await rewritten.with_workers(InThread(after=rewrite)).offer(file)
    assert answers == [(None, 9.0)]
    assert world.rows() == []
    assert "changed" in world.blocked()[0]
    assert (await world.offer(found(file.path)))[0][0] is not None
    assert world.ids() == [1, 2, 3]


async def test_a_file_that_is_replaced_before_it_is_archived_stays(world: World) -> None:
    file = world.drop("a.csv", GOOD)

    def replace_file() -> None:
        other = file.path.with_name(".other")
        other.write_bytes(MIXED)
        other.rename(file.path)

    ((result, _),) = await world.with_workers(InThread(after=replace_file)).offer(file)
    assert result is not None
    assert world.ids() == [1, 2, 3]
    assert file.path.read_bytes() == MIXED
    assert (await world.offer(found(file.path)))[0][0] is not None
    assert world.ids() == [1, 1, 2, 3]


@pytest.mark.parametrize("name", [b"\xff.csv", "naïve ☂.csv".encode(), b"new\nline.csv"])
async def test_files_of_any_name_are_archived_under_their_name(world: World, name: bytes) -> None:
    result = await world.load(os.fsdecode(name), MIXED)
    assert result.state is FileState.ARCHIVED
    assert result.moved_to is not None
    assert os.fsencode(result.moved_to.name) == name
    assert result.rejects_file is not None


async def test_a_directory_with_the_name_of_the_archived_file_is_left_alone(world: World) -> None:
    first = await world.load("a.csv", GOOD)
    assert first.moved_to is not None
    first.moved_to.unlink()
    first.moved_to.mkdir()
    second = await world.load("a.csv", MIXED)
    assert second.moved_to == first.moved_to.with_name("a-2.csv")


# stopping


async def test_a_load_that_is_stopped_goes_on_where_it_was(world: World) -> None:
    file = world.drop("a.csv", many(2000))
    assert await stop_after_a_chunk(world, file) == [(file, None, None)]
    (entry,) = world.files
    assert entry["state"] == "loading"
    assert 0 < entry["rows_done"] < 2000
    ((result, _),) = await world.offer(file)
    assert result is not None
    assert (result.counts.record_count, result.counts.error_count) == (2000, 200)
    assert world.ids() == [n for n in range(1, 2001) if n % 10]
    assert len(world.rows("errors")) == 200
    chunks = math.ceil(file.stat.size_bytes / 2**12)
    assert world.workers.tasks < chunks, "what was durable was not done again"


async def test_a_load_goes_on_although_chunks_are_cut_otherwise(
    mongo_uri: str, database: str, tmp_path: Path
) -> None:
    async with opened(mongo_uri, database, tmp_path) as world:
        file = world.drop("a.csv", many(2000))
        await stop_after_a_chunk(world, file)
    async with opened(mongo_uri, database, tmp_path, refine={"chunk_bytes": 5000}) as world:
        await world.offer(file)
        assert world.ids() == [n for n in range(1, 2001) if n % 10]
        assert world.files[0]["record_count"] == 2000
        assert len(world.rows("errors")) == 200


async def test_a_load_begins_anew_when_its_rules_have_changed(world: World) -> None:
    file = world.drop("a.csv", many(2000))
    await stop_after_a_chunk(world, file)
    changed = world.configured(source(validation_rules={"amount": {"min": 100}}))
    ((result, _),) = await changed.offer(file)
    assert result is not None
    assert world.ids() == [n for n in range(400, 2001) if n % 10]
    assert result.counts.error_count == len(world.rows("errors")) == 2000 - len(world.ids())


# the budget


class Told:
    """Events of a budget."""

    def queue_changed(self, stage: str, chunks: int, size_bytes: int) -> None:
        self.last = (chunks, size_bytes)


async def test_what_waits_for_mongodb_is_bounded_in_bytes() -> None:
    told = Told()
    budget = ByteBudget(100, told)  # type: ignore[arg-type]
    await budget.acquire(60)
    entered = anyio.Event()

    async def enter() -> None:
        await budget.acquire(50)
        entered.set()

    async with anyio.create_task_group() as group:
        group.start_soon(enter)
        await anyio.wait_all_tasks_blocked()
        assert not entered.is_set()
        await budget.release(60)
        await entered.wait()
    assert told.last == (1, 50)


async def test_one_item_larger_than_the_budget_passes_alone() -> None:
    told = Told()
    budget = ByteBudget(100, told)  # type: ignore[arg-type]
    await budget.acquire(1000)
    assert told.last == (1, 1000)
    await budget.release(1000)
    await budget.acquire(1000)
    assert told.last == (1, 1000)
