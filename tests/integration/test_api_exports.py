"""Rows in flat forms: all of them as a stream, or a page; whole or visibly broken off."""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from api_world import START, World, running, source
from backports import zstd
from bson import ObjectId

from ingestd.config.settings import ApiSettings
from ingestd.files import file_id
from ingestd.ledger import Claim, Ledger, Wanted
from ingestd.mongo import Mongo
from ingestd.records import FileStat, FoundFile


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


Change = Callable[[World, str], Awaitable[None]]
ExportDuring = Callable[[Change], Awaitable[bytes | None]]


async def _replaced(world: World, file_id: str) -> None:
    """As a newer version does; what removes the rows has not come to it yet."""
    undone = {"$set": {"state": "undone", "has_rows": True}}
    await world.mongo.update("files", {"_id": file_id}, undone)
    await world.add_file(orders(1, 900))


async def _undone(world: World, file_id: str) -> None:
    """With all rows gone, and nothing left to tell that there were any."""
    assert (await world.post(f"/files/{file_id}/undo"))[0] == 200


async def _loaded_again(world: World, file_id: str) -> None:
    """Forgotten, and dropped again."""
    assert (await world.post(f"/files/{file_id}/forget"))[0] == 200
    (known,) = await world.mongo.find("files", {"_id": file_id})
    found = FoundFile("orders", Path("/inbox/a.csv"), FileStat(1, 1, 1, 0, 0), datetime.now(UTC))
    wanted = Wanted(found, bytes.fromhex(known["sha256"]), "c", is_tried=True)
    (claim,) = await Ledger(world.mongo, is_there=lambda _: True).claims.claim_all([wanted])
    assert isinstance(claim, Claim)
    await world.mongo.update("files", {"_id": file_id}, {"$set": {"state": "loaded"}})


async def _dismissed(world: World, file_id: str) -> None:
    refused = {"_id": ObjectId(f"{file_id}00000001"), "file_id": file_id, "state": "open"}
    await world.mongo.insert_missing("errors", [refused])
    told = await world.post(f"/files/{file_id}/dismiss", json={"reason": "known"})
    assert told[0] == 200, told


async def _followed(world: World, _: str) -> None:
    await world.add_file(orders(1, 900))


@pytest.fixture
async def begun(world: World, monkeypatch: pytest.MonkeyPatch) -> ExportDuring:
    """An export of three files during which something is done with the second; None: broken off."""
    digest = hashlib.sha256(b"a").digest()
    await world.add_file(orders(300))
    changed = await world.add_file(
        orders(300, 300), _id=file_id("orders", digest), sha256=digest.hex(), has_stale_rows=False,
        config_hash="c", is_put_away=True, finished_at=START, failures=0,
    )  # fmt: skip
    await world.add_file(orders(10, 600))
    read = Mongo.iterate_raw

    async def export_during(change: Change) -> bytes | None:
        is_changed = False

        async def change_then_read(
            self: Mongo, *arguments: Any, **options: Any
        ) -> AsyncIterator[bytes]:
            async for batch in read(self, *arguments, **options):
                if batch.count(b"o300\0"):
                    await change(world, changed)
                    nonlocal is_changed
                    is_changed = True
                yield batch

        monkeypatch.setattr(Mongo, "iterate_raw", change_then_read)
        try:
            return await export(world, "format=ndjson&limit=all&trailer=count")
        except aiohttp.ClientError:
            return None
        finally:
            assert is_changed

    return export_during


@pytest.mark.parametrize("change", [_replaced, _undone, _loaded_again])
async def test_an_export_whose_rows_are_taken_away_meanwhile_is_broken_off(
    begun: ExportDuring,
    change: Change,
) -> None:
    assert await begun(change) is None


@pytest.mark.parametrize("change", [_followed, _dismissed])
async def test_an_export_is_whole_when_its_rows_stay(begun: ExportDuring, change: Change) -> None:
    assert (await begun(change) or b"").endswith(b'{"#rows":610}\n')


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


# what goes around the rows


async def test_answers_are_compressed_as_the_client_accepts(world: World) -> None:
    await world.add_file(orders(3_000))
    for query in ("format=ndjson&limit=all", "format=csv&limit=3000", "limit=2000"):
        plain = await export(world, query)
        for accepted, coding in (
            ("gzip", "gzip"), ("gzip, zstd", "zstd"), ("zstd;q=0.5, gzip", "gzip"),
            ("br, *;q=0.1", "zstd"), ("gzip;q=0", None), ("identity", None),
        ):  # fmt: skip
            async with aiohttp.ClientSession(auto_decompress=False) as http:
                headers = {"Accept-Encoding": accepted}
                async with http.get(
                    f"{world.url}/data/orders?{query}", headers=headers
                ) as response:
                    assert response.headers.get("Content-Encoding") == coding
                    assert "Accept-Encoding" in response.headers["Vary"]
                    body = await response.read()
            assert unpacked(body, coding) == plain


def unpacked(body: bytes, coding: str | None) -> bytes:
    if coding is None:
        return body
    return gzip.decompress(body) if coding == "gzip" else zstd.decompress(body)


