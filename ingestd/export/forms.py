"""What a worker makes of a batch; and the forms, each in one line."""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import numpy as np
import polars as pl

from ingestd.export.arrow import ArrowAssembler, ArrowWriter
from ingestd.export.columns import RUN
from ingestd.export.csv import CsvAssembler, CsvWriter
from ingestd.export.ndjson import NdjsonAssembler, NdjsonWriter
from ingestd.export.parquet import ParquetAssembler
from ingestd.export.plan import Assembler, Piece, Plan, Writer
from ingestd.export.segments import Batch, Reader, Segment


@dataclass(frozen=True, slots=True)
class Form:
    """One form: what writes rows in a worker, and what makes one file of that."""

    writer: Callable[[Plan], Writer]
    assembler: Callable[[Plan], Assembler]


FORMS: Mapping[str, Form] = {
    "ndjson": Form(NdjsonWriter, NdjsonAssembler),
    "csv": Form(CsvWriter, CsvAssembler),
    "arrow": Form(ArrowWriter, ArrowAssembler),
    "parquet": Form(ArrowWriter, ParquetAssembler),
}


def render(plan: bytes, documents: bytes, edges: bytes, hidden: frozenset[datetime]) -> Piece:
    """The rows of a batch in the form of a pickled plan, but for those of hidden runs.

    ``edges``: int64, where each document begins, and where the last one ends.

    Raises:
        ExportRefused: the form has no place for a value.
    """
    reader, writer = _compile(plan)
    batch = Batch(documents, np.frombuffer(edges, np.int64))
    octets, row_count, runs = [], 0, set[datetime]()
    for segment in reader.segments(batch):
        kept = _without(segment, hidden) if hidden else segment
        runs |= _runs_of(kept)
        row_count += len(kept)
        octets.append(_write(writer, kept))
    return Piece(b"".join(octets), row_count, frozenset(runs))


def _write(writer: Writer, segment: Segment) -> bytes:
    if isinstance(segment, pl.DataFrame):
        return writer.from_frame(segment)
    return writer.from_documents(segment)


def _without(segment: Segment, hidden: frozenset[datetime]) -> Segment:
    if isinstance(segment, pl.DataFrame):
        moments = pl.Series(list(hidden), dtype=segment[RUN].dtype)
        return segment.filter(~pl.col(RUN).is_in(moments.implode()))
    return [document for document in segment if document[RUN] not in hidden]


def _runs_of(segment: Segment) -> set[datetime]:
    if isinstance(segment, pl.DataFrame):
        return set(segment[RUN].unique())
    return {document[RUN] for document in segment}


@lru_cache(maxsize=64)
def _compile(pickled: bytes) -> tuple[Reader, Writer]:
    plan: Plan = pickle.loads(pickled)  # noqa: S301 - from the daemon itself
    return Reader(plan.all_columns, plan.is_open), FORMS[plan.form].writer(plan)
