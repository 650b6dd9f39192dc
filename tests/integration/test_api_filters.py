"""Filters of ``/data``: every operator on every type, and everything that must not get through."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from api_world import World, running, source
from bson import Decimal128, Int64, ObjectId

TYPES = (
    "string", "category", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
    "float32", "float64", "decimal", "date", "datetime", "time", "duration", "json", "binary",
    "objectid",
)  # fmt: skip
OIDS = [ObjectId(f"{n:024x}") for n in (1, 2, 3)]
STORED = {
    "string": ["a.c", "abc", "b"], "category": ["x", "y", "z"],
    "bool": [False, True, True],
    **{name: [1, 2, 3] for name in TYPES if "int" in name},
    "int64": [Int64(-(2**63)), Int64(2**53 + 1), Int64(2**63 - 1)],
    "float32": [0.10000000149011612, 1.5, 2.5], "float64": [0.1, 1e300, float("inf")],
    "decimal": [Decimal128("0.10"), Decimal128("2.5"), Decimal128("9" * 34)],
    "date": [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)],
    "datetime": [datetime(2026, 1, 1, hour, 0, 0, 5000, tzinfo=UTC) for hour in (8, 9, 10)],
    "time": ["08:00:00", "08:00:00.500000", "23:59:59"],
    "duration": [Int64(-500), Int64(0), Int64(93_784_005)],
    "json": [{"$gt": ""}, [1, {"a": None}], "text"],
    "binary": [b"", b"\xff\xfe", b"abc"], "objectid": OIDS,
}  # fmt: skip
SHOWN = {
    "bool": [False, True, True], "int64": [-(2**63), 2**53 + 1, 2**63 - 1],
    "float64": [0.1, 1e300, None], "decimal": ["0.10", "2.5", "9" * 34],
    "date": ["2026-01-01", "2026-01-02", "2026-01-03"],
    "datetime": [f"2026-01-01T{hour}:00:00.005Z" for hour in ("08", "09", "10")],
    "duration": ["-PT0.5S", "PT0S", "P1DT2H3M4.005S"],
    "binary": ["", "//4=", "YWJj"], "objectid": [str(oid) for oid in OIDS],
}  # fmt: skip
QUERIES = {
    "string=abc": "1", "string__eq=abc": "1", "string__ne=abc": "02n", "string__gt=abc": "2",
    "string__gte=abc": "12", "string__lt=abc": "0", "string__lte=abc": "01",
    "string__in=abc,b": "12", 'string__in="a.c",zzz': "0", "string__nin=abc,b": "0n",
    "string__startswith=a.": "0", "string__contains=.c": "0", "string__contains=": "012",
    "string__isnull=true": "n", "string__isnull=false": "012", "string=": "",
    "category__startswith=y": "1", "bool=true": "12", "bool__ne=TRUE": "0n", "bool__in=false": "0",
    "int8=2": "1", "int16__gt=2": "2", "int32__lte=2": "01", "uint8__in=1,3": "02",
    "uint16__nin=1": "12n", "uint32__lt=2": "0", "int64=9007199254740993": "1",
    "int64__lt=9007199254740993": "0", "int64=-9223372036854775808": "0",
    "float32=0.1": "0", "float32__gt=0.1": "12", "float64=0.1": "0", "float64__gte=1e300": "12",
    "decimal=0.1": "0", "decimal__gt=2.4": "12", "date=2026-01-02": "1",
    "date__gte=2026-01-02": "12", "datetime=2026-01-01T09:00:00.005Z": "1",
    "datetime__lt=2026-01-01T11:00:00.005%2B01:00": "01", "datetime__gte=2026-01-02": "",
    "time=08:00": "0", "time=08:00:00.5": "1", "time__gt=08:00": "12", "duration=PT0S": "1",
    "duration__lt=PT0S": "0", "duration=P1DT2H3M4.005S": "2", "duration__gte=-PT0.5S": "012",
    "json__isnull=true": "n", "json__isnull=false": "012", "binary=YWJj": "2", "binary=//4=": "1",
    "binary=__4=": "1", "binary__ne=": "12n", f"objectid={OIDS[1]}": "1",
    f"objectid__gt={OIDS[1]}": "2", "int8__gte=1&int8__lt=3&bool=true": "1",
    "int8__between=2,3": "12",
    "date__between=2026-01-01,2026-01-02": "01", 'string__between="a.c",abc': "01",
    "float64__between=1,0": "",
}  # fmt: skip
"""Query, and the numbers of the rows that match; n is the row of nulls."""


@pytest.fixture
async def world(mongo_uri: str, database: str) -> AsyncIterator[World]:
    spec = source(schema={"row": "string", **{name: name for name in TYPES}})
    async with running(mongo_uri, database, (spec,)) as made:
        rows = [
            {"row": str(n), **{name: STORED[name][n] for name in TYPES}, "_version": Int64(1)}
            for n in range(3)
        ]
        await made.add_file([*rows, {"row": "n", **dict.fromkeys(TYPES)}])
        yield made


async def test_every_type_is_shown_as_json_has_it(world: World) -> None:
    rows = await world.rows("/data/orders")
    for name in TYPES:
        expected = [*SHOWN.get(name, STORED[name]), None]
        assert [row[name] for row in rows] == expected, name
    assert list(rows[0]) == ["_id", "row", *TYPES]


async def test_every_operator_finds_its_rows(world: World) -> None:
    for query, expected in QUERIES.items():
        found = await world.rows(f"/data/orders?{quote(query, safe='=&,%+/')}".replace("%25", "%"))
        assert "".join(row["row"] for row in found) == expected, query


@pytest.mark.parametrize("name", sorted(set(TYPES) - {"string", "category", "json"}))
async def test_a_value_that_is_not_of_the_type_names_column_and_type(
    world: World, name: str
) -> None:
    for value in ("", "x", "nan", "--1", "1e999999", "9" * 500, "2026-13-45", "'", "é"):
        status, body, headers = await world.get(f"/data/orders?{name}={quote(value)}")
        if name == "binary" and value in ("", "1e999999", "9" * 500):
            continue  # base64 after all
        assert status == 400, value
        assert (body["column"], body["column_type"]) == (name, name)
        assert headers["Content-Type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    "query",
    [
        "string__ne[$gt]=", "string[$gt]=", "string[$ne]=x", "$where=1", "string__$gt=a", "$or=[]",
        "string__regex=.*", "string__ne__gt=1", "__gt=1", "_id=1", "processed_at__gt=1",
        "_version=1", "source_name=x", "json__a=1", "json.a=1", "string__gt%00=1", "json={}",
        "json__in=1", "bool__gt=true", "int8__contains=1", "int8=128", "uint8=-1", "int8=1_0",
        "int64=9223372036854775808", "float64=1e999", "float64=inf", "float32=1e39",
        "decimal=" + "9" * 35 + "1", "decimal=nan", "date=20260101", "date=2026-02-30",
        "datetime=2026-01-01T08:00:00", "datetime=0001-01-01T00:00:00%2B14:00", "time=25:00",
        "duration=P", "duration=PT", "duration=1h", "binary=abc",
        "objectid=zz", "objectid=123456789012", "string=%00", "string=a&string=b", "string=%FF",
        "%FF=1", "string=%ED%A0%80", "string__in=%22open", "string__contains=" + "x" * 1001,
        "int8__between=1", "int8__between=1,2,3", "int8__between=1,x", "bool__between=true,true",
        "sort=", "sort=int8", "sort=-", "sort=_id", "sort=$where", "limit=0", "limit=-1",
        "limit=10001", "limit=1e3", "limit=all", "limit=%D9%A1", "limit=",
        "cursor=", "cursor=xyz", "cursor=" + "A" * 10_000, "cursor=%00", "format=xml", "format=",
        "fields=", "fields=_version", "fields=row,row",
        "start_date=yesterday", "start_date=2026-01-31T08:00:00", "end_date=", "file_id=",
        "file_id[$ne]=1", "&".join(f"string__x{n}=1" for n in range(101)),
    ],
)  # fmt: skip
async def test_nothing_but_declared_columns_and_operators_gets_through(
    world: World, query: str
) -> None:
    status, body, _ = await world.get(f"/data/orders?{query}")
    assert (status, body["status"]) == (400, 400), body
    assert body["detail"]


async def test_operator_objects_are_only_text_to_compare_with(world: World) -> None:
    for value in ('{"$gt":""}', "$gt", "{'$ne': null}", ".*", "^a", "a|b", "(", "[", "\\", "a\nb"):
        for operator in ("", "__startswith", "__contains", "__in"):
            status, body, _ = await world.get(f"/data/orders?string{operator}={quote(value)}")
            assert status == 200 or operator == "__in", (operator, value)
            if status == 200:
                assert body == [], (operator, value)


async def test_unknown_parameters_name_the_nearest(world: World) -> None:
    status, body, _ = await world.get("/data/orders?strin=1")
    assert (status, body["nearest"]) == (400, "string")
    assert "start_date" in body["allowed"]


async def test_a_column_named_like_a_parameter_is_reached_by_eq(
    mongo_uri: str, database: str
) -> None:
    spec = source(schema={"limit": "int64", "a": "string", "a__gt": "string"})
    async with running(mongo_uri, database, (spec,)) as world:
        await world.add_file([{"limit": 5, "a": "x", "a__gt": "y"}])
        assert len(await world.rows("/data/orders?limit__eq=5")) == 1
        assert await world.rows("/data/orders?limit__eq=6") == []
        assert len(await world.rows("/data/orders?a__gt=y")) == 1


async def test_no_query_string_makes_a_server_error(world: World) -> None:
    chosen = random.Random(7)
    pieces = ["string", "int8", "__", "gt", "in", "=", "&", "%", "%2", "%00", "%FF", "$", "[", "]"]
    pieces += [".", "+", "limit", "cursor", "fields", "9", ",", '"', "%C3%A9", "?", "/", ";", "%0a"]
    for _ in range(400):
        query = "".join(chosen.choices(pieces, k=chosen.randint(1, 12)))
        status, _, _ = await world.get(f"/data/orders?{query}")
        assert status in (200, 400), query
