"""What ``visible.py`` argues with: the order in which the ledger learns of files."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from api_world import World, running, source
from pymongo import MongoClient

from ingestd.ledger import Ledger, Wanted
from ingestd.records import FileStat, FoundFile
from ingestd.visible import visible_runs


@pytest.fixture
async def world(mongo_uri: str, database: str) -> AsyncIterator[World]:
    async with running(mongo_uri, database) as made:
        yield made


def found(number: int) -> FoundFile:
    stat = FileStat(1, number, 1, 0, 0)
    return FoundFile("orders", Path(f"/inbox/{number}.csv"), stat, datetime.now(UTC))


async def runs_up_to(world: World, horizon: datetime) -> set[str]:
    files = await world.mongo.find("files", {"processed_at": {"$lte": horizon}})
    return {file["_id"] for file in files}


async def test_no_file_is_claimed_at_or_before_a_horizon_once_seen(world: World) -> None:
    """However many are claimed at once: else rows of a file at work would show up."""
    ledger = Ledger(world.mongo, is_there=lambda _: True)
    wanted = [Wanted(found(n), hashlib.sha256(bytes([n])).digest(), "c") for n in range(60)]
    claims = asyncio.gather(*(ledger.claims.claim_all([one]) for one in wanted))
    seen: list[tuple[datetime, set[str]]] = []
    while not claims.done():
        runs = await visible_runs(world.mongo, source())
        if runs is not None:
            seen.append((runs.horizon, await runs_up_to(world, runs.horizon)))
            assert len(runs.hidden) == len(seen[-1][1])
    await claims
    assert len({horizon for horizon, _ in seen}) > 3
    for horizon, files in seen:
        assert await runs_up_to(world, horizon) == files


async def test_only_files_at_work_are_listed_as_hidden(world: World) -> None:
    for state in ("archived", "loaded", "failed", "held", "duplicate", "undone"):
        await world.add_file([], state)
    at_work: set[datetime] = set()
    for state, fields in (
        ("claimed", {}), ("loading", {}), ("undone", {"has_rows": True}),
    ):  # fmt: skip
        identity = await world.add_file([], state, **fields)
        at_work.add((await world.mongo.find("files", {"_id": identity}))[0]["processed_at"])
    await world.add_file([], "loading", source_name="others")
    await world.add_file([])
    runs = await visible_runs(world.mongo, source())
    assert runs is not None
    assert runs.hidden == at_work


async def test_rows_of_former_runs_are_hidden_until_they_are_removed(world: World) -> None:
    """A file that was forgotten, and is dropped again, and again under other rules: its rows of
    before are being removed meanwhile, some are there and some are not."""
    row = {"order_id": "a", "amount": 1.0, "country": "US"}
    ledger, former = Ledger(world.mongo, is_there=lambda _: True), set()
    ended = {"state": "archived", "is_forgotten": True, "is_put_away": True}
    for config_hash in ("a", "b", "c"):
        digest = hashlib.sha256(b"1").digest()
        wanted = Wanted(found(1), digest, config_hash, is_tried=True)
        (claim,) = await ledger.claims.claim_all([wanted])
        assert not isinstance(claim, Exception)
        file = claim.file
        status, counted, _ = await world.get("/data/orders/count")
        assert (status, counted["count"]) == (200, 0)
        runs = await visible_runs(world.mongo, source())
        assert runs is not None
        assert runs.hidden == former | {file.processed_at}
        await world.add_rows(file.file_id, file.processed_at, [row], "orders")
        await world.mongo.update("files", {"_id": file.file_id}, {"$set": ended})
        former.add(file.processed_at)
        _, counted, _ = await world.get("/data/orders/count")
        assert counted["count"] == 1


async def test_the_queries_of_a_page_never_scan_a_collection(world: World, database: str) -> None:
    """Whatever the ledger and the source grow to."""
    for _ in range(3):
        await world.add_file([{"order_id": "a", "amount": 1.0, "country": "US"}] * 3)
    with MongoClient[dict[str, Any]](world.uri) as client:
        profiled = client[database]
        profiled.command("profile", 2)
        async for _ in world.pages("/data/orders?limit=2"):
            pass
        async for _ in world.pages("/files?limit=2&source=orders"):
            pass
        profiled.command("profile", 0)
        asked = {"$or": [{"op": "query"}, {"command.aggregate": "files"}]}
        entries = list(profiled["system.profile"].find(asked))
    plans = [entry["planSummary"] for entry in entries]
    assert not any(entry["docsExamined"] > entry["nreturned"] for entry in entries), entries
    assert not any(entry.get("hasSortStage") for entry in entries), entries
    assert len(plans) > 10
    assert all(plan.startswith(("IXSCAN", "IDHACK", "EOF")) for plan in plans), plans


async def test_a_page_takes_three_queries(world: World, database: str) -> None:
    """What may be seen, the rows, and their files: each more would cost a page a tenth."""
    await world.add_file([{"order_id": "a", "amount": 1.0, "country": "US"}] * 3)
    with MongoClient[dict[str, Any]](world.uri) as client:
        await world.rows("/data/orders")  # makes the key of cursors
        client[database].command("profile", 2)
        assert len(await world.rows("/data/orders")) == 3
        client[database].command("profile", 0)
        entries = list(client[database]["system.profile"].find({"appName": "ingestd"}))
    assert [entry["ns"].partition(".")[2] for entry in entries] == ["files", "orders", "files"]
