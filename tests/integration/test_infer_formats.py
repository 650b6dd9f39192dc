"""Sources inferred from files that are no tables of text: they load these files as they are."""

import gzip
import io
import json
import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from inferred import documents_of, inferred_from, rejections_of
from pyarrow import parquet

from ingestd.errors import FileRefused
from ingestd.refine import check_source

SAMPLES = Path(__file__).parents[1] / "data" / "formats"
AT = datetime(2024, 5, 1, 12, 30, 15, 123_000)
WHOLE = {"type": "decimal", "scale": 0}
DECIMAL = {"type": "decimal", "precision": 34, "scale": 2}
TYPES = {"id": "int64", "amount": "float64", "day": "date", "at": "datetime", "is_gift": "bool"}

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def lines(*objects: Any) -> str:
    return "".join(json.dumps(one) + "\n" for one in objects)


def types_in(path: Path) -> dict[str, Any]:
    """Column → type, or all of its options; and every row of the file loads."""
    inferred = inferred_from(path)
    assert check_source(inferred.source) == ()
    assert rejections_of(path, inferred.source) == []
    schema: dict[str, Any] = tomllib.loads(inferred.toml)["schema"]
    return schema


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("rows.*")))
def test_every_format_is_known_by_its_content(name: str) -> None:
    found = types_in(SAMPLES / name)
    assert {name: found[name] for name in TYPES} == TYPES


@pytest.mark.parametrize(
    ("name", "price", "payload", "blob"),
    [
        ("rows.ndjson", "decimal", "json", "string"),
        ("rows.parquet", DECIMAL, "json", "binary"),
        ("rows.avro", DECIMAL, "json", "binary"),
        ("rows.xlsx", "string", "string", "string"),
    ],
)
def test_what_a_file_declares_counts(name: str, price: Any, payload: str, blob: str) -> None:
    found = types_in(SAMPLES / name)
    assert (found["price"], found["payload"], found["blob"]) == (price, payload, blob)


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([1, 2, None], "int64"),
        ([1, 2.5], "float64"),
        ([1.0, 2.0], "float64"),
        ([1e300, -0.1], "float64"),
        ([2**63, 1], WHOLE),
        ([2**63, 0.5], "decimal"),
        ([10**34, 1], "string"),
        (["007", "12"], "string"),
        (["12", "13"], "string"),
        (["yes", "no"], "string"),
        ([True, False, None], "bool"),
        ([True, 1], "string"),
        ([1, "x"], "string"),
        (["2024-01-31", "2024-02-01"], "date"),
        (["2024-01-31T10:00:00Z", "2024-01-31T10:00:00.5+02:00"], "datetime"),
        (["31/01/2024", "01/02/2024"], {"type": "date", "format": "%d/%m/%Y"}),
        (["2024-01-31", ""], {"type": "date", "null_values": [""]}),
        ([1.5, "NaN"], {"type": "float64", "null_values": ["NaN"]}),
        ([" 2024-01-31", "2024-02-01"], "string"),
        ([{"x": 1}, [2], "text", 5, None], "json"),
        ([{"$x": 1}], "string"),
        (["\U0001f600", "1e400"], "string"),
    ],
)
def test_values_of_json_keep_their_types(write: Write, values: list[Any], type_: Any) -> None:
    path = write("a.ndjson", lines(*({"id": 1, "key": value} for value in values)))
    assert types_in(path)["key"] == type_


def test_keys_of_any_row_are_columns(write: Write) -> None:
    early = lines({"a": 1, "long": "x" * 100_000}) * 25  # more than a chunk
    path = write("a.ndjson", early + lines({"b": "2024-01-31"}, {}))
    inferred = inferred_from(path)
    assert types_in(path) == {"a": "int64", "long": "string", "b": "date"}
    assert "# 2024-01-31; 1 different; 26 empty" in inferred.toml


def test_names_that_mongodb_refuses_become_aliases(write: Write) -> None:
    path = write("a.json", json.dumps([{"a.b": 1, "$c": 2, "_id": 3, "": 4}]))
    assert inferred_from(path).source.format == "json"
    assert types_in(path) == {
        "a_b": {"type": "int64", "aliases": ["a.b"]},
        "c": {"type": "int64", "aliases": ["$c"]},
        "id_in_file": {"type": "int64", "aliases": ["_id"]},
    }
    assert documents_of(path, inferred_from(path).source)[0]["a_b"] == 1


@pytest.mark.parametrize(
    ("content", "form"),
    [
        ('\ufeff{"a": 1}\n{"a": 2}\n', "ndjson"),
        ('{\n  "a": 1\n}\n{\n  "a": 2\n}\n', "json"),
        ('[\n {"a": 1},\n {"a": 2}\n]', "json"),
        ('{"a": 1}{"a": 2} {"a": 3}\n', "json"),
        ("[id],[name]\n1,Ada\n", "csv"),
        ("{id},name\n1,Ada\n", "csv"),
    ],
)
def test_json_in_any_layout_is_told_from_csv(write: Write, content: str, form: str) -> None:
    path = write("a.txt", content)
    assert inferred_from(path).source.format == form
    types_in(path)


