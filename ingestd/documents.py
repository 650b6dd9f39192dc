"""A frame to BSON, column by column: no row is ever a Python object.

A BSON document (bsonspec.org, version 1.1) is its int32 length, its elements and a NUL; an
element is a type byte, a NUL-terminated name and the value's bytes. So all but the bytes of
strings has a known width: runs of such bytes become one (rows by width) array, strings stay
Arrow arrays, and one Arrow kernel joins the pieces of all rows. A null keeps its place with
type 0x0A and no value bytes.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bson
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from bson.raw_bson import RawBSONDocument

from ingestd.config.source import ColumnSpec
from ingestd.elements import NULL, Elements, Encoded, Lengths, Mask, Octets, UnencodableRows
from ingestd.records import ROW

_MS_PER_DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Run:
    """What all documents of a file share."""

    file_id: str
    """16 hex characters: the first 8 bytes of every ``_id``."""
    source_name: str
    processed_at_ms: int
    key: tuple[str, ...] = ()
    """The key columns of an upsert; empty for an insert."""


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
    identity = _twelve(_identities(parts), _row_numbers(frame[ROW], parts))
    if parts[0].run.key:
        _add_upsert(elements, frame, schema, parts, identity)
    else:
        elements.fixed("_id", 0x07, identity)
        _add_columns(elements, frame, schema)
        _add_run(elements, parts)
    return elements.join()


def _add_upsert(
    elements: Elements, frame: pl.DataFrame, schema: Mapping[str, ColumnSpec],
    parts: Sequence[Part], identity: Octets,
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
    _add_columns(query, frame, {name: schema[name] for name in parts[0].run.key})
    query.embed("_version", negation)
    values = Elements(frame.height)
    _add_columns(values, frame, schema)
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
    source = parts[0].run.source_name.encode()
    elements.fixed("processed_at", 0x09, _moments(parts, "<i8"))
    size = (len(source) + 1).to_bytes(4, "little")
    elements.constant(b"\x02source_name\0" + size + source + b"\0")


def _moments(parts: Sequence[Part], dtype: str) -> Octets:
    """The 8 bytes of each row's ``processed_at``, in milliseconds."""
    moments = np.array([part.run.processed_at_ms for part in parts], dtype)
    return _rows_of(np.repeat(moments, [part.height for part in parts]))


def _identities(parts: Sequence[Part]) -> Octets:
    """The 8 bytes of each row's file."""
    octets = np.frombuffer(bytes.fromhex("".join(part.run.file_id for part in parts)), "V8")
    return _rows_of(np.repeat(octets, [part.height for part in parts]))


def _row_numbers(row: pl.Series, parts: Sequence[Part]) -> Octets:
    """The 4 bytes of each row's number in its file, from 1, big-endian."""
    before = np.repeat([part.rows_before + 1 for part in parts], [part.height for part in parts])
    return _rows_of((row.to_numpy().astype(np.int64) + before).astype(">u4"))


def _twelve(prefix: Octets, number: Octets) -> Octets:
    """The 12 bytes of ObjectIds: 8 of a prefix, 4 of the row number."""
    return np.concatenate((prefix, number), axis=1)


def _add_columns(elements: Elements, frame: pl.DataFrame, schema: Mapping[str, ColumnSpec]) -> None:
    for name, column in schema.items():
        _ENCODERS[column.type](elements, name, frame[name])


# one function per kind of value


def _valid(series: pl.Series) -> Mask | None:
    return None if series.null_count() == 0 else series.is_not_null().to_numpy()


def _rows_of(values: npt.NDArray[Any]) -> Octets:
    return values.view(np.uint8).reshape(values.shape[0], -1)


def _number(kind: int, dtype: str) -> Callable[[Elements, str, pl.Series], None]:
    def add(elements: Elements, name: str, series: pl.Series) -> None:
        is_valid = _valid(series)
        physical = series.to_physical()
        filled = physical if is_valid is None else physical.fill_null(strategy="zero")
        values = np.ascontiguousarray(filled.to_numpy().astype(dtype, copy=False))
        elements.fixed(name, kind, _rows_of(values), is_valid)

    return add


def _date(elements: Elements, name: str, series: pl.Series) -> None:
    _INT64_MS(elements, name, series.to_physical().cast(pl.Int64) * _MS_PER_DAY)


def _text(elements: Elements, name: str, series: pl.Series) -> None:
    _counted(elements, name, 0x02, series)


def _counted(elements: Elements, name: str, kind: int, series: pl.Series) -> None:
    """A string: ``\\x02 name \\0 int32 bytes \\0``. A null's name takes the last NUL as its own."""
    is_valid = _valid(series)
    values = series.to_arrow().cast(pa.large_binary())
    lengths = _lengths_of(values)
    elements.header(name, kind, is_valid)
    counts = np.zeros((elements.height, 5), np.uint8)
    counts[:, 1:] = _rows_of((lengths + 1).astype("<i4"))
    elements.optional(counts, is_valid)
    elements.variable(values, lengths)
    elements.constant(b"\0")


