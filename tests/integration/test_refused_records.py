"""Refused records on their way to the rejects file: in memory, on disk, or back from MongoDB."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pipeline_world import World, opened, source

from ingestd.pipeline.refused import RefusedRecords
from ingestd.records import Chunk, FileStat, Position, Rejections

LARGE = b"x" * 2**17
ENDS = b"\0" * 8


def chunk(first_row: int) -> Chunk:
    start, end = Position(first_row, first_row, first_row), Position(first_row + 1, first_row + 1)
    return Chunk(Path("a.csv"), FileStat(0, 0, 0, 0, 0), start, end)


def refused(records: bytes | None) -> Rejections:
    return Rejections(b"d", ENDS, {}, records)


@pytest.mark.parametrize("large", [b"", LARGE])
async def test_records_come_in_the_order_of_the_file_whenever_their_chunk_was_done(
    tmp_path: Path, large: bytes
) -> None:
    records = RefusedRecords(tmp_path, is_whole=True)
    for row in (5, 1, 7, 3, 0):
        await records.keep(chunk(row), refused(large + b"%d" % row))
    await records.keep(chunk(2), Rejections())
    for _ in range(2):  # what could not be written is written again
        assert b"".join(records) == b"".join(large + b"%d" % row for row in (0, 1, 3, 5, 7))
    assert list(tmp_path.iterdir()) == []
    records.close()


async def test_without_room_on_disk_they_are_not_at_hand(tmp_path: Path) -> None:
    records = RefusedRecords(tmp_path / "missing", is_whole=True)
    await records.keep(chunk(0), refused(b"few"))
    assert records.is_whole
    await records.keep(chunk(1), refused(LARGE))
    await records.keep(chunk(2), refused(b"few"))
    assert not records.is_whole


@pytest.mark.parametrize("is_whole", [True, False])
async def test_they_are_whole_only_if_no_record_is_missing(tmp_path: Path, is_whole: bool) -> None:
    """Of rows that MongoDB refused, or that an earlier attempt loaded, records are not at hand."""
    records = RefusedRecords(tmp_path, is_whole=is_whole)
    await records.keep(chunk(0), refused(b"few"))
    assert records.is_whole is is_whole
    await records.keep(chunk(1), refused(None))
    assert not records.is_whole


@pytest.fixture(params=["at hand", "read back"])
async def world(
    mongo_uri: str, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[World]:
    """Without a directory for them, many records cannot be kept at hand."""
    if request.param == "at hand":
        (tmp_path / "rejects").mkdir()
    latin = source(csv={"encoding": "latin-1", "delimiter": ";"})
    async with opened(mongo_uri, database, tmp_path, latin, load={"writers": 3}) as world:
        yield world


@pytest.mark.parametrize("count", [3, 4000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
async def test_rejects_files_are_the_same_wherever_the_records_were(
    world: World, count: int, end: bytes
) -> None:
    header, bad = b"id;amount;note" + end, []
    content = header
    for n in range(count):
        bad.append(b'%d;-1;"\xfc; %s"' % (n, b"long" * 5) + end)
        content += b"%d;1;good" % n + end + bad[-1]
    result = await world.load("a.csv", content)
    assert result.rejects_file is not None
    assert result.rejects_file.read_bytes() == header + b"".join(bad)
    assert result.counts.error_count == count
