"""``/data``: shape, pages, formats, and what may be seen."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from api_world import START, World, running

from ingestd.records import COMMITTED, FileState


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
