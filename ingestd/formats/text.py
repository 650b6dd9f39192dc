"""A chunk as text: what every format makes of bytes, before anything is parsed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from ingestd.records import Chunk, Rejection, Violation

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Records:
    """Where each record of a chunk lies in its bytes."""

    chunk: Chunk
    octets: bytes
    starts: Positions
    ends: Positions

    def raw(self, index: int) -> bytes:
        """A record as it stands in the file, without its record end."""
        raw = self.octets[self.starts[index] : self.ends[index]]
        return raw.removesuffix(b"\n").removesuffix(b"\r")

    def line(self, index: int) -> int:
        """The physical line a record begins on, from 1."""
        return self.chunk.start.line + self.octets.count(b"\n", 0, int(self.starts[index])) + 1


@dataclass(frozen=True, slots=True)
class TextChunk:
    """``frame``: the readable records, a String column per column of the schema, and ``ROW``."""

    frame: pl.DataFrame
    records: Records
    faults: dict[int, Violation]
    """Why the other records cannot be read, by their index in the chunk."""

    def rejection(
        self, index: int, violations: tuple[Violation, ...], record: dict[str, str | None] | None
    ) -> Rejection:
        """The rejection of one record of this chunk; ``index`` counts from 0."""
        return Rejection(
            row=self.records.chunk.start.row + index + 1,
            line=self.records.line(index),
            error_type=_error_type(violations),
            violations=violations,
            record=record,
            raw=self.records.raw(index),
        )


def _error_type(violations: tuple[Violation, ...]) -> str:
    """``structure`` for records that cannot be read, ``type`` and ``rule`` for values."""
    rules = {violation.rule for violation in violations}
    if all(violation.column is None and ":" not in violation.rule for violation in violations):
        return "structure"
    return "type" if "type" in rules else "rule"
