"""A crash just before and just after every single write to MongoDB, then a restart.

So every durable step is once the last one before a crash: the ledger's, the rows', the errors',
and, between two writes, the moves of files.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import Mongod
from pipeline_world import Crash, CrashingMongo, InThread, World, csv, many, opened, source, zipped

from ingestd.config.source import SourceSpec
from ingestd.errors import FileUnavailable
from ingestd.ledger import Owner
from ingestd.mongo import Mongo
from ingestd.records import FileState
from ingestd.wayback import forget

CONTENT = many(400, refused_every=50)
"""Three chunks."""
OLD, NEW = csv((1, 1, "old"), (2, 2, "old")), csv((3, 3, "new"))
REFUSED = OLD + b"4,-4,refused\n"


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    every_chunk = {"checkpoint_interval": 0}
    async with opened(mongo_uri, database, tmp_path, load=every_chunk) as world:
        yield world


SOURCE = source()


@dataclass(frozen=True)
class Story:
    """What happens to a file in a quiet world, and must happen in one that crashes."""

    content: bytes
    is_well: Callable[[World], None]
    spec: SourceSpec = SOURCE
    before: bytes | None = None
    """A file that was loaded before it."""
    rules_before: SourceSpec | None = None
    """Those it was loaded by; it was forgotten since."""
    failing_task: int | None = None
    """From that task on, the file cannot be read: a later attempt loads it."""
    refused: str = ""
    """A write that MongoDB refuses before the crash, and not after the restart."""


def is_loaded(world: World) -> None:
    (file,) = world.files
    assert file["state"] == "archived"
    assert (file["record_count"], file["success_count"], file["error_count"]) == (400, 392, 8)
    assert world.ids() == [n for n in range(1, 401) if n % 50]
    errors = world.rows("errors", state="open")
    assert [error["row"] for error in errors] == list(range(50, 401, 50))
    assert {row["processed_at"] for row in world.rows()} == {file["processed_at"]}
    assert len(world.found("archive")) == 1
    assert Path(file["archived_to"]).read_bytes() == CONTENT
    (rejects,) = (world.root / "rejects").rglob("*.csv")
    assert rejects.read_bytes().count(b"\n") == 9


MEMBERS = {"2023/may.csv": many(200, 50), "2024/may.csv": csv((201, 1, "a")), "x.csv": b"x\n1\n"}
ARCHIVE = zipped(*MEMBERS.items())


def is_unpacked(world: World) -> None:
    ended = {file["name"]: file for file in world.files}
    assert {name: file["state"] for name, file in ended.items()} == {
        "a.csv/2023/may.csv": "archived", "a.csv/2024/may.csv": "archived",
        "a.csv/x.csv": "failed",
    }  # fmt: skip
    assert ended["a.csv/2023/may.csv"]["record_count"] == 200
    assert world.ids() == [n for n in range(1, 202) if n % 50]
    archived = sorted(path.read_bytes() for path in (world.root / "archive").rglob("*.csv"))
    assert archived == sorted([MEMBERS["2023/may.csv"], MEMBERS["2024/may.csv"], ARCHIVE])
    assert world.found("failed", "orders") == ["x.csv", "x.csv.error.json"]
    assert not list((world.root / "unpacked").rglob("*.csv"))


def is_failed(world: World) -> None:
    (file,) = world.files
    assert (file["state"], file["error"]["type"]) == ("failed", "missing_column")
    assert world.found("failed", "orders") == ["a.csv", "a.csv.error.json"]
    assert [error["state"] for error in world.rows("errors")] == ["open"]
    assert world.rows() == []


def is_held(world: World) -> None:
    (file,) = world.files
    assert file["state"] == "held"
    assert world.found("failed", "orders") == ["a.csv", "a.csv.error.json"]
    assert [error["row"] for error in world.rows("errors")] == [0, *range(50, 401, 50)]
    assert world.rows() == []


def is_held_or_loaded(world: World) -> None:
    """A crash before the refusal was recorded means another attempt, which is not refused."""
    (file,) = world.files
    if file["state"] == "archived":
        is_loaded(world)
    else:
        assert file["state"] == "held"
        assert [error["row"] for error in world.rows("errors")] == [0]
        assert world.rows() == []
        assert world.found("failed", "orders") == ["a.csv", "a.csv.error.json"]


def is_duplicate(world: World) -> None:
    assert [file["state"] for file in world.files] == ["archived", "duplicate"]
    assert len(world.found("archive")) == 2
    assert world.ids() == [1, 2]


def is_refused_duplicate(world: World) -> None:
    assert [file["state"] for file in world.files] == ["archived", "failed"]
    assert len(world.found("archive")) == 1
    assert world.found("failed", "orders") == ["a.csv", "a.csv.error.json"]
    assert world.ids() == [1, 2]


def is_loaded_again(world: World) -> None:
    assert [file["state"] for file in world.files] == ["archived"]
    assert len(world.found("archive")) == 2
    assert world.ids() == [1, 2]


def is_as_before(world: World) -> None:
    first, again = world.files
    assert (first["state"], first["success_count"]) == ("archived", 2)
    assert (again["state"], again["duplicate_of"]) == ("held", first["_id"])
    assert world.found("failed", "orders") == ["a.csv", "a.csv.error.json"]
    assert [(error["row"], error["state"]) for error in world.rows("errors")] == [(0, "open")]
    assert world.ids() == [1, 2]


def is_replaced(world: World) -> None:
    assert [file["state"] for file in world.files] == ["undone", "archived"]
    assert len(world.found("archive")) == 2
    assert world.ids() == [3]
    assert (world.rows("errors"), world.found("rejects")) == ([], [])


def is_upserted(world: World) -> None:
    assert [file["state"] for file in world.files] == ["archived"]
    assert sorted((row["id"], row["note"]) for row in world.rows()) == [(1, "c"), (2, "b")]


STORIES = {
    "unpacked": Story(ARCHIVE, is_unpacked),
    "loaded": Story(CONTENT, is_loaded),
    "failing first": Story(CONTENT, is_loaded, source(errors={"retry_delay": 0}), failing_task=3),
    "failed": Story(b"id,note\n1,a\n", is_failed),
    "held": Story(CONTENT, is_held, source(errors={"max_rows": 5})),
    "refused": Story(CONTENT, is_held_or_loaded, refused="update_together"),
    "duplicate": Story(OLD, is_duplicate, before=OLD),
    "refused duplicate": Story(
        OLD, is_refused_duplicate, source(load={"on_duplicate_file": "fail"}), before=OLD
    ),
    "forgotten": Story(OLD, is_loaded_again, before=OLD, rules_before=SOURCE),
    "forgotten, and held": Story(
        OLD, is_as_before, source(validation_rules={"amount": {"max": 1}}, errors={"max_rows": 0}),
        before=OLD, rules_before=SOURCE,
    ),
    "replaced": Story(
        NEW, is_replaced, source(load={"on_changed_file": "replace"}), before=REFUSED
    ),
    "upserted": Story(
        csv((1, 1, "a"), (2, 2, "b"), (1, 3, "c")), is_upserted,
        source(load={"mode": "upsert", "key": ["id"]}),
    ),
}  # fmt: skip


async def begin(world: World, story: Story) -> None:
    """An empty world, but for what the story says was there."""
    for collection in ("files", "errors", "orders"):
        await world.mongo.delete(collection, {})
    for path in [*world.root.rglob("*.csv"), *world.root.rglob("*.json")]:
        path.unlink()
    if story.before is not None:
        await world.configured(story.rules_before or story.spec).load("a.csv", story.before)
    if story.rules_before is not None:
        await forget(world.desk, "a.csv", "ada")
    world.drop("a.csv", story.content)


class Failing(InThread):
    """Workers that cannot read the file from one task on."""

    def __init__(self, failing_task: int | None) -> None:
        super().__init__()
        self._failing_task = failing_task

    async def run(self, function: Any, *arguments: Any) -> Any:
        if self._failing_task is not None and self.tasks + 1 >= self._failing_task:
            raise FileUnavailable("unreadable_file", "it cannot be read", "mount it again")
        return await super().run(function, *arguments)


async def crash(
    world: World, story: Story, at: int | None, *, is_after: bool = False,
    kind: type[CrashingMongo] = CrashingMongo,
) -> int:  # fmt: skip
    """Offer what lies in the inbox, and crash at the ``at``-th write; how many there were."""
    settings = world.desk.settings.mongo
    assert settings.uri
    mongo = kind(settings.uri.get_secret_value(), settings, world.desk.events)
    await mongo.connect()
    mongo.begin(at, is_after=is_after, refused=story.refused)
    crashing = world.on(mongo).with_workers(Failing(story.failing_task))
    try:
        await crashing.recover()
        await crashing.offer_inbox()
    except* Crash:
        assert at is not None
    finally:
        mongo.close()
    return mongo.writes


async def restart(world: World) -> None:
    """As the daemon does it: first what was under way, then what lies in the inbox."""
    fresh = world.on(world.mongo)
    await fresh.recover()
    for result, retry_s in await fresh.offer_inbox():
        assert result is not None
        assert retry_s is None
    assert fresh.found("inbox") == []


@pytest.mark.parametrize("name", STORIES)
async def test_a_crash_at_any_write_changes_nothing_in_the_end(world: World, name: str) -> None:
    story = STORIES[name]
    world = world.configured(story.spec)
    await begin(world, story)
    writes = await crash(world, story, None, is_after=False)
    await restart(world)
    story.is_well(world)
    for at in range(1, writes + 1):
        for is_after in (False, True):
            await begin(world, story)
            assert await crash(world, story, at, is_after=is_after) >= at
            await restart(world)
            try:
                story.is_well(world)
            except AssertionError as error:
                moment = "after" if is_after else "before"
                raise AssertionError(f"crash {moment} write {at} of {writes}: {error}") from error


async def test_two_crashes_in_a_row_change_nothing_either(world: World) -> None:
    story = STORIES["loaded"]
    for first in range(2, 12, 3):
        for second in range(1, 4):
            await begin(world, story)
            assert await crash(world, story, first, is_after=True) >= first
            assert await crash(world, story, second, is_after=False) >= second
            await restart(world)
            story.is_well(world)


async def test_a_file_whose_name_in_the_archive_was_taken_is_found_after_a_crash(
    world: World,
) -> None:
    """Between two files of one name, a crash may come after the second took the next free name."""
    await world.load("a.csv", OLD)
    result = await world.load("a.csv", NEW)
    assert result.moved_to is not None
    assert result.moved_to.name == "a-2.csv"
    newest = {"state": "loaded", "is_put_away": False}
    target = str(result.moved_to.with_name("a.csv"))
    await world.mongo.update(
        "files", {"_id": result.file_id}, {"$set": {**newest, "archived_to": target}}
    )
    await world.recover()
    assert world.files[-1]["archived_to"] == str(result.moved_to)


async def test_a_file_that_somebody_removed_during_the_crash_is_told_as_gone(world: World) -> None:
    result = await world.load("a.csv", OLD)
    assert result.moved_to is not None
    result.moved_to.unlink()
    change: dict[str, Any] = {"$set": {"state": "loaded", "is_put_away": False}}
    await world.mongo.update("files", {"_id": result.file_id}, change)
    await world.recover()
    (file,) = world.files
    assert (file["state"], file["archived_to"], file["is_put_away"]) == ("loaded", None, True)
    assert result.state is FileState.ARCHIVED


async def test_two_daemons_on_one_database_store_each_row_once(world: World) -> None:
    """Whoever claims first loads it; the other asks again later, and says nothing."""
    file = world.drop("a.csv", many(3000))
    other = world.on(world.mongo, Owner("other", "elsewhere", 1))
    answers = await asyncio.gather(world.offer(file), other.offer(file))
    assert world.ids() == [n for n in range(1, 3001) if n % 10]
    (known,) = world.files
    assert (known["state"], known["attempts"], known["owner"]) == ("archived", 1, None)
    assert {row["processed_at"] for row in world.rows()} == {known["processed_at"]}
    (taken,) = [retry_s for ((result, retry_s),) in answers if result is None]
    assert taken is not None
    assert world.blocked() + other.blocked() == []


class TornMongo(CrashingMongo):
    """Crashes between two changes that belong together."""

    async def update_together(self, collection: str, changes: Any) -> bool:
        match, change = changes[0]
        await Mongo.update(self, collection, match, change)
        raise Crash


async def test_a_crash_amid_a_commit_is_mended_on_a_server_without_transactions(
    tmp_path: Path,
) -> None:
    mongod = Mongod(tmp_path / "mongod", is_replica_set=False).start()
    try:
        async with opened(mongod.uri, "alone", tmp_path / "root") as empty:
            assert not (await empty.mongo.connect()).is_replica_set
            story = STORIES["replaced"]
            world = empty.configured(story.spec)
            await begin(world, story)
            await crash(world, story, 10**6, kind=TornMongo)
            assert sorted(file["state"] for file in world.files) == ["claimed", "undone"]
            await restart(world)
            story.is_well(world)
    finally:
        mongod.stop()