async def test_a_small_page_is_not_worth_compressing(world: World) -> None:
    await world.add_file(orders(2))
    async with world.http.get(
        f"{world.url}/data/orders", headers={"Accept-Encoding": "gzip"}
    ) as response:
        assert "Content-Encoding" not in response.headers


async def test_an_export_has_the_name_of_its_source_and_form(world: World) -> None:
    for form in FORMS:
        async with world.http.get(f"{world.url}/data/orders?format={form}") as response:
            named = response.headers["Content-Disposition"]
            assert named == f'attachment; filename="orders.{form}"'


@pytest.mark.parametrize(
    ("query", "status", "parameter"),
    [
        ("format=csv&bom=true&formulas=keep&trailer=count", 200, None),
        ("format=ndjson&trailer=count", 200, None), ("format=ndjson&bom=true", 400, "bom"),
        ("format=csv&formulas=yes", 400, "formulas"), ("trailer=count", 400, "trailer"),
        ("format=arrow&trailer=count", 400, "trailer"),
    ],
)  # fmt: skip
async def test_options_hold_for_the_forms_they_mean_something_in(
    world: World, query: str, status: int, parameter: str | None
) -> None:
    async with world.http.get(f"{world.url}/data/orders?{query}") as response:
        assert response.status == status
        if parameter is not None:
            assert (await response.json(content_type=None))["parameter"] == parameter


async def test_an_answer_is_not_sent_again_until_rows_change(world: World) -> None:
    await world.add_file(orders(3))
    known: set[str] = set()

    async def ask(query: str = "limit=2", tag: str = "") -> tuple[int, str | None]:
        headers = {"If-None-Match": tag} if tag else {}
        async with world.http.get(f"{world.url}/data/orders?{query}", headers=headers) as response:
            assert response.status == 200 or await response.read() == b""
            return response.status, response.headers.get("ETag")

    async def assert_new(query: str = "limit=2") -> str:
        """A tag that was not there before, and is known when it comes back."""
        status, tag = await ask(query, ", ".join(known) or '"other"')
        assert status == 200
        assert tag is not None
        assert tag not in known
        known.add(tag)
        assert await ask(query, tag) == (304, tag)
        assert (await ask(query, "*"))[0] == 304
        return tag

    await assert_new()
    await assert_new("limit=1")
    await assert_new("limit=2&format=csv")
    await world.add_file(orders(1, 3), state="loading")
    await assert_new()
    await world.mongo.update("files", {"state": "loading"}, {"$set": {"state": "loaded"}})
    await assert_new()
    file_id = await world.add_file(orders(1, 4))
    await assert_new()
    undo = await world.post(f"/files/{file_id}/undo")
    assert undo[0] == 200, undo
    await assert_new()


async def test_upserted_rows_change_under_a_reader_and_have_no_tag(
    mongo_uri: str, database: str
) -> None:
    specs = (source(mode="upsert", key=["order_id"]),)
    async with running(mongo_uri, database, specs) as world:
        await world.add_file(orders(1))
        async with world.http.get(f"{world.url}/data/orders") as response:
            assert "ETag" not in response.headers
            assert response.headers["Cache-Control"] == "no-store"


async def test_pages_of_allowed_origins_may_read_and_no_others(
    mongo_uri: str, database: str
) -> None:
    mine, other = "https://app.example.org", "https://elsewhere.example.org"
    for allowed, given, answered in (
        ((), mine, None), ((mine,), mine, mine), ((mine,), other, None), (("*",), other, "*"),
    ):  # fmt: skip
        settings = ApiSettings(port=0, cors_origins=allowed)
        async with running(mongo_uri, database, settings=settings) as world:
            asked = {"Origin": given, "Access-Control-Request-Method": "GET"}
            async with world.http.get(f"{world.url}/data/orders", headers=asked) as response:
                assert response.headers.get("Access-Control-Allow-Origin") == answered
            async with world.http.options(f"{world.url}/data/orders", headers=asked) as response:
                assert response.status == (405 if answered is None else 204)
                assert response.headers.get("Access-Control-Allow-Origin") == answered
            asked["Access-Control-Request-Method"] = "POST"
            async with world.http.options(f"{world.url}/files/0/undo", headers=asked) as response:
                assert response.status == 405


async def test_one_query_more_than_allowed_is_told_to_come_again(
    mongo_uri: str, database: str
) -> None:
    settings = ApiSettings(port=0, queries_at_once=2, exports_at_once=1)
    wide = [{"order_id": "x" * 2**16, "amount": float(n), "country": "US"} for n in range(1500)]
    async with running(mongo_uri, database, settings=settings) as world:
        await world.add_file(wide)
        url = f"{world.url}/data/orders?format=ndjson&limit=all"
        async with world.http.get(url) as slow:
            assert slow.status == 200
            async with world.http.get(url) as response:
                assert (response.status, response.headers["Retry-After"]) == (429, "1")
                assert "api.exports_at_once" in (await response.json(content_type=None))["detail"]
            async with world.http.get(f"{world.url}/data/orders?limit=1") as response:
                assert response.status == 200
            assert len((await slow.read()).splitlines()) == 1500
        async with world.http.get(url) as response:
            assert response.status == 200
            await response.read()
