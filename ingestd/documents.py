"""A frame to BSON, column by column: no row is ever a Python object.

A BSON document (bsonspec.org, version 1.1) is its int32 length, its elements and a NUL; an
element is a type byte, a NUL-terminated name and the value's bytes. So all but the bytes of
strings has a known width: runs of such bytes become one (rows by width) array, strings stay
Arrow arrays, and one Arrow kernel joins the pieces of all rows. A null keeps its place with
type 0x0A and no value bytes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bson
import numpy as np
import polars as pl
import pyarrow as pa
from bson import json_util
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from ingestd.config.source import ColumnSpec
from ingestd.elements import NULL, Elements, Encoded, Lengths, Mask, UnencodableRows, Values
from ingestd.records import ROW
from ingestd.validate.json_texts import read_json

_MS_PER_DAY = 86_400_000
_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)


@dataclass(frozen=True, slots=True)
class Run:
    """What all documents of a file share."""

    file_id: str
    """16 hex characters: the first 8 bytes of every ``_id``."""
    source_name: str
    processed_at_ms: int
    key: tuple[str, ...] = ()
    """The key columns of an upsert; empty for an insert."""
    file_name: str = ""
    record_end: bytes = b"\n"
    """What refused records are to end with in a file."""


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring rows of a frame that come from one file: ``height`` of them.

    ``rows_before`` of the file lie before those that have ``ROW`` 0 in the frame (a negative
    number when the rows of other files lie there).
    """

    run: Run
    height: int
    rows_before: int


def encode(
    frame: pl.DataFrame, schema: Mapping[str, ColumnSpec], parts: Sequence[Part]
) -> Encoded:  # fmt: skip
    """Encode the rows of ``frame`` (the schema's columns and ``ROW``), in order.

    ``parts`` make up the frame; they are files of one source.

    Raises:
        UnencodableRows: take these rows out and encode the rest.
    """
    if not frame.height:
        return Encoded(pa.py_buffer(b""), np.empty(0, np.int64))
    elements = Elements(frame.height)
    identity = identities(frame[ROW], parts)
    if parts[0].run.key:
        _add_upsert(elements, frame, schema, parts, identity)
    else:
        elements.fixed("_id", 0x07, identity)
        add_columns(elements, frame, schema)
        _add_run(elements, parts)
    return elements.join()


def identities(row: pl.Series, parts: Sequence[Part]) -> Values:
    """The ``_id`` of each row: 8 bytes of its file, 4 of its number there."""
    return _twelve(_file_ids(parts), _row_numbers(row, parts))


def _add_upsert(
    elements: Elements, frame: pl.DataFrame, schema: Mapping[str, ColumnSpec],
    parts: Sequence[Part], identity: Values,
) -> None:  # fmt: skip
    """``{q: {key…, _version: {$not: {$gt: v}}}, u: {$set: …, $setOnInsert: {_id}}, upsert: true}``.

    ``_version`` is the run's time and the row's number: an older row never overwrites a newer.
    """
    version = _twelve(_moments(parts, ">i8"), _row_numbers(frame[ROW], parts))
    newer = Elements(frame.height)
    newer.fixed("$gt", 0x07, version)
    negation = Elements(frame.height)
    negation.embed("$not", newer)
    query = Elements(frame.height)
    add_columns(query, frame, {name: schema[name] for name in parts[0].run.key})
    query.embed("_version", negation)
    values = Elements(frame.height)
    add_columns(values, frame, schema)
    _add_run(values, parts)
    values.fixed("_version", 0x07, version)
    first = Elements(frame.height)
    first.fixed("_id", 0x07, identity)
    change = Elements(frame.height)
    change.embed("$set", values)
    change.embed("$setOnInsert", first)
    elements.embed("q", query)
    elements.embed("u", change)
    elements.constant(b"\x08upsert\0\x01")


def split(documents: bytes) -> Iterator[bytes]:
    """Documents that follow each other, one by one; each begins with its length."""
    begin = 0
    while begin < len(documents):
        end = begin + int.from_bytes(documents[begin : begin + 4], "little")
        yield documents[begin:end]
        begin = end


def decoded(documents: bytes) -> list[dict[str, Any]]:
    """Documents that follow each other, as Python has them."""
    return bson.decode_all(documents, _AWARE)


def extended_json(document: Mapping[str, Any]) -> str:
    """The document as MongoDB Extended JSON v2 writes it, relaxed."""
    return json_util.dumps(document, ensure_ascii=False)


