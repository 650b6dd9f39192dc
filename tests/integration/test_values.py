"""A ledger as an office keeps it: what its values are in MongoDB, and why the others are not."""

import tomllib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from bson import Decimal128
from hypothesis import given
from hypothesis import strategies as st
from pipeline_world import World, opened

from ingestd.config.source import SourceSpec
from ingestd.records import ROW
from ingestd.validate import compile_validator

SAMPLES = Path(__file__).parent.parent / "data" / "values"
LEDGER = SourceSpec.model_validate(tomllib.loads((SAMPLES / "ledger.toml").read_text()))
DAY = datetime(2024, 1, 31, tzinfo=UTC)


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path) as world:
        yield world.configured(LEDGER)


async def test_values_are_what_a_careful_reader_reads(world: World) -> None:
    result = await world.load("ledger.csv", (SAMPLES / "ledger.csv").read_bytes())
    assert (result.counts.success_count, result.counts.error_count) == (3, 10)
    names = LEDGER.columns.keys() - {"booked_on"}
    rows = world.rows()
    assert [row["booked_on"] for row in rows] == [DAY.replace(tzinfo=rows[0]["at"].tzinfo)] * 3
    first, second, third = ({name: row[name] for name in names} for row in rows)
    at = datetime(2024, 1, 31, 11, 30, tzinfo=first["at"].tzinfo)
    assert first == {
        "account": "007", "at": at, "pieces": 1234, "amount": Decimal128("1234.50"),
        "rate": 0.125, "is_paid": True, "details": {"tax.id": [1, {"n": 2**63 - 1}]},
    }  # fmt: skip
    assert second == {
        "account": "0042", "at": at, "pieces": 7, "amount": Decimal128("-99.00"),
        "rate": -0.001, "is_paid": False, "details": [],
    }  # fmt: skip
    assert (third["account"], third["amount"], third["rate"]) == ("1e5", Decimal128("-5.50"), 1.0)
    assert (third["is_paid"], third["details"]) == (None, None)


async def test_every_refusal_names_its_column_and_says_why(world: World) -> None:
    await world.load("ledger.csv", (SAMPLES / "ledger.csv").read_bytes())
    errors = {error["record"]["account"]: error["violations"] for error in world.rows("errors")}
    assert all(len(violations) == 1 for violations in errors.values())
    told = {
        account: (violation["column"], violation["message"].partition("; ")[2])
        for account, (violation,) in errors.items()
    }
    assert told == {
        "a": ("booked_on", ""),
        "b": ("at", 'the clocks showed it twice; ambiguous = "earliest" or "latest" decides'),
        "c": ("at", "the clocks skipped it; is that the right timezone?"),
        "d": ("pieces", ""),
        "e": (
            "amount",
            'allowed: 12 digits in all, 2 after the point; or did you mean thousands = ","?',
        ),
        "f": ("amount", 'did you mean decimal = "."?'),
        "g": ("rate", "percent = true asks for the sign %"),
        "h": ("is_paid", ""),
        "i": ("details", ""),
        "j": ("details", ""),
    }


PIECES = (
    *(
        "",
        "1",
        "12",
        "2024",
        "31",
        "99",
        "-",
        "+",
        ".",
        ",",
        "/",
        ":",
        " ",
        "\u00a0",
        "'",
        "(",
        ")",
    ),
    *("%", "€", "T", "Z", "e", "\0", "\u0661", "\u2212", "[", "{", '"', "NaN", "é"),
)


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), max_size=8))
def test_whatever_the_texts_each_row_is_good_or_has_a_message(texts: list[str]) -> None:
    names = tuple(LEDGER.columns)
    columns: dict[str, Any] = dict.fromkeys(names, texts) | {ROW: range(len(texts))}
    schema = dict.fromkeys(names, pl.String()) | {ROW: pl.UInt32()}
    checked = compile_validator(LEDGER).check(pl.DataFrame(columns, schema))
    assert {*checked.good[ROW], *checked.rejected[ROW]} == set(range(len(texts)))
    assert checked.rejected["message"].null_count() == 0
