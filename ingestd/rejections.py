"""Refused rows to error documents, column by column, and what is read back from these.

A reason is one row of a frame, and one element of an array ``violations``. The reasons of a row
are neighbours: their bytes, joined, are the elements of the array already.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from ingestd.config.source import ColumnSpec
from ingestd.documents import Part, Run, add_columns, binary_of, identities
from ingestd.elements import ARRAY, DOCUMENT, Elements, Encoded, Mask, slices
from ingestd.formats.text import Positions, Text, TextChunk
from ingestd.records import ROW, Rejections, Violation
from ingestd.validate import Violations

MAX_RAW_BYTES = 2**20
"""More of a refused record is not kept in MongoDB; the archived file has all of it."""

_MOST_REASONS = 1000
"""Of one row. With more of them a document might be larger than MongoDB takes."""

_TEXT, _SHORT, _LONG = (ColumnSpec(type=name) for name in ("string", "int32", "int64"))
_SUMMARY = {"error_type": _TEXT, "error_message": _TEXT}
_REASON = dict.fromkeys(Violation._fields, _TEXT)
_ERROR_TYPES = pl.Series(["structure", "type", "rule"])


def encode_rejections(
    text: Text, violations: Violations, runs: Sequence[Run], error_time_ms: int
) -> list[Rejections]:
    """Per chunk of the text, the error documents of its refused rows, in their order."""
    if not violations.height:
        return [Rejections()] * len(text.chunks)
    refused = _refused(text, violations)
    raw = pl.concat(_raw(chunk, indexes) for chunk, indexes in refused.chunks())
    parts = parts_of(refused.rows, text, runs)
    heights = [part.height for part in parts]
    documents = _encode(refused, raw, parts, error_time_ms).split(heights)
    records = _with_ends(raw, runs[0].record_end).split(heights)
    return [
        Rejections(*share, rules, octets)
        for share, rules, (octets, _) in zip(documents, _count_rules(refused), records, strict=True)
    ]


def parts_of(rows: pl.Series, text: Text, runs: Sequence[Run]) -> list[Part]:
    """Which of these rows, which are ascending, come from which file."""
    return [
        Part(run, height, chunk.records.chunk.start.row - chunk.first)
        for run, chunk, height in zip(runs, text.chunks, text.heights(rows), strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Refused:
    """The refused rows of a text, ascending, and their reasons in the same order."""

    text: Text
    rows: pl.Series
    reasons: Violations
    bounds: Positions
    """Where the reasons of each row begin, and where the last of all end."""

    def chunks(self) -> Iterator[tuple[TextChunk, Positions]]:
        """The records of every chunk that are refused, by their index there."""
        first = 0
        for chunk, height in zip(self.text.chunks, self.text.heights(self.rows), strict=True):
            own = self.rows[first : first + height].to_numpy().astype(np.int64)
            yield chunk, own - chunk.first
            first += height


def _refused(text: Text, violations: Violations) -> _Refused:
    reasons = violations.sort(ROW, maintain_order=True)
    rows = reasons[ROW].to_numpy()
    place = np.arange(rows.size) - np.searchsorted(rows, rows)
    reasons = reasons.filter(pl.Series(place < _MOST_REASONS))
    different, firsts = np.unique(reasons[ROW].to_numpy(), return_index=True)
    return _Refused(text, pl.Series(ROW, different), reasons, np.append(firsts, reasons.height))


def _count_rules(refused: _Refused) -> Iterator[dict[str, int]]:
    """Per chunk, how many reasons there are under each rule."""
    first = 0
    for height in refused.text.heights(refused.reasons[ROW]):
        rules = refused.reasons["rule"].slice(first, height)
        yield dict(rules.value_counts().iter_rows())
        first += height


def _encode(
    refused: _Refused, raw: pl.Series, parts: Sequence[Part], error_time_ms: int
) -> Encoded:  # fmt: skip
    elements = Elements(len(refused.rows))
    elements.fixed("_id", 0x07, identities(refused.rows, parts))
    elements.text("source_name", parts[0].run.source_name)
    _add_place(elements, refused, parts)
    elements.text("state", "open")
    elements.constant(b"\x09error_time\0" + error_time_ms.to_bytes(8, "little", signed=True))
    add_columns(elements, _summary(refused), _SUMMARY)
    is_kept = raw.bin.size() <= MAX_RAW_BYTES
    _add_record(elements, refused.text.frame, refused.rows.filter(is_kept), refused.rows)
    encoding = refused.text.chunks[0].records.ending.encoding
    _add_raw(elements, raw.bin.head(MAX_RAW_BYTES), encoding)
    _add_violations(elements, refused)
    return elements.join()


def _add_place(elements: Elements, refused: _Refused, parts: Sequence[Part]) -> None:
    """Where each row stands. Numbers are of 32 bits if they fit: the driver reads these faster."""
    part = np.repeat(np.arange(len(parts)), [part.height for part in parts])
    before = np.array([part.rows_before + 1 for part in parts])
    chunks = [chunk for chunk in refused.chunks() if chunk[1].size]
    lines = [chunk.records.lines(indexes) for chunk, indexes in chunks]
    offsets = [chunk.records.offsets(indexes) for chunk, indexes in chunks]
    place = pl.DataFrame(
        {
            "file": pl.Series([part.run.file_name for part in parts]).gather(part),
            "file_id": pl.Series([part.run.file_id for part in parts]).gather(part),
            "row": refused.rows.to_numpy() + before[part],
            "line": np.concatenate(lines),
            "offset": np.concatenate(offsets),
        }
    )
    try:
        place, number = place.cast({"row": pl.Int32, "line": pl.Int32}), _SHORT
    except pl.exceptions.InvalidOperationError:
        number = _LONG
    kinds = (_TEXT, _TEXT, number, number, _LONG)
    add_columns(elements, place, dict(zip(place.columns, kinds, strict=True)))


def _summary(refused: _Refused) -> pl.DataFrame:
    """All reasons of each row in one sentence, and the gravest kind of them."""
    column, message = pl.col("column"), pl.col("message")
    is_first = np.zeros(refused.reasons.height, np.bool_)
    is_first[refused.bounds[:-1]] = True
    told = refused.reasons.select(
        pl.when(pl.Series(is_first)).then(pl.lit("")).otherwise(pl.lit("; "))
        + pl.when(column.is_null()).then(message).otherwise(column + ": " + message)
    ).to_series()  # fmt: skip
    is_of_type = (refused.reasons["rule"] == "type").to_numpy()
    is_readable = ~np.isin(refused.rows.to_numpy(), list(refused.text.faults))
    kinds = is_readable * (2 - np.logical_or.reduceat(is_of_type, refused.bounds[:-1]).astype(int))
    octets, lengths = binary_of(told)
    edges = np.append(0, np.cumsum(lengths))[refused.bounds]
    messages = pl.Series(slices(octets.buffers()[2], edges)).cast(pl.String)
    return pl.DataFrame({"error_type": _ERROR_TYPES.gather(kinds), "error_message": messages})


def _add_record(
    elements: Elements, frame: pl.DataFrame, kept: pl.Series, rows: pl.Series
) -> None:  # fmt: skip
    """The texts of the row; null where it cannot be read or is too large."""
    texts = frame.filter(np.isin(frame[ROW].to_numpy(), kept.to_numpy()))
    inner = Elements(texts.height)
    add_columns(inner, texts, dict.fromkeys(texts.drop(ROW).columns, _TEXT))
    if texts.height == len(rows):
        elements.embed("record", inner)
        return
    is_there = np.isin(rows.to_numpy(), texts[ROW].to_numpy())
    lengths = np.zeros(len(rows), np.int64)
    octets = pa.py_buffer(b"")
    if texts.height:
        documents = inner.join()
        lengths[is_there], octets = np.diff(documents.ends, prepend=0), documents.octets
    elements.header("record", DOCUMENT, is_there)
    elements.variable(slices(octets, np.append(0, np.cumsum(lengths))), lengths)


def _raw(chunk: TextChunk, indexes: Positions) -> pl.Series:
    """The records as they stand in the file: every other of the slices at their edges."""
    records = chunk.records
    edges = np.stack((records.starts[indexes], records.bare_ends(indexes)), axis=1)
    if not indexes.size:
        return pl.Series(dtype=pl.Binary)
    return pl.Series(slices(records.octets, edges.reshape(-1))).gather_every(2)


def _with_ends(raw: pl.Series, record_end: bytes) -> Encoded:
    """As much of the records as MongoDB keeps: the same file is written from there, too."""
    lines = Elements(len(raw))
    lines.variable(*binary_of(raw.bin.head(MAX_RAW_BYTES)))
    lines.constant(record_end)
    return lines.join_bare()


def _add_raw(elements: Elements, raw: pl.Series, encoding: str) -> None:
    """Text where it is text, ended by a NUL; else binary, begun by the subtype 0."""
    texts, is_text = _as_texts(raw, encoding)
    values, lengths = binary_of(texts)
    elements.rows(np.where(is_text, np.uint8(0x02), np.uint8(0x05)))
    elements.constant(b"raw\0")
    elements.rows((lengths + is_text).astype("<i4"))
    nul = np.zeros(elements.height, np.uint8)
    elements.rows(nul, ~is_text)
    elements.variable(values, lengths)
    elements.rows(nul, is_text)


def _as_texts(raw: pl.Series, encoding: str) -> tuple[pl.Series, Mask]:
    """UTF-8 for each record that is text, and gives the same bytes when it is encoded again."""
    if encoding == "utf-8":
        with suppress(pl.exceptions.ComputeError):  # says that some are not, and not which
            return raw.cast(pl.String).cast(pl.Binary), np.ones(len(raw), np.bool_)
    texts = [_as_text(octets, encoding) for octets in raw]
    is_text = np.array([text is not None for text in texts])
    known = [text or octets for text, octets in zip(texts, raw, strict=True)]
    return pl.Series(known, dtype=pl.Binary), is_text


def _as_text(octets: bytes, encoding: str) -> bytes | None:
    try:
        text = octets.decode(encoding)
        return text.encode() if text.encode(encoding) == octets else None
    except UnicodeError:
        return None


def _add_violations(elements: Elements, refused: _Refused) -> None:
    reasons, bounds = refused.reasons, refused.bounds
    reason = Elements(reasons.height)
    add_columns(reason, reasons, _REASON)
    place = np.arange(reasons.height) - np.repeat(bounds[:-1], np.diff(bounds))
    item = Elements(reasons.height)
    item.constant(bytes([DOCUMENT]))
    item.variable(*binary_of(pl.Series(place).cast(pl.String)))
    item.constant(b"\0")
    item.append_document(reason)
    items = item.join_bare()
    every = Elements(elements.height)
    edges = np.append(0, items.ends)[bounds]
    every.variable(slices(items.octets, edges), np.diff(edges))
    elements.embed("violations", every, ARRAY)


# what was encoded


def joined(parts: Sequence[Rejections]) -> Rejections:
    """The rejections of several chunks, one after the other; their records are not at hand."""
    parts = [part for part in parts if part]
    if len(parts) == 1:
        return parts[0]
    rules, ends, begin = Counter[str](), array("q"), 0
    for part in parts:
        rules.update(part.rules)
        ends.extend(begin + end for end in array("q", part.ends))
        begin += len(part.documents)
    return Rejections(b"".join(part.documents for part in parts), ends.tobytes(), rules)


def head(rejections: Rejections, count: int) -> Rejections:
    """The first of them, ``count`` or fewer."""
    ends = array("q", rejections.ends)[:count]
    return Rejections(rejections.documents[: ends[-1] if ends else 0], ends.tobytes())


def raw_octets(raw: str | bytes, encoding: str) -> bytes:
    """The field ``raw`` of an error document as bytes of a file."""
    return raw.encode(encoding) if isinstance(raw, str) else bytes(raw)
