"""Files that are no text become NDJSON, so that their rows travel like all others.

A converter gets a buffered stream, from which what is compressed comes unpacked and without
``seek``, and yields lines. To add one, write a function like these and name it in ``CONVERTERS``.
"""

import io
from collections.abc import Callable, Iterator, Mapping

from ingestd.config.source import ColumnSpec, SourceSpec
from ingestd.formats.convert.avro import avro_columns, avro_lines
from ingestd.formats.convert.excel import excel_lines
from ingestd.formats.convert.json_values import json_lines
from ingestd.formats.convert.parquet import parquet_columns, parquet_lines

Converter = Callable[[io.BufferedReader, SourceSpec], Iterator[bytes]]

CONVERTERS: Mapping[str, Converter] = {
    "json": json_lines,
    "parquet": parquet_lines,
    "excel": excel_lines,
    "avro": avro_lines,
}

Declaration = Callable[[io.BufferedReader], Mapping[str, ColumnSpec]]

DECLARATIONS: Mapping[str, Declaration] = {"parquet": parquet_columns, "avro": avro_columns}
"""Of formats whose files say what their columns are: how to read that."""
