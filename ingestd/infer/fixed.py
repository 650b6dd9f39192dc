"""Fixed-width text: columns told by the blanks that stand at the same place of every line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from ingestd.config.source import SourceSpec
from ingestd.formats import FORMATS
from ingestd.formats.limits import Limits
from ingestd.formats.octets import fill
from ingestd.infer.columns import Column, decide
from ingestd.infer.comments import without_likely_comments
from ingestd.infer.dialects import Record, guess_dialect
from ingestd.infer.encodings import Encoding
from ingestd.infer.evidence import Evidence
from ingestd.infer.names import storable_names
from ingestd.infer.outline import draw_outline
from ingestd.infer.rows import Extent, Reading
from ingestd.infer.samples import Sample
from ingestd.infer.told import Findings
from ingestd.records import FileStat

_LEAST_LINES = 4
_MOST_LINES = 2000
_MARKS = ("decimal", "thousands")


@dataclass(frozen=True, slots=True)
class Places:
    """The names of the columns, and where in a line they stand: the first character, from 0."""

    names: tuple[str, ...]
    starts: tuple[int, ...]
    width: int
    """Of the longest line."""
    encoding: Encoding
    options: dict[str, Any]
    """What ``[fixed]`` has to say beside its columns."""

    @property
    def columns(self) -> dict[str, list[int]]:
        ends = (*self.starts[1:], self.width)
        spans = zip(self.names, self.starts, ends, strict=True)
        return {name: [start + 1, end - start] for name, start, end in spans}


def is_undelimited(sample: Sample) -> bool:
    """Whether nothing but blanks, several of them somewhere, stands between values."""
    text = without_likely_comments(sample.start)
    dialect = guess_dialect(text)
    is_single = all(len(record.cells) == 1 for record in dialect.records(text))
    return "  " in text.strip() and (is_single or dialect.delimiter == " ")


def find_places(sample: Sample) -> Places | None:
    """The columns of a file whose lines all have blanks at the same places; None: it has none."""
    lines = [line for line in sample.start.splitlines()[:_MOST_LINES] if line.strip()]
    width = max(map(len, lines), default=0)
    starts = tuple(_starts(lines, width))
    if len(lines) < _LEAST_LINES or len(starts) < 2 or "\t" in sample.start:
        return None
    outline = draw_outline(list(_records(lines, starts)))
    if outline.header_lines > 1 or outline.skip_lines:
        return None
    names = storable_names(outline.names or ("",) * len(starts))
    encoding = sample.encoding
    options = {
        "encoding": encoding.name if encoding.name != "utf-8" else None,
        "skip_lines": outline.header_lines or None,
        "short_lines": "pad" if min(map(len, lines)) < width else None,
    }
    given = {key: value for key, value in options.items() if value}
    return Places(names, starts, width, encoding, given)


def _starts(lines: Sequence[str], width: int) -> Iterator[int]:
    """Where columns begin: behind blanks, or before them where values stand on the right."""
    is_filled = [any(line[place : place + 1].strip() for line in lines) for place in range(width)]
    end = 0
    for place in range(width):
        if is_filled[place] and (place == 0 or not is_filled[place - 1]):
            is_left = 2 * sum(line[place : place + 1].strip() != "" for line in lines) > len(lines)
            yield 0 if end == 0 else place if is_left else end
        if is_filled[place]:
            end = place + 1


def _records(lines: Sequence[str], starts: Sequence[int]) -> Iterator[Record]:
    ends = [*starts[1:], None]
    for number, line in enumerate(lines):
        cells = (line[start:end].strip() for start, end in zip(starts, ends, strict=True))
        yield Record(number, number + 1, tuple(cells))


def read_fixed(name: str, path: Path, stat: FileStat, places: Places, extent: Extent) -> Findings:
    """What the rows say of the columns at these places.

    Raises:
        FileRefused, FileUnavailable: the file cannot be read.
    """
    options = {"columns": places.columns, **places.options}
    source = SourceSpec.model_validate(
        {
            "name": "sample", "file_pattern": "sample", "format": "fixed", "fixed": options,
            "schema": dict.fromkeys(places.names, "string"),
        }
    )  # fmt: skip
    reading = Reading(path, stat, encoding=places.encoding)
    gathered = tuple(map(Evidence, places.names))
    for frame in _frames(reading, source, extent):
        for evidence in gathered:
            evidence.see(frame[evidence.name])
    decision = decide(gathered)
    if nulls := decision.csv.get("null_values"):
        options["null_values"] = nulls
    marks = {mark: decision.csv[mark] for mark in _MARKS if mark in decision.csv}
    columns = tuple(_with_marks(column, marks) for column in decision.columns)
    return Findings(name, "fixed", (reading,), columns, {}, options=options)


def _frames(reading: Reading, source: SourceSpec, extent: Extent) -> Iterator[pl.DataFrame]:
    format_, limits = FORMATS["fixed"], Limits()
    found = format_.lay_out(reading.path, reading.stat, source, limits)
    chunks = fill(found.chunks, source, limits) if found.is_packed else found.chunks
    for chunk in chunks:
        text = format_.read([chunk], found.shape, source, limits)
        reading.add(chunk, text.faults)
        yield text.frame
        if extent.is_reached(reading):
            reading.is_whole = chunk.end == found.chunks[-1].end
            return


def _with_marks(column: Column, marks: dict[str, str]) -> Column:
    """With how its numbers are written, which ``[fixed]`` cannot say for all columns."""
    return replace(column, marks={**marks, **column.marks}) if column.kind.style else column
