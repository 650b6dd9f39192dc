"""Rows in the order of an index: each once, whatever its value, at the same cost everywhere."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
from api_world import World, running, source
from bson import Int64
from pymongo import MongoClient

from ingestd.config.settings import ApiSettings
from ingestd.load import ordered_indexes

MIXED = [
    None, None, float("nan"), -math.inf, -1.5, 0.0, 0.0, 0.0, 2.5, math.inf, float("nan"), Int64(7),
]  # fmt: skip
TEXTS = ["", "a", "B", "$x", None, "é", "a", "a\nb", None, "z", "", "Z"]


@pytest.fixture
async def world(mongo_uri: str, database: str) -> AsyncIterator[World]:
    schema = {"n": "int64", "number": "float64", "text": "string", "nested": "json"}
    indexes = [["number"], ["text"], ["text", "number"], ["nested"]]
    spec = source(schema=schema, indexes=indexes)
    async with running(mongo_uri, database, (spec,)) as made:
        await made.mongo.ensure_indexes("orders", *ordered_indexes(spec.load))
        yield made


def rows(first: int = 0) -> list[dict[str, Any]]:
    return [
        {"n": first + n, "number": number, "text": text}
        for n, (number, text) in enumerate(zip(MIXED, TEXTS, strict=True))
    ]


async def walked(world: World, query: str) -> list[int]:
    return [
        row["n"]
        async for page in world.pages(f"/data/orders?{query}")
        for run in page
        for row in run["data"]
    ]


@pytest.mark.parametrize("order", ["number", "text", "text,number", "processed_at"])
@pytest.mark.parametrize("limit", [1, 5, 100])
async def test_pages_in_any_order_have_each_row_once(world: World, order: str, limit: int) -> None:
    for first in range(0, 36, 12):
        await world.add_file(rows(first))
    up = await walked(world, f"sort={order}&limit={limit}")
    assert up == await walked(world, f"sort={order}&limit=1000")
    assert sorted(up) == list(range(36))
    assert await walked(world, f"sort=-{order}&limit={limit}") == up[::-1]
    assert up == await exported(world, f"sort={order}")


async def exported(world: World, query: str) -> list[int]:
    url = f"{world.url}/data/orders?{query}&limit=all&format=ndjson&fields=n"
    async with world.http.get(url) as response:
        return [json.loads(line)["n"] for line in (await response.text()).splitlines()]


async def test_rows_stand_in_the_order_of_their_values(world: World) -> None:
    await world.add_file(rows())
    seen = await walked(world, "sort=number&limit=3&number__isnull=false")
    values = [MIXED[n] for n in seen if not math.isnan(MIXED[n] or 0.0)]
    assert values == sorted(value for value in values if value is not None)
    assert len(values) == 8


async def test_a_sorted_walk_during_loads_sees_each_earlier_row_once(world: World) -> None:
    for first in (0, 12):
        await world.add_file(rows(first))
    at_work = await world.add_file(rows(24), state="loading")
    seen: list[int] = []
    async for page in world.pages("/data/orders?sort=-text&limit=5"):
        seen += [row["n"] for run in page for row in run["data"]]
        await world.mongo.update("files", {"_id": at_work}, {"$set": {"state": "archived"}})
        await world.add_file(rows(1000 + len(seen) * 100))
    assert sorted(seen) == list(range(24))


async def test_other_orders_are_refused_naming_those_there_are(world: World) -> None:
    for order in ("n", "nested", "number,text", "_id", "--number", "text,-number"):
        status, body, _ = await world.get(f"/data/orders?sort={order}")
        assert (status, body["parameter"]) == (400, "sort")
        assert body["allowed"] == ["processed_at", "number", "text", "text,number"]


async def test_a_page_costs_the_same_wherever_it_lies(world: World, database: str) -> None:
    """By what MongoDB looks at: neither sorted nor skipped over, forwards and backwards."""
    for first in range(6):
        chunk = [{"n": n, "number": n % 7 / 2, "text": "ab"[n % 2]} for n in range(400)]
        await world.add_file(chunk, name=f"{first}.csv")
    queries = ("sort=number", "sort=-number", "text=a", "text=a&sort=number", "sort=text,number")
    for query in queries:
        entries = await profiled(world, database, f"/data/orders?{query}&limit=100")
        assert len(entries) > 10, query
        for entry in entries:
            assert not entry.get("hasSortStage"), (query, entry)
            assert entry["docsExamined"] <= 3 * 101, (query, entry["planSummary"])


async def profiled(world: World, database: str, path: str) -> list[dict[str, Any]]:
    with MongoClient[dict[str, Any]](world.uri) as client:
        profiler = client[database]
        profiler["system.profile"].drop()
        profiler.command("profile", 2)
        async for _ in world.pages(path):
            pass
        profiler.command("profile", 0)
        match = {"op": "query", "ns": f"{database}.orders"}
        return list(profiler["system.profile"].find(match))


async def test_cursors_are_understood_by_every_daemon_of_a_database(
    world: World, mongo_uri: str, database: str
) -> None:
    await world.add_file(rows())
    spec = world.context.sources["orders"]
    async with running(mongo_uri, database, (spec,), is_prepared=False) as other:
        pages = await asyncio.gather(
            world.get("/data/orders?limit=5"), other.get("/data/orders?limit=5")
        )
        for _, _, headers in pages:
            cursor = headers["Link"].split("cursor=")[1].split(">")[0]
            for one in (world, other):
                status, _, _ = await one.get(f"/data/orders?limit=5&cursor={cursor}")
                assert status == 200
                status, body, _ = await one.get(f"/data/orders?sort=number&cursor={cursor}")
                assert (status, body["parameter"]) == (400, "cursor")


async def test_newest_first_is_an_order_as_well(world: World) -> None:
    for first in (0, 12):
        await world.add_file(rows(first))
    assert await walked(world, "sort=-processed_at&limit=7") == list(range(24))[::-1]


async def test_a_walk_goes_on_from_a_text_of_thousands_of_characters(world: World) -> None:
    await world.add_file([{"n": n, "text": str(n) * 7000} for n in range(4)])
    assert await walked(world, "sort=text&limit=1") == [0, 1, 2, 3]


async def test_a_page_that_no_url_could_go_on_from_is_refused_at_once(
    mongo_uri: str, database: str
) -> None:
    settings = ApiSettings(port=0, max_url=1024)
    one = source(schema={"n": "int64", "text": "string"}, indexes=[["text"]])
    async with running(mongo_uri, database, (one,), settings=settings) as world:
        await world.add_file([{"n": n, "text": "x" * n} for n in range(600, 700)])
        following, seen = "/data/orders?sort=text&limit=1", 0
        status, body, headers = await world.get(following)
        while status == 200:
            following, seen = headers["Link"][1:].split(">")[0], seen + 1
            status, body, headers = await world.get(following)
        assert 0 < seen < 100
        assert (status, body["parameter"]) == (400, "limit")
        assert "limit=all" in body["hint"]
        assert await exported(world, "sort=text") == list(range(600, 700))
