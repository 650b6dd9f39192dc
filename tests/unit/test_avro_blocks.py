"""Avro files unpacked block by block: the same rows, in bounded memory."""

import io
import json
from contextlib import suppress
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused
from ingestd.formats.convert.avro import avro_lines
from ingestd.formats.convert.avro_blocks import _long, _read_long, plain_avro
from ingestd.formats.streams import as_stream

SCHEMA = {"type": "record", "name": "r", "fields": [{"name": "a", "type": "string"}]}
CODECS = ("null", "deflate", "bzip2", "xz", "zstandard")


def avro(rows: list[dict[str, Any]], codec: str, block_bytes: int = 100) -> bytes:
    stream = io.BytesIO()
    fastavro.writer(stream, SCHEMA, rows, codec, block_bytes, metadata={"about": "é"})
    return stream.getvalue()


def plain(content: bytes) -> bytes:
    return b"".join(plain_avro(io.BufferedReader(io.BytesIO(content))))  # type: ignore[arg-type]


def records(content: bytes) -> list[Any]:
    """As the daemon reads them."""
    spec = {"name": "a", "file_pattern": "*.avro", "format": "avro", "schema": {"a": "string"}}
    source = SourceSpec.model_validate({**spec, "load": {"on_new_column": "ignore"}})
    stream = io.BufferedReader(io.BytesIO(content))  # type: ignore[arg-type]
    return [json.loads(line) for line in b"".join(avro_lines(stream, source)).splitlines()]


@pytest.mark.parametrize("codec", CODECS)
def test_the_rows_are_the_same_whatever_packs_them(codec: str) -> None:
    rows = [{"a": f"text {n}" * (n % 7)} for n in range(1000)]
    reader = fastavro.reader(as_stream(iter([plain(avro(rows, codec))])))
    assert (list(reader), reader.codec, reader.metadata["about"]) == (rows, "null", "é")


def test_a_file_that_is_not_packed_stays_as_it_is() -> None:
    content = avro([{"a": "x"}], "null")
    assert plain(content)[-40:] == content[-40:]


@pytest.mark.parametrize("codec", CODECS[1:])
def test_a_block_of_any_size_takes_bounded_memory(codec: str) -> None:
    content = avro([{"a": "x" * (2**26 + 1)}], codec)
    assert len(content) < 2**17
    with pytest.raises(FileRefused, match="more than 67108864 bytes"):
        plain(content)


@pytest.mark.parametrize("codec", CODECS)
def test_a_cut_off_file_is_damaged(codec: str) -> None:
    content = avro([{"a": f"text {n}"} for n in range(100)], codec)
    for end in (10, len(content) // 2, len(content) - 20, len(content) - 1):
        with pytest.raises(FileRefused, match=r"Avro file cannot be read|is damaged"):
            plain(content[:end])


def test_records_of_nothing_are_refused() -> None:
    empty = {"type": "record", "name": "r", "fields": [{"name": "a", "type": "null"}]}
    stream = io.BytesIO()
    fastavro.writer(stream, empty, [{"a": None}] * 1000)
    with pytest.raises(FileRefused, match="1000 records in 0 bytes"):
        plain(stream.getvalue())


@given(st.integers(0, 2**62))
def test_a_number_is_read_as_it_is_written(number: int) -> None:
    assert _read_long(io.BufferedReader(io.BytesIO(_long(number)))) == number  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.data())
def test_damage_is_an_error_and_no_endless_loop(data: st.DataObject) -> None:
    content = bytearray(
        avro([{"a": f"text {n}"} for n in range(50)], data.draw(st.sampled_from(CODECS)))
    )
    place = data.draw(st.integers(4, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    found: list[Any] = []
    with suppress(FileRefused):
        found = records(bytes(content))
    assert len(found) in (0, 50)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("change", [-1, 1])
def test_a_count_that_is_damaged_is_noticed(codec: str, change: int) -> None:
    content = avro([{"a": f"text {n}"} for n in range(50)], codec, 10**6)
    place = content.index(content[-16:]) + 16  # behind the first mark: 50, as a zigzag number
    assert content[place] == 100
    damaged = content[:place] + bytes([100 + 2 * change]) + content[place + 1 :]
    assert len(records(content)) == 50
    with pytest.raises(FileRefused, match="the Avro file cannot be read"):
        records(damaged)
