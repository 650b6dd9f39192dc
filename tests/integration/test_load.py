"""Rows in MongoDB: batches, answers for single rows, and which row of an upsert wins."""

import random
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestd.config.settings import LoadSettings, MongoSettings
from ingestd.config.source import SourceSpec
from ingestd.documents import Part, Run, encode
from ingestd.errors import StoreRefused
from ingestd.events import Events
from ingestd.load import Loader
from ingestd.metrics import Metrics
from ingestd.mongo import Mongo, row_id
from ingestd.records import ROW, RefinedChunk, Rejections

FILES = ("00" * 8, "11" * 8, "22" * 8)
SCHEMA = {"id": "int64", "note": "string"}


@pytest.fixture
async def mongo(mongo_uri: str, database: str) -> AsyncIterator[Mongo]:
    mongo = Mongo(mongo_uri, MongoSettings(database=database), Events(Metrics()))
    await mongo.connect()
    yield mongo
    mongo.close()


def spec(name: str = "orders", **load: Any) -> SourceSpec:
    return SourceSpec.model_validate(
        {"name": name, "file_pattern": "*.csv", "schema": SCHEMA, "load": load}
    )


UPSERT = {"mode": "upsert", "key": ["id"]}


def run_of(file: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=file)


def refined(
    rows: Iterable[tuple[int, str]], source: SourceSpec, file: int = 0, first_row: int = 1
) -> RefinedChunk:
    """Rows of a file as a worker gives them back; ``file`` is also its place in time."""
    frame = pl.DataFrame(list(rows), schema=dict(SCHEMA_TYPES), orient="row")
    frame = frame.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias(ROW))
    run_ms = round(run_of(file).timestamp() * 1000)
    run = Run(FILES[file], source.name, run_ms, key=source.load.key)
    encoded = encode(frame, source.columns, [Part(run, frame.height, first_row - 1)])
    # Of the chunk itself the loader needs nothing.
    return RefinedChunk(
        None, encoded.octets.to_pybytes(), encoded.ends.tobytes(), len(encoded), 0, Rejections()
    )


SCHEMA_TYPES = {"id": pl.Int64, "note": pl.String}


async def stored(mongo: Mongo, name: str = "orders") -> list[tuple[int, str]]:
    return [(row["id"], row["note"]) for row in await mongo.find(name, {}, sort=[("_id", 1)])]


def numbered(count: int) -> list[tuple[int, str]]:
    return [(n, f"note {n}") for n in range(count)]


# inserting


@pytest.mark.parametrize(
    "limits", [{"batch_rows": 7}, {"batch_bytes": 2**16}, {"batch_rows": 1}, {}]
)
async def test_every_row_arrives_however_batches_are_cut(
    mongo: Mongo, limits: dict[str, int]
) -> None:
    rows = [(n, "x" * 1000) for n in range(200)]
    loader = Loader(mongo, LoadSettings(**limits))
    assert await loader.store(spec(), refined(rows, spec())) == {}
    assert await stored(mongo) == rows
    ids = [row["_id"] for row in await mongo.find("orders", {}, sort=[("_id", 1)])]
    assert ids == [row_id(FILES[0], n) for n in range(1, 201)]


def test_batches_keep_to_both_limits() -> None:
    loader = Loader(None, LoadSettings(batch_rows=10, batch_bytes=2**16))  # type: ignore[arg-type]
    sizes = np.array([100] * 25 + [70_000] + [30_000] * 4)
    ends = np.cumsum(sizes)
    cuts = list(loader._batches(ends))
    assert [first for first, _ in cuts[1:]] == [last for _, last in cuts[:-1]]
    assert (cuts[0][0], cuts[-1][1]) == (0, len(sizes))
    for first, last in cuts:
        assert last - first <= 10
        assert sizes[first:last].sum() <= 2**16 or last - first == 1


async def test_a_chunk_written_again_changes_nothing(mongo: Mongo) -> None:
    loader = Loader(mongo, LoadSettings(batch_rows=30))
    for _ in range(3):
        assert await loader.store(spec(), refined(numbered(100), spec())) == {}
    assert await stored(mongo) == numbered(100)


async def test_a_chunk_written_in_part_is_completed(mongo: Mongo) -> None:
    loader = Loader(mongo, LoadSettings())
    half = refined(numbered(100)[30:60], spec(), first_row=31)
    assert await loader.store(spec(), half) == {}
    assert await loader.store(spec(), refined(numbered(100), spec())) == {}
    assert await stored(mongo) == numbered(100)


