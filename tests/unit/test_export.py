"""Rows on their way out: what is read column by column is what ``bson`` reads, whatever it is."""

import csv
import io
import json
import pickle
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import bson
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bson import Decimal128, Int64, ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestd.config.source import ColumnSpec, ColumnTypeName
from ingestd.errors import ExportRefused
from ingestd.export import FORMS, Piece, Plan, document_edges, render
from ingestd.export.json_text import OPTIONS
from ingestd.export.segments import Batch, Reader

TYPES: Mapping[ColumnTypeName, st.SearchStrategy[Any]] = {
    "string": st.text(), "category": st.sampled_from(["", "a", "é", "=1"]), "bool": st.booleans(),
    "int8": st.integers(-128, 127), "int16": st.integers(-(2**15), 2**15 - 1),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1).map(Int64), "uint8": st.integers(0, 255),
    "uint16": st.integers(0, 2**16 - 1), "uint32": st.integers(0, 2**32 - 1).map(Int64),
    "float32": st.floats(width=32), "float64": st.floats(),
    "decimal": st.decimals(-(10**27), 10**27, places=6).map(Decimal128),
    "date": st.dates().map(lambda day: datetime(day.year, day.month, day.day, tzinfo=UTC)),
    "datetime": st.datetimes().map(
        lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    ),
    "time": st.times().map(time.isoformat), "duration": st.integers(-(10**14), 10**14).map(Int64),
    "json": st.none(), "binary": st.binary(), "objectid": st.binary(min_size=12, max_size=12).map(
        ObjectId
    ),
}  # fmt: skip
COLUMNS = {name: ColumnSpec(type=name) for name in TYPES}
RUN = datetime(2026, 1, 31, tzinfo=UTC)


def stored(row: int = 1, run: datetime = RUN, **columns: Any) -> dict[str, Any]:
    """A document as the loader writes it."""
    identity = ObjectId(bytes(8) + row.to_bytes(4, "big"))
    return {"_id": identity, **columns, "processed_at": run, "source_name": "orders"}


ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | values for name, values in TYPES.items()}), max_size=4
).map(
    lambda rows: [
        stored(number, **{name: row[name] for name in TYPES}) for number, row in enumerate(rows)
    ]
)
ANY_VALUE = st.recursive(
    st.none() | st.one_of(list(TYPES.values())) | st.just(bson.Regex("a")),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=3,
)
NAMES = ("a", "order_id", "a_name_of_many_letters", "é")
ANYTHING = st.lists(
    st.lists(st.tuples(st.sampled_from(NAMES), ANY_VALUE), max_size=4).map(
        lambda fields: stored(len(fields), **dict(fields))
    ),
    max_size=6,
)


def rendered(
    documents: list[dict[str, Any]], plan: Plan, hidden: frozenset[datetime] = frozenset()
) -> Piece:
    raw = b"".join(bson.encode(document) for document in documents)
    edges = np.array(document_edges(raw), np.int64)
    return render(pickle.dumps(plan), raw, edges.tobytes(), hidden)


def whole(documents: list[dict[str, Any]], plan: Plan) -> bytes:
    assembler = FORMS[plan.form].assembler(plan)
    piece = rendered(documents, plan)
    return assembler.begin() + assembler.add(piece.octets) + assembler.end(piece.row_count)


def one_by_one(documents: list[dict[str, Any]], plan: Plan) -> bytes:
    """As the driver's own decoder reads them."""
    raw = b"".join(bson.encode(document) for document in documents)
    return FORMS[plan.form].writer(plan).from_documents(bson.decode_all(raw, OPTIONS))


def lines(octets: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in octets.decode().splitlines()] if octets else []


