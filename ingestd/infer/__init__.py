"""A source's TOML file from sample files: what ``ingestd infer`` writes.

The rows are read with the daemon's own reader and parsers, so that what is told of a column holds
for every row that was read. How a file is laid out is guessed from its beginning.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from ingestd.config.reading import read_source
from ingestd.config.source import SourceSpec
from ingestd.infer.attempts import Reader
from ingestd.infer.names import source_name
from ingestd.infer.rows import Extent
from ingestd.infer.samples import Files, take_sample
from ingestd.infer.told import Findings, source_lines

__all__ = ["Inferred", "Wanted", "infer"]

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


def infer(files: Files, wanted: Wanted) -> Inferred:
    """A source for files that are all laid out like the first of them.

    Raises:
        FileRefused, FileUnavailable: one of the files cannot be read, or is unlike the first.
    """
    samples = tuple(take_sample(path, stat, _MOST_BYTES) for path, stat in files)
    read = Reader(samples, files, Extent(wanted.most_rows, _MOST_BYTES)).read_best()
    name = wanted.name or source_name(files[0][0].name.partition(".")[0])
    findings = Findings(name, samples, read)
    text = "\n".join(source_lines(findings)) + "\n"
    return Inferred(text, read_source(Path(f"{name}.toml"), tomllib.loads(text)), findings)