def row_number(document: bytes, *, is_upsert: bool) -> int:
    """The row number (from 1) in the ``_id`` of a document made by ``encode``."""
    end = -12 if is_upsert else 21
    return int.from_bytes(document[end - 4 : end], "big")


def without_id(statement: bytes) -> bytes:
    """An update statement made by ``encode``, leaving the ``_id`` of a new document to MongoDB."""
    raw: bson.CodecOptions[RawBSONDocument] = bson.CodecOptions(document_class=RawBSONDocument)
    parts = bson.decode(statement, raw)
    return bson.encode({"q": parts["q"], "u": {"$set": parts["u"]["$set"]}, "upsert": True})


def _add_run(elements: Elements, parts: Sequence[Part]) -> None:
    """``processed_at``, one value per file, and ``source_name``, the same for all."""
    elements.fixed("processed_at", 0x09, _moments(parts, "<i8"))
    elements.text("source_name", parts[0].run.source_name)


def _moments(parts: Sequence[Part], dtype: str) -> Values:
    """Each row's ``processed_at``, in milliseconds."""
    moments = np.array([part.run.processed_at_ms for part in parts], dtype)
    return np.repeat(moments, [part.height for part in parts])


def _file_ids(parts: Sequence[Part]) -> Values:
    """The 8 bytes of each row's file."""
    octets = np.frombuffer(bytes.fromhex("".join(part.run.file_id for part in parts)), "V8")
    return np.repeat(octets, [part.height for part in parts])


def _row_numbers(row: pl.Series, parts: Sequence[Part]) -> Values:
    """The 4 bytes of each row's number in its file, from 1, big-endian."""
    before = np.repeat([part.rows_before + 1 for part in parts], [part.height for part in parts])
    numbers: Values = (row.to_numpy().astype(np.int64) + before).astype(">u4")
    return numbers


def _twelve(prefix: Values, number: Values) -> Values:
    """The 12 bytes of ObjectIds: 8 of a prefix, 4 of the row number."""
    both = np.empty(number.size, [("prefix", prefix.dtype), ("number", number.dtype)])
    both["prefix"], both["number"] = prefix, number
    return both.view("V12")


def add_columns(elements: Elements, frame: pl.DataFrame, schema: Mapping[str, ColumnSpec]) -> None:
    """One element per column of the schema."""
    for name, column in schema.items():
        _ENCODERS[column.type](elements, name, frame[name])


# one function per kind of value


def _bits(buffer: pa.Buffer, array: pa.Array) -> Mask:
    """Bits of an Arrow array, one per value (Arrow columnar format: least significant first)."""
    bits = np.unpackbits(
        np.frombuffer(buffer, np.uint8), count=array.offset + len(array), bitorder="little"
    )
    return bits[array.offset :].view(np.bool_)


def _valid(array: pa.Array) -> Mask | None:
    return _bits(array.buffers()[0], array) if array.null_count else None


def _values(array: pa.Array, dtype: str) -> Values:
    """The values of an Arrow array of fixed width; what stands in place of a null is anything."""
    values = np.frombuffer(array.buffers()[1], dtype)
    return values[array.offset : array.offset + len(array)]


def _number(kind: int, dtype: str, stored: str) -> Callable[[Elements, str, pl.Series], None]:
    """Of what numpy type the column's values are, and of which BSON stores them."""

    def add(elements: Elements, name: str, series: pl.Series) -> None:
        array = series.to_arrow()
        values = _values(array, dtype).astype(stored, copy=False)
        elements.fixed(name, kind, values, _valid(array))

    return add


def _date(elements: Elements, name: str, series: pl.Series) -> None:
    array = series.to_arrow()
    elements.fixed(name, 0x09, _values(array, "<i4") * np.int64(_MS_PER_DAY), _valid(array))


def _bool(elements: Elements, name: str, series: pl.Series) -> None:
    array = series.to_arrow()
    elements.fixed(name, 0x08, _bits(array.buffers()[1], array), _valid(array))


def _text(elements: Elements, name: str, series: pl.Series) -> None:
    """A string (BSON spec, type 0x02): how many bytes follow, the bytes, a NUL."""
    array, lengths = binary_of(series)
    is_valid = _valid(array)
    elements.header(name, 0x02, is_valid)
    elements.rows((lengths + 1).astype("<i4"), is_valid)
    elements.variable(array, lengths)
    if is_valid is None:
        elements.constant(b"\0")
    else:
        elements.rows(np.zeros(elements.height, np.uint8), is_valid)


