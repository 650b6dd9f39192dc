"""Sound records as a frame: every column of the schema as text."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from ingestd.config.source import EXTRA, SURPLUS, SourceSpec
from ingestd.formats.csv.dialect import Dialect, split_text
from ingestd.formats.csv.lines import Lines
from ingestd.formats.csv.script import Script
from ingestd.formats.drift import safe_names
from ingestd.formats.text import Positions, TextChunk
from ingestd.records import ROW

_MISREAD = (b"\xef\xbb\xbf", b"x\1", b"x^")
"""Where Polars sees a byte order mark, or zlib streams, at the beginning of what is text here."""

_GUARD = "\ufffd".encode()
"""A cell in front of such text. No delimiter, quote or line end is part of it."""


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
            frame = _padded(frame, np.concatenate([part.parsed_counts() for part in parts]))
        if (script := self.dialect.script) and _is_hiding(octets, script):
            hidden = script.hidden
            frame = frame.select(pl.all().str.replace_many(list(hidden), list(hidden.values())))
        if self.source.csv.trim:
            frame = frame.select(_trimmed(pl.all(), self.source.csv.null_values))
        return self._named(frame.with_columns(pl.Series(ROW, rows)), parts)

    def _read(self, octets: bytes) -> pl.DataFrame:
        """The columns that are wanted, named by their places: they may have any names, or none."""
        csv = self.source.csv
        places = [_place(index) for index in range(len(self.columns))]
        separator = chr(self.dialect.delimiter)
        # Polars also takes it that all records have as many fields as the first one
        is_guarded = octets.startswith(_MISREAD) or csv.ragged != "reject"
        if is_guarded:
            octets = _GUARD + separator.encode() * (len(places) - 1) + b"\n" + octets
        frame = pl.read_csv(
            octets,
            has_header=False,
            schema=dict.fromkeys(places, pl.String),
            columns=[*self._places().values(), *self._unknown().values()],
            separator=separator,
            quote_char=csv.quote or None,
            null_values=self._null_values(octets) or None,
            empty_string_is_null="" in csv.null_values,
            truncate_ragged_lines=csv.ragged == "rescue",
            raise_if_empty=False,
        )
        return frame[is_guarded:]

    def _null_values(self, octets: bytes) -> list[str]:
        """What fields are compared with: "" only has to be where an empty one may be in quotes."""
        csv = self.source.csv
        is_quoted = bool(csv.quote) and csv.quote.encode() in octets
        return [text for text in csv.null_values if text or is_quoted]

    def _places(self) -> dict[str, str]:
        """Where in a record the columns of the schema are, as far as the file has them."""
        places = {name: index for index, name in reversed([*enumerate(self.columns)])}
        known = (name for name in self.source.file_columns if name in places)
        return {name: _place(places[name]) for name in known}

    def _unknown(self) -> dict[str, str]:
        """Where the columns are that only ``_extra`` keeps."""
        if self.source.load.on_new_column != "rescue":
            return {}
        known = (*self.source.file_columns, "")
        return {n: _place(index) for index, n in enumerate(self.columns) if n not in known}

    def _named(self, frame: pl.DataFrame, parts: Sequence[Part]) -> pl.DataFrame:
        """The columns of the schema; null are those that the file does not have."""
        places = self._places()
        columns = {
            name: pl.col(places[name]) if name in places else pl.lit(None, pl.String)
            for name in self.source.file_columns
        }
        if self.source.is_rescuing:
            columns[EXTRA] = self._extra(frame[ROW], parts)
        return frame.select(*(columns[name].alias(name) for name in self.source.columns), ROW)

    def _extra(self, rows: pl.Series, parts: Sequence[Part]) -> pl.Expr:
        """What no other column has, as JSON: fields of columns that the schema does not know are
        an object, fields beyond the file's columns an array; in that object where both may be."""
        surplus = dict(found for part in parts for found in self._surplus(part))
        texts = [surplus.get(row) for row in rows] if surplus else [None] * len(rows)
        array = pl.lit(pl.Series(texts, dtype=pl.String))
        if self.source.load.on_new_column != "rescue":
            return array
        if not (unknown := self._unknown()):
            return pl.concat_str(pl.lit(f'{{"{SURPLUS}":'), array, pl.lit("}"))
        safe = safe_names(unknown, (SURPLUS,))
        fields = [pl.col(place).alias(safe[name]) for name, place in unknown.items()]
        opened = pl.struct(fields).struct.json_encode().str.strip_suffix("}")
        more = pl.concat_str(pl.lit(f',"{SURPLUS}":'), array).fill_null("")
        return pl.concat_str(opened, more, pl.lit("}"))

    def _surplus(self, part: Part) -> Iterator[tuple[int, str]]:
        """``ROW`` of records with fields beyond the file's columns, and those as a JSON array."""
        if self.source.csv.ragged != "rescue":
            return
        expected, left_out = len(self.columns), part.left_out
        for index in np.flatnonzero(part.counts > expected).tolist():
            if index not in left_out:
                extra = split_text(part.lines.record(index), self.dialect)[expected:]
                if any(extra):  # delimiters alone end a line, and keep nothing
                    yield part.chunk.first + index, json.dumps(extra, ensure_ascii=False)


def _place(index: int) -> str:
    """What Polars calls a column without a header, from 0 on here."""
    return f"column_{index}"


def _padded(frame: pl.DataFrame, counts: Positions) -> pl.DataFrame:
    """Null where a record has no field; Polars may take it for an empty one."""
    fields = pl.Series(counts)
    return frame.select(
        pl.when(fields > int(place.removeprefix("column_"))).then(pl.col(place)).alias(place)
        for place in frame.columns
    )


def _is_hiding(octets: bytes, script: Script) -> bool:
    """Whether values may hold something that stands for something else."""
    is_quoted = bool(script.quote) and script.quote.encode() in octets
    return is_quoted or any(mark.encode() in octets for mark in script.placeholders)


def _trimmed(text: pl.Expr, null_values: tuple[str, ...]) -> pl.Expr:
    bare = text.str.strip_chars(" \t")
    return pl.when(bare.is_in(list(null_values)).not_()).then(bare)
