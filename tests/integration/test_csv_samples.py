"""Polluted CSV files, loaded into MongoDB: what a careful person reads in them, and no more.

Every sample is named for what is odd or wrong about it.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pipeline_world import World, opened

from ingestd.config.encodings import without_bom
from ingestd.config.source import SourceSpec
from ingestd.records import FileState

SAMPLES = Path(__file__).parent.parent / "data" / "csv"
SCHEMA = {"id": "int64", "name": "string", "amount": "float64"}


@dataclass(frozen=True)
class Expected:
    """``options`` of ``[csv]``; the rows of the collection; line, rule and text of the refused."""

    options: dict[str, Any]
    rows: list[tuple[Any, ...]]
    refused: list[tuple[int, str, str | bytes]] = field(default_factory=list)
    schema: dict[str, Any] = field(default_factory=lambda: SCHEMA)
    filtered: int = 0


ADA, BOB, EVE = (1, "Ada", 1.5), (2, "Bob", 2.5), (3, "Eve", 3.5)
EXPECTED = {
    "delimiter-of-two-characters": Expected(
        {"delimiter": "||"},
        [(1, "Ada|Lovelace", 1.5), (2, "Bob || Co", 2.5)],
        [(4, "too_few_fields", "3||Eve"), (5, "type", "4||Cid||x")],
    ),
    "control-character-as-delimiter": Expected(
        {"delimiter": "\x01"},
        [(1, "Ada, Countess", 1.5)],
        [(3, "type", "x\x01Bob\x012.5")],
    ),
    "backslash-escapes": Expected(
        {"escape": "\\", "null_values": ["\\N"]},
        [(1, 'Ada "The" Countess', 1.5), (2, "Bob, Jr.", 2.5), (3, None, None), (5, "Eve", 5.5)],
        [(5, "unclosed_quote", '4,"C:\\",4.5')],
    ),
    "quotes-never-doubled": Expected(
        {"escape": "none"},
        [(1, "Ada, Countess", 1.5), (3, None, 3.5)],
        [(3, "stray_quote", '2,"5"" disk",2.5')],
    ),
    "apostrophes-as-quotes": Expected(
        {"quote": "'"},
        [(1, 'Ada, "C"', 1.5), (2, "O'Hara", 2.5)],
        [(4, "stray_quote", "3,O'Brien,3.5")],
    ),
    "utf-16-of-a-spreadsheet": Expected(
        {"delimiter": "\t"},
        [(1, "Größe\n😀", 1.5), (3, "Bob", 3.5)],
        [(4, "type", "x\tÉva\t2.5")],
    ),
    "utf-16-with-half-a-character": Expected(
        {"encoding": "utf-16"},
        [ADA, EVE],
        [(3, "encoding", "2,".encode("utf-16-be") + b"\xd8\0" + ",2.5".encode("utf-16-be"))],
    ),
    "utf-8-with-bom-in-cp1252-source": Expected(
        {"encoding": "cp1252"}, [(1, "Größe", 1.5), (2, "Eve", None)]
    ),
    "shift-jis-with-delimiter-inside-letters": Expected(
        {"encoding": "shift_jis", "delimiter": "|"},
        [(1, "ポソ", 1.5)],
        [(3, "type", "2|表|x"), (4, "encoding", b"3|\x83 |3.5")],
    ),
    "latin-1-taken-for-utf-8": Expected(
        {}, [ADA, EVE], [(3, "encoding", "2,Größe,2.5".encode("latin-1"))]
    ),
    "ebcdic": Expected({"encoding": "cp037"}, [ADA], [(3, "type", "2,Bob,?")]),
    "carriage-returns-only": Expected(
        {}, [(1, "Ada\nLovelace", 1.5), EVE], [(3, "unclosed_quote", '2,"Bob,2.5')]
    ),
    "line-feeds-inside-crlf-rows": Expected(
        {"record_end": "\r\n"},
        [(1, "Ada\nLovelace", 1.5), EVE],
        [(4, "too_many_fields", "2,Bob\nx,y,2.5")],
    ),
    "rows-that-end-with-a-mark": Expected(
        {"delimiter": "|", "record_end": "|#\n"},
        [(1, "Ada\nLovelace", 1.5)],
        [(4, "type", "2|Bob|x")],
    ),
    "header-of-two-lines": Expected(
        {"header_lines": 2},
        [ADA],
        schema={"id": "int64", "person_name": "string", "person_amount": "float64"},
    ),
    "other-names-in-another-order": Expected(
        {"delimiter": ";", "decimal": ",", "ignore_case": True},
        [ADA],
        [(3, "type", "2,5;Bob;x")],
        {
            "id": {"type": "int64", "aliases": ["Kunden-Nr."]},
            "name": "string",
            "amount": {"type": "float64", "aliases": ["betrag", "Summe"]},
        },
    ),
    "preamble-before-the-header": Expected({"skip_lines": "auto"}, [ADA], [(6, "type", "2,Bob,x")]),
    "separator-line-of-excel": Expected(
        {"delimiter": ";"}, [ADA], [(4, "too_few_fields", "2;Bob")]
    ),
    "footer-with-totals": Expected({"skip_footer": 2}, [ADA], [(3, "type", "2,Bob,x")], filtered=2),
    "totals-and-notes": Expected(
        {"skip_rows": ["Subtotal", "TOTAL", "2 rows", "Source:"]},
        [ADA, EVE],
        [(5, "type", "2,Bob,x"), (10, "too_few_fields", "printed at night")],
        filtered=5,
    ),
    "comments-between-rows": Expected(
        {"comment": "#"}, [(1, "Ada\n# no comment", 1.5)], [(7, "type", "2,Bob,x")]
    ),
    "missing-and-extra-fields": Expected(
        {"ragged": "rescue"},
        [(1, None, None, None), (*BOB, None), (*EVE, ["x", "y,z"])],
        [(5, "type", "4,Cid,?,z")],
    ),
    "header-repeated": Expected({}, [ADA, EVE], [(4, "type", "2,Bob,x")], filtered=2),
    "thousands-and-decimal-commas": Expected(
        {"delimiter": ";", "decimal": ",", "thousands": "."},
        [(1, "Ada", 1234.5)],
        [(3, "type", "2;Bob;1,234.5")],
    ),
    "open-quote": Expected({}, [BOB, (3, "E\nve", 3.5)], [(2, "unclosed_quote", '1,"Ada,1.5')]),
    "zero-byte": Expected({}, [BOB], [(2, "nul_byte", "1,A\0da,1.5")]),
}


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path) as world:
        yield world


def source_of(expected: Expected) -> SourceSpec:
    return SourceSpec.model_validate(
        {
            "name": "orders",
            "file_pattern": "orders/*.csv",
            "schema": expected.schema,
            "csv": expected.options,
        }
    )


def test_every_sample_is_tried() -> None:
    assert {path.stem for path in SAMPLES.iterdir()} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
async def test_a_polluted_file_is_read_as_a_careful_person_would(world: World, name: str) -> None:
    expected, content = EXPECTED[name], (SAMPLES / f"{name}.csv").read_bytes()
    world = world.configured(source_of(expected))
    result = await world.load("a.csv", content)
    assert result.state is FileState.ARCHIVED
    columns = source_of(expected).columns
    assert [tuple(row.get(c) for c in columns) for row in world.rows()] == expected.rows
    errors = world.rows("errors")
    assert [
        (error["line"], error["violations"][0]["rule"], error["raw"]) for error in errors
    ] == expected.refused
    assert result.counts.filtered_count == expected.filtered
    encoding = without_bom(expected.options.get("encoding", "utf-8"))
    for error in errors:
        raw = error["raw"] if isinstance(error["raw"], bytes) else error["raw"].encode(encoding)
        if not content.startswith((b"\xff\xfe", b"\xfe\xff")):
            assert content[error["offset"] :].startswith(raw)


@pytest.mark.parametrize("name", [name for name in EXPECTED if EXPECTED[name].refused])
async def test_rejects_are_a_file_of_the_same_kind(world: World, name: str) -> None:
    """Dropped as it is, each of its rows is refused again, for the same reason."""
    expected = EXPECTED[name]
    world = world.configured(source_of(expected))
    await world.load("a.csv", (SAMPLES / f"{name}.csv").read_bytes())
    before = world.rows("errors")
    ((rejects),) = world.found("rejects")
    again = await world.load("b.csv", (world.root / "rejects" / rejects).read_bytes())
    assert again.counts.error_count == len(before)
    assert again.counts.success_count == 0
    after = world.rows("errors", file_id=again.file_id)
    assert [(e["raw"], e["violations"]) for e in after] == [
        (e["raw"], e["violations"]) for e in before
    ]
