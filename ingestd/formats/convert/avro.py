"""Avro object container files."""

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ingestd.config.source import ColumnSpec, ColumnTypeName, SourceSpec
from ingestd.errors import FileRefused
from ingestd.formats.convert.avro_blocks import MAGIC, damaged_avro, plain_avro
from ingestd.formats.convert.rows import (
    Row,
    decimal_options,
    lines_of,
    require_columns,
    require_start,
)
from ingestd.formats.damage import refusing_damage
from ingestd.formats.streams import as_stream

_NAME = "an Avro file"
_DAMAGED = ("damaged_avro", "the Avro file")
_TYPES: Mapping[str, ColumnTypeName] = {
    "boolean": "bool", "int": "int32", "long": "int64", "float": "float32", "double": "float64",
    "string": "string", "enum": "category", "bytes": "binary", "fixed": "binary",
    "record": "json", "array": "json", "map": "json",
    "date": "date", "time-millis": "time", "time-micros": "time",
    "timestamp-millis": "datetime", "timestamp-micros": "datetime",
    "local-timestamp-millis": "datetime", "local-timestamp-micros": "datetime", "uuid": "string",
}  # fmt: skip
"""Avro's types and logical types (specification 1.11), those that fastavro reads as such."""


def avro_lines(stream: io.BufferedReader, source: SourceSpec) -> Iterator[bytes]:
    """The rows as JSON, one per line.

    Raises:
        FileRefused: it is not Avro, damaged, or lacks a column of the schema; or its reader is
            not installed.
    """
    require_start(stream, MAGIC, _NAME)
    with refusing_damage(*_DAMAGED):
        reader = _reader(stream)
        require_columns([field["name"] for field in _fields(reader.writer_schema)], source)
        yield from lines_of(_rows(reader), source)


def avro_columns(stream: io.BufferedReader) -> dict[str, ColumnSpec]:
    """What the file says of its columns, but for those whose values may be of several types.

    Raises:
        FileRefused: it is not Avro, or damaged; or its reader is not installed.
    """
    require_start(stream, MAGIC, _NAME)
    with refusing_damage(*_DAMAGED):
        fields = _fields(_reader(stream).writer_schema)
        declared = {field["name"]: _declared(field["type"]) for field in fields}
    return {name: ColumnSpec(**options) for name, options in declared.items() if options}


def _reader(stream: io.BufferedReader) -> Any:
    try:
        import fastavro  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise FileRefused(
            "missing_extra", "the file is Avro, and what reads it is not installed",
            "pip install 'ingestd[avro]', and drop the file again",
        ) from error  # fmt: skip
    return fastavro.block_reader(as_stream(plain_avro(stream)))


def _rows(blocks: Iterable[Any]) -> Iterator[Row]:
    """Block by block: a count that is damaged downwards shows in what it leaves behind."""
    for block in blocks:
        yield from block
        if block.bytes_.read(1):
            raise damaged_avro(f"a block holds more than its {block.num_records} records")


def _fields(schema: Any) -> list[dict[str, Any]]:
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise FileRefused(
            "wrong_format", "the Avro file does not hold records", "ask for one that does"
        )
    fields: list[dict[str, Any]] = schema["fields"]
    return fields


def _declared(schema: Any) -> dict[str, Any]:
    if isinstance(schema, list):
        others = [one for one in schema if one != "null"]
        return _declared(others[0]) if len(others) == 1 else {}
    if isinstance(schema, str):
        return {"type": _TYPES[schema]} if schema in _TYPES else {}
    logical = schema.get("logicalType")
    if logical == "decimal":
        return decimal_options(schema["precision"], schema.get("scale", 0))
    return _declared(logical if logical in _TYPES else schema["type"])
