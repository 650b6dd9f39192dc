"""What MongoDB's answers become, on a real server that is made to fail."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import bson
import pytest
from proxy import Proxy
from pymongo import MongoClient

from ingestd.config.settings import MongoSettings
from ingestd.errors import ConfigError, EntryRefused, QueryTooSlow, StoreAway, StoreRefused
from ingestd.events import Events
from ingestd.metrics import Metrics
from ingestd.mongo import Document, Mongo, Reads
from ingestd.mongo.answers import faults_of

PASSING_CODES = (6, 11600, 11602, 10107, 13435, 189, 91, 112, 262, 9001, 14031)
REFUSALS = (13, 2, 20, 72, 26)


def new_mongo(uri: str, database: str = "ingestd", timeout: float = 2.0) -> Mongo:
    return Mongo(uri, MongoSettings(database=database, timeout=timeout), Events(Metrics()))


@pytest.fixture
async def mongo(mongo_uri: str, database: str) -> AsyncIterator[Mongo]:
    mongo = new_mongo(mongo_uri, database)
    await mongo.connect()
    yield mongo
    mongo.close()


@contextmanager
def failing(uri: str, times: int, **answer: Any) -> Iterator[None]:
    """The next commands of the application fail; ``answer`` as for the fail point failCommand."""
    point = {"configureFailPoint": "failCommand"}
    with MongoClient[dict[str, Any]](uri) as client:
        client.admin.command({
            **point, "mode": {"times": times}, "data": {"appName": "ingestd", **answer}
        })  # fmt: skip
        try:
            yield
        finally:
            client.admin.command({**point, "mode": "off"})


def row(n: int = 1) -> bytes:
    return bson.encode({"_id": n})


@pytest.mark.parametrize("code", PASSING_CODES)
async def test_an_answer_that_passes_by_itself_is_away(
    mongo: Mongo, mongo_uri: str, code: int
) -> None:
    with (
        failing(mongo_uri, 1, failCommands=["insert"], errorCode=code),
        pytest.raises(StoreAway) as caught,
    ):
        await mongo.write_sequence("insert", "rows", row())
    assert caught.value.hint


@pytest.mark.parametrize("code", REFUSALS)
async def test_any_other_answer_is_a_refusal(mongo: Mongo, mongo_uri: str, code: int) -> None:
    with (
        failing(mongo_uri, 1, failCommands=["insert"], errorCode=code),
        pytest.raises(StoreRefused, match=f"writing to rows.*code {code}") as caught,
    ):
        await mongo.write_sequence("insert", "rows", row())
    assert caught.value.hint


async def test_a_closed_connection_is_away(mongo: Mongo, mongo_uri: str) -> None:
    with (
        failing(mongo_uri, 1, failCommands=["insert"], closeConnection=True),
        pytest.raises(StoreAway, match="cannot be reached"),
    ):
        await mongo.write_sequence("insert", "rows", row())


async def test_a_missed_write_concern_is_away_whatever_was_written(
    mongo: Mongo, mongo_uri: str
) -> None:
    concern = {"code": 64, "errmsg": "waiting for replication timed out"}
    with failing(mongo_uri, 3, failCommands=["insert", "update"], writeConcernError=concern):
        with pytest.raises(StoreAway, match="timed out"):
            await mongo.write_sequence("insert", "rows", row())
        with pytest.raises(StoreAway, match="timed out"):
            await mongo.update("rows", {"_id": 1}, {"$set": {"n": 1}})
        with pytest.raises(StoreAway, match="timed out"):
            await mongo.update_each("rows", [({"_id": 1}, {"$set": {"n": 2}})] * 2)


def test_an_election_in_mid_batch_is_no_fault_of_the_documents() -> None:
    """The server tells it document by document, in a reply that is otherwise fine."""
    fault = {"index": 1, "code": 189, "errmsg": "Not primary while writing to t.rows"}
    with pytest.raises(StoreAway, match="Not primary"):
        faults_of({"ok": 1, "n": 1, "writeErrors": [fault]}, "rows")


async def test_nobody_listening_is_away_and_named() -> None:
    mongo = new_mongo("mongodb://127.0.0.1:1/", timeout=0.2)
    with pytest.raises(StoreAway, match=r"127\.0\.0\.1:1") as caught:
        await mongo.ping()
    assert "mongo.uri" in caught.value.hint
    assert len(caught.value.message) < 400, "the driver's topology dump is cut off"
    mongo.close()


async def test_a_password_for_nobody_is_refused_with_a_hint(mongo_uri: str) -> None:
    uri = mongo_uri.replace("mongodb://", "mongodb://somebody:secret@")
    mongo = new_mongo(uri)
    with pytest.raises(StoreRefused) as caught:
        await mongo.connect()
    assert "password" in caught.value.hint
    assert "secret" not in str(caught.value)
    mongo.close()


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("mongodb://host:port:port/", "Reserved characters"),
        ("mongodb:///x", "Empty host"),
        (
            "mongodb://h/?retryWritse=true",
            "Unknown option: retrywritse. Did you mean one of (retrywrites",
        ),
        ("mongodb://h/?retryWrites=maybe", "'true' or 'false'"),
        ("mongodb://a,b/?directConnection=true", "multiple hosts"),
        ("mongodb+srv://a.example,b.example/", "one, and only one, hostname"),
        ("mongodb://h/?tls=true&tlsCAFile=/no/such.pem", "/no/such.pem: No such file"),
    ],
)
async def test_a_uri_that_no_server_could_mend_is_a_mistake_of_the_configuration(
    uri: str, told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        new_mongo(uri)
    (problem,) = caught.value.problems
    assert problem.key == "mongo.uri"
    assert told in problem.message
    assert problem.hint


@pytest.mark.parametrize(
    ("options", "told", "hint"),
    [
        ("replicaSet=another", "replica set name", "is not what that replica set is called"),
        ("tls=true", "SSL handshake failed", "net.tls"),
        ("loadBalanced=true", "load balancing", "mongo.uri"),
    ],
)
async def test_options_that_do_not_fit_the_server_are_told_with_a_hint(
    mongo_uri: str, options: str, told: str, hint: str
) -> None:
    mongo = new_mongo(f"{mongo_uri.split('?', maxsplit=1)[0]}?{options}", timeout=0.5)
    with pytest.raises((StoreAway, StoreRefused), match=told) as caught:
        await mongo.connect()
    assert hint in caught.value.hint
    mongo.close()


async def test_hosts_that_no_name_server_knows_are_waited_for() -> None:
    """At boot the network may come later than the daemon."""
    for uri in ("mongodb+srv://cluster.invalid/", "mongodb://host.invalid/"):
        mongo = new_mongo(uri, timeout=0.5)
        with pytest.raises(StoreAway) as caught:
            await mongo.connect()
        assert "resolve" in caught.value.hint
        mongo.close()


async def test_time_limits_of_the_uri_do_not_undo_ours(mongo_uri: str, database: str) -> None:
    limits = "timeoutMS=1&socketTimeoutMS=1&serverSelectionTimeoutMS=1&connectTimeoutMS=1"
    mongo = new_mongo(f"{mongo_uri}&{limits}&w=0", database)
    await mongo.connect()
    assert await mongo.insert_missing("rows", [{"_id": 1}])
    assert await mongo.count("rows", {}) == 1
    mongo.close()


@pytest.mark.parametrize("code", [18, 8000])
async def test_a_login_that_fails_ends_the_start_and_is_waited_for_later(
    mongo: Mongo, mongo_uri: str, database: str, code: int
) -> None:
    """Somebody changes a password while the daemon runs: no file is to blame."""
    fresh = new_mongo(mongo_uri, database)
    with failing(mongo_uri, 2, failCommands=["ping"], errorCode=code):
        with pytest.raises(EntryRefused, match=f"code {code}"):
            await fresh.patiently("ping", fresh.ping)
        await mongo.patiently("ping", mongo.ping)
    fresh.close()


async def test_of_many_that_wait_one_tells_it(
    mongo_uri: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    is_told = asyncio.Event()
    events = Events(Metrics())

    def tell(doing: str, *_: object) -> None:
        told.append(doing)
        is_told.set()

    monkeypatch.setattr(events, "mongo_away", tell)
    mongo = Mongo(mongo_uri, MongoSettings(database=database), events)
    await mongo.connect()
    with failing(mongo_uri, 12, failCommands=["ping"], errorCode=262):
        first = asyncio.create_task(mongo.patiently("ping 0", mongo.ping))
        await is_told.wait()  # else the answer to another one may come back before its own
        others = [mongo.patiently(f"ping {n}", mongo.ping) for n in range(1, 5)]
        await asyncio.gather(first, *others)
    assert set(told) == {"ping 0"}
    mongo.close()


async def test_a_document_that_cannot_be_encoded_is_refused(mongo: Mongo) -> None:
    with pytest.raises(StoreRefused, match="rows"):
        await mongo.insert_missing("rows", [{"_id": 1, "bad": object()}])


async def test_documents_of_many_megabytes_are_inserted_in_batches(mongo: Mongo) -> None:
    documents = [{"_id": n, "text": "x" * 2**20} for n in range(20)] + [
        {"_id": n} for n in range(20, 3000)
    ]
    await mongo.insert_missing("rows", documents)
    await mongo.insert_missing("rows", documents)
    assert await mongo.count("rows", {}) == 3000


@pytest.mark.parametrize(
    ("validator", "told"),
    [
        (
            {"$jsonSchema": {"required": ["b"], "properties": {"a": {"maximum": 5}}}},
            ["a: {'maximum': 5} (comparison failed)", "{'required': ['b']}"],
        ),
        ({"a": {"$lt": 5}}, ["{'a': {'$lt': 5}} (comparison failed)"]),
        (
            {"$and": [{"a": {"$lt": 5}}, {"b": {"$exists": True}}]},
            ["{'a': {'$lt': 5}} (comparison failed)", "{'b': {'$exists': True}}"],
        ),
        ({"$expr": {"$lt": ["$a", 5]}}, ["{'$expr': {'$lt': ['$a', 5]}}"]),
    ],
)
async def test_what_a_validator_found_wrong_is_told(
    mongo: Mongo, mongo_uri: str, database: str, validator: Any, told: list[str]
) -> None:
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        client[database].create_collection("rows", validator=validator)
    rows = bson.encode({"_id": 1, "a": 9}) + bson.encode({"_id": 2, "a": 1, "b": 1})
    (fault,) = await mongo.write_sequence("insert", "rows", rows)
    assert (fault.index, fault.code) == (0, 121)
    for words in ("Document failed validation: ", *told):
        assert words in fault.message


@pytest.mark.parametrize(
    ("rewrite", "told"),
    [
        (lambda octets: octets.replace(b"6.0.5\0", b"4.2.5\0"), "MongoDB 4.2.5 is too old"),
        (
            lambda octets: re.sub(
                rb"maxWireVersion\0....", b"maxWireVersion\0\6\0\0\0", octets, flags=re.DOTALL
            ),
            "wire version 6",
        ),
    ],
    ids=["for us", "for the driver"],
)
async def test_a_server_that_is_too_old_ends_the_start(
    mongo_uri: str, rewrite: Callable[[bytes], bytes], told: str
) -> None:
    """A real one that says it were older."""
    port = int(re.findall(r":(\d+)", mongo_uri)[0])
    proxy = Proxy(port, rewrite=rewrite)
    mongo = new_mongo(proxy.uri)
    try:
        with pytest.raises(EntryRefused, match=told) as caught:
            await mongo.patiently("connecting", mongo.connect)
        assert "4.4 or later" in caught.value.hint
    finally:
        mongo.close()
        proxy.close()


# waiting


async def test_patience_waits_as_long_as_mongodb_is_away(mongo: Mongo, mongo_uri: str) -> None:
    seen_away = []

    async def write() -> None:
        seen_away.append(mongo.is_away_since is not None)
        await mongo.write_sequence("insert", "rows", row())

    with failing(mongo_uri, 3, failCommands=["insert"], errorCode=189):
        await mongo.patiently("writing", write)
    assert seen_away == [False, True, True, True]
    assert mongo.is_away_since is None
    assert await mongo.count("rows", {}) == 1


async def test_mongodb_is_away_as_long_as_anything_waits_for_it(
    mongo: Mongo, mongo_uri: str
) -> None:
    """It may answer a ping and yet take no writes: a full disk, a missing majority."""
    with failing(mongo_uri, 5, failCommands=["insert"], errorCode=14031):
        writing = asyncio.create_task(
            mongo.patiently("writing", lambda: mongo.write_sequence("insert", "rows", row()))
        )
        async with asyncio.timeout(10):
            while mongo.is_away_since is None:
                await asyncio.sleep(0.01)
        await mongo.patiently("ping", mongo.ping)
        assert mongo.is_away_since is not None
    await writing
    assert mongo.is_away_since is None


async def test_patience_ends_with_a_refusal(mongo: Mongo, mongo_uri: str) -> None:
    with (
        failing(mongo_uri, 1, failCommands=["ping"], errorCode=13),
        pytest.raises(StoreRefused),
    ):
        await mongo.patiently("ping", mongo.ping)


async def test_waiting_can_be_cancelled() -> None:
    mongo = new_mongo("mongodb://127.0.0.1:1/", timeout=0.1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await mongo.patiently("ping", mongo.ping)
    assert mongo.is_away_since is None, "nobody waits for it any more"
    mongo.close()


# together


async def test_changes_made_together_are_all_made_or_none(mongo: Mongo) -> None:
    await mongo.insert_missing("rows", [{"_id": 1}, {"_id": 2}])
    change = {"$set": {"n": 1}}
    assert not await mongo.update_together(
        "rows", [({"_id": 1}, change), ({"_id": 3}, change), ({"_id": 2}, change)]
    )
    assert await mongo.count("rows", {"n": 1}) == 0
    assert await mongo.update_together("rows", [({"_id": 1}, change), ({"_id": 2}, change)])
    assert await mongo.count("rows", {"n": 1}) == 2


@pytest.mark.parametrize(("command", "times"), [("update", 3), ("commitTransaction", 1)])
async def test_changes_made_together_survive_an_election(
    mongo: Mongo, mongo_uri: str, command: str, times: int
) -> None:
    """The driver gives transactions up for good: it is ours to begin again."""
    await mongo.insert_missing("rows", [{"_id": 1}, {"_id": 2}])
    changes: Any = [({"_id": n}, {"$set": {"n": 1}}) for n in (1, 2)]
    with failing(mongo_uri, times, failCommands=[command], errorCode=11602):
        assert await mongo.patiently("changing", lambda: mongo.update_together("rows", changes))
    assert await mongo.count("rows", {"n": 1}) == 2


async def test_a_transaction_that_the_server_forgot_is_begun_again(
    mongo: Mongo, mongo_uri: str
) -> None:
    await mongo.insert_missing("rows", [{"_id": 1}])
    changes: Any = [({"_id": 1}, {"$set": {"n": 1}})]
    answer = {"errorCode": 251, "errorLabels": ["TransientTransactionError"]}
    with failing(mongo_uri, 1, failCommands=["update"], **answer):
        assert await mongo.patiently("changing", lambda: mongo.update_together("rows", changes))
    assert await mongo.count("rows", {"n": 1}) == 1


async def test_a_single_change_begins_no_transaction(mongo: Mongo, mongo_uri: str) -> None:
    """A daemon killed within one would leave the document locked for a minute."""
    await mongo.connect()
    await mongo.insert_missing("files", [{"_id": 1}, {"_id": 2}])

    def started() -> int:
        with MongoClient[dict[str, Any]](mongo_uri) as client:
            return int(client.admin.command("serverStatus")["transactions"]["totalStarted"])

    before = started()
    assert await mongo.update_together("files", [({"_id": 1}, {"$set": {"a": 1}})])
    assert started() == before
    both = [({"_id": n}, {"$set": {"a": 2}}) for n in (1, 2)]
    assert await mongo.update_together("files", both)
    assert started() == before + 1


async def test_reads_that_belong_together_find_what_each_finds_alone(mongo: Mongo) -> None:
    documents = [{"_id": n, "text": "x" * n} for n in range(300)]
    await mongo.insert_missing("rows", documents)

    async def read(reads: Reads) -> tuple[list[Document], list[Document], bytes]:
        few = await reads.find("rows", {"_id": {"$gte": 3}}, sort=[("_id", 1)], limit=2)
        counted = await reads.aggregate("rows", [{"$count": "rows"}])
        batches = reads.iterate_raw("rows", {}, sort=[("_id", 1)], batch_size=100)
        return few, counted, b"".join([batch async for batch in batches])

    few, counted, raw = await mongo.read_together(read)
    assert (few, counted) == (documents[3:5], [{"rows": 300}])
    assert bson.decode_all(raw) == documents
    assert await read(mongo) == (few, counted, raw)


async def test_what_fails_of_reads_that_belong_together_is_one_of_our_errors(
    mongo: Mongo, mongo_uri: str
) -> None:
    async def read_batches(reads: Reads) -> list[bytes]:
        return [batch async for batch in reads.iterate_raw("rows", {})]

    async def read_at_once(reads: Reads) -> list[Document]:
        return await reads.find("rows", {})

    for read in (read_at_once, read_batches):
        for code, kind in ((26, StoreRefused), (50, QueryTooSlow)):
            with failing(mongo_uri, 1, failCommands=["find"], errorCode=code), pytest.raises(kind):
                await mongo.read_together(read)


async def test_reads_that_belong_together_wait_for_nothing_else(mongo: Mongo) -> None:
    with pytest.raises(AssertionError, match="waits for a loop"):
        await mongo.read_together(lambda _: asyncio.sleep(0))
