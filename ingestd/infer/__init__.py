"""A source's TOML file from sample files: what ``ingestd infer`` writes.

The rows are read with the daemon's own reader and parsers, so that what is told of a column holds
for every row that was read. How a file is laid out is guessed from its beginning.
"""

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ingestd.config.reading import read_source
from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused
from ingestd.infer.columns import decide
from ingestd.infer.evidence import Evidence
from ingestd.infer.layouts import Layout, find_layout, layout_in
from ingestd.infer.names import source_name
from ingestd.infer.rows import Extent, Reading, read_rows
from ingestd.infer.samples import Sample, take_sample
from ingestd.infer.told import Findings, source_lines
from ingestd.records import FileStat

__all__ = ["Inferred", "Wanted", "infer"]

Files = Sequence[tuple[Path, FileStat]]

_MOST_BYTES = 2**30
"""Of each file. What is beyond is not looked at, and the source says so."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: a name for the source, and how much of each file is read."""

    name: str | None = None
    most_rows: int | None = None


@dataclass(frozen=True, slots=True)
class Inferred:
    """A source that reads the samples: as text, as ingestd reads that text, and what was seen."""

    toml: str
    source: SourceSpec
    findings: Findings


@dataclass(frozen=True, slots=True)
class _Read:
    """What reading all files with one layout gave."""

    layout: Layout
    readings: tuple[Reading, ...]
    evidence: tuple[Evidence, ...]

    @property
    def faults(self) -> int:
        """Rows that could not be read."""
        return sum(reading.faults.total() for reading in self.readings)


def infer(files: Files, wanted: Wanted) -> Inferred:
    """A source for files that are all laid out like the first of them.

    Raises:
        FileRefused, FileUnavailable: one of the files cannot be read.
    """
    extent = Extent(wanted.most_rows, _MOST_BYTES)
    samples = tuple(take_sample(path, stat, _MOST_BYTES) for path, stat in files)
    read = _read(find_layout(samples[0]), files, extent)
    if read.faults:
        tried = [read, *_read_otherwise(samples[0], read.layout, files, extent)]
        read = min(tried, key=lambda one: one.faults)
    name = wanted.name or source_name(files[0][0].name.partition(".")[0])
    findings = Findings(name, read.layout, samples, read.readings, decide(read.evidence))
    text = "\n".join(source_lines(findings)) + "\n"
    return Inferred(text, read_source(Path(f"{name}.toml"), tomllib.loads(text)), findings)


def _read(layout: Layout, files: Files, extent: Extent) -> _Read:
    evidence = {name: Evidence(name) for name in layout.keys}
    readings = tuple(Reading(path, stat) for path, stat in files)
    for reading in readings:
        read_rows(reading, layout, evidence, extent)
    return _Read(layout, readings, tuple(evidence.values()))


def _read_otherwise(
    sample: Sample, layout: Layout, files: Files, extent: Extent
) -> Iterator[_Read]:  # fmt: skip
    """The same in the other dialects that are possible."""
    for dialect in layout.dialect.alternatives():
        with suppress(FileRefused):
            yield _read(layout_in(sample, dialect), files, extent)
