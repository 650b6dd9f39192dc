"""Parse, validate, transform, encode: the one function sent to a worker. Pure and synchronous."""

import itertools
import pickle
import time
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl

from ingestd.config.encodings import without_bom
from ingestd.config.source import ColumnSpec, SourceSpec
from ingestd.documents import Part, Run, encode, row_number, split
from ingestd.elements import Encoded, UnencodableRows
from ingestd.errors import ConfigError, FileRefused, Problem
from ingestd.formats import FORMATS
from ingestd.formats.drift import missing_columns
from ingestd.formats.limits import Limits
from ingestd.formats.text import Text
from ingestd.records import (
    ROW,
    Chunk,
    FileStat,
    Position,
    RefinedChunk,
    Rejections,
    Shape,
    Violation,
)
from ingestd.rejections import encode_rejections, parts_of
from ingestd.transform import Transform, compile_transform
from ingestd.validate import (
    Validator,
    Violations,
    compile_validator,
    dtypes_of,
    explain_missing,
    typed_values,
    unique_columns,
    violations_of,
)

Repeats = Mapping[str, frozenset[int]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker needs to know of one file, the same for all its chunks."""

    source: bytes
    """The pickled source: a worker unpickles and compiles it once."""
    shape: Shape
    run: Run
    limits: Limits
    is_trial: bool = False
    """Only count: no documents are made."""

    def missing(self, source: SourceSpec) -> tuple[str, ...]:
        """The columns of the source that are null, as the file does not have them."""
        return missing_columns(self.shape.columns, source)


@dataclass(frozen=True)
class Compiled:
    """A source ready for use."""

    source: SourceSpec
    validator: Validator
    transform: Transform


@lru_cache(maxsize=64)
def compile_source(source: bytes) -> Compiled:
    """Compile a pickled source; equal bytes give the same object."""
    spec: SourceSpec = pickle.loads(source)  # noqa: S301 - made by this daemon
    return Compiled(spec, compile_validator(spec), compile_transform(spec))


def warm(sources: Sequence[bytes]) -> None:
    """Compile pickled sources and use each once: the first chunk shall not wait for that."""
    for pickled in sources:
        with suppress(Exception):  # what is wrong with a source, its first file will tell
            _refine_nothing(compile_source(pickled), pickled)


def _refine_nothing(compiled: Compiled, pickled: bytes) -> None:
    """One row through every stage, as if it were a file."""
    source, schema = compiled.source, compiled.transform.schema
    shape = Shape(source.file_columns, without_bom(source.csv.encoding))
    row = FORMATS[source.format].blank_row(source)
    run = Run("00" * 8, source.name, 0)
    stat = FileStat(0, 0, len(row), 0, 0)
    chunk = Chunk(Path(source.name), stat, Position(), Position(len(row), 1, 1), row)
    refine(Plan(pickled, shape, run, Limits()), chunk)
    nulls = pl.DataFrame({name: [None] for name in schema}, dtypes_of(dict(schema)))
    encode(nulls.with_columns(pl.Series(ROW, [0], pl.UInt32)), schema, [Part(run, 1, 0)])


def schema_of(source: SourceSpec) -> Mapping[str, ColumnSpec]:
    """The columns of a source's documents: those of the schema after all steps."""
    return compile_source(pickle.dumps(source)).transform.schema


def check_source(source: SourceSpec) -> tuple[Problem, ...]:
    """Every mistake that only shows when rules, checks and steps are compiled."""
    problems: list[Problem] = []
    for compile_part in (compile_validator, compile_transform):
        try:
            compile_part(source)
        except ConfigError as error:
            problems += error.problems
    return tuple(problems)


def refine(plan: Plan, chunk: Chunk, repeats: Repeats | None = None) -> RefinedChunk:
    """Turn one chunk into finished BSON and rejections.

    ``repeats`` tells, per column with the rule ``unique``, which records of the chunk (from 0)
    repeat a value of an earlier row of the file.

    Raises:
        FileRefused, FileUnavailable: the file as a whole cannot go on.
    """
    return _refine([plan], [chunk], repeats)[0]


def refine_together(plans: Sequence[Plan], chunks: Sequence[Chunk]) -> list[RefinedChunk]:
    """Refine one chunk each of several files of one source, which have the same shape.

    A hundred rows cost Polars about as much as a thousand: small files are refined as one frame.

    Raises:
        FileRefused, FileUnavailable: of one of the files; the others can be refined without it.
    """
    return _refine(plans, chunks, None)


def _refine(
    plans: Sequence[Plan], chunks: Sequence[Chunk], repeats: Repeats | None
) -> list[RefinedChunk]:  # fmt: skip
    started, now_ms = time.perf_counter(), _now_ms()
    compiled, plan = compile_source(plans[0].source), plans[0]
    runs = [plan.run for plan in plans]
    try:
        text = FORMATS[compiled.source.format].read(
            chunks, plan.shape, compiled.source, plan.limits
        )
        frame, refused = _good_rows(text, compiled, plan.run.key, repeats)
        refused = [explain_missing(reasons, plan.missing(compiled.source)) for reasons in refused]
        encoded = _NOTHING
        if not plan.is_trial:
            frame, encoded = _encode(frame, compiled, (text, runs), refused)
        rejections = encode_rejections(text, pl.concat(refused), runs, now_ms)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        where = f"rows {chunks[0].start.row + 1} ff."
        raise FileRefused("refine_failed", f"{where}: {error}") from error
    refine_s = (time.perf_counter() - started) / len(chunks)
    return [
        replace(refined, refine_s=refine_s)
        for refined in _share_out(text, text.heights(frame[ROW]), encoded, rejections)
    ]


def _good_rows(
    text: Text, compiled: Compiled, key: tuple[str, ...], repeats: Repeats | None
) -> tuple[pl.DataFrame, list[Violations]]:
    """The rows that pass, after all steps, and the reasons why others do not."""
    checked = compiled.validator.check(text.frame, repeats)
    done = compiled.transform.apply(checked.good)
    frame, keyless = _require_key(done.frame, key)
    if len(text.chunks) > 1:  # a step may have put rows in another order
        frame = frame.sort(ROW)
    faults = violations_of(text.faults.items())
    return frame, [faults, checked.rejected, done.rejected, keyless]


def _share_out(
    text: Text, heights: list[int], encoded: Encoded, rejections: list[Rejections]
) -> Iterator[RefinedChunk]:
    """What became of each chunk."""
    shares = zip(text.chunks, heights, encoded.split(heights), rejections, strict=True)
    for part, height, (documents, ends), refused in shares:
        chunk = replace(part.records.chunk, octets=None)  # they are not sent back
        yield RefinedChunk(
            chunk=chunk,
            documents=documents,
            ends=ends,
            document_count=height,
            filtered_count=chunk.row_count - height - len(refused),
            rejections=refused,
        )


_NOTHING = encode(pl.DataFrame(), {}, ())


def _require_key(frame: pl.DataFrame, key: tuple[str, ...]) -> tuple[pl.DataFrame, Violations]:
    """An upsert without its key would hit any document: such rows are rejected."""
    found: list[tuple[int, Violation]] = []
    for column in key:
        if frame[column].null_count():
            missing = frame.filter(pl.col(column).is_null())[ROW]
            fault = Violation(column, "key", None, f"the key column {column} is null")
            found += [(row, fault) for row in missing]
            frame = frame.filter(pl.col(column).is_not_null())
    return frame, violations_of(found)


def _encode(
    frame: pl.DataFrame, compiled: Compiled, work: tuple[Text, list[Run]], refused: list[Violations]
) -> tuple[pl.DataFrame, Encoded]:
    """Encode all rows that BSON can hold; the others are refused, too."""
    while True:
        try:
            parts = parts_of(frame[ROW], *work)
            return frame, encode(frame, compiled.transform.schema, parts)
        except UnencodableRows as unencodable:
            rows = frame[ROW].gather(list(unencodable.rows))
            reasons = (
                Violation(column, "bson", None, reason)
                for column, reason in unencodable.rows.values()
            )
            refused.append(violations_of(zip(rows, reasons, strict=True)))
            frame = frame.filter(~frame[ROW].is_in(rows.implode()))


def recover_rows(plan: Plan, chunk: Chunk, rows: Mapping[int, Violation]) -> Rejections:
    """The rejections of rows that MongoDB refused: row number (from 1) → its reason."""
    source = compile_source(plan.source).source
    text = FORMATS[source.format].read([chunk], plan.shape, source, plan.limits)
    first = chunk.start.row + 1
    violations = violations_of((row - first, reason) for row, reason in rows.items())
    return encode_rejections(text, violations, [plan.run], _now_ms())[0]


def refine_rows(
    plan: Plan, chunk: Chunk, rows: frozenset[int], repeats: Repeats | None = None
) -> RefinedChunk:
    """Like ``refine``, but only these rows (from 1) count: nothing is said of the others."""
    refined, is_upsert = refine(plan, chunk, repeats), bool(plan.run.key)
    documents = _only(rows, refined.documents, is_upsert=is_upsert)
    refused = _only(rows, refined.rejections.documents)
    rejections = Rejections(b"".join(refused), _ends(refused))
    return replace(
        refined, documents=b"".join(documents), ends=_ends(documents),
        document_count=len(documents), rejections=rejections,
        filtered_count=len(rows) - len(documents) - len(refused),
    )  # fmt: skip


def _only(rows: frozenset[int], documents: bytes, *, is_upsert: bool = False) -> list[bytes]:
    """Those of the documents that are of these rows."""
    return [one for one in split(documents) if row_number(one, is_upsert=is_upsert) in rows]


def _ends(documents: Sequence[bytes]) -> bytes:
    return array("q", itertools.accumulate(map(len, documents))).tobytes()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def add_up(plan: Plan, chunk: Chunk, column: str) -> Decimal:
    """The exact sum of a column of numbers over a chunk; what is no number adds nothing."""
    source = compile_source(plan.source).source
    text = FORMATS[source.format].read([chunk], plan.shape, source, plan.limits)
    return Decimal(_exact(source, column, text.frame).sum())


def read_number(source: SourceSpec, column: str, text: str) -> Decimal | None:
    """A number that is written as those of the column are; ``None``: it is none."""
    number: Decimal | None = _exact(source, column, pl.DataFrame({column: [text], ROW: [0]})).item()
    return number


def _exact(source: SourceSpec, column: str, texts: pl.DataFrame) -> pl.Series:
    """The numbers of a column, without what floats would make of them."""
    decimal = {"type": "decimal", "precision": 34, "scale": 10}
    columns = {**source.columns, column: source.columns[column].model_copy(update=decimal)}
    exact = source.model_copy(update={"columns": columns})
    return typed_values(exact, texts, (column,))[column]


def digest_values(plan: Plan, chunk: Chunk) -> dict[str, bytes]:
    """For each column with the rule ``unique``: 128 bits per row of the chunk, zero for a null.

    Equal values have equal digests in every worker; different values do not collide in practice
    (for 10⁹ rows the odds are about 10⁻²⁰).
    """
    compiled = compile_source(plan.source)
    source = compiled.source
    text = FORMATS[source.format].read([chunk], plan.shape, source, plan.limits)
    columns = unique_columns(source)
    values = typed_values(source, text.frame, columns)
    at = text.frame[ROW].to_numpy()
    digests = {}
    for column in columns:
        digest = np.zeros((chunk.row_count, 2), np.uint64)
        is_valid = values[column].is_not_null().to_numpy()
        for half, seed in enumerate((1, 2)):
            digest[at, half] = np.where(is_valid, values[column].hash(seed).to_numpy(), 0)
        digests[column] = digest.tobytes()
    return digests