async def test_rows_that_a_unique_index_refuses_are_told_by_number(mongo: Mongo) -> None:
    await mongo.ensure_indexes("orders", ("note",), unique=True)
    rows = [(1, "a"), (2, "b"), (3, "a"), (4, "c"), (5, "b")]
    loader = Loader(mongo, LoadSettings(batch_rows=2))
    for _ in range(2):  # the same rows are refused when a crash repeats the chunk
        refused = await loader.store(spec(), refined(rows, spec(), first_row=11))
        assert set(refused) == {13, 15}
        assert (refused[13].column, refused[13].rule) == ("note", "unique_index")
        assert '"a"' in refused[13].message
    assert await stored(mongo) == [(1, "a"), (2, "b"), (4, "c")]


async def test_rows_that_a_validator_refuses_are_told_by_number(mongo: Mongo) -> None:
    validator = {"note": {"$ne": "bad"}}
    await mongo._database.create_collection("orders", validator=validator)
    rows = [(1, "good"), (2, "bad"), (3, "good")]
    refused = await Loader(mongo, LoadSettings()).store(spec(), refined(rows, spec()))
    assert {row: fault.rule for row, fault in refused.items()} == {2: "document_validation"}
    assert await stored(mongo) == [(1, "good"), (3, "good")]


async def test_a_validator_that_explains_more_than_a_reply_can_hold_ends_in_refusals(
    mongo: Mongo,
) -> None:
    """mongod closes the connection instead of answering: the batch must not come for ever."""
    properties = {
        name: {"bsonType": "int", "description": "x" * 300} for name in ("note", "source_name")
    }
    schema = {"$jsonSchema": {"properties": properties}}
    await mongo._database.create_collection("orders", validator=schema)
    rows = [(n, "y" * 900) for n in range(12_000)]
    refused = await Loader(mongo, LoadSettings()).store(spec(), refined(rows, spec()))
    assert set(refused) == set(range(1, 12_001))
    assert await stored(mongo) == []


async def test_the_indexes_a_source_asks_for_come_with_its_first_rows(mongo: Mongo) -> None:
    source = spec(indexes=[["note"], ["id", "note"]])
    loader = Loader(mongo, LoadSettings())

    async def indexes() -> set[str]:
        return set(await mongo._database["orders"].index_information())

    await loader.prepare(source)
    assert await indexes() == {"_id_", "processed_at_1__id_1"}
    await loader.store(source, refined(numbered(3), source))
    await loader.index(source)
    ordered = ("note_1_processed_at_1__id_1", "id_1_note_1_processed_at_1__id_1")
    assert await indexes() == {"_id_", "processed_at_1__id_1", *ordered}
    await Loader(mongo, LoadSettings()).prepare(source)


async def test_the_indexes_of_a_collection_with_rows_are_made_at_start(mongo: Mongo) -> None:
    """A crash may have come between the first rows and their indexes."""
    source = spec(indexes=[["note"]])
    await Loader(mongo, LoadSettings()).store(source, refined(numbered(3), source))
    await Loader(mongo, LoadSettings()).prepare(source)
    assert "note_1_processed_at_1__id_1" in await mongo._database["orders"].index_information()


async def test_a_source_that_mongodb_refuses_asks_again_only_when_it_is_time(mongo: Mongo) -> None:
    """MongoDB looks at every row to refuse a unique index, and every file would ask it to."""
    await mongo.insert_missing("orders", [{"_id": n, "id": 1} for n in range(2)])
    loader = Loader(mongo, LoadSettings())
    with pytest.raises(StoreRefused) as first:
        await loader.prepare(spec(**UPSERT))
    await mongo.delete("orders", {})
    with pytest.raises(StoreRefused) as second:
        await loader.prepare(spec(**UPSERT))
    assert second.value is first.value
    await Loader(mongo, LoadSettings()).prepare(spec(**UPSERT))


async def test_removing_a_file_removes_its_rows_only(mongo: Mongo) -> None:
    loader = Loader(mongo, LoadSettings())
    for file in range(3):
        await loader.store(spec(), refined([(file, "x")] * 50, spec(), file=file))
    await loader.remove_run("orders", FILES[1], run_of(1))
    assert [row[0] for row in await stored(mongo)] == [0] * 50 + [2] * 50


async def test_removing_an_attempt_leaves_the_rows_of_a_later_one(mongo: Mongo) -> None:
    loader = Loader(mongo, LoadSettings())
    await loader.store(spec(), refined(numbered(50), spec(), file=1))
    await loader.remove_run("orders", FILES[1], run_of(0))
    assert await stored(mongo) == numbered(50)


