"""A chunk as text: what every format makes of bytes, before anything is parsed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from ingestd.records import Chunk, Violation

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Records:
    """Where each record of a chunk lies in its bytes; ``ends`` are after the record ends."""

    chunk: Chunk
    octets: bytes
    starts: Positions
    ends: Positions

    def raw(self, index: int) -> bytes:
        """A record as it stands in the file, without its record end."""
        raw = self.octets[self.starts[index] : self.ends[index]]
        return raw.removesuffix(b"\n").removesuffix(b"\r")

    def bare_ends(self, indexes: Positions) -> Positions:
        """Where these records end, without their record ends."""
        octets = np.frombuffer(self.octets, np.uint8)
        starts, ends = self.starts[indexes], self.ends[indexes]
        for record_end in b"\n\r":
            ends = ends - ((ends > starts) & (octets[ends - 1] == record_end))
        return ends

    def lines(self, indexes: Positions) -> Positions:
        """The physical lines on which these records begin, from 1."""
        newlines = np.flatnonzero(np.frombuffer(self.octets, np.uint8) == ord("\n"))
        before: Positions = np.searchsorted(newlines, self.starts[indexes])
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
