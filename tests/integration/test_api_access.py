"""Tokens over HTTP: who is let in, what they see, and what those are told who are not."""

import asyncio
import json
import logging
import stat
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from api_world import World, running, source

from ingestd import logs
from ingestd.access import TokenFile, access_problems, new_token, parse_scope
from ingestd.api.server import ApiServer
from ingestd.config.settings import ApiSettings, PathSettings, Settings
from ingestd.errors import ConfigError
from ingestd.events import Events
from ingestd.metrics import Metrics

ROW = {"order_id": "a", "amount": 1.0, "country": "US"}
ASKING = ApiSettings(port=0, allow_anonymous=False)
NewToken = Callable[..., dict[str, str]]


@pytest.fixture
def give(tmp_path: Path) -> NewToken:
    """Makes a token with those scopes; returns the header that carries it."""

    def give_token(*scopes: str, expires_at: datetime | None = None) -> dict[str, str]:
        token, text = new_token("ci", [parse_scope(scope) for scope in scopes], expires_at)
        TokenFile(tmp_path).add(token)
        return {"Authorization": f"Bearer {text}"}

    return give_token


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    specs = (source(), source("returns"))
    async with running(mongo_uri, database, specs, root=tmp_path, settings=ASKING) as world:
        yield world


async def test_without_a_token_everything_but_probes_is_401(world: World) -> None:
    for path in ("/", "/data/orders", "/files", "/health", "/metrics", "/nowhere", "/data/nope"):
        status, body, headers = await world.get(path)
        assert (status, body["type"]) == (401, "urn:ingestd:problem:token-missing"), path
        assert headers["WWW-Authenticate"] == 'Bearer realm="ingestd"'
    for path in ("/health/live", "/health/ready"):
        assert (await world.get(path))[0] == 200


@pytest.mark.parametrize(
    "wrong",
    ["Bearer ", "Bearer x", "Bearer ingestd_", "Bearer ingestd__", "bearer ingestd_00_é", "Bearer"],
)
async def test_a_token_that_nobody_has_is_401(world: World, wrong: str) -> None:
    status, body, headers = await world.get("/files", headers={"Authorization": wrong})
    assert (status, body["type"]) == (401, "urn:ingestd:problem:token-invalid")
    assert 'error="invalid_token"' in headers["WWW-Authenticate"]


async def test_a_right_id_with_another_secret_is_401(world: World, give: NewToken) -> None:
    given = give("read")["Authorization"]
    swapped = given[:-1] + ("A" if given[-1] != "A" else "B")
    assert (await world.get("/files", headers={"Authorization": swapped}))[0] == 401


async def test_tokens_count_as_long_as_they_are_there(
    world: World, give: NewToken, tmp_path: Path
) -> None:
    first = give("read")
    assert (await world.get("/files", headers=first))[0] == 200
    second = give("read:orders")
    assert (await world.get("/data/orders", headers=second))[0] == 200
    TokenFile(tmp_path).revoke("ci")
    assert (await world.get("/files", headers=first))[0] == 401


