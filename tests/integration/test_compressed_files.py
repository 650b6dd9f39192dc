"""Compressed files: the same rows as from the plain one, or a refusal; and memory stays flat."""

import bz2
import gzip
import io
import lzma
import pickle
import sys
import time
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from backports import zstd
from csv_world import source_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pipeline_world import World, csv, many, opened, source, stop_after_a_chunk
from pyarrow import parquet

from ingestd.config.source import SourceSpec
from ingestd.documents import Run
from ingestd.errors import FileRefused, FileUnavailable
from ingestd.files import look
from ingestd.formats import csv as csv_format
from ingestd.formats.convert.parquet import parquet_lines
from ingestd.formats.limits import Limits
from ingestd.formats.octets import fill
from ingestd.formats.zips import unzip
from ingestd.records import FileLayout, FileState
from ingestd.refine import Plan, refine

SAMPLES = Path(__file__).parents[1] / "data" / "compressed"
PLAIN = (SAMPLES / "orders.csv").read_bytes()
GOOD = [
    "orders.csv.gz", "orders.csv.bz2", "orders.csv.xz", "orders.csv.zst",
    "two-members.csv.gz", "padded-with-zeros.csv.gz", "skippable-frame.csv.zst",
    "orders.csv.zip", "with-mac-files.zip",
]  # fmt: skip
REFUSED = {
    "truncated.csv.gz": "truncated_archive",
    "truncated.csv.bz2": "truncated_archive",
    "truncated.csv.xz": "truncated_archive",
    "truncated.csv.zst": "truncated_archive",
    "damaged.csv.gz": "damaged_archive",
    "damaged.csv.bz2": "damaged_archive",
    "damaged.csv.xz": "damaged_archive",
    "damaged.csv.zst": "damaged_archive",
    "truncated.csv.zip": "damaged_archive",
    "damaged.csv.zip": "damaged_archive",
    "encrypted.zip": "wrong_archive",
    "leads-out.zip": "wrong_archive",
    "lzma.zip": "wrong_archive",
    "nested.zip": "wrong_format",
    "no-members.zip": "empty_file",
    "garbage-behind.csv.gz": "damaged_archive",
    "twice.csv.gz.gz": "wrong_format",
    "empty.csv.gz": "empty_file",
}


def zipped(octets: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("orders.csv"), octets)
    return stream.getvalue()


CHECKED: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}
"""As the program zstd does it."""
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zip": zipped,
    "zstd": lambda octets: zstd.compress(octets, options=CHECKED),
}
COLUMNS = source_of(["id", "amount", "note"])
SMALL = Limits(chunk_bytes=64)


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path) as world:
        yield world


def lay_out(path: Path, octets: bytes, limits: Limits = SMALL) -> FileLayout:
    path.write_bytes(octets)
    return csv_format.lay_out(path, look(path), COLUMNS, limits)


# what is in them


@pytest.mark.parametrize("name", GOOD)
async def test_a_compressed_file_loads_like_the_plain_one(world: World, name: str) -> None:
    result = await world.load(name, (SAMPLES / name).read_bytes())
    assert (result.state, result.counts.record_count) == (FileState.ARCHIVED, 20)
    assert [(row["id"], row["amount"], row["note"]) for row in world.rows()] == [
        (n, n / 4, f"note {n}") for n in range(1, 21) if n != 7
    ]
    (error,) = world.rows("errors")
    assert (error["row"], error["line"], error["raw"]) == (7, 8, "7,-1,note 7")
    assert result.rejects_file is not None
    assert result.rejects_file.read_bytes() == b"id,amount,note\n7,-1,note 7\n"
    assert Path(world.files[0]["archived_to"]).read_bytes() == (SAMPLES / name).read_bytes()


@pytest.mark.parametrize("codec", PACK)
def test_it_is_cut_like_the_plain_one_and_each_chunk_gets_its_bytes(
    codec: str, tmp_path: Path
) -> None:
    plain = lay_out(tmp_path / "a.csv", PLAIN)
    packed = lay_out(tmp_path / "a.csv.packed", PACK[codec](PLAIN))
    assert [(c.start, c.end) for c in packed.chunks] == [(c.start, c.end) for c in plain.chunks]
    assert (packed.is_packed, plain.is_packed) == (True, False)
    assert packed.sha256 != plain.sha256
    filled = list(fill(packed.chunks, COLUMNS, SMALL))
    assert packed.shape.header + b"".join(chunk.octets or b"" for chunk in filled) == PLAIN
    assert list(fill(packed.chunks[3:], COLUMNS, SMALL)) == filled[3:]


