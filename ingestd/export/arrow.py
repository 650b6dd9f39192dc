"""Rows as Arrow record batches, of the types that the schema declares.

An IPC stream (Arrow columnar format, "IPC Streaming Format") is the message of its schema, one
message per batch, and eight bytes that end it.
"""

from collections.abc import Callable, Mapping

import polars as pl
import pyarrow as pa

from ingestd.config.source import ColumnSpec
from ingestd.errors import ExportRefused
from ingestd.export.columns import stored_dtype
from ingestd.export.frames import REFUSAL_HINT, as_frame
from ingestd.export.json_text import Document
from ingestd.export.plan import Assembler, Plan

_END = b"\xff\xff\xff\xff\0\0\0\0"


class ArrowWriter:
    """See ``Writer``."""

    def __init__(self, plan: Plan) -> None:
        self._columns = plan.all_columns
        self._schema = arrow_schema(plan)

    def from_frame(self, frame: pl.DataFrame) -> bytes:
        """The messages of its batches."""
        table = _as_table(frame, self._columns).cast(self._schema)
        batches = table.combine_chunks().to_batches()
        return b"".join(batch.serialize().to_pybytes() for batch in batches)

    def from_documents(self, documents: list[Document]) -> bytes:
        """Values that their column has no place for are refused, not changed."""
        return self.from_frame(as_frame(documents, self._columns))


class ArrowAssembler(Assembler):
    """An IPC stream: cut off, it lacks its end."""

    def begin(self) -> bytes:
        """The message of the schema."""
        return bytes(arrow_schema(self._plan).serialize())

    def end(self, row_count: int) -> bytes:
        """What says that nothing follows."""
        return _END


def arrow_schema(plan: Plan) -> pa.Schema:
    """The names and types of the columns."""
    columns = plan.all_columns
    empty = pl.DataFrame(schema={name: stored_dtype(spec) for name, spec in columns.items()})
    return _as_table(empty, columns).schema


def _as_table(frame: pl.DataFrame, columns: Mapping[str, ColumnSpec]) -> pa.Table:
    """As declared: times and durations were read as what they are stored as."""
    typed = [
        _TYPED[column.type](pl.col(name))
        for name, column in columns.items()
        if column.type in _TYPED
    ]
    try:
        frame = frame.with_columns(typed)
    except pl.exceptions.InvalidOperationError as error:
        raise ExportRefused(f"a text is no time: {error}"[:500], REFUSAL_HINT) from error
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


_TYPED: Mapping[str, Callable[[pl.Expr], pl.Expr]] = {
    "time": lambda texts: texts.str.to_time("%H:%M:%S%.f"),
    "duration": lambda numbers: numbers.cast(pl.Duration("ms")),
}