async def test_an_expired_token_is_401_and_says_so(world: World, give: NewToken) -> None:
    headers = give("read", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    status, body, _ = await world.get("/files", headers=headers)
    assert (status, body["type"]) == (401, "urn:ingestd:problem:token-expired")


@pytest.mark.parametrize(
    ("scope", "path", "missing"),
    [
        ("read:orders", "/data/returns", "read:returns"), ("ingest", "/data/orders", "read:orders"),
        ("read:orders", "/data/nope", "read:nope"), ("metrics", "/files", "read"),
        ("read", "/metrics", "metrics"), ("read", "/health", "metrics"),
        ("read:orders", "/errors/returns", "read:returns"),
        ("read:orders", "/sources/returns", "read:returns"),
        ("read:orders", "/data/a%22b%0d%0aX:%20y", "read"),
    ],
)  # fmt: skip
async def test_what_no_scope_covers_is_403_naming_the_one_that_is_missing(
    world: World, give: NewToken, scope: str, path: str, missing: str
) -> None:
    status, body, headers = await world.get(path, headers=give(scope))
    assert (status, body["type"]) == (403, "urn:ingestd:problem:missing-scope")
    assert body["scope"] == missing
    assert headers["WWW-Authenticate"].endswith(f'scope="{missing}"')


async def test_reading_changes_nothing_and_operating_is_of_one_source(
    world: World, give: NewToken
) -> None:
    file_id = await world.add_file([ROW], has_rows=True)
    status, body = await world.post(f"/files/{file_id}/undo", headers=give("read", "ingest"))
    assert (status, body["scope"]) == (403, "operate")
    other = give("operate:returns")
    assert (await world.post(f"/files/{file_id}/undo", headers=other))[0] == 404
    status, body = await world.post(f"/files/{file_id}/undo", headers=give("operate:orders"))
    assert status == 200
    assert body["actions"][0]["by"] == "token ci http 127.0.0.1"


async def test_files_and_sources_of_others_cannot_be_seen(world: World, give: NewToken) -> None:
    own = await world.add_file([ROW])
    other = await world.add_file([ROW], source_name="returns")
    reader = give("read:orders")
    _, files, _ = await world.get("/files", headers=reader)
    assert [file["file_id"] for file in files] == [own]
    assert (await world.get("/files?source=returns", headers=reader))[0] == 400
    assert (await world.get(f"/files/{other}", headers=reader))[0] == 404
    assert (await world.get(f"/files/{other}/receipt", headers=reader))[0] == 404
    _, sources, _ = await world.get("/sources", headers=reader)
    assert [told["name"] for told in sources] == ["orders"]
    assert (await world.get("/", headers=reader))[1]["sources"] == ["orders"]


async def test_a_sender_may_see_the_receipt_of_a_file_but_not_the_rows(
    world: World, give: NewToken
) -> None:
    file_id = await world.add_file([ROW], size=1, sha256="00" * 32, finished_at=None)
    sender = give("ingest:orders")
    assert (await world.get(f"/files/{file_id}/receipt", headers=sender))[0] == 200
    assert (await world.get(f"/files/{file_id}", headers=sender))[0] == 403


async def test_names_of_other_sources_are_not_told(world: World, give: NewToken) -> None:
    status, body, _ = await world.get("/data/nope", headers=give("read:nope"))
    assert (status, body.get("allowed")) == (404, None)
    status, body, _ = await world.get("/files?source=nope", headers=give("read:orders"))
    assert (status, body["allowed"]) == (400, ["orders"])


async def test_wrong_tokens_are_counted_and_slowed_and_right_ones_are_not(
    world: World, give: NewToken
) -> None:
    clock = asyncio.get_running_loop().time
    waited = []
    for _ in range(3):
        started = clock()
        await world.get("/files", headers={"Authorization": "Bearer x"})
        waited.append(clock() - started)
    assert waited == sorted(waited)
    assert waited[-1] > 0.35
    started = clock()
    assert (await world.get("/files", headers=give("read")))[0] == 200
    assert clock() - started < 0.3
    async with world.http.get(world.url + "/metrics", headers=give("metrics")) as response:
        assert 'ingestd_http_refused_total{reason="invalid"} 3.0' in await response.text()


async def test_too_many_wrong_tokens_at_once_are_429_at_once(world: World) -> None:
    headers = {"Authorization": "Bearer x"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def ask() -> int:
            async with http.get(world.url + "/files", headers=headers) as response:
                return response.status

        asked = [asyncio.ensure_future(ask()) for _ in range(80)]
        done, slow = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED, timeout=10)
        while not any(task.result() == 429 for task in done):
            more, slow = await asyncio.wait(slow, return_when=asyncio.FIRST_COMPLETED, timeout=10)
            done |= more
        assert (await world.get("/health/live"))[0] == 200
        for task in slow:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def test_no_token_is_ever_in_the_log(world: World, give: NewToken, tmp_path: Path) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    given = give("read", "operate")
    wrong = {"Authorization": given["Authorization"] + "x"}
    with (tmp_path / "log").open("w") as stream:
        logs.configure("debug", "json", None, stream)
        try:
            for headers in (given, wrong):
                await world.get("/files", headers=headers)
                await world.get("/nowhere?token=" + headers["Authorization"][7:], headers=headers)
                await world.post("/files/0123456789abcdef/undo", headers=headers)
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
    text = (tmp_path / "log").read_text()
    assert "token refused" in text
    assert given["Authorization"][7:].rpartition("_")[2] not in text
    answered = [json.loads(line) for line in text.splitlines() if "request answered" in line]
    assert all(line["request_id"] for line in answered)


# where no token is needed


async def test_on_the_loopback_nobody_needs_a_token(mongo_uri: str, database: str) -> None:
    async with running(mongo_uri, database) as world:
        for host in ("127.0.0.1:1", "localhost", "[::1]:8080", "LOCALHOST:80", "a.localhost"):
            assert (await world.get("/files", headers={"Host": host}))[0] == 200
        basic = {"Authorization": "Basic cHJveHk6cHJveHk="}
        assert (await world.get("/files", headers=basic))[0] == 200
        assert (await world.get("/files", headers={"Authorization": "Bearer x"}))[0] == 401


async def test_a_name_that_leads_to_the_loopback_is_refused(mongo_uri: str, database: str) -> None:
    async with running(mongo_uri, database) as world:
        for host in ("evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example"):
            status, body, _ = await world.get("/files", headers={"Host": host})
            assert (status, body["type"]) == (421, "urn:ingestd:problem:unknown-host")
    settings = ApiSettings(port=0, allow_anonymous=True)
    async with running(mongo_uri, database, settings=settings) as world:
        assert (await world.get("/files", headers={"Host": "proxy.example"}))[0] == 200


# where a daemon may listen


def beyond(root: Path, **api: Any) -> Settings:
    return Settings(
        paths=PathSettings(root=root),
        api=ApiSettings.model_validate({"host": "0.0.0.0", **api}),
    )


def test_beyond_this_machine_a_token_has_to_be_there(tmp_path: Path, give: NewToken) -> None:
    give("read", expires_at=datetime.now(UTC) - timedelta(days=1))
    (problem,) = access_problems(beyond(tmp_path))
    assert problem.key == "api.allow_anonymous"
    assert "ingestd token create" in problem.hint
    assert list(access_problems(beyond(tmp_path, allow_anonymous=True))) == []
    assert list(access_problems(beyond(tmp_path, socket="api.sock"))) == []
    give("read")
    assert list(access_problems(beyond(tmp_path))) == []


def test_a_damaged_token_file_lets_nobody_in(tmp_path: Path) -> None:
    TokenFile(tmp_path).path.write_text("[{]")
    (problem,) = access_problems(beyond(tmp_path))
    assert "it is damaged" in problem.message
    with pytest.raises(ConfigError):
        TokenFile(tmp_path).read()


def test_tokens_are_kept_where_only_their_owner_can_read_them(
    tmp_path: Path, give: NewToken
) -> None:
    text = give("read")["Authorization"][7:]
    path = TokenFile(tmp_path).path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert text.split("_", 2)[2] not in path.read_text()


async def test_a_unix_socket_has_the_rights_it_was_given(tmp_path: Path) -> None:
    settings = ApiSettings.model_validate({"socket": tmp_path / "api.sock", "socket_mode": "0600"})
    assert settings.socket is not None
    server = ApiServer(Events(Metrics()))
    for _ in range(2):  # the second time over what a crash left
        await server.start(web.Application(), settings)
        assert stat.S_IMODE(settings.socket.stat().st_mode) == 0o600
        connector = aiohttp.UnixConnector(str(settings.socket))
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.get("http://localhost/") as response,
        ):
            assert response.status == 404
        await server.stop()
