"""Actions by HTTP are recorded, and with a key done once however often they are sent."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from api_world import World, running, source
from pymongo import MongoClient

from ingestd.access import TokenFile, new_token, parse_scope
from ingestd.config.settings import ApiSettings
from ingestd.ledger import TRAIL, Trail, now

KEY = {"Idempotency-Key": "k-1"}


@pytest.fixture
async def world(mongo_uri: str, database: str) -> AsyncIterator[World]:
    async with running(mongo_uri, database) as made:
        yield made


async def trail(world: World) -> list[dict[str, Any]]:
    return await world.mongo.find(TRAIL, {}, sort=[("at", 1)])


async def test_the_same_key_gives_the_same_answer_and_acts_once(world: World) -> None:
    file_id = await world.add_file([])
    answers = [await world.post(f"/files/{file_id}/forget", headers=KEY) for _ in range(3)]
    assert answers[0][0] == 200
    assert answers[1:] == answers[:1] * 2
    (file,) = await world.mongo.find("files", {"_id": file_id})
    assert len(file["actions"]) == 1


async def test_of_many_at_once_one_acts(world: World) -> None:
    file_id = await world.add_file([])
    path = f"/files/{file_id}/forget"
    answers = await asyncio.gather(*(world.post(path, headers=KEY) for _ in range(5)))
    assert {status for status, _ in answers} <= {200, 409}
    (file,) = await world.mongo.find("files", {"_id": file_id})
    assert len(file["actions"]) == 1


async def test_the_key_of_another_request_is_422(world: World) -> None:
    file_id = await world.add_file([])
    path = f"/files/{file_id}/dismiss"
    assert (await world.post(path, json={"reason": "a"}, headers=KEY))[0] == 200
    for other, body in ((path, {"reason": "b"}), (f"/files/{file_id}/forget", {"reason": "a"})):
        status, problem = await world.post(other, json=body, headers=KEY)
        assert (status, problem["type"]) == (422, "urn:ingestd:problem:key-reused")


async def test_a_refusal_is_remembered_too(world: World) -> None:
    file_id = await world.add_file([])
    first = await world.post(f"/files/{file_id}/retry", headers=KEY)
    await world.mongo.update("files", {"_id": file_id}, {"$set": {"state": "failed"}})
    assert first[0] == 409
    assert await world.post(f"/files/{file_id}/retry", headers=KEY) == first


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "ä"])
async def test_a_key_that_cannot_be_kept_is_400(world: World, key: str) -> None:
    headers = {"Idempotency-Key": key}
    status, problem = await world.post("/files/0123456789abcdef/undo", headers=headers)
    assert (status, problem["type"]) == (400, "urn:ingestd:problem:bad-key")


async def test_what_was_cut_off_is_done_when_it_comes_again(world: World) -> None:
    file_id = await world.add_file([])
    path = f"/files/{file_id}/forget"
    assert (await world.post(path, headers=KEY))[0] == 200
    (record,) = await trail(world)
    open_again = {"status": None, "answer": None}
    await world.mongo.update(TRAIL, {"_id": record["_id"]}, {"$set": open_again})
    assert (await world.post(path, headers=KEY))[0] == 409
    old = {"at": now() - timedelta(minutes=6)}
    await world.mongo.update(TRAIL, {"_id": record["_id"]}, {"$set": old})
    assert (await world.post(path, headers=KEY))[0] == 200


async def test_who_asked_for_what_is_on_record_for_a_while(
    mongo_uri: str, database: str, tmp_path: Path
) -> None:
    settings = ApiSettings(port=0, allow_anonymous=False, keep_audit=3600)
    async with running(mongo_uri, database, (source(),), root=tmp_path, settings=settings) as world:
        await Trail(world.mongo, 3600).prepare()
        file_id = await world.add_file([])
        for name in ("ann", "bob"):
            token, text = new_token(name, [parse_scope("operate")], None)
            TokenFile(tmp_path).add(token)
            headers = {"Authorization": f"Bearer {text}", **KEY}
            body = {"reason": name}
            assert (await world.post(f"/files/{file_id}/dismiss", json=body, headers=headers))[
                0
            ] == 200
        records = await trail(world)
        assert [record["by"].split(" http")[0] for record in records] == ["token ann", "token bob"]
        assert records[0]["what"] == f"POST /files/{file_id}/dismiss"
        assert (records[0]["status"], records[0]["options"]) == (200, '{"reason": "ann"}')
        assert records[0]["expires_at"] - records[0]["at"] == timedelta(hours=1)
        assert text not in str(records)
        with MongoClient[Any](mongo_uri) as client:
            indexes = client[database][TRAIL].index_information()
        assert indexes["expires_at_1"]["expireAfterSeconds"] == 0


async def test_a_key_belongs_to_one_token_whatever_others_are_called(
    mongo_uri: str, database: str, tmp_path: Path
) -> None:
    """Else one of another source, called the same, would be told what the first was answered."""
    specs, settings = (source(), source("returns")), ApiSettings(port=0, allow_anonymous=False)
    async with running(mongo_uri, database, specs, root=tmp_path, settings=settings) as world:
        file_id = await world.add_file([])
        statuses = []
        for scope in ("operate:orders", "operate:returns"):
            token, text = new_token("ci", [parse_scope(scope)], None)
            TokenFile(tmp_path).add(token)
            headers = {"Authorization": f"Bearer {text}", **KEY}
            statuses.append((await world.post(f"/files/{file_id}/forget", headers=headers))[0])
        assert statuses == [200, 404]


async def test_without_a_token_nothing_is_recorded(world: World) -> None:
    status, _ = await world.post(
        "/files/0123456789abcdef/undo", headers={"Authorization": "Bearer x"}
    )
    assert status == 401
    assert await trail(world) == []


async def test_a_paused_source_is_told_with_who_paused_it_until_it_is_resumed(world: World) -> None:
    for _ in range(2):
        status, body = await world.post("/sources/orders/pause")
        assert (status, body["paused"]["by"]) == (200, "http 127.0.0.1")
    assert list(await world.context.desk.ledger.pauses.all()) == ["orders"]
    for _ in range(2):
        assert await world.post("/sources/orders/resume") == (
            200,
            {"name": "orders", "paused": None},
        )
    assert (await world.post("/sources/nope/pause"))[0] == 404
    assert (await world.post("/sources/orders/pause", json={"until": "monday"}))[0] == 400
    headers = {"Origin": "https://example.org"}
    assert (await world.post("/sources/orders/pause", headers=headers))[0] == 403
