"""A long history costs nothing: MongoDB's profiler tells what every query of ours reads."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from api_world import running
from pipeline_world import World, csv, many, opened, source

from ingestd.cli.errors import ErrorFilter, find_errors
from ingestd.cli.files import FileFilter, list_files
from ingestd.mongo import row_id
from ingestd.records import FileState
from ingestd.visible import visible_runs
from ingestd.wayback import dismiss, forget, replay, retry, undo

HISTORY = 2000
MOST_KEYS = 200
"""Of an index, read by one query: a tenth of the history, and more than all that is asked for."""

PAGES = (
    "/files?limit=9", "/files?limit=9&state=failed", "/files?limit=9&state=failed,held",
    "/files?limit=9&source=orders", "/files?limit=9&source=orders&state=archived",
    "/files?limit=9&name=old-7.csv", "/files?limit=9&source=orders&name=old-7.csv",
    "/files?limit=9&source=gone", "/files?limit=9&start_date=2026-01-01T10:00:00Z",
    "/files/000000000000002a", "/files/000000000000002a/receipt", "/sources", "/sources/orders",
    "/data/orders?limit=9", "/data/orders?limit=9&start_date=2026-01-01",
    "/errors/orders?limit=9", "/errors/orders?limit=9&end_date=2026-01-02",
    "/errors/orders?limit=9&state=open", "/errors/orders?limit=9&file_id=000000000000002b",
)  # fmt: skip

STATES = ("archived", "duplicate", "failed", "held", "undone")


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path) as opened_world:
        put_history(opened_world)
        yield opened_world


def put_history(world: World) -> None:
    """Entries as they stand there after years, and the rejections of some."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    entries = [
        old_entry(world, n, start + timedelta(minutes=n), STATES[n % len(STATES)])
        for n in range(HISTORY)
    ]
    rejections = [
        {
            "_id": row_id(entry["_id"], 1), "source_name": "orders", "row": 1, "line": 2,
            "error_time": entry["processed_at"], "file_id": entry["_id"], "file": entry["name"],
            "error_type": "parse", "error_message": "", "violations": [],
            "state": "dismissed" if n % 2 else "open",
        }
        for n, entry in enumerate(entries)
    ]  # fmt: skip
    database = world.client[world.desk.settings.mongo.database]
    database["files"].insert_many(entries)
    database["errors"].insert_many(rejections)


def old_entry(world: World, n: int, at: datetime, state: str) -> dict[str, Any]:
    name = f"old-{n}.csv"
    return {
        "_id": f"{n:016x}", "sha256": f"{n:064x}", "source_name": "orders" if n % 2 else "gone",
        "name": name, "path": str(world.inbox / name), "size": 9, "attempts": 1, "failures": 0,
        "discovered_at": at, "processed_at": at, "finished_at": at, "state": state,
        "record_count": 1, "success_count": 0, "error_count": 1, "filtered_count": 0,
        "archived_to": None, "is_put_away": True, "error": None, "retry_at": None,
        "config_hash": "0" * 16, "has_stale_rows": False,
        **({"duplicate_of": "0" * 16} if state == "duplicate" else {}),
    }  # fmt: skip


@contextmanager
def profiled(world: World) -> Iterator[list[dict[str, Any]]]:
    """What MongoDB does with ``files`` and ``errors`` meanwhile; filled when the block ends."""
    database = world.client[world.desk.settings.mongo.database]
    seen: list[dict[str, Any]] = []
    database.command({"profile": 2})
    try:
        yield seen
    finally:
        database.command({"profile": 0})
    namespaces = [f"{database.name}.{name}" for name in ("files", "errors")]
    seen += database["system.profile"].find({"ns": {"$in": namespaces}})


def long_ones(operations: list[dict[str, Any]]) -> list[str]:
    """Those that no index answers, or that read much of it."""
    assert operations
    return [
        f"{operation['op']} {operation['command']}"
        for operation in operations
        if "COLLSCAN" in operation.get("planSummary", "")
        or operation.get("keysExamined", 0) > MOST_KEYS
        or operation.get("docsExamined", 0) > MOST_KEYS
    ]


async def test_no_step_of_a_file_reads_more_the_longer_the_history_is(world: World) -> None:
    with profiled(world) as operations:
        await world.desk.ledger.prepare()
        await world.desk.ledger.last_loads(["orders"])
        await world.recover()
        await world.load("a.csv", many(40))
        await world.load("again.csv", many(40))
        await world.load("empty.csv", b"")
        await world.offer(*(world.drop(f"{n}.csv", csv((n, 1.0, "a"))) for n in range(5)))
        replacing = world.configured(source(load={"on_changed_file": "replace"}))
        await replacing.load("a.csv", many(50))
        await visible_runs(world.mongo, source())
        await world.recover()
    assert long_ones(operations) == []
    assert {entry["state"] for entry in world.files} >= set(STATES) | {"archived"}


async def test_no_way_back_reads_more_the_longer_the_history_is(world: World) -> None:
    loaded = await world.load("a.csv", many(40))
    failed = await world.load("b.csv", b"")
    with profiled(world) as operations:
        await replay(world.desk, loaded.file_id, "ada")
        await dismiss(world.desk, loaded.file_id, "ada", reason="known")
        await forget(world.desk, "a.csv", "ada")
        await undo(world.desk, "a.csv", "ada")
        await retry(world.desk, failed.file_id, "ada")
    assert long_ones(operations) == []


async def test_no_page_reads_more_the_longer_the_history_is(
    world: World, mongo_uri: str, database: str
) -> None:
    await world.load("a.csv", many(40))
    async with running(mongo_uri, database, (source(),), most_counted=9) as api:
        with profiled(world) as operations:
            for page in PAGES:
                status, body, _ = await api.get(page)
                assert status == 200, body
    assert long_ones(operations) == []


async def test_no_list_of_a_command_reads_more_the_longer_the_history_is(world: World) -> None:
    with profiled(world) as operations:
        for states in ((), (FileState.FAILED,), tuple(FileState)):
            for name in (None, "orders"):
                await list_files(world.mongo, FileFilter(name, states, 10))
        for file in (None, "old-7.csv", f"{7:016x}"):
            await find_errors(world.mongo, ErrorFilter("orders", file, 10))
    assert long_ones(operations) == []
