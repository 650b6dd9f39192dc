"""Files by HTTP: complete in the inbox of their source, or not there at all."""

import asyncio
import base64
import hashlib
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from api_world import World, running, source
from yarl import URL

from ingestd.access import TokenFile, new_token, parse_scope
from ingestd.config.settings import ApiSettings
from ingestd.config.source import SourceSpec
from ingestd.files import file_id
from ingestd.ledger import TRAIL, now

CONTENT = b"order_id,amount,country\na,1,DE\n"
LIMIT_S = 10.0


def digest(content: bytes, algorithm: str = "sha-256") -> dict[str, str]:
    octets = base64.b64encode(hashlib.new(algorithm.replace("-", ""), content).digest())
    return {"Content-Digest": f"{algorithm}=:{octets.decode()}:"}


def marked(name: str, **fields: Any) -> SourceSpec:
    return SourceSpec.model_validate(
        {**source(name).model_dump(exclude_unset=True, by_alias=True), **fields}
    )


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    specs = (
        source(), marked("marked", done_marker=".ok"),
        marked("deep", file_pattern="deep/*/*.csv"),
        marked("told", manifest={"suffix": ".count"}),
    )  # fmt: skip
    settings = ApiSettings(port=0, max_upload=2**20, stall_timeout=5)
    async with running(mongo_uri, database, specs, root=tmp_path, settings=settings) as made:
        for name in ("orders", "marked", "deep", "told"):
            (tmp_path / "inbox" / name).mkdir(parents=True)
        yield made


async def put(world: World, path: str, content: Any = CONTENT, **options: Any) -> tuple[int, Any]:
    url = URL(world.url + path, encoded=True)
    async with world.http.put(url, data=content, **options) as response:
        return response.status, await response.json(content_type=None)


def new_headers(root: Path, *scopes: str) -> dict[str, str]:
    """Those of a new token with these scopes."""
    token, text = new_token("ci", [parse_scope(scope) for scope in scopes], None)
    TokenFile(root).add(token)
    return {"Authorization": f"Bearer {text}"}


def inbox(root: Path) -> list[str]:
    """Every file that lies there, hidden ones too."""
    found = (root / "inbox").rglob("*")
    return sorted(str(path.relative_to(root / "inbox")) for path in found if path.is_file())


async def test_a_file_lies_in_the_inbox_and_the_answer_says_where_to_ask(
    world: World, tmp_path: Path
) -> None:
    url = world.url + "/ingest/orders/a.csv"
    async with world.http.put(url, data=CONTENT, headers=digest(CONTENT)) as response:
        body = await response.json()
    identity = file_id("orders", hashlib.sha256(CONTENT).digest())
    assert (response.status, response.headers["Location"]) == (202, f"/files/{identity}")
    assert (body["file_id"], body["size_bytes"]) == (identity, len(CONTENT))
    assert inbox(tmp_path) == ["orders/a.csv"]
    assert (tmp_path / "inbox/orders/a.csv").read_bytes() == CONTENT
    (record,) = await world.mongo.find(TRAIL, {})
    assert (record["what"], record["status"]) == ("PUT /ingest/orders/a.csv", 202)
    assert record["fingerprint"] == hashlib.sha256(CONTENT).hexdigest()


async def test_a_part_of_a_file_is_refused_before_it_is_sent(world: World, tmp_path: Path) -> None:
    headers = {"Content-Range": "bytes 0-9/31"}
    path = "/ingest/orders/a.csv"
    status, problem = await put(world, path, headers=headers, expect100=True)
    assert (status, problem["type"]) == (400, "urn:ingestd:problem:content-range")
    assert inbox(tmp_path) == []
    assert (await put(world, path))[0] == 202


