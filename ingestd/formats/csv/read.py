"""The records of one chunk as a frame of text, and what is wrong with the others."""

import os

import numpy as np
import numpy.typing as npt
import polars as pl

from ingestd.config.source import SourceSpec
from ingestd.errors import FileUnavailable
from ingestd.formats.csv.dialect import Dialect, dialect_of
from ingestd.formats.csv.records import Scan, Span, read_records
from ingestd.formats.csv.structure import field_counts, read_structure
from ingestd.formats.limits import Limits, changed
from ingestd.formats.text import Records, TextChunk
from ingestd.records import ROW, Chunk, Violation

_FAULTS = {
    "stray_quote": "a quote stands where none may: quote the whole field and double quotes in it",
    "unclosed_quote": "a quote is opened and not closed on this line",
    "record_too_large": "the record is larger than refine.max_record_bytes",
    "nul_byte": "the record holds a NUL byte",
}


def read(
    chunk: Chunk, columns: tuple[str, ...], source: SourceSpec, limits: Limits
) -> TextChunk:  # fmt: skip
    """See ``Format.read``."""
    dialect = dialect_of(source.csv)
    octets = _read_octets(chunk)
    scan = Scan(dialect, len(columns), limits.max_record_bytes)
    if chunk.is_regular:
        records, faults = _regular_records(chunk, octets, scan)
    else:
        records, faults = _careful_records(chunk, octets, scan)
    _find_nul(records, faults)
    _find_undecodable(records, faults, dialect)
    return TextChunk(_parse(records, faults, columns, source), records, faults)


