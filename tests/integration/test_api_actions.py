"""Actions and receipts by HTTP: what is asked for, refused, and answered."""

from collections.abc import AsyncIterator

import pytest
from api_world import World, running
from bson import ObjectId


@pytest.fixture
async def world(mongo_uri: str, database: str) -> AsyncIterator[World]:
    async with running(mongo_uri, database) as world:
        yield world


async def test_undo_answers_with_the_file_as_it_is_then(world: World) -> None:
    file_id = await world.add_file([{"order_id": "a"}], has_rows=True)
    status, body = await world.post(f"/files/{file_id}/undo")
    assert (status, body["state"]) == (200, "undone")
    assert body["actions"][0]["by"] == "http 127.0.0.1"
    assert await world.rows("/data/orders") == []
    assert await world.mongo.find("orders", {}) == []


async def test_what_a_state_forbids_is_409_with_the_reason(world: World) -> None:
    file_id = await world.add_file([])
    status, body = await world.post(f"/files/{file_id}/retry")
    assert (status, body["type"]) == (409, "urn:ingestd:problem:action-refused")
    assert "retry is for files that are failed or held" in body["detail"]
    assert body["hint"]


@pytest.mark.parametrize("file_id", ["0123456789abcdef", "file-1.csv", "..%2f"])
async def test_a_file_that_is_not_there_is_404(world: World, file_id: str) -> None:
    await world.add_file([])
    for path in (f"/files/{file_id}/forget", f"/files/{file_id}/undo"):
        assert (await world.post(path))[0] == 404
    assert (await world.get(f"/files/{file_id}/receipt"))[0] == 404


@pytest.mark.parametrize(
    ("body", "option"),
    [
        (b"[", "body"), (b"[]", "body"), (b'{"reson": "x"}', "reson"), (b"{}", "reason"),
        (b'{"reason": ""}', "reason"), (b'{"reason": "x", "rows": [-1]}', "rows"),
        (b'{"reason": "x", "rows": [true]}', "rows"), (b"\xff", "body"),
        (rb'{"reason": "r\ud800"}', "reason"), (rb'{"reason": "\u0000"}', "reason"),
        (rb'{"reason": "a\nb"}', "reason"), (rb'{"r\udfff": "x"}', "r\\udfff"),
        (b'{"reason": "x", "rows": [9223372036854775808]}', "rows"),
    ],
)  # fmt: skip
async def test_a_bad_body_is_400_naming_what_is_wrong(
    world: World, body: bytes, option: str
) -> None:
    file_id = await world.add_file([])
    status, problem = await world.post(f"/files/{file_id}/dismiss", data=body)
    assert (status, problem["option"], problem["title"]) == (400, option, "Bad body")


async def test_dismiss_takes_a_reason_and_rows(world: World) -> None:
    file_id = await world.add_file([])
    error = {"_id": ObjectId(f"{file_id}00000001"), "file_id": file_id, "row": 1, "state": "open"}
    await world.mongo.insert_missing("errors", [error])
    status, told = await world.post(
        f"/files/{file_id}/dismiss", json={"reason": "known", "rows": [1]}
    )
    assert (status, told["actions"][0]["reason"]) == (200, "known")
    status, told = await world.post(
        f"/files/{file_id}/dismiss", json={"reason": "known", "rows": [1, 7]}
    )
    assert (status, told["detail"]) == (409, "row 7 of file-1.csv was not refused")


async def test_a_reason_may_be_of_any_script(world: World) -> None:
    file_id = await world.add_file([])
    error = {"_id": ObjectId(f"{file_id}00000001"), "file_id": file_id, "row": 1, "state": "open"}
    await world.mongo.insert_missing("errors", [error])
    reason = "connu\u00a0: 既知 👩\u200d💻"
    status, told = await world.post(f"/files/{file_id}/dismiss", json={"reason": reason})
    assert (status, told["actions"][0]["reason"]) == (200, reason)


async def test_a_page_of_another_site_may_not_change_anything(world: World) -> None:
    file_id = await world.add_file([{"order_id": "a"}])
    headers = {"Origin": "https://example.org"}
    status, problem = await world.post(f"/files/{file_id}/undo", headers=headers)
    assert (status, problem["type"]) == (403, "urn:ingestd:problem:foreign-origin")
    assert len(await world.rows("/data/orders")) == 1
    own = {"Origin": world.url}
    assert (await world.post(f"/files/{file_id}/undo", headers=own))[0] == 200


async def test_get_changes_nothing(world: World) -> None:
    file_id = await world.add_file([{"order_id": "a"}])
    status, problem, _ = await world.get(f"/files/{file_id}/undo")
    assert (status, problem["allowed"]) == (405, ["POST"])


async def test_a_receipt_is_json(world: World) -> None:
    file_id = await world.add_file([], size=10, sha256="00" * 32, finished_at=None, error_count=0)
    status, told, _ = await world.get(f"/files/{file_id}/receipt")
    assert (status, told["file"], told["rejections"]) == (200, "file-1.csv", [])