@pytest.mark.parametrize("options", [{"skip_footer": 3}, {"skip_rows": ["Total", "Source:"]}])
def test_a_footer_is_left_out_and_counted_wherever_the_cuts_are(
    options: dict[str, Any], tmp_path: Path
) -> None:
    skipping = source_of(["id", "amount"], **options)
    for rows in range(1, 30):
        lines = [f"{n},{n / 4}" for n in range(rows)]
        text = "\n".join(["id,amount", *lines, "", "Total,2", "total,a", "Source: us", ""])
        path = tmp_path / f"{rows}.csv.gz"
        path.write_bytes(gzip.compress(text.encode()))
        layout = csv_format.lay_out(path, look(path), skipping, SMALL)
        assert (layout.row_count, layout.data_row_count) == (rows + 3, rows)
        chunks = fill(layout.chunks, skipping, SMALL)
        read = [csv_format.read([chunk], layout.shape, skipping, SMALL) for chunk in chunks]
        assert [cells[:2] for text in read for cells in text.frame.rows()] == [
            tuple(line.split(",")) for line in lines
        ]
        assert not any(text.faults for text in read)


# what is wrong with them


@pytest.mark.parametrize("name", REFUSED)
async def test_nothing_of_a_broken_one_is_loaded(world: World, name: str) -> None:
    result = await world.load(name, (SAMPLES / name).read_bytes())
    assert (result.state, world.files[0]["error"]["type"]) == (FileState.FAILED, REFUSED[name])
    assert result.hint
    assert world.rows() == []
    assert world.found("failed", "orders") == [name, f"{name}.error.json"]


@pytest.mark.parametrize("codec", PACK)
def test_one_that_is_cut_off_anywhere_is_refused(codec: str, tmp_path: Path) -> None:
    packed = PACK[codec](PLAIN)
    for length in range(len(packed)):
        with pytest.raises(FileRefused):
            lay_out(tmp_path / "a", packed[:length])


@pytest.mark.parametrize("codec", PACK)
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_byte_is_noticed_or_without_consequence(
    codec: str, data: st.DataObject, tmp_path: Path
) -> None:
    packed = bytearray(PACK[codec](PLAIN))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        layout = lay_out(tmp_path / "a", bytes(packed))
    except FileRefused:
        return
    filled = fill(layout.chunks, COLUMNS, SMALL)
    assert layout.shape.header + b"".join(chunk.octets or b"" for chunk in filled) == PLAIN


def test_one_that_changes_between_two_chunks_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    chunks = fill(lay_out(path, gzip.compress(PLAIN)).chunks, COLUMNS, SMALL)
    next(chunks)
    path.write_bytes(gzip.compress(PLAIN.replace(b"note", b"NOTE")))
    with pytest.raises(FileUnavailable):
        list(chunks)


def test_without_the_library_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "backports", None)
    monkeypatch.setitem(sys.modules, "compression", None)
    with pytest.raises(FileRefused) as refused:
        lay_out(tmp_path / "a.csv.zst", zstd.compress(PLAIN))
    assert refused.value.error_type == "missing_extra"
    assert "pip install 'ingestd[zstd]'" in refused.value.hint


# bombs


