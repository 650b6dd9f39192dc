"""Counts, groups, schemas, and one row with its history."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from api_world import START, World, running, source
from bson import Decimal128, Int64, ObjectId

from ingestd.export.json_text import iso_duration

SCHEMA = {
    "order_id": "string", "amount": "float64", "country": "string", "price": "decimal",
    "took": "duration", "day": "date", "nested": "json", "odd name": "int32",
}  # fmt: skip


@pytest.fixture
async def world(mongo_uri: str, database: str) -> AsyncIterator[World]:
    async with running(mongo_uri, database, (source(schema=SCHEMA),)) as made:
        yield made


def orders(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "order_id": f"o{n}", "amount": n / 4, "country": ("US", "GB", None)[n % 3],
            "price": Decimal128(f"{n}.50"), "took": Int64(1500), "day": START.replace(hour=0),
            "nested": None, "odd name": n,
        }
        for n in range(first, first + count)
    ]  # fmt: skip


async def get(world: World, path: str) -> Any:
    status, body, _ = await world.get(path)
    assert status == 200, body
    return body


async def test_only_rows_that_may_be_seen_are_counted(world: World) -> None:
    assert await get(world, "/data/orders/count") == {"count": 0, "is_exact": True}
    await world.add_file(orders(6))
    await world.add_file(orders(5, 6), state="loading")
    gone = await world.add_file(orders(4, 11))
    await world.mongo.update(
        "files", {"_id": gone}, {"$set": {"state": "undone", "has_rows": True}}
    )
    assert await get(world, "/data/orders/count") == {"count": 6, "is_exact": True}
    assert (await get(world, "/data/orders/count?country=US&amount__gt=0"))["count"] == 1
    assert (await get(world, "/data/orders/count?start_date=2026-02-01"))["count"] == 0
    assert await get(world, "/data/orders/count?estimate=true") == {"count": 15, "is_exact": False}


async def test_groups_come_in_order_with_what_was_asked_of_them(world: World) -> None:
    await world.add_file(orders(6))
    await world.add_file(orders(6), state="loading")
    path = "/data/orders/aggregate?group_by=country&count&sum=amount,price&avg=took&max=day"
    body = await get(world, path)
    assert body["is_complete"] is True
    assert body["groups"] == [
        {
            "country": country, "count": 2, "sum_amount": (2 * first + 3) / 4,
            "sum_price": f"{2 * first + 4}.00", "avg_took": "PT1.5S", "max_day": "2026-01-31",
        }
        for country, first in ((None, 2), ("GB", 1), ("US", 0))
    ]  # fmt: skip


async def test_a_summary_without_groups_is_one_group(world: World) -> None:
    await world.add_file(orders(4))
    path = "/data/orders/aggregate?sum=amount&min=odd%20name&max=odd%20name"
    body = await get(world, path)
    assert body["groups"] == [{"sum_amount": 1.5, "min_odd name": 0, "max_odd name": 3}]


async def test_groups_are_bounded_and_say_that_there_are_more(world: World) -> None:
    await world.add_file(orders(5))
    body = await get(world, "/data/orders/aggregate?group_by=order_id&count&limit=3")
    assert [group["order_id"] for group in body["groups"]] == ["o0", "o1", "o2"]
    assert body["is_complete"] is False


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("aggregate", "count"), ("aggregate?group_by=country", "count"),
        ("aggregate?count=maybe", "count"), ("aggregate?count&group_by=contry", "group_by"),
        ("aggregate?sum=country", "sum"), ("aggregate?avg=day", "avg"),
        ("aggregate?max=nested", "max"), ("aggregate?count&group_by=nested", "group_by"),
        ("aggregate?count&group_by=country,country", "group_by"),
        ('aggregate?sum="amount', "sum"), ("aggregate?count&group_by=$amount", "group_by"),
        ("aggregate?count&cursor=x", "cursor"), ("count?estimate=true&country=US", "estimate"),
        ("count?estimate=2", "estimate"), ("count?amount=x", "amount"), ("schema?x=1", "x"),
        ("count?fields=amount", "fields"), ("count?sort=country", "sort"),
        ("count?limit=5", "limit"), ("count?format=ndjson", "format"),
        ("aggregate?count&fields=country", "fields"), ("aggregate?count&sort=-country", "sort"),
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused_naming_the_parameter(
    world: World, query: str, parameter: str
) -> None:
    status, body, _ = await world.get(f"/data/orders/{query}")
    assert (status, body["parameter"]) == (400, parameter)


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("/aggregate?sum=amount&sum=price", "for several values: sum=a,b"),
        ("/aggregate?count&country=US&country=GB", "for several values: <column>__in=a,b"),
        ("/aggregate?sum=country", "column country is of type string, which sum does not take"),
        ("?limit=0", "1 to 10000, or all with format=ndjson or csv or arrow or parquet"),
        ("?limit=all", "use format=ndjson or csv or arrow or parquet"),
    ],
)
async def test_a_refusal_says_what_would_be_taken(world: World, query: str, part: str) -> None:
    status, body, _ = await world.get(f"/data/orders{query}")
    assert status == 400
    assert part in str(body)


async def test_a_sum_of_whole_numbers_is_exact_however_large(mongo_uri: str, database: str) -> None:
    schema = {"n": "int64", "took": "duration"}
    async with running(mongo_uri, database, (source(schema=schema),)) as world:
        await world.add_file([{"n": 2**63 - 1, "took": Int64(2**62)}] * 3)
        await world.add_file([{"n": None, "took": None}, {"n": "left by others"}])
        body = await get(world, "/data/orders/aggregate?sum=n,took")
        assert body["groups"] == [{"sum_n": 3 * (2**63 - 1), "sum_took": iso_duration(3 * 2**62)}]
        await world.add_file([{"n": 0.5}, {"n": 1}])
        body = await get(world, "/data/orders/aggregate?sum=n&n__lt=2")
        assert body["groups"] == [{"sum_n": 1.5}]
        await world.add_file([{"n": float("nan")}])
        assert (await get(world, "/data/orders/aggregate?sum=n"))["groups"] == [{"sum_n": None}]


async def test_a_group_never_has_two_values_of_one_name(mongo_uri: str, database: str) -> None:
    schema = dict.fromkeys(("n", "count", "sum_n"), "int64")
    async with running(mongo_uri, database, (source(schema=schema),)) as world:
        for query, name in (("group_by=n,count&count", "count"), ("group_by=sum_n&sum=n", "sum_n")):
            status, body, _ = await world.get(f"/data/orders/aggregate?{query}")
            assert (status, body["parameter"]) == (400, "group_by")
            assert f"column {name} " in body["detail"]
        for query in ("group_by=count&sum=n", "group_by=sum_n&avg=n&count"):
            assert await get(world, f"/data/orders/aggregate?{query}") == {
                "groups": [], "is_complete": True,
            }  # fmt: skip


async def test_the_schema_holds_for_every_row(world: World) -> None:
    await world.add_file(orders(3))
    schema = await get(world, "/data/orders/schema")
    assert schema["required"] == ["_id", *SCHEMA, "processed_at"] == list(schema["properties"])
    assert schema["properties"]["amount"] == {"type": ["number", "null"]}
    assert schema["additionalProperties"] is False
    kinds = {"string": str, "number": (int, float), "integer": int, "null": type(None)}
    for row in await world.rows("/data/orders"):
        for name, value in row.items():
            allowed = schema["properties"][name].get("type", "null")
            names = [allowed] if isinstance(allowed, str) else allowed
            assert any(isinstance(value, kinds[kind]) for kind in names), name


async def test_a_row_is_told_with_its_file_and_its_rejections(world: World) -> None:
    file_id = await world.add_file(orders(2))
    identity = f"{file_id}00000002"
    body = await get(world, f"/data/orders/{identity}")
    assert body["row"]["order_id"] == "o1"
    assert body["lineage"]["file"]["name"] == "file-1.csv"
    assert (body["lineage"]["row"], body["errors"]) == (2, [])
    rejection = {
        "_id": ObjectId(identity), "source_name": "orders", "error_time": START, "row": 2,
        "line": 3, "file_id": file_id, "state": "replayed", "error_message": "too small",
    }  # fmt: skip
    await world.mongo.insert_missing("errors", [rejection])
    body = await get(world, f"/data/orders/{identity}")
    assert (body["lineage"]["line"], body["errors"][0]["state"]) == (3, "replayed")
    await world.mongo.delete("orders", {"_id": ObjectId(identity)})
    body = await get(world, f"/data/orders/{identity}")
    assert (body["row"], body["lineage"]["file"]["file_id"]) == (None, file_id)


@pytest.mark.parametrize("row_id", ["0" * 24, "x", "%24ne", "A" * 24])
async def test_a_row_that_is_not_there_is_unknown(world: World, row_id: str) -> None:
    status, body, _ = await world.get(f"/data/orders/{row_id}")
    assert (status, body["type"]) == (404, "urn:ingestd:problem:unknown-row")


@pytest.mark.parametrize("state", ["loading", "held", "undone", "failed"])
async def test_a_row_that_may_not_be_seen_is_unknown(world: World, state: str) -> None:
    file_id = await world.add_file(orders(1), state=state)
    assert (await world.get(f"/data/orders/{file_id}00000001"))[0] == 404
