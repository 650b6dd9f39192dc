"""The configuration a command works with: read whole, every mistake told at once."""

from dataclasses import replace
from pathlib import Path

from ingestd.config.reading import Reading, read, require
from ingestd.config.settings import Settings
from ingestd.config.source import SourceSpec
from ingestd.errors import Problem
from ingestd.refine import check_source


def read_compiled(location: Path | None) -> Reading:
    """The configuration, with the mistakes that only show when sources are compiled."""
    reading = read(location)
    found = {source.name: _problems_of(source, reading) for source in reading.sources}
    return replace(
        reading,
        sources=tuple(source for source in reading.sources if not found[source.name]),
        problems=(*reading.problems, *(problem for part in found.values() for problem in part)),
    )


def _problems_of(source: SourceSpec, reading: Reading) -> tuple[Problem, ...]:
    file = str(reading.source_files[source.name])
    return tuple(replace(problem, file=file) for problem in check_source(source))


def require_compiled(location: Path | None) -> tuple[Settings, tuple[SourceSpec, ...]]:
    """Settings and sources that a pipeline can work with.

    Raises:
        ConfigError: there are mistakes; it holds all of them.
    """
    return require(read_compiled(location))