def binary_of(series: pl.Series) -> tuple[pa.Array, Lengths]:
    """Texts or binary values as bytes, and their lengths; that of a null is 0."""
    array = series.to_arrow().cast(pa.large_binary())
    return array, _lengths_of(array)


def _lengths_of(array: pa.Array) -> Lengths:
    offsets = np.frombuffer(array.buffers()[1], np.int64)
    lengths: Lengths = np.diff(offsets[array.offset : array.offset + len(array) + 1])
    return lengths


def _time(elements: Elements, name: str, series: pl.Series) -> None:
    whole = series.dt.to_string("%H:%M:%S")
    exact = series.dt.to_string("%H:%M:%S%.6f")
    has_fraction = exact.str.ends_with(".000000").not_()
    frame = pl.DataFrame({"whole": whole, "exact": exact, "has_fraction": has_fraction})
    text = pl.when("has_fraction").then("exact").otherwise("whole")
    _text(elements, name, frame.select(text).to_series())


def _binary(elements: Elements, name: str, series: pl.Series) -> None:
    """Bytes (type 0x05): how many, subtype 0, the bytes."""
    array, lengths = binary_of(series)
    is_valid = _valid(array)
    elements.header(name, 0x05, is_valid)
    elements.rows(lengths.astype("<i4"), is_valid)
    elements.rows(np.zeros(elements.height, np.uint8), is_valid)
    elements.variable(array, lengths)


def _objectid(elements: Elements, name: str, series: pl.Series) -> None:
    array = series.to_arrow().cast(pa.large_binary())
    is_valid = _valid(array)
    values = np.zeros(len(array), "V12")
    octets = np.frombuffer(b"".join(series.drop_nulls()), "V12")
    values[slice(None) if is_valid is None else is_valid] = octets
    elements.fixed(name, 0x07, values, is_valid)


def _decimal(elements: Elements, name: str, series: pl.Series) -> None:
    """Decimal128 (BSON spec; IEEE 754-2008 binary integer decimal): sign, exponent, coefficient."""
    assert isinstance(series.dtype, pl.Decimal)
    exponent = 6176 - series.dtype.scale
    array = series.to_arrow()
    words = _values(array, "V16").view("<u8").reshape(-1, 2).copy()
    low, high = words[:, 0], words[:, 1]
    is_negative = (high >> np.uint64(63)).astype(np.bool_)
    low[is_negative] = ~low[is_negative] + np.uint64(1)
    high[is_negative] = ~high[is_negative] + (low[is_negative] == 0).astype(np.uint64)
    high |= np.uint64(exponent << 49) | (is_negative.astype(np.uint64) << np.uint64(63))
    elements.fixed(name, 0x13, words.view("V16").ravel(), _valid(array))


def _json(elements: Elements, name: str, series: pl.Series) -> None:
    """Nested values have no columns: they are encoded one by one, by the driver's encoder."""
    kinds, values = bytearray(), []
    bad: dict[int, tuple[str | None, str]] = {}
    for index, text in enumerate(series):
        kind, value = NULL, b""
        if text is not None:
            try:
                octets = bson.encode({"": read_json(text)})
                kind, value = octets[4], octets[6:-1]
            except (ValueError, OverflowError, RecursionError, bson.errors.BSONError) as error:
                bad[index] = (name, f"no BSON value: {error}")
        kinds.append(kind)
        values.append(value)
    if bad:
        raise UnencodableRows(bad)
    elements.rows(np.frombuffer(bytes(kinds), np.uint8))
    elements.constant(name.encode() + b"\0")
    array = pa.array(values, pa.large_binary())
    elements.variable(array, _lengths_of(array))


_ENCODERS: Mapping[str, Callable[[Elements, str, pl.Series], None]] = {
    "string": _text,
    "category": _text,
    "bool": _bool,
    "int8": _number(0x10, "i1", "<i4"),
    "int16": _number(0x10, "i2", "<i4"),
    "int32": _number(0x10, "i4", "<i4"),
    "int64": _number(0x12, "i8", "<i8"),
    "uint8": _number(0x10, "u1", "<i4"),
    "uint16": _number(0x10, "u2", "<i4"),
    "uint32": _number(0x12, "u4", "<i8"),
    "float32": _number(0x01, "f4", "<f8"),
    "float64": _number(0x01, "f8", "<f8"),
    "decimal": _decimal,
    "date": _date,
    "datetime": _number(0x09, "i8", "<i8"),
    "time": _time,
    "duration": _number(0x12, "i8", "<i8"),
    "json": _json,
    "binary": _binary,
    "objectid": _objectid,
}