def test_rows_inside_a_single_object_are_pointed_at(write: Write) -> None:
    text = inferred_from(write("a.json", '{"meta": 1, "data": [{"a": 1}]}')).toml
    assert """# are these the rows? jq -c '."data"[]' brings them out""" in text


def test_rows_that_cannot_be_read_are_told(write: Write) -> None:
    content = '{"a": 1}\n[1]\n{"a":\n{"a": 1, "a": 2}\n{"a": "\\ud800"}\n{"a": 3}\n'
    inferred = inferred_from(write("a.ndjson", content))
    assert inferred.source.columns["a"].type == "int64"
    assert "row 2, cannot be read: the line is JSON, but not an object." in inferred.toml
    assert "# Rows that cannot be read: 4 of 6." in inferred.toml


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "empty"),
        ("[[1, 2]]", "no line or element of the file is a JSON object"),
        ('{"a"\n', "is no JSON from element 1 on"),
        (lines({}, {}), "no row that can be read: all are empty"),
        (json.dumps([{f"k{n}": 1} for n in range(1001)]), "more than 1000 different keys"),
    ],
)
def test_what_holds_no_rows_is_refused(write: Write, content: str, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason):
        inferred_from(write("a.json", content))


COLUMNS = {
    "int8": pa.array([1, None], pa.int8()),
    "uint32": pa.array([2**32 - 1, None], pa.uint32()),
    "float32": pa.array([0.5, None], pa.float32()),
    "float64": pa.array([1.0, None], pa.float64()),
    "bool": pa.array([True, None]),
    "string": pa.array(["007", None], pa.large_string()),
    "category": pa.array(["a", None]).dictionary_encode(),
    "binary": pa.array([b"\0\xff", None]),
    "date": pa.array([date(1, 1, 1), None]),
    "datetime": pa.array([AT, None], pa.timestamp("ns", "Europe/Berlin")),
    "time": pa.array([time(1, 2, 3), None]),
    "duration": pa.array([timedelta(days=-3, seconds=1), None]),
    "json": pa.array([[1, 2], None]),
}


def parquet_file(columns: dict[str, pa.Array]) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pa.table(columns), stream)
    return stream.getvalue()


def test_columns_of_parquet_that_have_one_name_are_told(write: Write) -> None:
    stream = io.BytesIO()
    parquet.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), stream)
    with pytest.raises(FileRefused, match="column 'a' more than once"):
        inferred_from(write("a.parquet", stream.getvalue()))


def test_columns_of_parquet_have_the_types_that_it_declares(write: Write) -> None:
    path = write("a.parquet", parquet_file(COLUMNS))
    assert types_in(path) == {name: name for name in COLUMNS}
    document = documents_of(path, inferred_from(path).source)[0]
    assert document["datetime"] == datetime(2024, 5, 1, 12, 30, 15, 123_000, UTC)
    assert (document["json"], document["binary"]) == ([1, 2], b"\0\xff")


@pytest.mark.parametrize(
    ("column", "type_"),
    [
        (pa.array([2**63, 1], pa.uint64()), WHOLE),
        (pa.array([1, 2], pa.uint64()), "int64"),
        (pa.array([float("nan"), 1.5]), {"type": "float64", "null_values": ["nan"]}),
        (pa.array([float("inf"), 1.5]), "string"),
        (pa.array([Decimal("0E-18")], pa.decimal128(38, 18)),
         {"type": "decimal", "precision": 34, "scale": 18}),
        (pa.array([300_000_000_000_000, 0], pa.timestamp("s")), "string"),
        (pa.nulls(2), "string"),
    ],
)  # fmt: skip
def test_what_a_declared_type_cannot_hold_loads_as_well(
    write: Write, column: pa.Array, type_: Any
) -> None:
    assert types_in(write("a.parquet", parquet_file({"key": column})))["key"] == type_


FIELDS: dict[str, Any] = {
    "int32": "int", "int64": ["null", "long"], "float32": "float", "float64": "double",
    "bool": "boolean", "string": "string", "binary": "bytes",
    "category": {"type": "enum", "name": "e", "symbols": ["A"]},
    "decimal": {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 12},
    "date": {"type": "int", "logicalType": "date"},
    "time": {"type": "long", "logicalType": "time-micros"},
    "datetime": ["null", {"type": "long", "logicalType": "timestamp-millis"}],
    "json": {"type": "array", "items": "int"},
    "mixed": ["null", "int", "string"],
}  # fmt: skip
RECORD = {
    "int32": 1, "int64": None, "float32": 0.5, "float64": 1.0, "bool": True, "string": "007",
    "binary": b"\0", "category": "A", "decimal": Decimal("0E-12"), "date": date(2024, 1, 31),
    "time": time(1, 2, 3), "datetime": AT.replace(tzinfo=UTC), "json": [1], "mixed": 5,
}  # fmt: skip


