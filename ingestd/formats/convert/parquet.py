"""Parquet files, a batch of rows at a time."""

import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
from pyarrow import parquet

from ingestd.config.source import ColumnSpec, ColumnTypeName, SourceSpec
from ingestd.errors import FileRefused
from ingestd.formats.convert.rows import (
    decimal_options,
    lines_of,
    require_columns,
    require_seekable,
    require_start,
)
from ingestd.formats.damage import refusing_damage

_BATCH_ROWS = 8192
_ALWAYS_UNPACKED_BYTES = 2**25
_MAX_RATIO = 1000
_NAME = "a Parquet file"
_DAMAGED = ("damaged_parquet", "the Parquet file")

_TYPES: Mapping[str, ColumnTypeName] = {
    "bool": "bool", "int8": "int8", "int16": "int16", "int32": "int32", "int64": "int64",
    "uint8": "uint8", "uint16": "uint16", "uint32": "uint32",
    "halffloat": "float32", "float": "float32", "double": "float64",
    "string": "string", "large_string": "string", "string_view": "string",
    "binary": "binary", "large_binary": "binary", "binary_view": "binary",
    "fixed_size_binary": "binary", "date32": "date", "date64": "date", "time32": "time",
    "time64": "time", "timestamp": "datetime", "duration": "duration",
    "list": "json", "large_list": "json", "fixed_size_list": "json", "struct": "json",
    "map": "json",
}  # fmt: skip
"""Arrow's types, by their names without units."""

_DAYS = (pl.Date, pl.Datetime)
_FIRST_DAY, _END_DAY = -719_162, 2_932_897
"""Since 1970: 0001-01-01 and 10000-01-01."""
_PER_DAY = {"ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}


def parquet_lines(stream: io.BufferedReader, source: SourceSpec) -> Iterator[bytes]:
    """The rows as JSON, one per line.

    Raises:
        FileRefused: it is not Parquet, damaged, or lacks a column of the schema.
    """
    require_start(stream, b"PAR1", _NAME)
    require_seekable(stream, _NAME)
    with refusing_damage(*_DAMAGED):
        file = parquet.ParquetFile(stream)
        _require_moderate_ratio(file.metadata)
        require_columns(file.schema_arrow.names, source)
        _require_distinct(file.schema_arrow.names)
        for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
            yield from _batch_lines(batch, source)


def _require_distinct(names: Sequence[str]) -> None:
    """Raises FileRefused when two columns have one name, which Polars does not take."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise FileRefused(
            "duplicate_column", f"the Parquet file has the column {twice[0]!r} more than once",
            "rename one of them where the file is made",
        )  # fmt: skip


def _require_moderate_ratio(metadata: Any) -> None:
    """Raises FileRefused when a column unpacks to far more than a table would."""
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            packed_bytes = column.total_compressed_size
            unpacked_bytes = column.total_uncompressed_size
            if unpacked_bytes > max(_ALWAYS_UNPACKED_BYTES, packed_bytes * _MAX_RATIO):
                name = column.path_in_schema
                raise FileRefused(
                    "unpacks_to_too_much",
                    f"{packed_bytes} bytes of the column {name!r} unpack to {unpacked_bytes}",
                    "was it made to do harm? ask the sender",
                )


def parquet_columns(stream: io.BufferedReader) -> dict[str, ColumnSpec]:
    """What the file says of its columns, but for those whose type means nothing here.

    Raises:
        FileRefused: it is not Parquet, or damaged.
    """
    require_start(stream, b"PAR1", _NAME)
    require_seekable(stream, _NAME)
    with refusing_damage(*_DAMAGED):
        schema = parquet.read_schema(stream)
        declared = {field.name: _declared(field.type) for field in schema}
    return {name: ColumnSpec(**options) for name, options in declared.items() if options}


def _declared(type_: pa.DataType) -> dict[str, Any]:
    if pa.types.is_dictionary(type_):
        of_values = _declared(type_.value_type)
        return {"type": "category"} if of_values == {"type": "string"} else of_values
    if pa.types.is_decimal(type_):
        return decimal_options(type_.precision, type_.scale)
    name = _TYPES.get(re.split(r"\W", str(type_), maxsplit=1)[0])
    return {"type": name} if name else {}


def _batch_lines(batch: pa.RecordBatch, source: SourceSpec) -> Iterator[bytes]:
    """Polars writes what is plain, exactly; Python the rest."""
    batch.validate(full=True)  # Polars takes texts on trust to be UTF-8
    frame = pl.from_arrow(_readable(batch))
    assert isinstance(frame, pl.DataFrame)
    frame = frame.with_columns(_in_reach(column) for column in frame if column.dtype in _DAYS)
    if all(_is_plain(column) for column in frame):
        yield frame.write_ndjson().encode()
    else:
        yield from lines_of(frame.iter_rows(named=True), source)


def _readable(batch: pa.RecordBatch) -> pa.RecordBatch:
    """With texts in the place of decimals that Polars does not know."""
    fields = [
        field.with_type(pa.string()) if pa.types.is_decimal256(field.type) else field
        for field in batch.schema
    ]
    return batch.cast(pa.schema(fields))


def _in_reach(column: pl.Series) -> pl.Series:
    """Moments that nobody can write down, of years beyond 9999, as texts: their bare numbers."""
    numbers = column.to_physical()
    per_day = _PER_DAY[column.dtype.time_unit] if isinstance(column.dtype, pl.Datetime) else 1
    is_near = (numbers // per_day).is_between(_FIRST_DAY, _END_DAY, "left")
    if is_near.all():
        return column
    moment = pl.when(is_near).then(pl.col(column.name))
    texts = column.to_frame().select(moment.dt.to_string("iso").fill_null(numbers.cast(pl.String)))
    return texts.to_series().alias(column.name)


def _is_plain(column: pl.Series) -> bool:
    """Whether JSON as Polars writes it says all: it has no bytes, and takes NaN for null."""
    if column.dtype.is_float():
        return bool(column.is_finite().all())
    return not (column.dtype.is_nested() or column.dtype == pl.Binary)
