"""Files that wait for a side file, and are held when they are not what it says."""

import hashlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pipeline_world import World, csv, opened, source

from ingestd.files import look
from ingestd.formats.limits import Limits
from ingestd.ledger import now
from ingestd.pipeline.trial import try_file
from ingestd.records import Counts, FileState, FoundFile
from ingestd.wayback import retry

CONTENT = csv((1, 1.5, "a"), (2, 2.5, "b"), (3, 3.5, "c"))
SOURCE = source(manifest={"suffix": ".count"})


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path, SOURCE) as world:
        yield world


def drop(world: World, name: str, content: bytes, manifest: bytes | None) -> FoundFile:
    path = world.drop(name, content).path
    beside = SOURCE.manifest_of(path)
    assert beside is not None
    if manifest is not None:
        beside.write_bytes(manifest)
    return FoundFile("orders", path, look(path), now(), beside)


async def load(world: World, content: bytes, manifest: bytes) -> Any:
    ((result, _),) = await world.offer(drop(world, "a.csv", content, manifest))
    assert result is not None, world.blocked()
    return result


def digest(algorithm: str) -> str:
    return hashlib.new(algorithm, CONTENT).hexdigest()


@pytest.mark.parametrize(
    "manifest",
    [
        b"3\n", b'{"rows": 3}', b"\xef\xbb\xbf3", "3\r\n".encode("utf-16"),
        *(f"{digest(name)}  a.csv\n".encode() for name in ("md5", "sha1", "sha256", "sha512")),
    ],
)  # fmt: skip
async def test_a_file_that_is_as_its_manifest_says_is_archived_with_it(
    world: World, manifest: bytes
) -> None:
    result = await load(world, CONTENT, manifest)
    assert (result.state, world.ids()) == (FileState.ARCHIVED, [1, 2, 3])
    assert [Path(name).name for name in world.found("archive")] == ["a.csv", "a.csv.count"]
    assert result.moved_to.with_name("a.csv.count").read_bytes() == manifest
    assert world.found("inbox") == []


async def test_rows_that_are_no_data_are_none_for_its_manifest(world: World) -> None:
    options = {"skip_footer": 1, "skip_rows": ["Subtotal"]}
    world = world.configured(source(manifest={"suffix": ".count"}, csv=options))
    result = await load(world, CONTENT + b"subtotal,,\n4,4.5,d\nprinted at night\n", b"4")
    assert (result.state, world.ids()) == (FileState.ARCHIVED, [1, 2, 3, 4])
    assert result.counts == Counts(6, 4, 0, 2)


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        (b"4", "a.csv.count says 4 rows, the file has 3"),
        (b'{"rows": 0}', "a.csv.count says 0 rows, the file has 3"),
        (b"0" * 64, f"a.csv.count says sha256 {'0' * 64}, the file has {digest('sha256')}"),
        (b"f" * 32, f"a.csv.count says md5 {'f' * 32}, the file has {digest('md5')}"),
        (b"", "a.csv.count says neither rows nor a checksum"),
        (b"see the mail", "a.csv.count says neither rows nor a checksum"),
    ],
)
async def test_a_file_that_is_not_as_its_manifest_says_is_held_and_nothing_of_it_shows(
    world: World, manifest: bytes, told: str
) -> None:
    result = await load(world, CONTENT, manifest)
    assert (result.state, result.message) == (FileState.HELD, told)
    assert world.rows() == []
    (file,) = world.files
    assert (file["state"], file["error"]["message"]) == ("held", told)
    assert [error["error_message"] for error in world.rows("errors")] == [told]
    assert world.found("failed", "orders") == ["a.csv", "a.csv.count", "a.csv.error.json"]
    assert world.found("inbox") == []


async def test_a_damaged_file_is_held_for_its_checksum_and_fails_when_it_came_as_it_was_sent(
    world: World,
) -> None:
    result = await load(world, b"id,note\n1,a\n", digest("sha256").encode())
    assert result.state is FileState.HELD
    broken = b"id,note\n2,a\n"
    result = await load(world, broken, hashlib.sha256(broken).hexdigest().encode())
    assert (result.state, world.files[1]["error"]["type"]) == (FileState.FAILED, "missing_column")


