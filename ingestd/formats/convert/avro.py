"""Avro object container files."""

import io
from collections.abc import Iterator
from typing import Any, cast

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused
from ingestd.formats.convert.rows import Row, lines_of, require_columns, require_start
from ingestd.formats.damage import refusing_damage


def avro_lines(stream: io.BufferedReader, source: SourceSpec) -> Iterator[bytes]:
    """The rows as JSON, one per line.

    Raises:
        FileRefused: it is not Avro, damaged, or lacks a column of the schema; or its reader is
            not installed.
    """
    require_start(stream, b"Obj\x01", "an Avro file")
    try:
        import fastavro  # noqa: PLC0415
    except ImportError as error:
        raise FileRefused(
            "missing_extra", "the file is Avro, and what reads it is not installed",
            "pip install 'ingestd[avro]', and drop the file again",
        ) from error  # fmt: skip
    with refusing_damage("damaged_avro", "the Avro file"):
        reader = fastavro.reader(stream)
        require_columns(_names(reader.writer_schema), source)
        rows = cast(Iterator[Row], reader)
        yield from lines_of(rows, source)


def _names(schema: Any) -> list[str]:
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise FileRefused(
            "wrong_format", "the Avro file does not hold records", "ask for one that does"
        )
    return [field["name"] for field in schema["fields"]]
