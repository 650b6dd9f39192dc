"""The configuration a command works with: read whole, every mistake told at once."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from ingestd.config.reading import Reading, read, require
from ingestd.config.settings import Settings
from ingestd.config.source import SourceSpec
from ingestd.errors import Problem
from ingestd.refine import check_source


def read_compiled(location: Path | None) -> Reading:
    """The configuration, with the mistakes that only show when sources are compiled."""
    reading = read(location)
    found = {
        source.name: _problems_of(source, reading.source_files[source.name])
        for source in reading.sources
    }
    more = (_further_problems(reading, file, spec) for file, spec in reading.unsound.items())
    return replace(
        reading,
        sources=tuple(source for source in reading.sources if not found[source.name]),
        problems=(*reading.problems, *chain(*found.values(), *more)),
    )


def _problems_of(source: SourceSpec, file: Path) -> tuple[Problem, ...]:
    return tuple(replace(problem, file=str(file)) for problem in check_source(source))


def _further_problems(reading: Reading, file: Path, spec: SourceSpec) -> Iterator[Problem]:
    """Of a source with mistakes: what compiling the rest tells, and reading did not.

    Where a column is wrong, everything that names it would be, too: then it is left alone.
    """
    told = [problem.key for problem in reading.problems if problem.file == str(file)]
    if any(key.startswith("schema") for key in told):
        return
    for problem in _problems_of(spec, file):
        if not any(problem.key.startswith(key) or key.startswith(problem.key) for key in told):
            yield problem


def require_compiled(location: Path | None) -> tuple[Settings, tuple[SourceSpec, ...]]:
    """Settings and sources that a pipeline can work with.

    Raises:
        ConfigError: there are mistakes; it holds all of them.
    """
    return require(read_compiled(location))