def bomb(codec: str, size_bytes: int) -> bytes:
    """Nothing but the same line."""
    line = b"1,1,aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
    member_bytes = size_bytes // 16
    member = PACK[codec](line * (member_bytes // len(line)))
    return PACK[codec](b"id,amount,note\n") + member * 16


@pytest.mark.parametrize("codec", ["bzip2", "xz", "zstd"])
def test_a_bomb_is_refused_before_it_goes_off(codec: str, tmp_path: Path) -> None:
    octets = bomb(codec, 80 * 2**20)
    started = time.process_time()
    with pytest.raises(FileRefused) as refused:
        lay_out(tmp_path / "bomb", octets, Limits())
    assert (refused.value.error_type, time.process_time() - started < 5) == (
        "unpacks_to_too_much", True,
    )  # fmt: skip
    assert "refine.max_unpack_ratio" in refused.value.hint


def test_a_repetitive_file_below_32_MiB_is_no_bomb(tmp_path: Path) -> None:  # noqa: N802
    layout = lay_out(tmp_path / "a.csv.zst", bomb("zstd", 20 * 2**20), Limits())
    assert layout.size_bytes > 19 * 2**20


def test_no_file_unpacks_to_more_than_the_settings_allow(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=r"refine\.max_unpacked_bytes"):
        lay_out(tmp_path / "a.csv.gz", gzip.compress(PLAIN), Limits(max_unpacked_bytes=100))


# through the pipeline


async def test_it_goes_on_from_its_checkpoint(
    mongo_uri: str, database: str, tmp_path: Path
) -> None:
    """Stopped after the first chunk, it skips what is durable."""
    async with opened(mongo_uri, database, tmp_path, load={"checkpoint_interval": 0}) as world:
        file = world.drop("a.csv.gz", gzip.compress(many(2000)))
        await stop_after_a_chunk(world, file)
        (entry,) = world.files
        assert 0 < entry["rows_done"] < 2000
        await world.offer(file)
        (entry,) = world.files
        assert (entry["state"], entry["record_count"]) == ("archived", 2000)
        assert world.ids() == [n for n in range(1, 2001) if n % 10]


async def test_what_asks_for_the_whole_file_first_works(
    mongo_uri: str, database: str, tmp_path: Path
) -> None:
    rules = {"amount": {"min": 0}, "id": {"unique": True}}
    spec = source(validation_rules=rules, errors={"max_rate": 0.5})
    async with opened(mongo_uri, database, tmp_path, spec) as world:
        content = many(2000) + b"1,1,again\n"
        result = await world.load("a.csv.gz", gzip.compress(content))
        assert (result.state, result.counts.error_count) == (FileState.ARCHIVED, 201)


async def test_rows_that_mongodb_refuses_are_told_with_their_text(world: World) -> None:
    await world.load("first.csv", csv((1, 1, "a")))
    with world.refusing("orders", {"id": {"$ne": 1500}}):
        await world.load("a.csv.gz", gzip.compress(many(2000, refused_every=5000)))
    (error,) = world.rows("errors")
    assert (error["row"], error["raw"]) == (1500, "1500,375.0,note 1500")
    assert error["record"] == {"id": "1500", "amount": "375.0", "note": "note 1500"}


def test_refined_chunks_leave_the_bytes_behind(tmp_path: Path) -> None:
    """They went to the worker; sending them back would cost as much again."""
    layout = lay_out(tmp_path / "a.csv.gz", gzip.compress(PLAIN))
    run = Run("00" * 8, COLUMNS.name, 0)
    plan = Plan(pickle.dumps(COLUMNS), layout.shape, run, SMALL)
    first = next(fill(layout.chunks, COLUMNS, SMALL))
    assert refine(plan, first).chunk == replace(first, octets=None) == layout.chunks[0]


def test_bzip2_in_a_zip_archive_is_unpacked_in_small_pieces() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.csv", bytes(2**26))
    assert len(stream.getvalue()) < 1000
    pieces = list(unzip(io.BufferedReader(stream)))
    assert (sum(map(len, pieces)), max(map(len, pieces))) == (2**26, 2**18)


def test_a_wrong_checksum_of_bzip2_in_a_zip_archive_is_damage() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.csv", b"a,b\n1,2\n")
    checksum = zlib.crc32(b"a,b\n1,2\n").to_bytes(4, "little")
    damaged = stream.getvalue().replace(checksum, b"\0\0\0\0")
    with pytest.raises(FileRefused, match="bad checksum"):
        list(unzip(io.BufferedReader(io.BytesIO(damaged))))


def test_a_column_of_parquet_that_unpacks_to_far_too_much_is_refused() -> None:
    stream = io.BytesIO()
    table = pa.table({"a": ["x" * 2**26]})
    parquet.write_table(table, stream, compression="zstd", use_dictionary=False)
    stream.seek(0)
    spec = SourceSpec.model_validate(
        {"name": "a", "file_pattern": "a", "format": "parquet", "schema": {"a": "string"}}
    )
    with pytest.raises(FileRefused, match="bytes of the column 'a' unpack to 671"):
        list(parquet_lines(io.BufferedReader(stream), spec))
