"""A chunk as text: what every format makes of bytes, before anything is parsed."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from ingestd.records import ROW, Chunk, Rejection, Violation

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

    def lines(self, indexes: list[int]) -> list[int]:
        """The physical lines on which these records begin, from 1."""
        newlines = np.flatnonzero(np.frombuffer(self.octets, np.uint8) == ord("\n"))
        before = np.searchsorted(newlines, self.starts[indexes])
        lines: list[int] = (before + (self.chunk.start.line + 1)).tolist()
        return lines


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

    def rejections(
        self, reasons: Mapping[int, tuple[Violation, ...]]
    ) -> list[tuple[Rejection, ...]]:
        """Per chunk, the rejections of these records, in their order."""
        if not reasons:
            return [()] * len(self.chunks)
        indexes = sorted(reasons)
        texts = self._texts(indexes)
        bounds = [bisect_left(indexes, chunk.first) for chunk in self.chunks] + [len(indexes)]
        return [
            _rejections_of(chunk, indexes[first:last], reasons, texts)
            for chunk, first, last in zip(self.chunks, bounds[:-1], bounds[1:], strict=True)
        ]

    def _texts(self, indexes: list[int]) -> dict[int, dict[str, str | None]]:
        """The readable ones of these records as texts."""
        wanted = self.frame.filter(np.isin(self.frame[ROW].to_numpy(), indexes))
        texts = wanted.drop(ROW).iter_rows(named=True)
        return dict(zip(wanted[ROW].to_list(), texts, strict=True))


def _rejections_of(
    chunk: TextChunk, indexes: list[int], reasons: Mapping[int, tuple[Violation, ...]],
    texts: Mapping[int, dict[str, str | None]],
) -> tuple[Rejection, ...]:  # fmt: skip
    if not indexes:
        return ()
    own = [index - chunk.first for index in indexes]
    first_row = chunk.records.chunk.start.row + 1
    return tuple(
        Rejection(
            row=first_row + at,
            line=line,
            error_type="structure" if at in chunk.faults else _error_type(reasons[index]),
            violations=reasons[index],
            record=texts.get(index),
            raw=chunk.records.raw(at),
        )
        for index, at, line in zip(indexes, own, chunk.records.lines(own), strict=True)
    )


def _error_type(violations: tuple[Violation, ...]) -> str:
    """``type`` when a value could not even be read, else ``rule``."""
    return "type" if any(violation.rule == "type" for violation in violations) else "rule"
