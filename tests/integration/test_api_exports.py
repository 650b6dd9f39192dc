"""Rows in flat forms: all of them as a stream, or a page; whole or visibly broken off."""

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from api_world import World, running

from ingestd.mongo import Mongo


@pytest.fixture
async def world(mongo_uri: str, database: str) -> AsyncIterator[World]:
    async with running(mongo_uri, database) as made:
        yield made


def orders(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"order_id": f"o{number}", "amount": number / 4, "country": ("US", None)[number % 2]}
        for number in range(first, first + count)
    ]


def read_rows(form: str, octets: bytes) -> list[dict[str, Any]]:
    """What a usual reader of the form makes of it."""
    match form:
        case "ndjson":
            return [json.loads(line) for line in octets.splitlines()]
        case "csv":
            return list(csv.DictReader(io.StringIO(octets.decode(), newline="")))
        case "arrow":
            rows: list[dict[str, Any]] = pa.ipc.open_stream(octets).read_all().to_pylist()
            return rows
        case _:
            return list(pq.read_table(io.BytesIO(octets)).to_pylist())


FORMS = ("ndjson", "csv", "arrow", "parquet")


async def export(world: World, query: str) -> bytes:
    async with world.http.get(f"{world.url}/data/orders?{query}") as response:
        assert response.status == 200, await response.text()
        return await response.read()


@pytest.mark.parametrize("form", FORMS)
async def test_an_export_has_every_row_once_and_in_order(world: World, form: str) -> None:
    for first in range(0, 6_000, 1_500):
        await world.add_file(orders(1_500, first))
    await world.add_file(orders(5, 9_000), state="loading")
    rows = read_rows(form, await export(world, f"format={form}&limit=all"))
    assert [row["order_id"] for row in rows] == [f"o{number}" for number in range(6_000)]
    assert list(rows[0]) == ["_id", "order_id", "amount", "country", "processed_at"]
    assert {row["country"] for row in rows} == {"US", "" if form == "csv" else None}


@pytest.mark.parametrize("form", FORMS)
async def test_a_page_in_any_form_leads_to_the_next(world: World, form: str) -> None:
    await world.add_file(orders(7))
    following: str | None = f"{world.url}/data/orders?format={form}&limit=3"
    seen = []
    while following is not None:
        async with world.http.get(following) as response:
            assert response.content_length is not None
            seen += read_rows(form, await response.read())
            link = response.links.get("next")
            following = None if link is None else str(link["url"])
    assert [row["order_id"] for row in seen] == [f"o{number}" for number in range(7)]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("text/csv", "text/csv; charset=utf-8; header=present"),
        ("application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.stream"),
        ("application/vnd.apache.parquet", "application/vnd.apache.parquet"),
    ],
)
async def test_the_accept_header_chooses_and_head_says_the_same(
    world: World, accept: str, content_type: str
) -> None:
    await world.add_file(orders(1))
    for limit in ("all", "1"):
        url, headers = f"{world.url}/data/orders?limit={limit}", {"Accept": accept}
        async with world.http.get(url, headers=headers) as response:
            assert response.headers["Content-Type"] == content_type
            length = response.headers.get("Content-Length")
        async with world.http.head(url, headers=headers) as response:
            assert (response.status, response.headers["Content-Type"]) == (200, content_type)
            assert response.headers.get("Content-Length") == length


@pytest.mark.parametrize("form", FORMS)
async def test_chosen_columns_and_filters_hold_for_exports(world: World, form: str) -> None:
    await world.add_file(orders(6))
    query = f"format={form}&limit=all&fields=country&amount__gte=0.5"
    rows = read_rows(form, await export(world, query))
    assert len(rows) == 4
    assert list(rows[0]) == ["_id", "country", "processed_at"]


async def test_a_file_undone_while_it_is_exported_is_not_told_any_further(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.add_file(orders(300))
    gone = await world.add_file(orders(300, 300))
    await world.add_file(orders(10, 600))
    read = Mongo.iterate_raw

    async def undo_then_read(self: Mongo, *arguments: Any, **options: Any) -> AsyncIterator[bytes]:
        async for batch in read(self, *arguments, **options):
            if batch.count(b"o300\0"):
                undone = {"$set": {"state": "undone", "has_rows": True}}
                await world.mongo.update("files", {"_id": gone}, undone)
            yield batch

    monkeypatch.setattr(Mongo, "iterate_raw", undo_then_read)
    rows = read_rows("ndjson", await export(world, "format=ndjson&limit=all"))
    kept = [*range(300), *range(600, 610)]
    assert [row["order_id"] for row in rows] == [f"o{number}" for number in kept]


async def test_a_value_that_a_form_has_no_place_for_is_a_problem_or_breaks_the_stream(
    world: World,
) -> None:
    await world.add_file([{"order_id": "o0", "amount": "much", "country": "US"}])
    for form, status in {"csv": 200, "ndjson": 200, "arrow": 409, "parquet": 409}.items():
        url = f"{world.url}/data/orders?limit=all&format={form}"
        async with world.http.get(url) as response:
            assert response.status == status
    await world.mongo.delete("orders", {})
    await world.add_file([*orders(500), {"order_id": "o0", "amount": "much", "country": "US"}])
    with pytest.raises(aiohttp.ClientError):
        await export(world, "limit=all&format=arrow")
