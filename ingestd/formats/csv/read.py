"""The records of chunks: read, refused, or no data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ingestd.config.encodings import without_bom
from ingestd.config.source import SourceSpec
from ingestd.formats.content import file_changed
from ingestd.formats.csv.dialect import dialect_of
from ingestd.formats.csv.faults import (
    Faults,
    field_counts,
    find_doubled,
    find_miscounted,
    find_nul,
    find_undecodable,
    structure_fault,
)
from ingestd.formats.csv.lines import lines_of
from ingestd.formats.csv.parse import Parser, Part
from ingestd.formats.csv.records import Scan, find_records
from ingestd.formats.csv.repeats import find_repeats
from ingestd.formats.csv.skipped import find_skipped
from ingestd.formats.csv.transcript import Transcript, transcribe
from ingestd.formats.limits import Limits
from ingestd.formats.octets import read_octets
from ingestd.formats.text import Records, Text, TextChunk
from ingestd.records import Chunk, Shape, Violation


@dataclass(frozen=True, slots=True)
class _Reader:
    """What all chunks of a call are read with."""

    source: SourceSpec
    shape: Shape
    scan: Scan


def read(
    chunks: Sequence[Chunk], shape: Shape, source: SourceSpec, limits: Limits
) -> Text:  # fmt: skip
    """See ``Format.read``."""
    dialect = dialect_of(source.csv, shape.encoding, shape.record_end)
    reader = _Reader(source, shape, Scan(dialect, limits.max_record_bytes))
    parts, first = [], 0
    for chunk in chunks:
        parts.append(_read_chunk(chunk, reader, first))
        first += chunk.row_count
    return Text(Parser(source, shape.columns, dialect).parse(parts), [part.chunk for part in parts])


def blank_row(source: SourceSpec) -> bytes:
    """See ``Format.blank_row``."""
    return source.csv.delimiter.join("0" * len(source.file_columns)).encode(
        without_bom(source.csv.encoding)
    )


def _read_chunk(chunk: Chunk, reader: _Reader, first: int) -> Part:
    dialect = reader.scan.dialect
    octets = read_octets(chunk)
    transcript = transcribe(dialect.terminated(octets), dialect)
    found = find_records(transcript.octets, reader.scan, is_final=True)
    if found.starts.size != chunk.row_count:
        raise file_changed(chunk.path)
    own_ends = np.minimum(transcript.own(found.ends), len(octets))
    records = Records(chunk, octets, transcript.own(found.starts), own_ends, dialect.ending)
    lines = lines_of(transcript.octets, found)
    counts = field_counts(lines, dialect)
    faults = find_miscounted(counts, len(reader.shape.columns), reader.source.csv.ragged)
    faults |= find_doubled(lines, dialect)
    faults |= {index: structure_fault(rule) for index, rule in found.faults.items()}
    faults |= find_nul(lines)
    faults |= _undecodable(transcript, records) or find_undecodable(lines, dialect)
    ignored = {
        *find_repeats(lines, reader.shape.header_records, dialect),
        *find_skipped(lines, reader.source.csv.skip_rows, dialect),
        *range(chunk.row_count - chunk.footer_rows, chunk.row_count),
    }
    faults = {index: fault for index, fault in faults.items() if index not in ignored}
    return Part(TextChunk(records, faults, first, tuple(sorted(ignored))), lines, counts)


def _undecodable(transcript: Transcript, records: Records) -> Faults:
    """What could not be decoded on the way to the canonical dialect."""
    return {
        index: Violation(None, "encoding", None, message)
        for place, message in transcript.undecodable.items()
        if (index := int(np.searchsorted(records.starts, place, side="right")) - 1) >= 0
        and place < records.ends[index]
    }
