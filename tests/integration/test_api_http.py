"""Problem documents, probes, lists of files, sources and errors, and the server itself."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from api_world import START, World, running, source
from pymongo import MongoClient
from yarl import URL

from ingestd.api.health import Check
from ingestd.api.server import ApiServer
from ingestd.config.settings import ApiSettings
from ingestd.errors import ConfigError
from ingestd.events import Events
from ingestd.metrics import Metrics
from ingestd.mongo import row_id

ROW = {"order_id": "a", "amount": 1.0, "country": "US"}


@pytest.fixture
async def world(mongo_uri: str, database: str) -> AsyncIterator[World]:
    async with running(mongo_uri, database) as made:
        yield made


async def add_errors(
    world: World, count: int, file_id: str = "00000000000000aa", **fields: Any
) -> None:
    await world.mongo.insert_missing(
        "errors",
        [
            {
                "_id": row_id(file_id, n), "source_name": fields.get("source_name", "orders"),
                "error_time": START + timedelta(n // 2),
                "error_type": "validation", "error_message": "too small",
                "record": {"amount": "-1"}, "file": "a.csv", "row": n, "line": n + 1,
                "file_id": file_id,
                "raw": b"\xff,1", "state": "open",
                "violations": [{"column": "amount", "rule": "min", "value": "-1", "message": "m"}],
                **fields,
            }
            for n in range(count)
        ],
    )  # fmt: skip


# problem documents


@pytest.mark.parametrize(
    ("method", "path", "status", "member"),
    [
        ("GET", "/data/order", 404, {"nearest": "orders", "allowed": ["orders"]}),
        ("GET", "/data/%24cmd", 404, {"allowed": ["orders"]}),
        ("GET", "/data/orders/x", 404, {"type": "urn:ingestd:problem:unknown-row"}),
        ("GET", "/dta/orders", 404, {"hint": "see /"}),
        ("GET", "/data/%00", 404, {}),
        ("GET", "/data/%FF%FE", 404, {}),
        ("GET", "/data/..%2f..%2fetc", 404, {}),
        ("GET", "/files/00000000000000ff", 404, {"hint": "see /files for what there is"}),
        ("GET", "/files/%24ne", 404, {}),
        ("GET", "/files/%FF", 404, {}),
        ("GET", "/sources/nope", 404, {"allowed": ["orders"]}),
        ("POST", "/data/orders", 405, {"allowed": ["GET", "HEAD"]}),
        ("DELETE", "/", 405, {"allowed": ["GET", "HEAD"]}),
        ("GET", "/health?x=1", 400, {"parameter": "x"}),
        ("GET", "/files?nam=x", 400, {"nearest": "name"}),
        ("GET", "/files?state=lost", 400, {"parameter": "state"}),
        ("GET", "/files?source=order", 400, {"nearest": "orders"}),
        ("GET", "/errors/orders?state=opn", 400, {"nearest": "open"}),
        ("GET", "/errors/orders?amount=1", 400, {"parameter": "amount"}),
        ("GET", "/errors/orders?file_id=bb", 400, {"parameter": "file_id"}),
        ("GET", "/errors/orders/summary?file_id=zz", 400, {"parameter": "file_id"}),
    ],
)
async def test_every_refusal_is_a_problem_document(
    world: World, method: str, path: str, status: int, member: dict[str, Any]
) -> None:
    target = URL(world.url + path, encoded=True)
    async with world.http.request(method, target) as response:
        body = json.loads(await response.read())
        assert response.content_type == "application/problem+json"
    assert (response.status, body["status"]) == (status, status)
    assert body["type"].startswith("urn:ingestd:problem:")
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == response.headers["X-Request-Id"]
    assert member.items() <= body.items()


async def test_an_unacceptable_form_is_406_naming_those_there_are(world: World) -> None:
    lists = ["application/json", "application/x-ndjson"]
    arrow, parquet = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
    for path, accept, allowed in (
        ("/errors/orders", "text/csv", lists),
        ("/files", "text/html;q=0.5, a/b", lists),
        ("/data/orders", "text/html", [*lists, "text/csv", arrow, parquet]),
    ):
        status, body, _ = await world.get(path, headers={"Accept": accept})
        assert (status, body["allowed"]) == (406, allowed)


async def test_a_mistake_of_ours_tells_the_log_and_not_the_client(
    mongo_uri: str, database: str
) -> None:
    def broken() -> list[Check]:
        raise RuntimeError("secret place")

    async with running(mongo_uri, database, checks=broken) as world:
        status, body, headers = await world.get("/health", headers={"X-Request-Id": "mine-1"})
    assert status == 500
    assert body["request_id"] == headers["X-Request-Id"] == "mine-1"
    assert "secret" not in json.dumps(body)


async def test_a_request_id_that_could_do_harm_is_replaced(world: World) -> None:
    for given in ("x" * 65, "a b", "<script>", "a\tb"):
        _, _, headers = await world.get("/health/live", headers={"X-Request-Id": given})
        assert headers["X-Request-Id"] != given


async def test_answers_are_safe_by_their_headers(world: World) -> None:
    for path in ("/", "/data/orders", "/data/nope", "/metrics", "/nowhere"):
        async with world.http.get(world.url + path) as response:
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            kept = "private, no-cache" if "ETag" in response.headers else "no-store"
            assert response.headers["Cache-Control"] == kept
            assert "Server" not in response.headers


async def test_a_hostile_host_header_cannot_forge_headers(world: World) -> None:
    await world.add_file([ROW, ROW])
    port = int(world.url.rsplit(":", 1)[1])
    for host in ("evil>; rel=next", "a\tb", "[::", "x:99999999", "", "ä", "a/b?c", "%0d%0aX: y"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = f"GET /data/orders?limit=1 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        answer = (await reader.read()).decode()
        writer.close()
        head = answer.split("\r\n\r\n")[0]
        assert " 500 " not in head.splitlines()[0], (host, answer)
        assert "\nX: y" not in head
        assert head.count('rel="next"') <= 1
        for line in head.splitlines():
            if line.startswith("Link"):
                assert line.count(">") == 1, line


async def test_a_cursor_serves_no_other_query(world: World) -> None:
    await world.add_file([ROW] * 3)
    _, _, headers = await world.get("/data/orders?limit=1&country=US")
    cursor = headers["Link"].split("cursor=")[1].split(">")[0].split("&")[0]
    other = "A" if cursor[20] != "A" else "B"
    for path in (
        f"/data/orders?limit=1&country=GB&cursor={cursor}", f"/data/orders?cursor={cursor}",
        f"/files?cursor={cursor}", f"/data/orders?limit=1&country=US&cursor={cursor}x",
        f"/data/orders?limit=1&country=US&cursor={cursor[1:]}",
        f"/data/orders?limit=1&country=US&cursor={cursor[:20]}{other}{cursor[21:]}",
    ):  # fmt: skip
        status, body, _ = await world.get(path)
        assert (status, body["parameter"]) == (400, "cursor"), path
    status, _, _ = await world.get(f"/data/orders?limit=2&country=US&cursor={cursor}")
    assert status == 200


# MongoDB away, slow, or gone in the middle


async def test_mongodb_away_is_503_with_retry_after(database: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    uri = f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=200"
    async with running(uri, database, is_prepared=False) as world:
        for path in ("/data/orders", "/data/orders?format=ndjson&limit=all", "/files", "/sources"):
            status, body, headers = await world.get(path)
            assert (status, headers["Retry-After"]) == (503, "5"), body
            assert "127.0.0.1" not in json.dumps(body)
        assert (await world.get("/health/live"))[0] == 200


async def test_a_query_over_its_time_is_503_and_speaks_of_indexes(
    mongo_uri: str, database: str
) -> None:
    async with running(mongo_uri, database) as world:
        await world.add_file([ROW])
        fail = {"mode": "alwaysOn"}
        with MongoClient[dict[str, Any]](mongo_uri) as client:
            client.admin.command("configureFailPoint", "maxTimeAlwaysTimeOut", **fail)
            try:
                status, body, _ = await world.get("/data/orders")
            finally:
                client.admin.command("configureFailPoint", "maxTimeAlwaysTimeOut", mode="off")
    assert (status, body["type"]) == (503, "urn:ingestd:problem:query-too-slow")
    assert "index" in body["hint"]


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_failure_in_mid_stream_breaks_the_connection(world: World, version: str) -> None:
    wide = [{**ROW, "order_id": "x" * 2**16, "amount": float(n)} for n in range(600)]
    await world.add_file(wide)
    port = int(world.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    path = "/data/orders?format=ndjson&limit=all"
    writer.write(f"GET {path} HTTP/{version}\r\nHost: 127.0.0.1\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    with MongoClient[dict[str, Any]](world.uri) as client:
        fail = {"failCommands": ["getMore", "find"], "errorCode": 96, "closeConnection": False}
        client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=fail)
        try:
            with pytest.raises(ConnectionResetError):
                await read_to_the_end(reader)
        finally:
            client.admin.command("configureFailPoint", "failCommand", mode="off")
            writer.close()


async def read_to_the_end(reader: asyncio.StreamReader) -> None:
    while await reader.read(2**20):
        pass


# lists


async def test_errors_come_as_stored_and_in_pages(world: World) -> None:
    await add_errors(world, 5)
    await add_errors(world, 1, "00000000000000bb", source_name="others")
    rows = [row async for page in world.pages("/errors/orders?limit=2") for row in page]
    assert [row["row"] for row in rows] == [0, 1, 2, 3, 4]
    assert rows[0]["raw"] == "/ywx"
    assert rows[0]["error_time"] == "2026-01-31T08:00:00.000Z"
    assert rows[0]["violations"][0]["rule"] == "min"
    assert len(rows[0]["_id"]) == 24
    async with world.http.get(f"{world.url}/errors/orders?format=ndjson&limit=all") as response:
        assert [json.loads(line) for line in (await response.text()).splitlines()] == rows


async def test_errors_are_filtered_by_what_describes_them(world: World) -> None:
    await add_errors(world, 1)
    await add_errors(world, 1, "00000000000000bb", state="replayed", error_type="parse")
    for query, count in {
        "type=parse": 1, "file=a.csv": 2, "file=b.csv": 0, "rule=min": 2, "rule=max": 0,
        "column=amount": 2, "column=x": 0,
        "file_id=00000000000000bb": 1, "file_id=00000000000000bb-2": 1,
        "file_id=00000000000000cc": 0, "state=open": 1, "state=dismissed": 0,
        "start_date=2026-02-01": 0, "end_date=2026-01-31": 2, "rule=[$ne]": 0,
    }.items():  # fmt: skip
        assert len((await world.get(f"/errors/orders?{query}"))[1]) == count, query


async def test_errors_of_a_file_come_in_the_order_of_its_rows_whenever_they_were_found(
    world: World,
) -> None:
    for row in range(9):
        found_at = START - timedelta(minutes=row // 3)  # chunks are refined side by side
        fields = {"_id": row_id("aa" * 8, row), "row": row, "error_time": found_at}
        await add_errors(world, 1, "aa" * 8, **fields)
    await add_errors(world, 3, "ab" * 8)
    walk = world.pages(f"/errors/orders?file_id={'aa' * 8}&limit=2")
    assert [row["row"] async for page in walk for row in page] == list(range(9))


async def test_reasons_are_counted_by_rule_and_column_with_an_example(world: World) -> None:
    await add_errors(world, 3)
    await add_errors(world, 1, "bb" * 8, violations=[], error_type="empty_file", file="b.csv")
    await add_errors(world, 2, "cc" * 8, source_name="others")
    status, told, _ = await world.get("/errors/orders/summary")
    assert status == 200
    assert [(one["rule"], one["column"], one["count"]) for one in told] == [
        ("min", "amount", 3), ("empty_file", None, 1),
    ]  # fmt: skip
    assert told[0]["example"]["value"] == "-1"
    assert told[0]["example"]["file"] == "a.csv"
    (one,) = (await world.get("/errors/orders/summary?file=b.csv&state=open"))[1]
    assert one["rule"] == "empty_file"
    for wrong in ("limit=1", "cursor=x", "format=csv", "x=1", "state=lost"):
        status, problem, _ = await world.get(f"/errors/orders/summary?{wrong}")
        assert (status, problem["parameter"]) == (400, wrong.partition("=")[0])


async def test_files_come_newest_first_and_in_pages(world: World) -> None:
    same = START + timedelta(days=1)
    ids = [await world.add_file([ROW])]
    ids += [await world.add_file([], "duplicate", processed_at=same) for _ in range(4)]
    for limit in (1, 2, 3, 10):
        pages = world.pages(f"/files?limit={limit}")
        found = [file["file_id"] async for page in pages for file in page]
        assert found == ids[::-1]
    (file,) = (await world.get("/files?state=archived,loaded&source=orders&name=file-1.csv"))[1]
    assert (file["file_id"], file["state"], file["error"]) == (ids[0], "archived", None)
    assert file["processed_at"] == "2026-01-31T08:01:00.000Z"
    assert (await world.get(f"/files/{ids[0]}"))[:2] == (200, file)
    assert (await world.get("/files?state=failed"))[1] == []


async def test_files_of_a_source_that_is_no_longer_configured_can_be_listed(world: World) -> None:
    await world.add_file([], source_name="retired")
    status, files, _ = await world.get("/files?source=retired")
    assert (status, len(files)) == (200, 1)


async def test_sources_tell_their_columns_counts_and_last_file(
    mongo_uri: str, database: str
) -> None:
    specs = (source(), source("empty"))
    async with running(mongo_uri, database, specs, activity=lambda _: {"waiting": 3}) as world:
        await world.add_file([ROW])
        last = await world.add_file([ROW], "loaded")
        await world.add_file([ROW], "failed")
        status, (orders, empty), _ = await world.get("/sources")
        assert status == 200
        assert orders["files"] == {"archived": 1, "failed": 1, "loaded": 1}
        assert orders["files_counted_up_to"] == 1000
        assert orders["last_file"]["file_id"] == last
        assert orders["columns"]["amount"] == "float64"
        assert (orders["mode"], orders["waiting"]) == ("insert", 3)
        assert (empty["files"], empty["last_file"]) == ({}, None)
        assert (await world.get("/sources/orders"))[1] == orders


async def test_the_index_lists_every_url(world: World) -> None:
    _, body, _ = await world.get("/")
    assert "/data/{source_name}" in body["urls"]
    assert body["sources"] == ["orders"]


# probes


async def test_health_is_503_with_reasons_when_a_check_fails(mongo_uri: str, database: str) -> None:
    checks = [Check("mongodb", is_ok=True, details={"version": "6.0.5"})]
    async with running(mongo_uri, database, checks=lambda: checks) as world:
        status, body, _ = await world.get("/health")
        assert (status, body["status"], body["reasons"]) == (200, "ok", [])
        assert body["checks"][0]["details"] == {"version": "6.0.5"}
        checks.append(
            Check("source:orders", is_ok=False, reason="inbox is missing", hint="make it")
        )
        status, body, _ = await world.get("/health")
        assert (status, body["status"]) == (503, "failing")
        assert body["reasons"] == ["source:orders: inbox is missing"]
        assert body["checks"][1]["hint"] == "make it"


async def test_ready_needs_the_daemon_and_mongodb(
    mongo_uri: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"ready": False, "alive": True}
    async with running(
        mongo_uri, database, is_ready=lambda: answers["ready"], is_alive=lambda: answers["alive"]
    ) as world:
        assert (await world.get("/health/ready"))[0] == 503
        answers["ready"] = True
        assert (await world.get("/health/ready"))[0] == 200
        monkeypatch.setattr(type(world.mongo), "is_away_since", 1.0)
        status, body, _ = await world.get("/health/ready")
        assert (status, body["reasons"]) == (503, ["MongoDB is away"])
        assert (await world.get("/health/live"))[0] == 200
        answers["alive"] = False
        assert (await world.get("/health/live"))[0] == 503


async def test_metrics_count_requests_by_route_template(world: World) -> None:
    await world.get("/data/orders")
    await world.get("/data/nope")
    await world.get("/no/such/place/1")
    async with world.http.get(world.url + "/metrics") as response:
        text = await response.text()
    assert 'ingestd_http_requests_total{route="/data/{source_name}",status="200"} 1.0' in text
    assert 'ingestd_http_requests_total{route="/data/{source_name}",status="404"} 1.0' in text
    assert 'ingestd_http_requests_total{route="unknown",status="404"} 1.0' in text
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with world.http.get(world.url + "/metrics", headers=accept) as response:
        assert response.content_type == "application/openmetrics-text"


# the server


async def test_a_taken_port_is_a_configuration_error_naming_who_has_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=r"api\.port.*is taken by .*pid \d+"):
            await ApiServer(Events(Metrics())).start(web.Application(), ApiSettings(port=port))


async def test_an_address_of_another_machine_is_a_configuration_error() -> None:
    for host in ("192.0.2.1", "no.such.host.invalid"):
        with pytest.raises(ConfigError, match=r"api\.host.*no address of this machine"):
            await ApiServer(Events(Metrics())).start(
                web.Application(), ApiSettings(host=host, port=0)
            )


async def test_the_url_of_an_ipv6_host_can_be_typed_into_a_client() -> None:
    server = ApiServer(Events(Metrics()))
    url = await server.start(web.Application(), ApiSettings(host="::1", port=0))
    try:
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            assert response.status == 404
    finally:
        await server.stop()
