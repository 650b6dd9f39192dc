"""``/data``: shape, pages, formats, and what may be seen."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from api_world import START, World, running, source

from ingestd.load import ordered_indexes
from ingestd.records import COMMITTED, FileState
from ingestd.visible import visible_runs


@pytest.fixture
async def world(mongo_uri: str, database: str) -> AsyncIterator[World]:
    async with running(mongo_uri, database) as made:
        yield made


def orders(count: int, first: int = 0) -> list[dict[str, object]]:
    return [
        {"order_id": f"o{number}", "amount": number / 4, "country": ("US", "GB")[number % 2]}
        for number in range(first, first + count)
    ]


async def test_rows_come_in_runs_with_the_newest_file_last(world: World) -> None:
    first = await world.add_file(orders(2), error_count=1, record_count=3)
    second = await world.add_file(orders(1, 2))
    status, body, headers = await world.get("/data/orders")
    assert status == 200
    assert [run["file_id"] for run in body] == [first, second]
    assert body[0] == {
        "source_name": "orders", "processed_at": "2026-01-31T08:01:00.000Z", "record_count": 3,
        "success_count": 2, "error_count": 1, "filtered_count": 0, "file": "file-1.csv",
        "file_id": first,
        "data": [
            {"_id": f"{first}00000001", "order_id": "o0", "amount": 0.0, "country": "US"},
            {"_id": f"{first}00000002", "order_id": "o1", "amount": 0.25, "country": "GB"},
        ],
    }  # fmt: skip
    assert "Link" not in headers


async def test_ndjson_rows_are_flat_and_carry_their_run(world: World) -> None:
    await world.add_file(orders(2))
    for path, headers in (
        ("/data/orders?format=ndjson", {}),
        ("/data/orders", {"Accept": "text/html, application/x-ndjson;q=0.9, */*;q=0.1"}),
        ("/data/orders?format=ndjson&limit=all", {}),
    ):
        async with world.http.get(world.url + path, headers=headers) as response:
            assert response.content_type == "application/x-ndjson"
            lines = (await response.text()).splitlines()
        assert [json.loads(line)["order_id"] for line in lines] == ["o0", "o1"]
        assert json.loads(lines[0])["processed_at"] == "2026-01-31T08:01:00.000Z"


@pytest.mark.parametrize("state", list(FileState))
async def test_rows_are_seen_only_in_committed_states(world: World, state: FileState) -> None:
    await world.add_file(orders(1))
    has_rows = {"has_rows": True} if state is FileState.UNDONE else {}
    await world.add_file(orders(3, 1), state=state.value, **has_rows)
    await world.add_file(orders(1, 4))
    seen = [row["order_id"] for row in await world.rows("/data/orders")]
    assert seen == (["o0", "o1", "o2", "o3", "o4"] if state in COMMITTED else ["o0", "o4"])


async def test_rows_without_a_ledger_entry_are_never_seen(world: World) -> None:
    await world.add_rows("00000000000000ff", START, orders(2), "orders")
    await world.add_file(orders(1, 7))
    assert [row["order_id"] for row in await world.rows("/data/orders")] == ["o7"]
    async with world.http.get(world.url + "/data/orders?format=ndjson&limit=all") as response:
        assert len((await response.text()).splitlines()) == 1


async def test_a_duplicate_does_not_open_the_view_on_files_claimed_later(world: World) -> None:
    """Its time may lie after that of a file that is only being claimed."""
    await world.add_file(orders(1))
    await world.add_file([], state="duplicate", processed_at=START + timedelta(days=1))
    runs = await visible_runs(world.mongo, source())
    assert runs is not None
    assert runs.horizon == START + timedelta(minutes=1)


async def test_a_source_without_files_is_an_empty_list(world: World) -> None:
    assert (await world.get("/data/orders"))[:2] == (200, [])
    async with world.http.get(world.url + "/data/orders?format=ndjson&limit=all") as response:
        assert (response.status, await response.text()) == (200, "")


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_hold_each_row_once_and_in_order(world: World, limit: int) -> None:
    for first in range(0, 12, 4):
        await world.add_file(orders(4, first))
    sizes, seen = [], []
    async for page in world.pages(f"/data/orders?limit={limit}"):
        rows = [row["order_id"] for run in page for row in run["data"]]
        sizes.append(len(rows))
        seen += rows
    assert seen == [f"o{number}" for number in range(12)]
    assert sizes == [limit] * (12 // limit) + ([12 % limit] if 12 % limit else [])


async def test_a_page_walk_during_loads_sees_each_earlier_row_once(world: World) -> None:
    for first in range(0, 40, 10):
        await world.add_file(orders(10, first))
    open_file = await world.add_file(orders(10, 40), state="loading")
    seen: list[str] = []
    async for page in world.pages("/data/orders?limit=7"):
        seen += [row["order_id"] for run in page for row in run["data"]]
        await world.add_file(orders(5, 1000 + len(seen) * 10))
        await world.mongo.update("files", {"_id": open_file}, {"$set": {"state": "archived"}})
    assert seen == [f"o{number}" for number in range(40)]


async def test_a_walk_never_sees_a_row_again_that_an_upsert_moved(world: World) -> None:
    """The moving file was at work when the walk began, and commits while it goes on."""
    await world.add_file(orders(6))
    mover = await world.add_file([], state="loading")
    moved = (await world.mongo.find("files", {"_id": mover}))[0]["processed_at"]
    await world.add_file(orders(2, 6))
    seen: list[str] = []
    async for page in world.pages("/data/orders?limit=2"):
        seen += [row["order_id"] for run in page for row in run["data"]]
        change = {"$set": {"processed_at": moved}}
        await world.mongo.update("orders", {"order_id": "o0"}, change)
        await world.mongo.update("files", {"_id": mover}, {"$set": {"state": "archived"}})
    assert seen == [f"o{number}" for number in range(8)]


@pytest.mark.parametrize("query", ["", "&amount__gte=0", "&sort=country", "&sort=-country"])
async def test_a_walk_sees_each_upserted_row_once_wherever_it_moves(
    mongo_uri: str, database: str, query: str
) -> None:
    """Rows before and behind the reader move to the file that loads, and it ends meanwhile."""
    spec = source(mode="upsert", key=["order_id"], indexes=[["country"]])
    async with running(mongo_uri, database, (spec,)) as world:
        await world.mongo.ensure_indexes("orders", *ordered_indexes(spec.load))
        for first in (0, 4):
            await world.add_file(orders(4, first))
        mover = await world.add_file([], state="loading")
        moved = (await world.mongo.find("files", {"_id": mover}))[0]["processed_at"]
        seen: list[str] = []
        async for page in world.pages(f"/data/orders?limit=2{query}"):
            assert [run["processed_at"] for run in page] == sorted(
                {run["processed_at"] for run in page}
            ) or query.startswith("&sort")
            seen += [row["order_id"] for run in page for row in run["data"]]
            changed = {"order_id": {"$in": [f"o{n}" for n in (0, 3, 5, len(seen))]}}
            await world.mongo.update_all(
                "orders", changed, {"$set": {"processed_at": moved, "amount": 9.0}}
            )
            await world.mongo.update("files", {"_id": mover}, {"$set": {"state": "archived"}})
        assert sorted(seen) == [f"o{number}" for number in range(8)]


async def test_an_upserted_row_is_seen_while_its_file_loads_and_after_it_failed(
    mongo_uri: str, database: str
) -> None:
    """It took the place of a row that readers had: hidden, both would be gone."""
    specs = (source(mode="upsert", key=["order_id"]),)
    async with running(mongo_uri, database, specs) as world:
        for state in ("archived", "loading", "failed"):
            await world.add_file([{"order_id": state, "amount": 1.0, "country": "US"}], state)
        rows = await world.rows("/data/orders")
        assert [row["order_id"] for row in rows] == ["archived", "loading", "failed"]


async def test_a_file_undone_in_mid_walk_is_not_seen_any_more(world: World) -> None:
    await world.add_file(orders(2))
    gone = await world.add_file(orders(4, 2))
    await world.add_file(orders(1, 6))
    seen: list[str] = []
    async for page in world.pages("/data/orders?limit=3"):
        seen += [row["order_id"] for run in page for row in run["data"]]
        undone = {"$set": {"state": "undone", "has_rows": True}}
        await world.mongo.update("files", {"_id": gone}, undone)
    assert seen == ["o0", "o1", "o2", "o6"]


async def test_a_large_page_ends_early_and_says_so(world: World) -> None:
    wide = [{"order_id": "x" * 2**20, "amount": float(n), "country": "US"} for n in range(40)]
    await world.add_file(wide)
    pages = [page async for page in world.pages("/data/orders?limit=10000")]
    amounts = [row["amount"] for page in pages for run in page for row in run["data"]]
    assert amounts == [float(number) for number in range(40)]
    assert len(pages) > 1


async def test_an_export_over_many_slices_has_every_row_once(world: World) -> None:
    for first in range(0, 12_000, 6_000):
        await world.add_file(orders(6_000, first))
    async with world.http.get(world.url + "/data/orders?format=ndjson&limit=all") as response:
        lines = (await response.text()).splitlines()
    assert [json.loads(line)["order_id"] for line in lines] == [f"o{n}" for n in range(12_000)]


async def test_head_is_get_without_a_body(world: World) -> None:
    await world.add_file(orders(3))
    for path in ("/data/orders?limit=2", "/data/orders?format=ndjson&limit=all", "/files", "/"):
        async with world.http.get(world.url + path) as response:
            expected = response
            body = await response.read()
        async with world.http.head(world.url + path) as response:
            assert response.status == expected.status == 200
            assert response.content_type == expected.content_type
            assert response.headers.get("Content-Length") == expected.headers.get("Content-Length")
            assert await response.read() == b""
        assert body


async def test_dates_bound_the_run_inclusively(world: World) -> None:
    for minute in range(3):
        await world.add_file(orders(1, minute))
    at = ["2026-01-31T08:01:00Z", "2026-01-31T08:02:00Z", "2026-01-31T08:03:00.000Z"]
    for query, expected in {
        f"start_date={at[1]}": ["o1", "o2"],
        f"end_date={at[1]}": ["o0", "o1"],
        f"start_date={at[1]}&end_date={at[1]}": ["o1"],
        "start_date=2026-01-31T10:02:00%2B02:00": ["o1", "o2"],
        "start_date=2026-01-31T10:02:00+02:00": ["o1", "o2"],
        "start_date=2026-01-31&end_date=2026-01-31": ["o0", "o1", "o2"],
        "end_date=2026-01-30": [],
        "start_date=2026-02-01": [],
    }.items():
        assert [row["order_id"] for row in await world.rows(f"/data/orders?{query}")] == expected


async def test_file_id_keeps_to_one_file(world: World) -> None:
    await world.add_file(orders(1))
    second = await world.add_file(orders(2, 1))
    seen = await world.rows(f"/data/orders?file_id={second}")
    assert [row["order_id"] for row in seen] == ["o1", "o2"]
    status, body, _ = await world.get("/data/orders?file_id=0123456789abcdef")
    assert (status, body["parameter"]) == (400, "file_id")


async def test_fields_choose_columns_and_their_order(world: World) -> None:
    await world.add_file(orders(1))
    (row,) = await world.rows("/data/orders?fields=country,order_id")
    assert list(row) == ["_id", "country", "order_id"]
    status, body, _ = await world.get("/data/orders?fields=contry")
    assert (status, body["nearest"]) == (400, "country")


async def test_a_slow_client_holds_the_export_back(world: World) -> None:
    """The server waits for the reader instead of keeping the rows in memory."""
    wide = [{"order_id": "x" * 2**16, "amount": float(n), "country": "US"} for n in range(1500)]
    await world.add_file(wide)
    started = world.documents_returned()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(world.url.split(":")[-1]))
    writer.write(b"GET /data/orders?format=ndjson&limit=all HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    returned, unchanged = 0, 0
    async with asyncio.timeout(30):
        while unchanged < 20:
            await world.mongo.ping()
            before, returned = returned, world.documents_returned()
            unchanged = unchanged + 1 if returned == before else 0
    assert returned - started < len(wide) / 2
    writer.close()


async def test_columns_that_a_file_added_are_shown_unless_fields_are_chosen(
    mongo_uri: str, database: str
) -> None:
    added = [{"order_id": "o1", "amount": 1.0, "channel": "web", "_version": "2"}]
    async with running(mongo_uri, database, (source(on_new_column="add"),)) as world:
        file_id = await world.add_file(added)
        row = {"_id": f"{file_id}00000001", "order_id": "o1", "amount": 1.0}
        assert await world.rows("/data/orders") == [row | {"country": None, "channel": "web"}]
        assert await world.rows("/data/orders?fields=order_id,amount") == [row]