async def test_a_held_file_loads_when_it_comes_again_with_the_right_manifest(world: World) -> None:
    await load(world, CONTENT, b"4")
    result = await load(world, CONTENT, b"3")
    assert (result.state, world.ids()) == (FileState.ARCHIVED, [1, 2, 3])


async def test_retry_brings_the_manifest_back_with_its_file(world: World) -> None:
    held = await load(world, CONTENT, b"4")
    held.moved_to.with_name("a.csv.count").write_bytes(b"3")
    await retry(world.desk, held.file_id, "ada")
    assert world.found("inbox") == ["orders/a.csv", "orders/a.csv.count"]
    path = world.inbox / "a.csv"
    again = FoundFile("orders", path, look(path), now(), SOURCE.manifest_of(path))
    ((result, _),) = await world.offer(again)
    assert result is not None
    assert (result.state, world.ids()) == (FileState.ARCHIVED, [1, 2, 3])


async def test_a_file_whose_manifest_is_missing_stays_where_it_is(world: World) -> None:
    ((result, retry_after_s),) = await world.offer(drop(world, "a.csv", CONTENT, None))
    assert result is None
    assert retry_after_s is not None
    assert world.blocked() == ["a.csv.count is missing, which says what the file holds"]
    assert world.found("inbox") == ["orders/a.csv"]


async def test_of_files_that_go_together_each_has_its_own_manifest(world: World) -> None:
    contents = [csv((n, 1, "a")) for n in range(5)]
    files = [
        drop(world, f"{n}.csv", content, b"2" if n == 3 else b"1")
        for n, content in enumerate(contents)
    ]
    answers = await world.offer(*files)
    states = [result.state for result, _ in answers if result]
    assert [states.index(FileState.HELD), states.count(FileState.ARCHIVED)] == [3, 4]
    assert world.ids() == [0, 1, 2, 4]
    assert world.found("failed", "orders") == ["3.csv", "3.csv.count", "3.csv.error.json"]


async def test_a_duplicate_takes_its_manifest_along(world: World) -> None:
    await load(world, CONTENT, b"3")
    result = await load(world, CONTENT, b"3")
    assert result.state is FileState.DUPLICATE
    assert len(world.found("archive")) == 4
    assert world.found("inbox") == []


async def test_a_manifest_follows_its_file_after_a_crash_between_the_two_moves(
    world: World,
) -> None:
    result = await load(world, CONTENT, b"3")
    manifest = result.moved_to.with_name("a.csv.count")
    manifest.rename(world.inbox / "a.csv.count")
    await world.mongo.update("files", {}, {"$set": {"is_put_away": False}})
    await world.recover()
    assert manifest.read_bytes() == b"3"
    assert world.files[0]["is_put_away"]


async def test_a_trial_tells_that_the_file_would_be_held(world: World) -> None:
    file = drop(world, "a.csv", CONTENT, b"4")
    trial = await try_file(file.path, SOURCE, Limits(), 1)
    assert trial.held is not None
    assert trial.held.message == "a.csv.count says 4 rows, the file has 3"


async def test_a_trial_needs_no_manifest(world: World) -> None:
    trial = await try_file(drop(world, "a.csv", CONTENT, None).path, SOURCE, Limits(), 1)
    assert (trial.held, trial.counts.success_count) == (None, 3)


async def test_the_checksum_of_a_compressed_file_is_that_of_the_file_and_the_rows_those_in_it(
    world: World,
) -> None:
    packed = subprocess.run(["gzip"], input=CONTENT, capture_output=True, check=True).stdout
    told = f'{{"rows": 3, "sha256": "{hashlib.sha256(packed).hexdigest()}"}}'
    result = await load(world, packed, told.encode())
    assert (result.state, world.ids()) == (FileState.ARCHIVED, [1, 2, 3])
