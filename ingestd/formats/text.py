"""A chunk as text: what every format makes of bytes, before anything is parsed."""

from collections.abc import Mapping
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
    """``frame``: the readable records, a String column per column of the schema, and ``ROW``."""

    frame: pl.DataFrame
    records: Records
    faults: dict[int, Violation]
    """Why the other records cannot be read, by their index in the chunk."""

    def rejections(self, reasons: Mapping[int, tuple[Violation, ...]]) -> tuple[Rejection, ...]:
        """The rejections of records of this chunk, by their index from 0, in their order."""
        if not reasons:
            return ()
        indexes = sorted(reasons)
        texts = self._texts(indexes)
        first_row = self.records.chunk.start.row + 1
        return tuple(
            Rejection(
                row=first_row + index,
                line=line,
                error_type="structure" if index in self.faults else _error_type(reasons[index]),
                violations=reasons[index],
                record=texts.get(index),
                raw=self.records.raw(index),
            )
            for index, line in zip(indexes, self.records.lines(indexes), strict=True)
        )

    def _texts(self, indexes: list[int]) -> dict[int, dict[str, str | None]]:
        """The readable ones of these records as texts."""
        wanted = self.frame.filter(np.isin(self.frame[ROW].to_numpy(), indexes))
        texts = wanted.drop(ROW).iter_rows(named=True)
        return dict(zip(wanted[ROW].to_list(), texts, strict=True))


def _error_type(violations: tuple[Violation, ...]) -> str:
    """``type`` when a value could not even be read, else ``rule``."""
    return "type" if any(violation.rule == "type" for violation in violations) else "rule"
