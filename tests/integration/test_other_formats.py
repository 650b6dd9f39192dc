"""NDJSON, JSON, Parquet, Excel and Avro: the same documents from each, or a clear refusal."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pipeline_world import World, csv, opened, source

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused
from ingestd.files import look
from ingestd.formats import FORMATS
from ingestd.formats.limits import Limits
from ingestd.formats.octets import fill
from ingestd.records import FileState

SAMPLES = Path(__file__).parents[1] / "data" / "formats"
SCHEMA = {
    "id": "int64",
    "amount": "float64",
    "price": {"type": "decimal", "scale": 2},
    "day": "date",
    "at": "datetime",
    "is_gift": "bool",
    "note": "string",
    "payload": "json",
    "blob": "binary",
}
FORMAT_OF = {
    ".ndjson": "ndjson",
    ".json": "json",
    ".gz": "json",
    ".parquet": "parquet",
    ".xlsx": "excel",
    ".avro": "avro",
}
GOOD = sorted(path.name for path in SAMPLES.glob("rows.*"))


def rows_of(form: str) -> SourceSpec:
    sheet = {"sheet": "Rows"} if form == "excel" else {}
    return source(format=form, schema=SCHEMA, excel=sheet)


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path) as world:
        yield world


def expected(number: int, form: str) -> dict[str, Any]:
    tags = ["a", str(number) if form == "parquet" else number]
    at = datetime(2024, 5, number, 9, 30, 0, 250_000, tzinfo=UTC)
    return {
        "id": number,
        "amount": number / 4,
        "price": Decimal128(f"12345678901234567890.{number:02}"),
        "day": datetime(2024, 5, number, tzinfo=UTC),
        "at": at,
        "is_gift": number % 2 == 0,
        "note": f"note {number} é" if number % 3 else None,
        "payload": {"tags": tags, "depth": {"x": 1.5}} if number % 4 else None,
        "blob": bytes([number, 0, 255]),
    }


@pytest.mark.parametrize("name", GOOD)
async def test_every_format_gives_the_same_documents(world: World, name: str) -> None:
    form = FORMAT_OF[Path(name).suffix]
    world = world.configured(rows_of(form))
    result = await world.load(name, (SAMPLES / name).read_bytes())
    assert (result.state, result.counts.record_count) == (FileState.ARCHIVED, 20), result.message
    rows = [{key: row[key] for key in SCHEMA} for row in world.rows()]
    assert rows == [expected(n, form) for n in range(1, 21) if n != 7]


@pytest.mark.parametrize("name", GOOD)
async def test_a_refused_row_is_told_and_can_be_mended_and_dropped_again(
    world: World, name: str
) -> None:
    form = FORMAT_OF[Path(name).suffix]
    world = world.configured(rows_of(form))
    result = await world.load(name, (SAMPLES / name).read_bytes())
    (error,) = world.rows("errors")
    assert (error["row"], error["line"], error["violations"][0]["column"]) == (7, 7, "amount")
    assert json.loads(error["raw"])["id"] == 7
    assert (error["record"]["id"], error["record"]["day"]) == ("7", "2024-05-07")
    assert result.rejects_file is not None
    assert result.rejects_file.name == f"{name}.rejects.ndjson"
    mended = json.loads(result.rejects_file.read_text())
    again = await world.load("mended", json.dumps({**mended, "amount": 1.75}).encode())
    assert again.counts.success_count == 1
    assert [row["amount"] for row in world.rows(id=7)] == [1.75]


REFUSED = {
    ("truncated.json", "json"): "damaged_json",
    ("truncated.parquet", "parquet"): "damaged_parquet",
    ("truncated.xlsx", "excel"): "damaged_workbook",
    ("truncated.avro", "avro"): "damaged_avro",
    ("packed.parquet.gz", "parquet"): "wrong_format",
    ("packed.parquet.gz", "csv"): "wrong_format",
    ("rows.parquet", "csv"): "wrong_format",
    ("rows.parquet", "ndjson"): "wrong_format",
    ("rows.xlsx", "csv"): "wrong_format",
    ("rows.avro", "tsv"): "wrong_format",
    ("rows.xlsx", "parquet"): "wrong_format",
    ("rows.avro", "json"): "wrong_format",
    ("rows.json", "ndjson"): "wrong_format",
    ("rows.json", "avro"): "wrong_format",
    ("rows.json", "excel"): "wrong_format",
}


@pytest.mark.parametrize(("name", "form"), REFUSED)
async def test_what_is_broken_or_something_else_is_refused_as_a_whole(
    world: World, name: str, form: str
) -> None:
    world = world.configured(rows_of(form))
    result = await world.load(name, (SAMPLES / name).read_bytes())
    (file,) = world.files
    assert (result.state, file["error"]["type"]) == (FileState.FAILED, REFUSED[name, form])
    assert result.message
    assert result.hint
    assert world.rows() == []


@pytest.mark.parametrize("form", ["ndjson", "json", "parquet", "excel", "avro"])
@pytest.mark.parametrize(
    "content",
    [b"", b"%PDF-1.7\n", b"<!DOCTYPE html><html>", b"\xff\xfe{\0", b"\0\0\0\0", b"id,amount\n1,2"],
)
async def test_no_format_takes_anything(world: World, form: str, content: bytes) -> None:
    world = world.configured(rows_of(form))
    result = await world.load("a", content)
    assert (result.state, bool(result.hint)) == (FileState.FAILED, True)


@pytest.mark.parametrize("form", ["parquet", "excel", "avro"])
async def test_a_missing_column_refuses_the_file(world: World, form: str) -> None:
    spec = source(format=form, schema={"id": "int64", "colour": "string"}, validation_rules={},
                  excel={"sheet": "Rows"})  # fmt: skip
    suffix = "xlsx" if form == "excel" else form
    world = world.configured(spec)
    result = await world.load("a", (SAMPLES / f"rows.{suffix}").read_bytes())
    assert world.files[0]["error"]["type"] == "missing_column"
    assert "'colour'" in result.message


async def test_a_missing_sheet_is_told_with_those_that_are_there(world: World) -> None:
    world = world.configured(source(format="excel", excel={"sheet": "2024"}))
    result = await world.load("a.xlsx", (SAMPLES / "rows.xlsx").read_bytes())
    assert "'2024'" in result.message
    assert "'Notes', 'Rows'" in result.hint


@pytest.mark.parametrize(
    ("module", "name", "extra"),
    [("python_calamine", "rows.xlsx", "excel"), ("fastavro", "rows.avro", "avro")],
)
async def test_without_the_library_the_message_says_what_to_install(
    world: World, monkeypatch: pytest.MonkeyPatch, module: str, name: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    result = await world.configured(rows_of(extra)).load(name, (SAMPLES / name).read_bytes())
    assert world.files[0]["error"]["type"] == "missing_extra"
    assert f"pip install 'ingestd[{extra}]'" in result.hint


FIXED: dict[str, Any] = {
    "format": "fixed",
    "schema": {"id": "int64", "amount": "float64", "note": "string"},
    "fixed": {
        "columns": {"id": [1, 4], "note": [6, 10], "amount": [16, 8]},
        "encoding": "cp1252",
        "skip_lines": 1,
    },
}


async def test_columns_of_fixed_width_are_cut_out_of_the_lines(world: World) -> None:
    world = world.configured(source(**FIXED))
    result = await world.load("lines.txt", (SAMPLES / "lines.txt").read_bytes())
    assert result.counts.record_count == 10
    rows = [(row["id"], row["note"], row["amount"]) for row in world.rows()]
    assert rows == [(n, f"Zoë {n}", n / 4) for n in range(1, 6)] + [(8, None, 2.0)]
    refused = [
        (error["line"], error["violations"][0]["rule"], error["violations"][0]["column"])
        for error in world.rows("errors")
    ]
    assert refused == [
        (7, "too_short", None),
        (8, "encoding", None),
        (11, "nul_byte", None),
        (12, "too_short", None),
    ]
    assert result.rejects_file is not None
    assert result.rejects_file.name == "lines.txt.rejects.txt"
    lines = (SAMPLES / "lines.txt").read_bytes().splitlines()
    assert result.rejects_file.read_bytes().splitlines() == [
        lines[0], lines[6], lines[7], lines[10], lines[11],
    ]  # fmt: skip


async def test_lines_that_lack_blanks_at_their_end_may_be_padded(world: World) -> None:
    fixed = {**FIXED["fixed"], "short_lines": "pad"}
    world = world.configured(source(**{**FIXED, "fixed": fixed}))
    await world.load("lines.txt", (SAMPLES / "lines.txt").read_bytes())
    (short,) = world.rows(id=6)
    assert (short["note"], short["amount"]) == ("short", None)


@pytest.mark.parametrize("name", GOOD)
@given(data=st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_damaged_in_a_file_it_is_refused_or_its_rows_add_up(
    name: str, data: st.DataObject, tmp_path: Path
) -> None:
    octets = bytearray((SAMPLES / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(octets) - 1))
        octets[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    path = tmp_path / "damaged"
    path.write_bytes(octets)
    spec, limits = rows_of(FORMAT_OF[Path(name).suffix]), Limits()
    form = FORMATS[spec.format]
    with suppress(FileRefused):
        layout = form.lay_out(path, look(path), spec, limits)
        for chunk in fill(layout.chunks, spec, limits):
            text = form.read([chunk], layout.shape, spec, limits)
            assert text.frame.height + len(text.faults) == chunk.row_count


async def test_a_text_that_is_not_utf8_refuses_a_parquet_file(world: World) -> None:
    """Nobody checks it on the way to Polars, which would stumble over it."""
    octets = (SAMPLES / "rows.parquet").read_bytes()
    assert octets.count("é".encode())
    world = world.configured(rows_of("parquet"))
    result = await world.load("a", octets.replace("é".encode(), b"\xff\xff"))
    assert world.files[0]["error"]["type"] == "damaged_parquet"
    assert "UTF8" in result.message


@pytest.mark.parametrize("end", [b"\x1a", b"\x1a\x1a\x1a"])
async def test_the_end_mark_of_dos_is_no_row(world: World, end: bytes) -> None:
    result = await world.configured(rows_of("ndjson")).load("a.ndjson", b'{"id": 2}\n' + end)
    assert (result.state, result.counts.record_count) == (FileState.ARCHIVED, 1)
    assert world.ids() == [2]


async def test_tabs_separate_the_cells_of_tsv(world: World) -> None:
    world = world.configured(source(format="tsv"))
    await world.load("a.tsv", csv((1, 1.5, "a b")).replace(b",", b"\t"))
    assert [(row["id"], row["note"]) for row in world.rows()] == [(1, "a b")]


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        (b'{\n "id": 1\n}\n{\n "id": 2\n}\n', "over several lines", 'format = "json"'),
        (b'[\n {"id": 1},\n {"id": 2}\n]\n', "over several lines", 'format = "json"'),
        (b'[{"id": 1}, {"id": 2}]', "no line or element", 'format = "json"'),
        (b"id,amount\n1,2\n", "no line or element", "another source"),
    ],
)
async def test_json_that_is_not_one_object_per_line_is_refused_with_a_hint(
    world: World, content: bytes, message: str, hint: str
) -> None:
    result = await world.configured(rows_of("ndjson")).load("a.ndjson", content)
    assert (result.state, message in result.message) == (FileState.FAILED, True), result.message
    assert hint in result.hint


@pytest.mark.parametrize(
    "first",
    [
        b"[1]", b"null", b"# rows", b'{"id":', b'"id"', b"\xef\xbb\xbf5",
        b'{"id": 1}{"id": 3}', b'{"note": "\xff"}',
    ],
)  # fmt: skip
async def test_a_first_line_that_is_no_object_is_refused_alone(world: World, first: bytes) -> None:
    result = await world.configured(rows_of("ndjson")).load("a.ndjson", first + b'\n{"id": 2}\n')
    assert (result.counts.success_count, result.counts.error_count) == (1, 1), result.message
    assert world.ids() == [2]
