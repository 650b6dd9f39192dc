"""Rows as NDJSON: one JSON object per line, the last one ended as well."""

import io

import polars as pl

from ingestd.export.json_text import Document, row_shape, to_json
from ingestd.export.plan import Assembler, Plan
from ingestd.export.texts import as_texts


class NdjsonWriter:
    """See ``Writer``."""

    def __init__(self, plan: Plan) -> None:
        self._columns = plan.all_columns
        self._shape = row_shape(plan.columns, has_run=True, is_open=plan.is_open)

    def from_frame(self, frame: pl.DataFrame) -> bytes:
        """Infinities and NaN become null."""
        lines = io.BytesIO()
        as_texts(frame, self._columns).write_ndjson(lines)
        return lines.getvalue()

    def from_documents(self, documents: list[Document]) -> bytes:
        """Every value has a form in JSON."""
        return b"".join(to_json(self._shape(document)) + b"\n" for document in documents)


class NdjsonAssembler(Assembler):
    """With the count below if that is asked for."""

    def end(self, row_count: int) -> bytes:
        """An object that is no row."""
        return b'{"#rows":%d}\n' % row_count if self._plan.has_trailer else b""