def numeric(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """``0E-6`` and ``0.000000`` are one number."""
    for row in rows:
        row["decimal"] = None if row["decimal"] is None else Decimal(row["decimal"])
    return rows


@given(ROWS)
@settings(max_examples=60)
def test_ndjson_read_by_columns_is_ndjson_read_by_rows(rows: list[dict[str, Any]]) -> None:
    plan = Plan("ndjson", COLUMNS)
    by_columns = [json.loads(line) for line in rendered(rows, plan).octets.splitlines()]
    by_rows = [json.loads(line) for line in one_by_one(rows, plan).splitlines()]
    assert numeric(by_columns) == numeric(by_rows)


@given(ROWS)
@settings(max_examples=60)
def test_rows_of_a_file_are_read_by_columns_alone(rows: list[dict[str, Any]]) -> None:
    raw = b"".join(bson.encode(row) for row in rows)
    batch = Batch(raw, np.array(document_edges(raw)))
    segments = list(Reader(Plan("ndjson", COLUMNS).all_columns).segments(batch))
    assert [type(segment) for segment in segments] in ([], [pl.DataFrame])


@given(ROWS)
@settings(max_examples=40)
def test_csv_read_by_columns_is_csv_read_by_rows(rows: list[dict[str, Any]]) -> None:
    columns = {name: spec for name, spec in COLUMNS.items() if name not in ("decimal", "float64")}
    plan = Plan("csv", {name: columns[name] for name in columns if name != "float32"})
    by_columns, by_rows = (
        list(csv.reader(io.StringIO(octets.decode(), newline="")))
        for octets in (rendered(rows, plan).octets, one_by_one(rows, plan))
    )
    assert by_columns == by_rows


@given(ANYTHING)
@settings(max_examples=200)
def test_documents_of_any_shape_are_told_in_their_order(documents: list[dict[str, Any]]) -> None:
    for is_open in (False, True):
        plan = Plan("ndjson", {"a": COLUMNS["int32"], "order_id": COLUMNS["string"]}, is_open)
        assert (
            [json.loads(line) for line in rendered(documents, plan).octets.splitlines()]
            == [json.loads(line) for line in one_by_one(documents, plan).splitlines()]
        )  # fmt: skip


@given(st.lists(st.sampled_from(["plain", "odd", "other", "short"]), max_size=80))
@settings(max_examples=40)
def test_rows_that_are_alike_stay_among_the_others(kinds: list[str]) -> None:
    shapes = {"plain": {"a": 1, "b": "x"}, "odd": {"a": "1", "b": "x"},
              "other": {"b": "x", "a": 1}, "short": {"b": None}}  # fmt: skip
    documents = [stored(number, **shapes[kind]) for number, kind in enumerate(kinds)]
    plan = Plan("ndjson", {"a": COLUMNS["int64"], "b": COLUMNS["string"]})
    told = [(int(row["_id"], 16), row["a"]) for row in lines(rendered(documents, plan).octets)]
    assert told == [(number, shapes[kind].get("a")) for number, kind in enumerate(kinds)]


def test_text_that_looks_like_elements_is_text() -> None:
    hostile = bson.encode(stored(a=7)).decode("latin-1")
    documents = [stored(1, a=hostile, b="x"), stored(2, a="\0" * 20, b=hostile * 3)]
    plan = Plan("ndjson", {"a": COLUMNS["string"], "b": COLUMNS["string"]})
    told = [(row["a"], row["b"]) for row in lines(rendered(documents, plan).octets)]
    assert told == [(document["a"], document["b"]) for document in documents]


def test_text_that_is_not_utf8_keeps_its_row() -> None:
    raw = bson.encode(stored(a="..")).replace(b"..", b"\xff.")
    raw += bson.encode(stored(2, a="b"))
    edges = np.array(document_edges(raw), np.int64).tobytes()
    plan = pickle.dumps(Plan("ndjson", {"a": COLUMNS["string"]}))
    assert [row["a"] for row in lines(render(plan, raw, edges, frozenset()).octets)] == ["�.", "b"]


# typed forms


def read_arrow(octets: bytes) -> pa.Table:
    return pa.ipc.open_stream(octets).read_all()


def read_parquet(octets: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(octets))


AS_ARROW = {
    "decimal": Decimal128.to_decimal, "date": datetime.date, "time": time.fromisoformat,
    "duration": lambda ms: timedelta(milliseconds=ms), "objectid": str,
}  # fmt: skip


def as_arrow(name: str, value: Any) -> Any:
    return value if value is None or name not in AS_ARROW else AS_ARROW[name](value)


@given(ROWS)
@settings(max_examples=40)
def test_arrow_and_parquet_hold_the_values_in_the_types_of_the_schema(
    rows: list[dict[str, Any]],
) -> None:
    columns = {name: spec for name, spec in COLUMNS.items() if not name.startswith("float")}
    expected = [
        {
            "_id": str(row["_id"]),
            **{name: as_arrow(name, row[name]) for name in columns},
            "processed_at": RUN,
        }
        for row in rows
    ]  # fmt: skip
    for form, read in (("arrow", read_arrow), ("parquet", read_parquet)):
        table = read(whole(rows, Plan(form, columns)))
        assert table.to_pylist() == expected
        assert [table.schema.field(name).type for name in ("int8", "date", "datetime")] == [
            pa.int8(), pa.date32(), pa.timestamp("ms", "UTC"),
        ]  # fmt: skip


def test_nested_values_are_json_text_in_columns() -> None:
    documents = [stored(1, a={"b": [1, None]}), stored(2, a=None), stored(3, a="x")]
    plan = Plan("arrow", {"a": COLUMNS["json"]})
    assert read_arrow(whole(documents, plan))["a"].to_pylist() == ['{"b":[1,null]}', None, '"x"']
    told = list(csv.reader(io.StringIO(whole(documents, Plan("csv", plan.columns)).decode())))
    assert [row[1] for row in told] == ["a", '{"b":[1,null]}', "", '"x"']


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int32", "12"), ("int8", 1000), ("string", 5), ("float32", 0.1), ("int64", 2.5),
        ("date", datetime(2026, 1, 1, 5, tzinfo=UTC)), ("datetime", "2026"), ("bool", 1),
        ("decimal", Decimal128("1.1234567")), ("decimal", Decimal128("NaN")), ("time", "noon"),
        ("int32", True), ("binary", "x"), ("datetime", bson.DatetimeMS(2**60)),
    ],
)  # fmt: skip
def test_a_value_that_is_not_of_its_column_is_refused_and_not_changed(
    kind: ColumnTypeName, value: Any
) -> None:
    documents = [stored(7, a=value)]
    with pytest.raises(ExportRefused) as refused:
        rendered(documents, Plan("arrow", {"a": COLUMNS[kind]}))
    assert "ndjson" in refused.value.hint
    assert rendered(documents, Plan("ndjson", {"a": COLUMNS[kind]})).row_count == 1


