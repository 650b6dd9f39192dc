"""Sound records as a frame: every column of the schema as text."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from ingestd.config.source import EXTRA, SourceSpec
from ingestd.formats.csv.dialect import Dialect, split_text
from ingestd.formats.csv.lines import Lines
from ingestd.formats.csv.script import Script
from ingestd.formats.text import Positions, TextChunk
from ingestd.records import ROW

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Part:
    """A chunk's share of what is parsed: its records, and how many fields each has."""

    chunk: TextChunk
    lines: Lines
    counts: Positions

    @property
    def left_out(self) -> set[int]:
        """Indexes of the records that are not parsed."""
        return {*self.chunk.faults, *self.chunk.ignored}

    def rows(self) -> npt.NDArray[np.uint32]:
        """What ``ROW`` is for each record that is parsed."""
        first = self.chunk.first
        every = np.arange(first, first + self.lines.ends.size, dtype=np.uint32)
        return np.delete(every, list(self.left_out)) if self.left_out else every

    def parsed_counts(self) -> Positions:
        """How many fields each record has that is parsed."""
        return np.delete(self.counts, list(self.left_out)) if self.left_out else self.counts


@dataclass(frozen=True, slots=True)
class Parser:
    """What records are parsed with. ``columns`` are the files' own."""

    source: SourceSpec
    columns: tuple[str, ...]
    dialect: Dialect

    def parse(self, parts: Sequence[Part]) -> pl.DataFrame:
        """The columns of the schema, in its order, and ``ROW``."""
        rows = np.concatenate([part.rows() for part in parts])
        if not rows.size:
            schema = dict.fromkeys(self.source.columns, pl.String)
            return pl.DataFrame(schema={**schema, ROW: pl.UInt32})
        octets = b"".join(part.lines.without(part.left_out) for part in parts)
        if not self.dialect.is_utf8:
            octets = octets.decode(self.dialect.codec).encode()
        frame = self._read(octets)
        if frame.height != rows.size:
            raise AssertionError(f"{rows.size} records were parsed as {frame.height}")
        if self.source.csv.ragged != "reject":
            frame = self._padded(frame, np.concatenate([part.parsed_counts() for part in parts]))
        if (script := self.dialect.script) and _is_hiding(octets, script):
            hidden = script.hidden
            frame = frame.select(pl.all().str.replace_many(list(hidden), list(hidden.values())))
        if self.source.csv.trim:
            frame = frame.select(_trimmed(pl.all(), self.source.csv.null_values))
        frame = frame.with_columns(pl.Series(ROW, rows))
        return self._with_extra(frame, parts) if self.source.csv.ragged == "rescue" else frame

    def _read(self, octets: bytes) -> pl.DataFrame:
        """The file's own columns may have any names, twice or none."""
        csv = self.source.csv
        names = [f"column_{index}" for index in range(len(self.columns))]
        wanted = {names[self.columns.index(name)]: name for name in self.source.file_columns}
        separator = chr(self.dialect.delimiter)
        # Polars takes a first byte order mark away, and as many fields as the first record has
        is_guarded = octets.startswith(_BOM) or csv.ragged != "reject"
        if is_guarded:
            octets = b"\1" + separator.encode() * (len(names) - 1) + b"\n" + octets
        frame = pl.read_csv(
            octets,
            has_header=False,
            schema=dict.fromkeys(names, pl.String),
            columns=list(wanted),
            separator=separator,
            quote_char=csv.quote or None,
            null_values=list(csv.null_values) or None,
            empty_string_is_null="" in csv.null_values,
            truncate_ragged_lines=csv.ragged == "rescue",
            raise_if_empty=False,
        )
        own = frame[is_guarded:]
        return own.select(pl.col(short).alias(name) for short, name in wanted.items())

    def _padded(self, frame: pl.DataFrame, counts: Positions) -> pl.DataFrame:
        """Null where a record has no field; Polars may take it for an empty one."""
        fields = pl.Series(counts)
        return frame.select(
            pl.when(fields > self.columns.index(name)).then(pl.col(name)).alias(name)
            for name in frame.columns
        )

    def _with_extra(self, frame: pl.DataFrame, parts: Sequence[Part]) -> pl.DataFrame:
        """Fields beyond the file's columns as a JSON array, in a column of their own."""
        extras = dict(extra for part in parts for extra in self._extras(part))
        rows = pl.Series(ROW, list(extras), pl.UInt32)
        rescued = pl.DataFrame([rows, pl.Series(EXTRA, list(extras.values()), pl.String)])
        joined = frame.join(rescued, on=ROW, how="left", maintain_order="left")
        return joined.select(*self.source.columns, ROW)

    def _extras(self, part: Part) -> Iterator[tuple[int, str]]:
        expected, left_out = len(self.columns), part.left_out
        for index in np.flatnonzero(part.counts > expected).tolist():
            if index not in left_out:
                extra = split_text(part.lines.record(index), self.dialect)[expected:]
                yield part.chunk.first + index, json.dumps(extra, ensure_ascii=False)


def _is_hiding(octets: bytes, script: Script) -> bool:
    """Whether values may hold something that stands for something else."""
    is_quoted = bool(script.quote) and script.quote.encode() in octets
    return is_quoted or any(mark.encode() in octets for mark in script.placeholders)


def _trimmed(text: pl.Expr, null_values: tuple[str, ...]) -> pl.Expr:
    bare = text.str.strip_chars(" \t")
    return pl.when(bare.is_in(list(null_values)).not_()).then(bare)