async def test_a_file_is_taken_while_mongodb_is_away(database: str, tmp_path: Path) -> None:
    (tmp_path / "inbox" / "orders").mkdir(parents=True)
    nowhere = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"
    async with running(nowhere, database, is_prepared=False, root=tmp_path) as world:
        assert (await put(world, "/ingest/orders/a.csv"))[0] == 202
    assert inbox(tmp_path) == ["orders/a.csv"]


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fetc%2fpasswd.csv", "..%2fa.csv", "%2e%2e%2fa.csv", ".a.csv", "a.txt", "%00.csv",
        "a%00.csv", "a%0a.csv", "sub%2fa.csv", "%2ftmp%2fa.csv", "a.csv.tmp", "~a.csv", "..",
        "x" * 300 + ".csv", "a%E2%80%AE.csv", "a.csv%2f", "%5c..%5ca.txt", ".csv",
    ],
)  # fmt: skip
async def test_no_name_leads_out_of_the_inbox_or_past_the_watcher(
    world: World, tmp_path: Path, name: str
) -> None:
    status, problem = await put(world, f"/ingest/orders/{name}")
    assert status in (400, 404)
    if status == 400:
        assert problem["file_pattern"] == "orders/*.csv"
    assert inbox(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("%252e%252e%252fa.csv", "%2e%2e%2fa.csv"),
        ("%E2%80%A5%E2%88%95a.csv", "\u2025\u2215a.csv"),
        ("%c0%ae%c0%ae%c0%afa.csv", "%c0%ae%c0%ae%c0%afa.csv"), ("%ff.csv", "%ff.csv"),
        ("%5c..%5ca.csv", "\\..\\a.csv"), ("CON.csv", "CON.csv"), ("-rf.csv", "-rf.csv"),
        ("$(id).csv", "$(id).csv"),
    ],
)  # fmt: skip
async def test_a_name_that_means_something_elsewhere_is_only_a_name(
    world: World, tmp_path: Path, name: str, written: str
) -> None:
    assert (await put(world, f"/ingest/orders/{name}"))[0] == 202
    assert inbox(tmp_path) == [f"orders/{written}"]


async def test_a_source_of_deeper_directories_says_that_no_plain_name_fits(world: World) -> None:
    status, problem = await put(world, "/ingest/deep/a.csv")
    assert (status, problem["file_pattern"]) == (400, "deep/*/*.csv")
    assert (await put(world, "/ingest/nope/a.csv"))[0] == 404


async def test_what_is_in_the_inbox_is_not_written_over(world: World, tmp_path: Path) -> None:
    assert (await put(world, "/ingest/orders/a.csv"))[0] == 202
    status, problem = await put(world, "/ingest/orders/a.csv", b"other")
    assert (status, problem["type"]) == (409, "urn:ingestd:problem:name-taken")
    assert (tmp_path / "inbox/orders/a.csv").read_bytes() == CONTENT


async def test_of_two_at_once_one_wins_and_both_know(world: World, tmp_path: Path) -> None:
    contents = [f"order_id,amount,country\n{n},1,DE\n".encode() for n in range(4)]
    answers = await asyncio.gather(*(put(world, "/ingest/orders/a.csv", c) for c in contents))
    assert sorted(status for status, _ in answers) == [202, 409, 409, 409]
    winner = contents[[status for status, _ in answers].index(202)]
    assert (tmp_path / "inbox/orders/a.csv").read_bytes() == winner
    assert inbox(tmp_path) == ["orders/a.csv"]


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        (digest(b"other"), "other-content"), (digest(CONTENT, "sha-512"), "bad-digest"),
        ({"Content-Digest": "sha-256=:x:"}, "bad-digest"), ({"Content-Digest": "?"}, "bad-digest"),
    ],
)  # fmt: skip
async def test_what_was_damaged_on_its_way_is_refused_and_leaves_nothing(
    world: World, tmp_path: Path, headers: dict[str, str], kind: str
) -> None:
    status, problem = await put(world, "/ingest/orders/a.csv", headers=headers)
    assert (status, problem["type"]) == (400, f"urn:ingestd:problem:{kind}")
    assert inbox(tmp_path) == []


async def test_a_digest_among_others_is_found(world: World) -> None:
    both = f"{digest(CONTENT, 'sha-512')['Content-Digest']}, {digest(CONTENT)['Content-Digest']}"
    assert (await put(world, "/ingest/orders/a.csv", headers={"Content-Digest": both}))[0] == 202


async def test_too_much_is_413_with_and_without_a_length(world: World, tmp_path: Path) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 2**15

    for content in (io.BytesIO(b"x" * (2**20 + 1)), parts()):
        status, problem = await put(world, "/ingest/orders/a.csv", content)
        assert (status, problem["limit_bytes"]) == (413, 2**20)
    assert inbox(tmp_path) == []


async def test_a_packed_body_is_refused_but_a_packed_file_is_a_file(
    world: World, tmp_path: Path
) -> None:
    headers = {"Content-Encoding": "gzip"}
    assert (await put(world, "/ingest/orders/a.csv", b"\x1f\x8b", headers=headers))[0] == 415
    assert inbox(tmp_path) == []


