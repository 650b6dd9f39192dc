"""TLS, and what a connection or a request may take: size, time, room."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web
from api_world import World, running

from ingestd.access import read_certificate
from ingestd.api.server import ApiServer
from ingestd.config.settings import ApiSettings
from ingestd.errors import ConfigError
from ingestd.events import Events
from ingestd.metrics import Metrics

LIMIT_S = 10.0


def api(**settings: Any) -> ApiSettings:
    return ApiSettings.model_validate({"port": 0, **settings})


async def hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


@asynccontextmanager
async def serving(settings: ApiSettings, handler: Any = hello) -> AsyncIterator[str]:
    app, server = web.Application(), ApiServer(Events(Metrics()))
    app.router.add_get("/", handler)
    url = await server.start(app, settings)
    try:
        yield url
    finally:
        await server.stop()


async def raw(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))


async def ends(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side closes."""
    async with asyncio.timeout(LIMIT_S):
        return await reader.read()


# TLS


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


def issue(ca: trustme.CA, directory: Path) -> dict[str, Path]:
    """A new certificate and its key, in the files of the settings."""
    made = ca.issue_cert("127.0.0.1")
    made.cert_chain_pems[0].write_to_path(directory / "api.crt")
    made.private_key_pem.write_to_path(directory / "api.key")
    return {"tls_certificate": directory / "api.crt", "tls_key": directory / "api.key"}


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


async def certificate_at(url: str, context: ssl.SSLContext) -> bytes:
    """The certificate that a new connection is shown."""
    port = int(url.rsplit(":", 1)[1])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    assert isinstance(shown, bytes)
    return shown


async def test_a_renewed_certificate_is_shown_to_the_next_connection(
    ca: trustme.CA, tmp_path: Path
) -> None:
    context = trusting(ca)
    async with serving(api(**issue(ca, tmp_path))) as url:
        assert url.startswith("https://127.0.0.1:")
        async with aiohttp.ClientSession() as http, http.get(url, ssl=context) as response:
            assert await response.text() == "hello"
        first = await certificate_at(url, context)
        issue(ca, tmp_path)
        second = await certificate_at(url, context)
        assert second != first
        (tmp_path / "api.crt").write_text("half writ")
        assert await certificate_at(url, context) == second


async def test_with_a_client_ca_only_its_clients_are_heard(ca: trustme.CA, tmp_path: Path) -> None:
    ca.cert_pem.write_to_path(tmp_path / "ca.crt")
    context = trusting(ca)
    async with serving(api(**issue(ca, tmp_path), tls_client_ca=tmp_path / "ca.crt")) as url:
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.ClientError):
                await http.get(url, ssl=context)
        ca.issue_cert("client@example.org").configure_cert(context)
        async with aiohttp.ClientSession() as http, http.get(url, ssl=context) as response:
            assert response.status == 200


def test_files_that_make_no_certificate_are_told_by_their_setting(
    ca: trustme.CA, tmp_path: Path
) -> None:
    files, text = issue(ca, tmp_path), tmp_path / "text"
    other = tmp_path / "other"
    other.mkdir()
    text.write_text("no PEM")
    for wrong, told in (
        (
            {"tls_certificate": tmp_path / "none"},
            r"tls_certificate: \S*none cannot .* No such file",
        ),
        ({**files, "tls_key": issue(ca, other)["tls_key"]}, "KEY_VALUES_MISMATCH"),
        ({"tls_certificate": text}, "tls_certificate: .*cannot be used"),
        ({**files, "tls_client_ca": text}, "tls_client_ca: .*text cannot be used"),
        ({"tls_key": text}, "tls_certificate: is missing"),
    ):
        with pytest.raises(ConfigError, match=told):
            read_certificate(api(**wrong))


# size


@pytest.fixture
async def world(mongo_uri: str, database: str) -> AsyncIterator[World]:
    settings = api(max_url=1024, max_header=1024, max_headers=16, max_body=1024, stall_timeout=0.3)
    async with running(mongo_uri, database, settings=settings) as made:
        yield made


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("GET /files?name=" + "x" * 2000 + " HTTP/1.1\r\nHost: localhost", "api.max_url"),
        ("GET /files HTTP/1.1\r\nHost: localhost\r\nX: " + "x" * 2000, "api.max_header"),
        ("GET /files HTTP/1.1\r\nHost: localhost" + "".join(f"\r\nX{n}: 1" for n in range(40)),
         "api.max_headers"),
        ("\x16\x03\x01\x02", "RFC 9112"),
        ("GET /files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2",
         "RFC 9112"),
        ("GET /files HTTP/1.1\r\nHost: localhost\r\nNo colon", "RFC 9112"),
        ("POST /files HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz",
         "RFC 9112"),
    ],
    ids=["url", "header", "headers", "tls", "lengths", "colon", "chunk"],
)  # fmt: skip
async def test_a_head_that_is_too_large_or_unreadable_is_400_and_the_end(
    world: World, head: str, told: str
) -> None:
    reader, writer = await raw(world.url)
    writer.write(head.encode() + b"\r\n\r\n")
    answer = await ends(reader)
    writer.close()
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    headers, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in headers
    assert b"aiohttp" not in headers
    problem = json.loads(body)
    assert problem["status"] == 400
    assert told in problem["detail"] + problem.get("hint", "")
    assert (await world.get("/files"))[0] == 200


async def test_a_body_beyond_its_limit_is_413_however_it_comes(world: World) -> None:
    path = "/files/0123456789abcdef/undo"

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * 500

    for data in (b" " * 2000, parts()):
        status, problem = await world.post(path, data=data)
        assert (status, problem["limit_bytes"]) == (413, 1024)


async def test_a_packed_body_is_not_unpacked(world: World) -> None:
    path = "/files/0123456789abcdef/undo"
    for encoding in ("gzip", "zstd", "deflate, gzip", "x"):
        status, _ = await world.post(
            path, data=b"\x1f\x8b" + b"\0" * 100, headers={"Content-Encoding": encoding}
        )
        assert status == 415


# time


async def test_a_head_that_comes_in_drops_is_given_up(world: World) -> None:
    async with serving(api(idle_timeout=0.3)) as url:
        reader, writer = await raw(url)
        writer.write(b"GET / HTTP/1.1\r\nHost: localh")
        assert await ends(reader) == b""
        writer.close()


async def test_a_body_that_stops_coming_is_408(world: World) -> None:
    reader, writer = await raw(world.url)
    head = "POST /files/0123456789abcdef/undo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100"
    writer.write(head.encode() + b'\r\n\r\n{"a": ')
    assert (await ends(reader)).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_client_that_takes_nothing_of_its_answer_is_given_up() -> None:
    ended = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 2**16)
        finally:
            ended.set()

    async with serving(api(stall_timeout=0.5), endless) as url:
        reader, writer = await raw(url)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(LIMIT_S):
            await ended.wait()
            with pytest.raises(ConnectionError):  # a reset, behind what had come so far
                await reader.read()
        writer.close()


# room


async def test_beyond_the_most_connections_one_gets_503_and_the_others_go_on() -> None:
    async with serving(api(max_connections=1)) as url:
        first_reader, first = await raw(url)
        first.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await first_reader.readuntil(b"hello")
        reader, writer = await raw(url)
        assert (await ends(reader)).startswith(b"HTTP/1.1 503 ")
        writer.close()
        first.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b"hello" in await ends(first_reader)
        first.close()