def test_arrow_that_is_cut_off_is_told_from_arrow_that_ends() -> None:
    plan = Plan("arrow", {"a": COLUMNS["string"]})
    octets = whole([stored(a="x")], plan)
    assert octets.endswith(b"\xff\xff\xff\xff\0\0\0\0")
    with pytest.raises(OSError, match="message body"):
        read_arrow(octets[:-20])
    with pytest.raises(pa.ArrowInvalid):
        read_parquet(whole([stored(a="x")], Plan("parquet", plan.columns))[:-8])


@pytest.mark.parametrize("form", list(FORMS))
def test_no_rows_are_a_whole_file(form: str) -> None:
    plan = Plan(form, COLUMNS)
    readers = {"arrow": read_arrow, "parquet": read_parquet}
    octets = whole([], plan)
    if form in readers:
        assert readers[form](octets).column_names == list(plan.all_columns)
    else:
        assert octets == (",".join(plan.all_columns).encode() + b"\n" if form == "csv" else b"")


# spreadsheets


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "＝1"])  # noqa: RUF001
def test_texts_that_a_spreadsheet_would_run_are_made_harmless(text: str) -> None:
    columns = {"a": COLUMNS["string"], "b": COLUMNS["float64"], "c": COLUMNS["json"]}
    documents = [stored(1, a=text, b=-1.5, c=None), stored(2, a=text, b=-1.5, c={"x": 1})]
    for keeps, expected in ((False, "'" + text), (True, text)):
        plan = Plan("csv", columns, keeps_formulas=keeps)
        octets = whole(documents, plan).decode()
        _, *rows = csv.reader(io.StringIO(octets, newline=""))
        assert [row[1:3] for row in rows] == [[expected, "-1.5"]] * 2


def test_values_that_are_no_texts_are_not_changed_for_spreadsheets() -> None:
    columns = {"a": COLUMNS["duration"], "b": COLUMNS["binary"], "c": COLUMNS["decimal"]}
    values = {"a": Int64(-5000), "b": b"\xfb\xef\xff", "c": Decimal128("-1.50")}
    _, *rows = csv.reader(io.StringIO(whole([stored(1, **values)], Plan("csv", columns)).decode()))
    assert [row[1:4] for row in rows] == [["-PT5S", "++//", "-1.50"]]


def test_a_text_in_a_json_column_is_not_what_it_says_in_csv() -> None:
    values = ["s", "1", 1, "true", True, {"a": "b"}, ["c"], ""]
    octets = whole(
        [stored(n, a=v) for n, v in enumerate(values)], Plan("csv", {"a": COLUMNS["json"]})
    )
    rows = csv.DictReader(io.StringIO(octets.decode()))
    assert [json.loads(row["a"]) for row in rows] == values


def test_an_empty_text_is_not_null_in_csv() -> None:
    octets = whole([stored(1, a=""), stored(2, a=None)], Plan("csv", {"a": COLUMNS["string"]}))
    assert [line.split(b",")[1] for line in octets.splitlines()] == [b"a", b'""', b""]


def test_rows_of_hidden_runs_are_left_out() -> None:
    later = RUN + timedelta(days=1)
    documents = [stored(1, a=1), stored(2, later, a=2), stored(3, later, a="odd"), stored(4, a="x")]
    plan = Plan("ndjson", {"a": COLUMNS["int64"]})
    assert rendered(documents, plan).runs == {RUN, later}
    piece = rendered(documents, plan, frozenset({later}))
    assert [row["a"] for row in lines(piece.octets)] == [1, "x"]
    assert (piece.row_count, piece.runs) == (2, {RUN})


def test_dates_before_the_common_era_are_told_as_they_are() -> None:
    documents = [stored(a=bson.DatetimeMS(-(2**60))), stored(2, a=datetime(1, 1, 1, tzinfo=UTC))]
    plan = Plan("ndjson", {"a": COLUMNS["datetime"]})
    assert [row["a"] for row in lines(rendered(documents, plan).octets)][1] == (
        "0001-01-01T00:00:00.000Z"
    )
    assert date.min


@pytest.mark.parametrize(("form", "last"), [("ndjson", b'{"#rows":2}'), ("csv", b"#rows,2")])
def test_the_trailer_tells_how_many_rows_there_are(form: str, last: bytes) -> None:
    plan = Plan(form, {"a": COLUMNS["int32"]}, has_trailer=True)
    assert whole([stored(1, a=1), stored(2, a=2)], plan).splitlines()[-1] == last


def test_a_byte_order_mark_begins_csv_where_it_is_asked_for() -> None:
    octets = whole([stored(a=1)], Plan("csv", {"a": COLUMNS["int32"]}, has_bom=True))
    assert octets.startswith(b"\xef\xbb\xbf_id,a,")