async def test_an_upload_that_is_cut_off_leaves_nothing(world: World, tmp_path: Path) -> None:
    port = int(world.url.rsplit(":", 1)[1])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "PUT /ingest/orders/a.csv HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
    writer.write(head.encode() + CONTENT)
    async with asyncio.timeout(LIMIT_S):
        while not inbox(tmp_path):
            await asyncio.sleep(0.005)
    assert all(Path(name).name.startswith(".") for name in inbox(tmp_path))
    writer.transport.abort()
    async with asyncio.timeout(LIMIT_S):
        while inbox(tmp_path):
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("rest", [b"zz\r\n", b"3\r\nb,2X\r\n", b"-3\r\n"])
async def test_a_damaged_chunk_is_400_at_once_and_the_end_and_leaves_nothing(
    world: World, tmp_path: Path, rest: bytes
) -> None:
    head = "PUT /ingest/orders/cut.csv HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked"
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(world.url).port)
    writer.write(head.encode() + b"\r\n\r\n3\r\na,1\r\n")
    async with asyncio.timeout(LIMIT_S):
        while not inbox(tmp_path):
            await asyncio.sleep(0)
        writer.write(rest)
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b" 400 Bad Request") == 1
    assert b"Connection: close" in answer
    assert inbox(tmp_path) == []


async def test_nobody_sends_a_body_that_is_not_wanted(world: World, tmp_path: Path) -> None:
    port = int(world.url.rsplit(":", 1)[1])
    for name, expected in (("b.csv", b"HTTP/1.1 100 "), ("b.txt", b"HTTP/1.1 400 ")):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"PUT /ingest/orders/{name} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        writer.write(head.encode() + b"Content-Length: 2\r\n\r\n")
        async with asyncio.timeout(LIMIT_S):
            assert (await reader.readline()).startswith(expected)
        writer.close()


async def test_a_done_marker_is_set_when_the_file_is_there(world: World, tmp_path: Path) -> None:
    assert (await put(world, "/ingest/marked/a.csv"))[0] == 202
    assert inbox(tmp_path) == ["marked/a.csv", "marked/a.csv.ok"]


async def test_a_manifest_is_sent_like_its_file(world: World, tmp_path: Path) -> None:
    assert (await put(world, "/ingest/told/a.csv"))[0] == 202
    assert (await put(world, "/ingest/told/a.csv.count", b"1"))[0] == 202
    assert (await put(world, "/ingest/told/.count", b"1"))[0] == 400
    assert inbox(tmp_path) == ["told/a.csv", "told/a.csv.count"]


async def test_waiting_ends_with_the_receipt_of_what_was_sent(world: World, tmp_path: Path) -> None:
    known = {"name": "a.csv", "size": 1, "sha256": "00" * 32}
    await world.add_file([], **known, finished_at=now() - timedelta(seconds=1))
    asked = asyncio.ensure_future(put(world, "/ingest/orders/a.csv?wait=9s"))
    async with asyncio.timeout(LIMIT_S):
        while inbox(tmp_path) != ["orders/a.csv"]:
            await asyncio.sleep(0.005)
    identity = await world.add_file([], **known, finished_at=now())
    status, receipt = await asked
    assert (status, receipt["file_id"], receipt["is_loaded"]) == (200, identity, True)


async def test_waiting_for_an_archive_ends_with_the_receipts_of_its_files(
    world: World, tmp_path: Path
) -> None:
    asked = asyncio.ensure_future(put(world, "/ingest/orders/a.zip.csv?wait=9s"))
    async with asyncio.timeout(LIMIT_S):
        while inbox(tmp_path) != ["orders/a.zip.csv"]:
            await asyncio.sleep(0.005)
    known = {"size": 1, "sha256": "00" * 32, "finished_at": now() + timedelta(seconds=1)}
    for name, state in (("b.csv", "archived"), ("a.csv", "failed")):
        await world.add_file([], state, name=f"a.zip.csv/{name}", **known)
    await world.add_file([], name="a.zip.csv.csv", **known)
    (tmp_path / "inbox/orders/a.zip.csv").unlink()
    status, told = await asked
    assert (status, told["file"], told["is_loaded"]) == (200, "a.zip.csv", False)
    states = [(one["file"], one["state"]) for one in told["files"]]
    assert states == [("a.zip.csv/a.csv", "failed"), ("a.zip.csv/b.csv", "archived")]


async def test_waiting_ends_in_time_with_202(world: World) -> None:
    assert (await put(world, "/ingest/orders/a.csv?wait=100ms"))[0] == 202


@pytest.mark.parametrize("query", ["wait=soon", "wait=-1", "wait=61s", "wait=nan", "wiat=1s"])
async def test_a_wait_that_makes_no_sense_is_400_before_anything_is_stored(
    world: World, tmp_path: Path, query: str
) -> None:
    status, problem = await put(world, f"/ingest/orders/a.csv?{query}")
    assert (status, problem["parameter"]) == (400, query.partition("=")[0])
    assert inbox(tmp_path) == []


