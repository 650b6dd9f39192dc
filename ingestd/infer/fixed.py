"""Fixed-width text: columns told by the blanks that stand at the same place of every line, or by a
line below the header that draws them.
"""

import re
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
_RULE = re.compile("-+|=+")
_RULER = re.compile(r" *(?:-+|=+)(?: +(?:--+|==+))+ *")
_ROW_COUNT = re.compile(r"\n\(\d+ rows?(?: affected)?\)\s*\Z")
"""What SQL clients write below a table."""
_DOUBT_ABOUT_TRAILER = (
    "The number of rows below the table is left out ([trailer]): files without such a line are held"
)
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
    trailer: str = ""
    """How the last line begins if it is no row."""

    @property
    def columns(self) -> dict[str, list[int]]:
        ends = (*self.starts[1:], self.width)
        spans = zip(self.names, self.starts, ends, strict=True)
        return {name: [start + 1, end - start] for name, start, end in spans}


@dataclass(frozen=True, slots=True)
class _Table:
    """Where the columns begin, and the lines that show it."""

    names: tuple[str, ...]
    starts: tuple[int, ...]
    lines: Sequence[str]
    skip_lines: int
    trailer: str = ""

    @property
    def width(self) -> int:
        return max(map(len, self.lines))


def find_places(sample: Sample) -> Places | None:
    """The columns of a file whose lines all have blanks at the same places; None: it has none."""
    table = _ruled_table(sample) or (_bare_table(sample) if _is_undelimited(sample) else None)
    if table is None or "\t" in sample.start:
        return None
    is_short = min(map(len, table.lines)) < table.width
    options = {
        "encoding": sample.encoding.name if sample.encoding.name != "utf-8" else None,
        "skip_lines": table.skip_lines or None,
        "short_lines": "pad" if is_short else None,
    }
    given = {key: value for key, value in options.items() if value}
    names = storable_names(table.names)
    return Places(names, table.starts, table.width, sample.encoding, given, table.trailer)


def _is_undelimited(sample: Sample) -> bool:
    """Whether nothing but blanks, several of them somewhere, stands between values."""
    text = without_likely_comments(sample.start)
    dialect = guess_dialect(text)
    is_single = all(len(record.cells) == 1 for record in dialect.records(text))
    return "  " in text.strip() and (is_single or dialect.delimiter == " ")


def _ruled_table(sample: Sample) -> _Table | None:
    """The table whose header has below it, for every column, a line as long as it is wide."""
    lines = sample.start.split("\n")[:_MOST_LINES]
    place = next((n for n, line in enumerate(lines) if _RULER.fullmatch(line)), 0)
    header, ruler = lines[place - 1], lines[place]
    trailer = "(" if _ROW_COUNT.search(sample.end) else ""
    rows = [line for line in lines[place + 1 :] if line.strip() and line[0] != trailer]
    if place == 0 or len(rows) < place or not _is_ruled_by(ruler, [header, *rows]):
        return None
    starts = tuple(rule.start() for rule in _RULE.finditer(ruler))
    (names,) = _records([header], starts)
    return _Table(names.cells, starts, [ruler, *rows], place + 1, trailer)


def _is_ruled_by(ruler: str, lines: Sequence[str]) -> bool:
    """Whether nothing stands where the ruler has blanks."""
    gaps = [place for place, mark in enumerate(ruler) if mark == " "]
    return not any(line[place : place + 1].strip() for line in lines for place in gaps)


def _bare_table(sample: Sample) -> _Table | None:
    lines = [line for line in sample.start.splitlines()[:_MOST_LINES] if line.strip()]
    starts = tuple(_starts(lines, max(map(len, lines), default=0)))
    if len(lines) < _LEAST_LINES or len(starts) < 2:
        return None
    outline = draw_outline(list(_records(lines, starts)))
    if outline.header_lines > 1 or outline.skip_lines:
        return None
    return _Table(outline.names or ("",) * len(starts), starts, lines, outline.header_lines)


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
            "trailer": {"prefix": places.trailer} if places.trailer else None,
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
    return Findings(
        name, "fixed", (reading,), columns, {}, options=options,
        doubts=(_DOUBT_ABOUT_TRAILER,) if places.trailer else (), trailer=places.trailer,
    )  # fmt: skip


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
