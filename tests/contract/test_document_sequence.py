"""What we rely on inside the driver, and what the server makes of it: on a real mongod."""

from collections.abc import AsyncIterator
from typing import Any

import bson
import pytest
from bson import ObjectId
from pymongo import MongoClient

from ingestd.config.settings import MongoSettings
from ingestd.errors import StoreRefused
from ingestd.events import Events
from ingestd.metrics import Metrics
from ingestd.mongo import DocumentSequence, Mongo

MANY = 20_000


@pytest.fixture(params=["sequences", "one by one"])
async def mongo(
    request: pytest.FixtureRequest, mongo_uri: str, database: str
) -> AsyncIterator[Mongo]:
    """Both ways to send a batch must do the same."""
    mongo = Mongo(mongo_uri, MongoSettings(database=database), Events(Metrics()))
    await mongo.connect()
    assert mongo._sends_sequences
    mongo._sends_sequences = request.param == "sequences"
    yield mongo
    mongo.close()


def encoded(documents: list[dict[str, Any]]) -> bytes:
    return b"".join(map(bson.encode, documents))


async def stored(mongo: Mongo) -> list[dict[str, Any]]:
    return await mongo.find("rows", {}, sort=[("_id", 1)])


async def test_documents_of_a_batch_are_stored_as_they_are(mongo: Mongo) -> None:
    documents = [{"_id": n, "text": "é" * (n % 7), "deep": {"list": [n, None]}} for n in range(100)]
    assert await mongo.write_sequence("insert", "rows", encoded(documents)) == []
    assert await stored(mongo) == documents


async def test_a_view_into_a_larger_buffer_is_sent_without_the_rest(mongo: Mongo) -> None:
    first, second, third = (bson.encode({"_id": n}) for n in range(3))
    view = memoryview(first + second + third)[len(first) : len(first) + len(second)]
    assert await mongo.write_sequence("insert", "rows", view) == []
    assert await stored(mongo) == [{"_id": 1}]


async def test_update_statements_of_a_batch_are_obeyed_in_order(mongo: Mongo) -> None:
    statements = [
        {"q": {"_id": n % 3}, "u": {"$set": {"n": n}}, "upsert": True} for n in range(9)
    ]  # fmt: skip
    assert await mongo.write_sequence("update", "rows", encoded(statements)) == []
    assert await stored(mongo) == [{"_id": n, "n": n + 6} for n in range(3)]


async def test_faults_tell_the_place_in_the_batch_and_the_index(mongo: Mongo) -> None:
    await mongo.ensure_indexes("rows", ("key",), unique=True)
    documents = [{"_id": 1, "key": 1}, {"_id": 1, "key": 2}, {"_id": 2, "key": 1}, {"_id": 3}]
    own, other = await mongo.write_sequence("insert", "rows", encoded(documents))
    assert (own.index, own.key, own.is_own_id) == (1, ("_id",), True)
    assert (other.index, other.key, other.is_own_id) == (2, ("key",), False)
    assert [document["_id"] for document in await stored(mongo)] == [1, 3]


async def test_a_batch_that_is_there_already_is_all_own_ids(mongo: Mongo) -> None:
    """20,000 answers: the server leaves texts out of so long a reply, but not the index."""
    raw = encoded([{"_id": ObjectId(), "n": n} for n in range(MANY)])
    assert await mongo.write_sequence("insert", "rows", raw) == []
    faults = await mongo.write_sequence("insert", "rows", raw)
    assert [fault.index for fault in faults] == list(range(MANY))
    assert all(fault.is_own_id for fault in faults)


async def test_one_document_of_nearly_16_mib_is_stored(mongo: Mongo) -> None:
    if not mongo._sends_sequences:
        pytest.skip("a command of one document, 16 MiB in all, leaves it less room")
    document = {"_id": 1, "text": "x" * (16 * 2**20 - 100)}
    assert await mongo.write_sequence("insert", "rows", bson.encode(document)) == []


async def test_a_batch_over_16_mib_is_refused_and_nothing_of_it_stored(mongo: Mongo) -> None:
    raw = encoded([{"_id": n, "text": "x" * 2**22} for n in range(5)])
    with pytest.raises(StoreRefused, match="rows"):
        await mongo.write_sequence("insert", "rows", raw)
    assert await stored(mongo) == []


async def test_a_driver_that_does_not_know_sequences_gets_documents_one_by_one(
    mongo_uri: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DocumentSequence, "_type_marker", 0)
    mongo = Mongo(mongo_uri, MongoSettings(database=database), Events(Metrics()))
    await mongo.connect()
    assert not mongo._sends_sequences
    assert await mongo.write_sequence("insert", "rows", encoded([{"_id": 1}, {"_id": 2}])) == []
    assert await stored(mongo) == [{"_id": 1}, {"_id": 2}]
    mongo.close()


async def test_proving_sequences_leaves_no_document_behind(mongo: Mongo, mongo_uri: str) -> None:
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        for name in client[mongo._database.name].list_collection_names():
            assert client[mongo._database.name][name].count_documents({}) == 0