# upserts


@dataclass(frozen=True)
class Piece:
    """A run of rows of one file, as one chunk."""

    file: int
    first_row: int
    rows: tuple[tuple[int, str], ...]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Piece], list[Piece]]:
    """Files cut into chunks: all of them in order, and some order with repeats of the same."""
    ordered = []
    for file in range(draw(st.integers(1, 3))):
        keys = draw(st.lists(st.integers(0, 5), min_size=1, max_size=12))
        rows = [(key, f"{file}/{n}") for n, key in enumerate(keys, 1)]
        size = draw(st.integers(1, 4))
        ordered += [
            Piece(file, first + 1, tuple(rows[first : first + size]))
            for first in range(0, len(rows), size)
        ]
    repeats = draw(st.lists(st.sampled_from(ordered), max_size=len(ordered)))
    return ordered, draw(st.permutations(ordered + repeats))


def outcome(ordered: list[Piece]) -> dict[int, str]:
    """The oracle: what is written last stays, in the order of arrival and of rows."""
    return {key: note for piece in ordered for key, note in piece.rows}


_history = 0


@given(history=histories(), batch_rows=st.integers(1, 5))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_later_row_wins_in_any_order_and_however_often(
    mongo: Mongo, history: tuple[list[Piece], list[Piece]], batch_rows: int
) -> None:
    global _history  # noqa: PLW0603 - a collection of its own for each example
    _history += 1
    source = spec(f"history_{_history}", **UPSERT)
    loader = Loader(mongo, LoadSettings(batch_rows=batch_rows))
    await mongo.ensure_indexes(source.name, ("id",), unique=True)
    ordered, shuffled = history
    for piece in shuffled:
        chunk = refined(piece.rows, source, piece.file, piece.first_row)
        assert await loader.store(source, chunk) == {}
    assert dict(await stored(mongo, source.name)) == outcome(ordered)


async def test_the_later_row_wins_when_writers_race(mongo: Mongo) -> None:
    source = spec(**UPSERT)
    loader = Loader(mongo, LoadSettings(batch_rows=50))
    await loader.prepare(source)
    chance = random.Random(1)
    pieces = [
        Piece(file, first, tuple((chance.randrange(40), f"{file}/{first + n}") for n in range(200)))
        for file in range(3)
        for first in range(1, 1000, 200)
    ]
    async with anyio.create_task_group() as group:
        for piece in chance.sample(pieces, len(pieces)):
            chunk = refined(piece.rows, source, piece.file, piece.first_row)
            group.start_soon(loader.store, source, chunk)
    assert dict(await stored(mongo)) == outcome(pieces)


async def test_an_upsert_tells_the_rows_that_another_unique_index_refuses(mongo: Mongo) -> None:
    source = spec(**UPSERT)
    loader = Loader(mongo, LoadSettings())
    await loader.prepare(source)
    await mongo.ensure_indexes("orders", ("note",), unique=True)
    rows = [(1, "a"), (2, "a"), (3, "b"), (3, "c")]
    refused = await loader.store(source, refined(rows, source))
    assert {row: (fault.column, fault.rule) for row, fault in refused.items()} == {
        2: ("note", "unique_index")
    }
    assert sorted(await stored(mongo)) == [(1, "a"), (3, "c")]


async def test_a_row_whose_id_went_to_another_key_is_stored_all_the_same(mongo: Mongo) -> None:
    """The same file again under other rules: its rows have other keys, and the same ``_id``."""
    source = spec(**UPSERT)
    loader = Loader(mongo, LoadSettings())
    await loader.prepare(source)
    await loader.store(source, refined([(1, "old"), (2, "old")], source))
    for _ in range(2):
        assert await loader.store(source, refined([(11, "new"), (2, "new")], source)) == {}
    assert sorted(await stored(mongo)) == [(1, "old"), (2, "new"), (11, "new")]


async def test_a_row_that_was_there_before_ingestd_is_taken_over(mongo: Mongo) -> None:
    await mongo.insert_missing("orders", [{"_id": 1, "id": 7, "note": "by hand", "extra": True}])
    source = spec(**UPSERT)
    loader = Loader(mongo, LoadSettings())
    await loader.prepare(source)
    assert await loader.store(source, refined([(7, "from a file")], source)) == {}
    (row,) = await mongo.find("orders", {})
    assert (row["_id"], row["note"], row["extra"]) == (1, "from a file", True)
