"""The records of a chunk in the canonical dialect, one right behind the other."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ingestd.formats.csv.records import Found
from ingestd.formats.text import Positions


@dataclass(frozen=True, slots=True)
class Lines:
    """Where each record begins and, behind its record end, ends. There is nothing between them."""

    octets: bytes
    starts: Positions
    ends: Positions

    def record(self, index: int) -> bytes:
        """A record with its end."""
        return self.octets[self.starts[index] : self.ends[index]]

    def without(self, indexes: Collection[int]) -> bytes:
        """All records but these."""
        if not indexes:
            return self.octets
        keep = np.ones(self.starts.size, np.bool_)
        keep[list(indexes)] = False
        return b"".join(_runs(self.octets, self.starts[keep], self.ends[keep]))

    def at(self, places: Positions) -> list[int]:
        """Indexes, ascending and each once, of the records in which these places are."""
        found: list[int] = np.unique(np.searchsorted(self.ends, places, side="right")).tolist()
        return found


def lines_of(octets: bytes, found: Found) -> Lines:
    """The records that were found in a block, without the idle lines between them."""
    starts, ends = found.starts, found.ends
    is_gapless = starts.size > 0 and starts[0] == 0 and ends[-1] == len(octets)
    if is_gapless and bool((starts[1:] == ends[:-1]).all()):
        return Lines(octets, starts, ends)
    lengths = ends - starts
    closed = np.cumsum(lengths)
    return Lines(b"".join(_runs(octets, starts, ends)), closed - lengths, closed)


def _runs(octets: bytes, starts: Positions, ends: Positions) -> list[bytes]:
    """Slices of ``octets``, neighbouring records in one."""
    if not starts.size:
        return []
    breaks = np.flatnonzero(starts[1:] != ends[:-1])
    first = starts[np.concatenate(([0], breaks + 1))]
    last = ends[np.concatenate((breaks, [ends.size - 1]))]
    return [octets[a:b] for a, b in zip(first.tolist(), last.tolist(), strict=True)]
