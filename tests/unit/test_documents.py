"""Frames to BSON: byte for byte what the driver's own encoder makes of the same rows."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import bson
import numpy as np
import polars as pl
import pytest
from bson import Binary, Decimal128, Int64, ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestd.config.source import ColumnSpec
from ingestd.documents import Part, Run, encode, row_number
from ingestd.elements import Encoded, UnencodableRows
from ingestd.records import ROW
from ingestd.validate import TYPES, dtypes_of

FILE_ID = "0123456789abcdef"
RUN = Run(FILE_ID, "orders-é", 1_700_000_000_123)


def encoded(
    frame: pl.DataFrame, schema: dict[str, ColumnSpec], part: Part | None = None
) -> Encoded:
    """The rows of one file."""
    return encode(frame, schema, [part or Part(RUN, frame.height, 0)])


SCALE = 6
RUN_VALUES = {
    "processed_at": datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC),
    "source_name": "orders-é",
}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
moments = st.datetimes(datetime.min, datetime.max).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e300, 1e300)
    | texts.filter(lambda text: "\0" not in text),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(texts.filter(lambda text: "\0" not in text), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def whole(bits: int, *, is_signed: bool = True) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    return st.integers(low, high) | st.sampled_from([low, high, 0])


def exact(units: int) -> Decimal:
    """So many units of the last place, whatever the context's precision."""
    digits = tuple(map(int, str(abs(units))))
    return Decimal((int(units < 0), digits, -SCALE))


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": texts,
    "category": texts,
    "bool": st.booleans(),
    "int8": whole(8),
    "int16": whole(16),
    "int32": whole(32),
    "int64": whole(64),
    "uint8": whole(8, is_signed=False),
    "uint16": whole(16, is_signed=False),
    "uint32": whole(32, is_signed=False),
    "float32": st.floats(width=32),
    "float64": st.floats(),
    "decimal": st.integers(-(10**34) + 1, 10**34 - 1).map(exact),
    "date": st.dates(),
    "datetime": moments,
    "time": st.times(),
    "duration": st.timedeltas().map(lambda length: length // timedelta(milliseconds=1)),
    "json": json_values.map(json.dumps),
    "binary": st.binary(max_size=12),
    "objectid": st.binary(min_size=12, max_size=12),
}


def as_is(value: Any) -> Any:
    return value


BSON_OF: dict[str, Callable[[Any], Any]] = {
    "int64": Int64,
    "uint32": Int64,
    "decimal": Decimal128,
    "date": lambda day: datetime.combine(day, time(), UTC),
    "time": time.isoformat,
    "duration": Int64,
    "json": json.loads,
    "binary": Binary,
    "objectid": ObjectId,
}


def spec(name: str) -> ColumnSpec:
    return ColumnSpec.model_validate({"type": name, "scale": SCALE})


def driver_value(value: Any, type_name: str) -> Any:
    return None if value is None else BSON_OF.get(type_name, as_is)(value)


def frame_of(columns: Mapping[str, tuple[str, list[Any]]], rows: list[int]) -> pl.DataFrame:
    """Values by column, with the types that validation gives them."""
    dtypes = dtypes_of({name: spec(kind) for name, (kind, _) in columns.items()})
    series = [pl.Series(name, vs, dtypes[name]) for name, (_, vs) in columns.items()]
    return pl.DataFrame([*series, pl.Series(ROW, rows, pl.UInt32)])


def documents_of(encoded: Encoded) -> list[bytes]:
    octets, starts = encoded.octets.to_pybytes(), [0, *encoded.ends.tolist()]
    assert starts[-1] == len(octets)
    return [octets[a:b] for a, b in pairwise(starts)]


def id_of(row: int) -> ObjectId:
    return ObjectId(bytes.fromhex(FILE_ID) + (row + 1).to_bytes(4, "big"))


def expected_document(values: Mapping[str, Any], row: int) -> bytes:
    return bson.encode(
        {
            "_id": id_of(row),
            **values,
            **RUN_VALUES,
        }
    )


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, tuple[str, list[Any]]], list[int]]:
    """Columns of any types, and ascending row numbers with gaps, as validation leaves them."""
    rows = sorted(draw(st.sets(st.integers(0, 2**20), min_size=1, max_size=6)))
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=6))
    columns = {}
    for index, kind in enumerate(kinds):
        value = draw(st.sampled_from([VALUES[kind], st.none() | VALUES[kind], st.none()]))
        size = {"min_size": len(rows), "max_size": len(rows)}
        columns[f"column é{index}"] = (kind, draw(st.lists(value, **size)))
    return columns, rows


def test_every_type_is_tried() -> None:
    assert VALUES.keys() == TYPES.keys()


@settings(max_examples=150)
@given(table=tables())
def test_documents_are_those_of_the_driver(
    table: tuple[dict[str, tuple[str, list[Any]]], list[int]],
) -> None:
    columns, rows = table
    frame = frame_of(columns, rows)
    schema = {name: spec(kind) for name, (kind, _) in columns.items()}
    expected = [
        expected_document(
            {name: driver_value(values[i], kind) for name, (kind, values) in columns.items()}, row
        )
        for i, row in enumerate(rows)
    ]
    assert documents_of(encoded(frame, schema)) == expected
    for odd in _odd_layouts(frame):
        assert documents_of(encoded(odd, schema)) == expected