def avro_file() -> bytes:
    fields = [{"name": name, "type": type_} for name, type_ in FIELDS.items()]
    schema, stream = {"type": "record", "name": "r", "fields": fields}, io.BytesIO()
    fastavro.writer(stream, schema, [RECORD, {**RECORD, "mixed": "x"}])
    return stream.getvalue()


@pytest.mark.parametrize("name", ["a.avro", "a.avro.gz"])
def test_columns_of_avro_have_the_types_that_it_declares(write: Write, name: str) -> None:
    content = avro_file()
    path = write(name, gzip.compress(content) if name.endswith("gz") else content)
    special = {"decimal": {"type": "decimal", "precision": 30, "scale": 12}, "mixed": "string"}
    assert types_in(path) == {name: name for name in FIELDS} | special


def test_columns_that_only_some_files_have_are_left_out_unless_rows_may_lack_them(
    write: Write,
) -> None:
    one = write("one.parquet", parquet_file({"a": pa.array([1]), "b": pa.array([1])}))
    other = write("other.parquet", parquet_file({"b": pa.array([1.5]), "c": pa.array([1])}))
    inferred = inferred_from(one, other)
    assert {name: c.type for name, c in inferred.source.columns.items()} == {"b": "float64"}
    assert "# Left out, because not all files have them: a, c." in inferred.toml
    assert rejections_of(one, inferred.source) == rejections_of(other, inferred.source) == []
    one, other = write("one.json", '{"a": 1}'), write("other.json", '{"b": 1}')
    assert list(inferred_from(one, other).source.columns) == ["a", "b"]


def test_files_of_different_formats_need_a_source_each(write: Write) -> None:
    one, other = write("one.csv", "a,b\n1,2\n"), write("other.json", '{"a": 1}')
    with pytest.raises(FileRefused, match=r"other\.json is ndjson, and one\.csv is csv"):
        inferred_from(one, other)


FIXED = """\
ID    NAME        AMOUNT DAY
1     Ada Byron     1,50 2024-01-31
20    Bob          12,25 2024-02-01
300   Cyd           7,00
4000              100,00 2024-02-03
"""


def test_columns_of_fixed_width_text_are_told_by_the_blanks_between_them(write: Write) -> None:
    path = write("a.txt", FIXED)
    inferred = inferred_from(path)
    fixed = tomllib.loads(inferred.toml)["fixed"]
    assert (fixed["skip_lines"], fixed["short_lines"]) == (1, "pad")
    assert types_in(path) == {
        "ID": "int64", "NAME": "string", "AMOUNT": {"type": "float64", "decimal": ","},
        "DAY": "date",
    }  # fmt: skip
    documents = documents_of(path, inferred.source)
    assert [one["NAME"] for one in documents] == ["Ada Byron", "Bob", "Cyd", None]
    assert [one["AMOUNT"] for one in documents] == [1.5, 12.25, 7.0, 100.0]


RULED = """\
ID   NAME       SUM
---- ---------- -----
   1 Ada, of A   1.50
  22 Bob B C D  12.00
 333 Eve        -3.00
"""


@pytest.mark.parametrize("above", ["", "Changed to 'shop'.\n", "\n"])
@pytest.mark.parametrize("below", ["", "\n(3 rows affected)\n", "(3 rows)\n\n"])
def test_a_line_below_the_header_draws_the_columns(write: Write, above: str, below: str) -> None:
    path = write("a.txt", above + RULED + below)
    inferred = inferred_from(path)
    assert types_in(path) == {"ID": "int64", "NAME": "string", "SUM": "float64"}
    assert ("files without such a line are held" in inferred.toml) == bool(below)
    documents = documents_of(path, inferred.source)
    assert [one["NAME"] for one in documents] == ["Ada, of A", "Bob B C D", "Eve"]


def test_no_value_is_cut_where_the_line_below_the_header_has_a_gap(write: Write) -> None:
    path = write("a.txt", RULED.replace("22 Bob B", "22Bobby B"))
    stored = documents_of(path, inferred_from(path).source)
    assert any("22Bobby" in str(value) for one in stored for value in one.values())


@pytest.mark.parametrize(
    "text",
    [
        "a b\n1 2\n3 4\n5 6\n7 8\n",
        "name\nAda  Lovelace\nBob\nCyd and  Dan\nEve\n",
        "a,b\n1,x  y\n2,x  z\n3,x  w\n4,x  v\n",
    ],
)
def test_what_is_delimited_is_no_fixed_width_text(write: Write, text: str) -> None:
    assert inferred_from(write("a.txt", text)).source.format == "csv"
