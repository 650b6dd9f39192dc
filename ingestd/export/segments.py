"""Raw documents as frames where they are alike, else as they are; in their order.

Documents are alike when they have the same names in the same order, as those of one file have. A
batch is tried with the names of a few of its documents; what is still left, or has a value of a
type that its column does not have, is decoded by ``bson``, one by one.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import bson
import numpy as np
import polars as pl

from ingestd.config.source import ColumnSpec
from ingestd.export.columns import IDENTITY, RUN, read_columns
from ingestd.export.json_text import OPTIONS, OWN_FIELDS, Document
from ingestd.export.octets import Octets, Places, find_fields

_MOST_LAYOUTS = 4
"""Different orders of names that are looked for in one batch."""
_MOST_SEGMENTS = 64
"""Beyond it, frames would be so small that documents one by one are faster."""
_ALONE = -1

Segment: TypeAlias = pl.DataFrame | list[Document]


@dataclass(frozen=True, slots=True)
class Batch:
    """Concatenated documents; ``edges``: where each begins, and where the last one ends."""

    documents: bytes
    edges: Places

    @property
    def height(self) -> int:
        return self.edges.size - 1

    def part(self, first: int, last: int) -> bytes:
        """The documents from ``first`` up to ``last``."""
        return self.documents[self.edges[first] : self.edges[last]]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads these columns. ``is_open``: rows with others are to be told with them."""

    columns: Mapping[str, ColumnSpec]
    is_open: bool = False

    def segments(self, batch: Batch) -> Iterator[Segment]:
        """The rows of the batch, in their order."""
        frames, kind_of = self._frames(batch)
        borders = [*np.flatnonzero(np.diff(kind_of, prepend=-2)).tolist(), batch.height]
        if len(borders) > _MOST_SEGMENTS:
            yield bson.decode_all(batch.documents, OPTIONS)
            return
        taken = [0] * len(frames)
        for first, last in itertools.pairwise(borders):
            kind = int(kind_of[first])
            if kind == _ALONE:
                yield bson.decode_all(batch.part(first, last), OPTIONS)
            else:
                yield frames[kind].slice(taken[kind], last - first)
                taken[kind] += last - first

    def _frames(self, batch: Batch) -> tuple[list[pl.DataFrame], Places]:
        """Frames of documents that are alike, and for each document which of them has it."""
        octets, frames = Octets(batch.documents), list[pl.DataFrame]()
        kind_of = np.full(batch.height, _ALONE, np.int64)
        rest = np.arange(batch.height)
        for _ in range(_MOST_LAYOUTS):
            if not rest.size:
                break
            names = list(bson.decode(batch.part(rest[0], rest[0] + 1), OPTIONS))
            if not self._can_read(names):
                break
            fields, is_alike = find_fields(octets, batch.edges[rest], batch.edges[rest + 1], names)
            if not is_alike[0]:  # it has a name twice, or a value of a type of former times
                rest = rest[1:]
                continue
            alike, rest = rest[is_alike], rest[~is_alike]
            found = {name: field.of(is_alike) for name, field in fields.items()}
            frame, is_odd = read_columns(octets, found, self.columns, alike.size)
            kind_of[alike[~is_odd]] = len(frames)
            frames.append(frame.filter(~is_odd) if is_odd.any() else frame)
        return frames, kind_of

    def _can_read(self, names: list[str]) -> bool:
        if not {IDENTITY, RUN} <= set(names):
            return False
        return not self.is_open or set(names) <= self.columns.keys() | OWN_FIELDS