async def test_a_disk_that_takes_nothing_is_507_with_the_reason(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "inbox" / "orders").rmdir()
    status, problem = await put(world, "/ingest/orders/a.csv")
    assert (status, problem["type"]) == (507, "urn:ingestd:problem:cannot-store")
    assert "No such file or directory" in problem["detail"]


async def test_sending_takes_a_scope_of_that_source(
    mongo_uri: str, database: str, tmp_path: Path
) -> None:
    (tmp_path / "inbox" / "orders").mkdir(parents=True)
    settings = ApiSettings(port=0, allow_anonymous=False)
    async with running(mongo_uri, database, root=tmp_path, settings=settings) as world:
        for scope, expected in (("read", 403), ("ingest:other", 403), ("ingest:orders", 202)):
            headers = new_headers(tmp_path, scope)
            status, _ = await put(world, "/ingest/orders/a.csv", headers=headers)
            assert status == expected, scope
        assert (await put(world, "/ingest/orders/b.csv"))[0] == 401
    assert inbox(tmp_path) == ["orders/a.csv"]


# in the place of another file


REPLACED = {"name": "old.csv", "size": 1, "sha256": "00" * 32}


async def test_a_replacement_is_noted_before_it_lies_in_the_inbox(
    world: World, tmp_path: Path
) -> None:
    old = await world.add_file([], **REPLACED)
    status, body = await put(world, f"/ingest/orders/a.csv?replaces={old}")
    assert (status, inbox(tmp_path)) == (202, ["orders/a.csv"])
    (entry,) = await world.mongo.find("files", {"_id": old})
    assert entry["replacement"] == body["file_id"]
    assert [(done["action"], done["new_name"]) for done in entry["actions"]] == [
        ("replace", "a.csv")
    ]


@pytest.mark.parametrize(
    ("state", "content", "status", "told"),
    [
        ("failed", CONTENT, 409, "old.csv is failed"),
        ("archived", b"PK\x03\x04zip", 409, "an archive cannot replace a file"),
    ],
)
async def test_what_cannot_be_replaced_is_told_and_nothing_is_kept(
    world: World, tmp_path: Path, state: str, content: bytes, status: int, told: str
) -> None:
    old = await world.add_file([], state, **REPLACED)
    found, problem = await put(world, f"/ingest/orders/a.csv?replaces={old}", content)
    assert (found, told in problem["detail"]) == (status, True), problem
    assert inbox(tmp_path) == []


async def test_content_that_is_loaded_already_replaces_nothing(
    world: World, tmp_path: Path
) -> None:
    old = await world.add_file([], **REPLACED)
    first = await world.add_file([], **REPLACED | {"name": "first.csv"})
    (entry,) = await world.mongo.find("files", {"_id": first})
    identity = file_id("orders", hashlib.sha256(CONTENT).digest())
    await world.mongo.insert_missing("files", [entry | {"_id": identity}])
    status, problem = await put(world, f"/ingest/orders/a.csv?replaces={old}")
    assert (status, "which is loaded already" in problem["detail"]) == (409, True)
    assert inbox(tmp_path) == []


async def test_only_a_file_of_that_source_can_be_replaced(world: World, tmp_path: Path) -> None:
    old = await world.add_file([], **REPLACED)
    for target in (f"/ingest/marked/a.csv?replaces={old}", "/ingest/orders/a.csv?replaces=x"):
        status, problem = await put(world, target)
        assert (status, problem["type"]) == (404, "urn:ingestd:problem:unknown-file")
    assert inbox(tmp_path) == []


async def test_replacing_takes_the_scopes_to_send_and_to_operate(
    mongo_uri: str, database: str, tmp_path: Path
) -> None:
    (tmp_path / "inbox" / "orders").mkdir(parents=True)
    settings = ApiSettings(port=0, allow_anonymous=False)
    async with running(mongo_uri, database, root=tmp_path, settings=settings) as world:
        old = await world.add_file([], **REPLACED)
        for scopes, expected in (
            (["ingest:orders"], 403), (["operate:orders"], 403),
            (["ingest:orders", "operate:other"], 403), (["ingest:orders", "operate:orders"], 202),
        ):  # fmt: skip
            headers = new_headers(tmp_path, *scopes)
            target = f"/ingest/orders/a.csv?replaces={old}"
            assert (await put(world, target, headers=headers))[0] == expected, scopes
