"""A source's TOML file from sample files: what ``ingestd infer`` writes.

The rows are read with the daemon's own reader and parsers, so that what is told of a column holds
for every row that was read. How a file is laid out is guessed from its beginning.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from ingestd.config.reading import read_source
from ingestd.config.source import FormatName, SourceSpec
from ingestd.errors import FileRefused
from ingestd.infer.attempts import Reader
from ingestd.infer.doubts import doubts_of
from ingestd.infer.fixed import find_places, read_fixed
from ingestd.infer.forms import format_of
from ingestd.infer.names import source_name, suffix_of
from ingestd.infer.objects import find_objects
from ingestd.infer.rows import Extent
from ingestd.infer.samples import Files, take_sample
from ingestd.infer.told import Findings, notes, source_lines

__all__ = ["Inferred", "Wanted", "infer", "notes"]

_MOST_BYTES = 2**30
"""Of each file. What is beyond is not looked at, and the source says so."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: a name for the source, and how much of each file is read."""

    name: str | None = None
    most_rows: int | None = None
    sheet: str | None = None
    """Of a workbook; default the first that holds a table."""
    dropped_as: str | None = None
    """The name of the file that the samples come in; default that of the first."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """A source that reads the samples: as text, as ingestd reads that text, and what was seen."""

    toml: str
    source: SourceSpec
    findings: Findings


def infer(files: Files, wanted: Wanted) -> Inferred:
    """A source for files that are all laid out like the first of them.

    Raises:
        FileRefused, FileUnavailable: one of the files cannot be read, or is unlike the first.
    """
    dropped_as = wanted.dropped_as or files[0][0].name
    name = wanted.name or source_name(dropped_as.partition(".")[0])
    extent = Extent(wanted.most_rows, _MOST_BYTES, wanted.sheet)
    format_name = _shared_format(files)
    if format_name == "csv":
        findings = _read_csv(name, files, extent)
    else:
        findings = find_objects(name, format_name, files, extent)
    text = "\n".join(source_lines(findings, f"{name}/*{suffix_of(dropped_as)}")) + "\n"
    return Inferred(text, read_source(Path(f"{name}.toml"), tomllib.loads(text)), findings)


def _shared_format(files: Files) -> FormatName:
    formats = [format_of(path, stat) for path, stat in files]
    for format_name, (path, _) in zip(formats, files, strict=True):
        if format_name != formats[0]:
            raise FileRefused(
                "unlike_files",
                f"{path.name} is {format_name}, and {files[0][0].name} is {formats[0]}",
                "infer a source for each of them",
            )
    return formats[0]


def _read_csv(name: str, files: Files, extent: Extent) -> Findings:
    samples = tuple(take_sample(path, stat, extent.most_bytes) for path, stat in files)
    places = find_places(samples[0]) if len(samples) == 1 else None
    if places is not None:
        return read_fixed(name, *files[0], places, extent)
    read = Reader(samples, files, extent).read_best()
    layout, decision = read.layout, read.decision
    idle = layout.nameless if layout.is_named else ()
    columns = tuple(c for c in decision.columns if c.evidence.filled or c.name not in idle)
    return Findings(
        name, "csv", read.readings, columns or decision.columns, layout.aliases,
        read.left_out, layout.options() | decision.csv, tuple(doubts_of(read)),
    )  # fmt: skip
