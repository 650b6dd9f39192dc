"""The records of one chunk as a frame of text, and what is wrong with the others."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from ingestd.config.source import SourceSpec
from ingestd.formats.content import file_changed
from ingestd.formats.csv.dialect import Dialect, dialect_of
from ingestd.formats.csv.quotes import count_fields
from ingestd.formats.csv.records import Scan, find_records
from ingestd.formats.limits import Limits
from ingestd.formats.octets import read_octets
from ingestd.formats.text import Records, Text, TextChunk
from ingestd.records import ROW, Chunk, Shape, Violation

Faults = dict[int, Violation]

_BOM = b"\xef\xbb\xbf"

_FAULTS = {
    "stray_quote": "a quote stands where none may: quote the whole field and double quotes in it",
    "unclosed_quote": "a quote is opened and not closed on this line",
    "record_too_large": "the record is larger than refine.max_record_bytes",
    "nul_byte": "the record holds a NUL byte",
}


def read(
    chunks: Sequence[Chunk], shape: Shape, source: SourceSpec, limits: Limits
) -> Text:  # fmt: skip
    """See ``Format.read``."""
    scan = Scan(dialect_of(source.csv), limits.max_record_bytes)
    found, first = [], 0
    for chunk in chunks:
        found.append(_read_chunk(chunk, scan, len(shape.columns), first))
        first += chunk.row_count
    return Text(_parse(found, shape.columns, source), found)


def blank_row(source: SourceSpec) -> bytes:
    """See ``Format.blank_row``."""
    return source.csv.delimiter.join("0" * len(source.columns)).encode() + b"\n"


def _read_chunk(chunk: Chunk, scan: Scan, field_count: int, first: int) -> TextChunk:
    octets = read_octets(chunk)
    if not octets.endswith(b"\n"):  # the last record of the file
        octets += b"\n"
    found = find_records(octets, scan, is_final=True)
    if found.starts.size != chunk.row_count:
        raise file_changed(chunk.path)
    records = Records(chunk, octets, found.starts, found.ends)
    faults = _find_miscounted(records, scan.dialect, field_count)
    faults |= {i: Violation(None, rule, None, _FAULTS[rule]) for i, rule in found.faults.items()}
    faults |= _find_nul(records)
    faults |= _find_undecodable(records, scan.dialect)
    return TextChunk(records, faults, first)


def _find_miscounted(records: Records, dialect: Dialect, expected: int) -> Faults:
    octets = np.frombuffer(records.octets, np.uint8)
    counts = count_fields(octets, records.starts, records.ends, dialect)
    wrong = np.flatnonzero(counts != expected)
    return {
        index: Violation(
            None,
            "too_few_fields" if count < expected else "too_many_fields",
            None,
            f"{count} fields instead of {expected}",
        )
        for index, count in zip(wrong.tolist(), counts[wrong].tolist(), strict=True)
    }


def _find_nul(records: Records) -> Faults:
    if b"\0" not in records.octets:
        return {}
    at = np.flatnonzero(np.frombuffer(records.octets, np.uint8) == 0)
    found = np.unique(np.searchsorted(records.ends, at, side="right")).tolist()
    return dict.fromkeys(found, Violation(None, "nul_byte", None, _FAULTS["nul_byte"]))


def _find_undecodable(records: Records, dialect: Dialect) -> Faults:
    """Each record that holds bytes which are not the declared encoding."""
    if records.octets.isascii() or _is_decodable(records.octets, dialect):
        return {}
    faults = {}
    for index in range(records.starts.size):
        try:
            records.raw(index).decode(dialect.codec)
        except UnicodeDecodeError as error:
            message = f"byte 0x{error.object[error.start]:02x} is not {dialect.codec}"
            faults[index] = Violation(None, "encoding", None, message)
    return faults


def _is_decodable(octets: bytes, dialect: Dialect) -> bool:
    try:
        octets.decode(dialect.codec)
    except UnicodeDecodeError:
        return False
    return True


def _parse(
    chunks: Sequence[TextChunk], columns: tuple[str, ...], source: SourceSpec
) -> pl.DataFrame:
    """Parse the records without fault, every column as text."""
    good = np.concatenate([_good_rows(chunk) for chunk in chunks])
    if not good.size:
        schema = dict.fromkeys(source.columns, pl.String)
        return pl.DataFrame(schema={**schema, ROW: pl.UInt32})
    octets = b"".join(_without(chunk.records, chunk.faults) for chunk in chunks)
    if not (dialect := dialect_of(source.csv)).is_utf8:
        octets = octets.decode(dialect.codec).encode()
    frame = _parse_text(octets, columns, source)
    if frame.height != good.size:
        raise AssertionError(f"{good.size} records were parsed as {frame.height}")
    if source.csv.trim:
        frame = frame.select(_trimmed(pl.all(), source.csv.null_values))
    return frame.with_columns(pl.Series(ROW, good))


def _good_rows(chunk: TextChunk) -> npt.NDArray[np.uint32]:
    every = np.arange(chunk.first, chunk.first + chunk.records.ends.size, dtype=np.uint32)
    return np.delete(every, list(chunk.faults)) if chunk.faults else every


def _parse_text(octets: bytes, columns: tuple[str, ...], source: SourceSpec) -> pl.DataFrame:
    """The schema's columns, in its order; the file's own may have any names, twice or none."""
    names = [f"column_{index}" for index in range(len(columns))]
    wanted = {names[columns.index(name)]: name for name in source.columns}
    is_guarded = octets.startswith(_BOM)
    if is_guarded:  # files put one after the other: Polars would drop it, here but not elsewhere
        octets = b"\1" + source.csv.delimiter.encode() * (len(columns) - 1) + b"\n" + octets
    frame = pl.read_csv(
        octets,
        has_header=False,
        schema=dict.fromkeys(names, pl.String),
        columns=list(wanted),
        separator=source.csv.delimiter,
        quote_char=source.csv.quote or None,
        null_values=list(source.csv.null_values) or None,
        empty_string_is_null="" in source.csv.null_values,
        raise_if_empty=False,
    )
    return frame[is_guarded:].select(pl.col(short).alias(name) for short, name in wanted.items())


def _trimmed(text: pl.Expr, null_values: tuple[str, ...]) -> pl.Expr:
    bare = text.str.strip_chars(" \t")
    return pl.when(bare.is_in(list(null_values)).not_()).then(bare)


def _without(records: Records, faults: Faults) -> bytes:
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