def _lengths_of(values: pa.Array) -> Lengths:
    offsets = np.frombuffer(values.buffers()[1], np.int64)
    lengths: Lengths = np.diff(offsets[values.offset : values.offset + len(values) + 1])
    return lengths


def _time(elements: Elements, name: str, series: pl.Series) -> None:
    whole = series.dt.to_string("%H:%M:%S")
    exact = series.dt.to_string("%H:%M:%S%.6f")
    has_fraction = exact.str.ends_with(".000000").not_()
    frame = pl.DataFrame({"whole": whole, "exact": exact, "has_fraction": has_fraction})
    text = pl.when("has_fraction").then("exact").otherwise("whole")
    _text(elements, name, frame.select(text).to_series())


def _binary(elements: Elements, name: str, series: pl.Series) -> None:
    is_valid = _valid(series)
    values = series.to_arrow().cast(pa.large_binary())
    lengths = _lengths_of(values)
    elements.header(name, 0x05, is_valid)
    elements.constant(b"\0")
    counts = np.zeros((elements.height, 5), np.uint8)  # int32 length, subtype 0
    counts[:, :4] = _rows_of(lengths.astype("<i4"))
    elements.optional(counts, is_valid)
    elements.variable(values, lengths)


def _objectid(elements: Elements, name: str, series: pl.Series) -> None:
    is_valid = _valid(series)
    filled = series if is_valid is None else series.fill_null(b"\0" * 12)
    values = np.frombuffer(b"".join(filled.to_list()), np.uint8).reshape(-1, 12)
    elements.fixed(name, 0x07, values, is_valid)


def _decimal(elements: Elements, name: str, series: pl.Series) -> None:
    """Decimal128 (BSON spec; IEEE 754-2008 binary integer decimal): sign, exponent, coefficient."""
    is_valid = _valid(series)
    assert isinstance(series.dtype, pl.Decimal)
    exponent = 6176 - series.dtype.scale
    arrow = series.to_arrow()
    words = np.frombuffer(arrow.buffers()[1], "<u8").reshape(-1, 2)
    words = words[arrow.offset : arrow.offset + len(arrow)].copy()
    low, high = words[:, 0], words[:, 1]
    is_negative = (high >> np.uint64(63)).astype(np.bool_)
    low[is_negative] = ~low[is_negative] + np.uint64(1)
    high[is_negative] = ~high[is_negative] + (low[is_negative] == 0).astype(np.uint64)
    high |= np.uint64(exponent << 49) | (is_negative.astype(np.uint64) << np.uint64(63))
    elements.fixed(name, 0x13, _rows_of(words), is_valid)


def _json(elements: Elements, name: str, series: pl.Series) -> None:
    """Nested values have no columns: they are encoded one by one, by the driver's encoder."""
    kinds, values = bytearray(), []
    bad: dict[int, tuple[str | None, str]] = {}
    for index, text in enumerate(series):
        kind, value = NULL, b""
        if text is not None:
            try:
                octets = bson.encode({"": json.loads(text)})
                kind, value = octets[4], octets[6:-1]
            except (ValueError, OverflowError, RecursionError, bson.errors.BSONError) as error:
                bad[index] = (name, f"no BSON value: {error}")
        kinds.append(kind)
        values.append(value)
    if bad:
        raise UnencodableRows(bad)
    elements.rows(np.frombuffer(bytes(kinds), np.uint8).reshape(-1, 1))
    elements.constant(name.encode() + b"\0")
    array = pa.array(values, pa.large_binary())
    elements.variable(array, _lengths_of(array))


def _bool(elements: Elements, name: str, series: pl.Series) -> None:
    _BYTE(elements, name, series.cast(pl.UInt8))


_INT32 = _number(0x10, "<i4")
_INT64 = _number(0x12, "<i8")
_INT64_MS = _number(0x09, "<i8")
_DOUBLE = _number(0x01, "<f8")
_BYTE = _number(0x08, "u1")

_ENCODERS: Mapping[str, Callable[[Elements, str, pl.Series], None]] = {
    "string": _text,
    "category": _text,
    "bool": _bool,
    "int8": _INT32,
    "int16": _INT32,
    "int32": _INT32,
    "uint8": _INT32,
    "uint16": _INT32,
    "uint32": _INT64,
    "int64": _INT64,
    "float32": _DOUBLE,
    "float64": _DOUBLE,
    "decimal": _decimal,
    "date": _date,
    "datetime": _INT64_MS,
    "time": _time,
    "duration": _INT64,
    "json": _json,
    "binary": _binary,
    "objectid": _objectid,
}