def _odd_layouts(frame: pl.DataFrame) -> list[pl.DataFrame]:
    """The same rows, with memory in pieces and beginning in the middle."""
    pieces = pl.concat([frame[:1], frame[1:]], rechunk=False)
    middle = pl.concat([frame, frame, frame], rechunk=True).slice(frame.height, frame.height)
    return [pieces, middle]


@settings(max_examples=100)
@given(table=tables(), data=st.data())
def test_upserts_are_update_statements_that_only_newer_rows_win(
    table: tuple[dict[str, tuple[str, list[Any]]], list[int]], data: st.DataObject
) -> None:
    columns, rows = table
    key = tuple(data.draw(st.lists(st.sampled_from(sorted(columns)), min_size=1, unique=True)))
    run = Run(FILE_ID, RUN.source_name, RUN.processed_at_ms, key=key)
    schema = {name: spec(kind) for name, (kind, _) in columns.items()}
    documents = documents_of(encoded(frame_of(columns, rows), schema, Part(run, len(rows), 5)))
    for i, (row, document) in enumerate(zip(rows, documents, strict=True)):
        values = {name: driver_value(vs[i], kind) for name, (kind, vs) in columns.items()}
        number = row + 5
        version = ObjectId(RUN.processed_at_ms.to_bytes(8, "big") + (number + 1).to_bytes(4, "big"))
        stored = {**values, **RUN_VALUES, "_version": version}
        assert document == bson.encode(
            {
                "q": {**{k: values[k] for k in key}, "_version": {"$not": {"$gt": version}}},
                "u": {"$set": stored, "$setOnInsert": {"_id": id_of(number)}},
                "upsert": True,
            }
        )
        assert row_number(document, is_upsert=True) == number + 1


def test_a_row_number_is_read_back_from_its_document() -> None:
    part = Part(Run(FILE_ID, "orders", 0), 2, 2**32 - 3)
    frame = frame_of({"a": ("string", ["x", "y"])}, [0, 1])
    documents = documents_of(encoded(frame, {"a": spec("string")}, part))
    numbers = [row_number(document, is_upsert=False) for document in documents]
    assert numbers == [2**32 - 2, 2**32 - 1]


def test_no_rows_make_no_documents() -> None:
    encoded = encode(frame_of({"a": ("string", [])}, []), {"a": spec("string")}, ())
    assert len(encoded) == 0
    assert documents_of(encoded) == []


def test_long_texts_are_kept_whole() -> None:
    values = ["é" * 50_000, None, "", "x" * 100_000]
    documents = documents_of(
        encoded(frame_of({"a": ("string", values)}, [0, 1, 2, 3]), {"a": spec("string")})
    )
    assert [bson.decode(document)["a"] for document in documents] == values


def test_documents_may_have_16_mib_and_no_more() -> None:
    schema = {"a": spec("string")}
    overhead = len(documents_of(encoded(frame_of({"a": ("string", [""])}, [0]), schema))[0])
    fitting = "x" * (16 * 2**20 - overhead)
    frame = frame_of({"a": ("string", [fitting, fitting + "x", "y"])}, [0, 1, 2])
    with pytest.raises(UnencodableRows) as refused:
        encoded(frame, schema)
    assert refused.value.rows.keys() == {1}
    assert len(documents_of(encoded(frame[[0, 2]], schema))[0]) == 16 * 2**20


def test_json_that_bson_cannot_hold_names_its_rows_and_column() -> None:
    values = ["1", str(2**64), None, '{"a\\u0000": 1}', "[" * 5000, "{}", '"\\ud800"']
    frame = frame_of({"a": ("json", values)}, list(range(len(values))))
    with pytest.raises(UnencodableRows) as refused:
        encoded(frame, {"a": spec("json")})
    assert refused.value.rows.keys() == {1, 3, 4, 6}
    assert {column for column, _ in refused.value.rows.values()} == {"a"}


def test_ids_are_different_in_every_row_of_a_file() -> None:
    schema = {"a": spec("bool")}
    ids = set()
    for before in range(0, 3000, 1000):
        frame = frame_of({"a": ("bool", [None] * 1000)}, list(range(1000)))
        made = encoded(frame, schema, Part(RUN, 1000, before))
        ids |= {bson.decode(document)["_id"] for document in documents_of(made)}
    assert ids == {id_of(row) for row in range(3000)}


def test_rows_of_several_files_carry_the_run_of_their_own() -> None:
    runs = [Run(f"{n:016x}", "orders", 1_700_000_000_000 + n) for n in range(3)]
    frame = frame_of({"a": ("int64", [10, 11, 20, 21, 22])}, [3, 4, 6, 7, 9])
    parts = [Part(runs[0], 2, 0), Part(runs[1], 0, -5), Part(runs[2], 3, -6)]
    made = encode(frame, {"a": spec("int64")}, parts)
    found = [bson.decode(document) for document in documents_of(made)]
    places = [(0, 4), (0, 5), (2, 1), (2, 2), (2, 4)]
    assert [document["_id"] for document in found] == [
        ObjectId(f"{n:016x}{row:08x}") for n, row in places
    ]
    moments = [document["processed_at"].timestamp() * 1000 for document in found]
    assert moments == [1_700_000_000_000 + n for n, _ in places]
    assert [document["a"] for document in found] == [10, 11, 20, 21, 22]


def test_ends_are_where_documents_end() -> None:
    frame = frame_of({"a": ("string", ["x", "yy", None])}, [0, 1, 2])
    made = encoded(frame, {"a": spec("string")})
    lengths = [len(document) for document in documents_of(made)]
    assert made.ends.dtype == np.int64
    assert made.ends.tolist() == np.cumsum(lengths).tolist()
