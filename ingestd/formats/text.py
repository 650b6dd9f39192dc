"""A chunk as text: what every format makes of bytes, before anything is parsed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from ingestd.config.encodings import encode, unit_bytes
from ingestd.records import Chunk, Shape, Violation

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ending:
    """How text is encoded in a file, and what ends lines and records there."""

    encoding: str = "utf-8"
    line: bytes = b"\n"
    record: tuple[bytes, ...] = (b"\n", b"\r")
    """Taken off the end of a record, one after the other."""

    def count_lines(self, octets: bytes) -> int:
        """How many physical lines end there."""
        is_narrow = unit_bytes(self.encoding) == 1
        return octets.count(self.line) if is_narrow else self.line_ends(octets).size

    def line_ends(self, octets: bytes) -> Positions:
        """Places after each physical line."""
        return ends_of(octets, self.line, unit_bytes(self.encoding))


def ending_of(shape: Shape) -> Ending:
    """What ends lines and records in files of this shape."""
    line = "\n" if "\n" in shape.record_end else shape.record_end
    record = ("\n", "\r") if shape.record_end in ("\n", "\r\n") else (shape.record_end,)
    ends = tuple(encode(end, shape.encoding) for end in record)
    return Ending(shape.encoding, encode(line, shape.encoding), ends)


def without_end_mark(octets: bytes) -> bytes:
    """The rest of a file, without the Ctrl-Z that programs of DOS put on a last line of its own."""
    rest = octets.rstrip(b"\x1a")
    return rest if rest[-1:] in (b"", b"\n", b"\r") else octets


def ends_of(octets: bytes, end: bytes, unit_size: int) -> Positions:
    """Places after each ``end`` that lies at code units and does not overlap the one before."""
    size = len(octets) // unit_size
    units = np.frombuffer(octets, f"u{unit_size}", size)
    wanted = np.frombuffer(end, f"u{unit_size}").tolist()
    is_there = np.ones(max(0, size - len(wanted) + 1), np.bool_)
    for place, unit in enumerate(wanted):
        is_there &= units[place : place + is_there.size] == unit
    starts = np.flatnonzero(is_there)
    if (np.diff(starts) < len(wanted)).any():
        starts = _without_overlaps(starts, len(wanted))
    places: Positions = (starts + len(wanted)) * unit_size
    return places


def _without_overlaps(starts: Positions, size: int) -> Positions:
    kept, end = [], 0
    for start in starts.tolist():
        if start >= end:
            kept.append(start)
            end = start + size
    return np.array(kept, np.int64)


@dataclass(frozen=True, slots=True)
class Records:
    """Where each record of a chunk lies in its bytes; ``ends`` are after the record ends."""

    chunk: Chunk
    octets: bytes
    starts: Positions
    ends: Positions
    ending: Ending = Ending()

    def raw(self, index: int) -> bytes:
        """A record as it stands in the file, without its record end."""
        return self.octets[self.starts[index] : self.bare_ends(np.array([index]))[0]]

    def bare_ends(self, indexes: Positions) -> Positions:
        """Where these records end, without their record ends."""
        octets = np.frombuffer(self.octets, np.uint8)
        starts, ends = self.starts[indexes], self.ends[indexes]
        for record_end in self.ending.record:
            is_there = ends - starts >= len(record_end)
            for place, byte in enumerate(record_end):
                is_there &= octets[np.maximum(ends - len(record_end) + place, 0)] == byte
            ends = ends - is_there * len(record_end)
        return ends

    def offsets(self, indexes: Positions) -> Positions:
        """How many bytes of the file's content lie before these records."""
        offsets: Positions = self.starts[indexes] + self.chunk.start.offset_bytes
        return offsets

    def lines(self, indexes: Positions) -> Positions:
        """The physical lines on which these records begin, from 1."""
        line_ends = self.ending.line_ends(self.octets)
        before: Positions = np.searchsorted(line_ends, self.starts[indexes], side="right")
        before += self.chunk.start.line + 1
        return before


@dataclass(frozen=True, slots=True)
class TextChunk:
    """One chunk's share of a ``Text``: its records, and why some of them cannot be read."""

    records: Records
    faults: dict[int, Violation]
    """By the record's index in the chunk, from 0."""
    first: int = 0
    """What ``ROW`` of the frame is for record 0 of this chunk."""
    ignored: tuple[int, ...] = ()
    """Indexes of records that are no data: neither read nor refused."""


@dataclass(frozen=True, slots=True)
class Text:
    """``frame``: the readable records of one chunk, or of chunks of several files of a source.

    It has a String column per column of the schema, and ``ROW``: the record's index over all
    ``chunks``, ascending.
    """

    frame: pl.DataFrame
    chunks: Sequence[TextChunk]

    @property
    def faults(self) -> dict[int, Violation]:
        """Why records cannot be read, by their index over all chunks."""
        return {c.first + index: fault for c in self.chunks for index, fault in c.faults.items()}

    def heights(self, rows: pl.Series) -> list[int]:
        """How many of these rows, which are ascending, come from each chunk."""
        bounds = [chunk.first for chunk in self.chunks]
        places = np.searchsorted(rows.to_numpy(), bounds)
        heights: list[int] = np.diff(places, append=len(rows)).tolist()
        return heights
