"""Parquet files, a batch of rows at a time."""

import io
from collections.abc import Iterator

import polars as pl
import pyarrow as pa
from pyarrow import parquet

from ingestd.config.source import SourceSpec
from ingestd.formats.convert.rows import (
    lines_of,
    require_columns,
    require_seekable,
    require_start,
)
from ingestd.formats.damage import refusing_damage

_BATCH_ROWS = 8192
_NAME = "a Parquet file"


def parquet_lines(stream: io.BufferedReader, source: SourceSpec) -> Iterator[bytes]:
    """The rows as JSON, one per line.

    Raises:
        FileRefused: it is not Parquet, damaged, or lacks a column of the schema.
    """
    require_start(stream, b"PAR1", _NAME)
    require_seekable(stream, _NAME)
    with refusing_damage("damaged_parquet", "the Parquet file"):
        file = parquet.ParquetFile(stream)
        require_columns(file.schema_arrow.names, source)
        for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
            yield from _batch_lines(batch, source)


def _batch_lines(batch: pa.RecordBatch, source: SourceSpec) -> Iterator[bytes]:
    """Polars writes what is plain, exactly; Python the rest."""
    batch.validate(full=True)  # Polars takes texts on trust to be UTF-8
    frame = pl.from_arrow(_readable(batch))
    assert isinstance(frame, pl.DataFrame)
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


def _is_plain(column: pl.Series) -> bool:
    """Whether JSON as Polars writes it says all: it has no bytes, and takes NaN for null."""
    if column.dtype.is_float():
        return bool(column.is_finite().all())
    return not (column.dtype.is_nested() or column.dtype == pl.Binary)