def _read_octets(chunk: Chunk) -> bytes:
    """The chunk's bytes, with a record end after the last record even if the file lacks it."""
    try:
        fd = os.open(chunk.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            octets = os.pread(fd, chunk.size_bytes, chunk.start.offset_bytes)
            is_changed = changed(os.fstat(fd), chunk.stat)
        finally:
            os.close(fd)
    except OSError as error:
        raise FileUnavailable(
            "unreadable_file", f"{chunk.path.name} cannot be read: {error.strerror}",
            "was it removed or its mode changed while it was loaded?",
        ) from error  # fmt: skip
    if is_changed or len(octets) != chunk.size_bytes:
        raise FileUnavailable(
            "file_changed", f"{chunk.path.name} changed while it was loaded",
            "write under another name and rename when it is complete",
        )  # fmt: skip
    return octets if octets.endswith(b"\n") else octets + b"\n"


def _regular_records(
    chunk: Chunk, octets: bytes, scan: Scan
) -> tuple[Records, dict[int, Violation]]:
    view = memoryview(octets)
    found = read_structure(view, scan.dialect)
    counts = field_counts(view, found, scan.dialect)
    starts = np.concatenate((np.zeros(1, np.int64), found.ends[:-1]))
    wrong = np.flatnonzero(counts != scan.field_count)
    faults = {int(i): _field_count_fault(int(counts[i]), scan.field_count) for i in wrong}
    return Records(chunk, octets, starts, found.ends), faults


def _careful_records(
    chunk: Chunk, octets: bytes, scan: Scan
) -> tuple[Records, dict[int, Violation]]:
    spans = list(read_records(octets, scan, is_final=True))
    starts = np.fromiter((span.start for span in spans), np.int64, len(spans))
    ends = np.fromiter((span.end for span in spans), np.int64, len(spans))
    faults = {}
    for index, span in enumerate(spans):
        fault = _fault_of_span(octets, span, scan)
        if fault is not None:
            faults[index] = fault
    return Records(chunk, octets, starts, ends), faults


def _fault_of_span(octets: bytes, span: Span, scan: Scan) -> Violation | None:
    if span.fault:
        return Violation(None, span.fault, None, _FAULTS[span.fault])
    count = _count_fields(octets[span.start : span.end], scan.dialect)
    return None if count == scan.field_count else _field_count_fault(count, scan.field_count)


def _count_fields(record: bytes, dialect: Dialect) -> int:
    if dialect.quote is None or dialect.quote not in record:
        return record.count(dialect.delimiter) + 1
    outside = record.split(bytes([dialect.quote]))[::2]
    return sum(part.count(dialect.delimiter) for part in outside) + 1


def _field_count_fault(found: int, expected: int) -> Violation:
    rule = "too_few_fields" if found < expected else "too_many_fields"
    return Violation(None, rule, None, f"{found} fields instead of {expected}")


def _find_nul(records: Records, faults: dict[int, Violation]) -> None:
    if b"\0" not in records.octets:
        return
    at = np.flatnonzero(np.frombuffer(records.octets, np.uint8) == 0)
    for index in np.unique(np.searchsorted(records.ends, at, side="right")):
        faults[int(index)] = Violation(None, "nul_byte", None, _FAULTS["nul_byte"])


def _find_undecodable(records: Records, faults: dict[int, Violation], dialect: Dialect) -> None:
    """Mark each record that holds bytes which are not the declared encoding."""
    if records.octets.isascii():
        return
    position = 0
    while True:
        try:
            records.octets[position:].decode(dialect.codec)
        except UnicodeDecodeError as error:
            index = int(np.searchsorted(records.ends, position + error.start, side="right"))
            message = f"byte 0x{error.object[error.start]:02x} is not {dialect.codec}"
            faults[index] = Violation(None, "encoding", None, message)
            position = int(records.ends[index])
        else:
            return


def _parse(
    records: Records, faults: dict[int, Violation], columns: tuple[str, ...], source: SourceSpec
) -> pl.DataFrame:
    """Parse the records without fault, every column as text."""
    names = [f"column_{index + 1}" for index in range(len(columns))]
    wanted = {names[columns.index(name)]: name for name in source.columns}
    good = np.delete(np.arange(records.ends.size, dtype=np.uint32), list(faults))
    octets = _without(records, faults)
    if not good.size:
        schema = dict.fromkeys(source.columns, pl.String)
        return pl.DataFrame(schema={**schema, ROW: pl.UInt32})
    if not (dialect := dialect_of(source.csv)).is_utf8:
        octets = octets.decode(dialect.codec).encode()
    frame = pl.read_csv(
        octets,
        has_header=False,
        schema=dict.fromkeys(names, pl.String),
        columns=list(wanted),
        separator=source.csv.delimiter,
        quote_char=source.csv.quote or None,
        null_values=[text for text in source.csv.null_values if text] or None,
        empty_string_is_null="" in source.csv.null_values,
        raise_if_empty=False,
    )
    if frame.height != good.size:
        raise AssertionError(f"{good.size} records were parsed as {frame.height}")
    text = [pl.col(short).alias(name) for short, name in wanted.items()]
    if source.csv.trim:
        text = [_trimmed(expression, source.csv.null_values) for expression in text]
    return frame.select(*text, pl.Series(ROW, good))


def _trimmed(text: pl.Expr, null_values: tuple[str, ...]) -> pl.Expr:
    bare = text.str.strip_chars(" \t")
    return pl.when(bare.is_in(list(null_values)).not_()).then(bare)


def _without(records: Records, faults: dict[int, Violation]) -> bytes:
    """The bytes of all records but the faulty ones and the blank lines between records."""
    starts, ends = records.starts, records.ends
    is_gapless = starts.size > 0 and starts[0] == 0 and ends[-1] == len(records.octets)
    if not faults and is_gapless and bool((starts[1:] == ends[:-1]).all()):
        return records.octets
    keep = np.ones(starts.size, np.bool_)
    keep[list(faults)] = False
    return b"".join(_runs(records.octets, starts[keep], ends[keep]))


def _runs(octets: bytes, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> list[bytes]:
    """Slices of ``octets``, neighbouring records in one."""
    if not starts.size:
        return []
    breaks = np.flatnonzero(starts[1:] != ends[:-1])
    first = starts[np.concatenate(([0], breaks + 1))]
    last = ends[np.concatenate((breaks, [ends.size - 1]))]
    return [octets[a:b] for a, b in zip(first.tolist(), last.tolist(), strict=True)]
