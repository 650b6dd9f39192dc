"""Reads a configuration whole and tells every mistake in it at once.

The environment wins over credential files, those over the TOML file, that over the
defaults. What takes Polars to know (expressions, arguments of steps) is left to ``refine``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingestd.config.checks import check_source
from ingestd.config.checks.among import check_sources
from ingestd.config.checks.draft import Draft
from ingestd.config.documents import (
    MAIN_FILE,
    Document,
    find_main_file,
    find_source_files,
    read_document,
    searched_directories,
)
from ingestd.config.layers import read_settings
from ingestd.config.naming import dotted
from ingestd.config.salvage import salvage
from ingestd.config.settings import Settings
from ingestd.config.source import SourceSpec
from ingestd.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class Reading:
    """A configuration as it was found, with all its mistakes."""

    settings: Settings | None
    """None when any setting is wrong."""
    sources: tuple[SourceSpec, ...]
    """The sources that have no mistake of their own."""
    source_files: dict[str, Path]
    """Source name → its file."""
    unsound: dict[Path, SourceSpec]
    """File → what can be made of a source that has mistakes, leaving those out."""
    problems: tuple[Problem, ...]
    config_file: Path | None
    """The main file, where there is one."""


def read(location: Path | None) -> Reading:
    """Read the configuration at ``location``: a directory, or a main file.

    None means ``./config`` when it holds ``ingestd.toml``, else ``/etc/ingestd``.
    Mistakes are returned, never raised.
    """
    directory, main_file = find_main_file(location)
    settings, problems = read_settings(directory, main_file)
    files = find_source_files(directory, settings.sources, main_file)
    drafts, source_problems = _read_sources(files)
    among = tuple(check_sources(drafts, settings, main_file))
    wrong_files = {problem.file for problem in (*source_problems, *among)}
    sound = [draft for draft in drafts if str(draft.file) not in wrong_files]
    if not files and not problems:
        among = (_nothing_found(location, settings.sources, main_file),)
    return Reading(
        settings=None if problems else settings,
        sources=tuple(draft.spec for draft in sound),
        source_files={draft.spec.name: draft.file for draft in sound},
        unsound={draft.file: draft.spec for draft in drafts if draft not in sound},
        problems=(*problems, *source_problems, *among),
        config_file=main_file,
    )


def require(reading: Reading) -> tuple[Settings, tuple[SourceSpec, ...]]:
    """The settings and sources of a configuration without mistakes.

    Raises:
        ConfigError: there are mistakes; it holds all of them.
    """
    if reading.problems or reading.settings is None:
        raise ConfigError(reading.problems)
    return reading.settings, reading.sources


def read_source(file: Path, document: Document) -> SourceSpec:
    """One source from its document, wherever that comes from; ``file`` is told with mistakes.

    Raises:
        ConfigError: there are mistakes; it holds all of them.
    """
    draft, problems = _read_source(file, document)
    if draft is not None:
        problems += check_source(draft)
    if problems or draft is None:
        raise ConfigError(tuple(problems))
    return draft.spec


def _nothing_found(location: Path | None, sources: str, main_file: Path | None) -> Problem:
    if main_file is not None:
        hint = "a source is a file like config/sources/orders.toml"
        return Problem(str(main_file), "sources", f"no source found by {sources}", hint)
    files = [directory / MAIN_FILE for directory in searched_directories(location)]
    looked_for = " and ".join(map(str, files))
    return Problem("configuration", "", "no configuration found", f"looked for {looked_for}")


def _read_sources(files: Sequence[Path]) -> tuple[list[Draft], tuple[Problem, ...]]:
    drafts: list[Draft] = []
    problems: list[Problem] = []
    for file in files:
        document = read_document(file)
        if isinstance(document, Problem):
            problems.append(document)
            continue
        draft, mistakes = _read_source(file, document)
        problems += mistakes
        if draft is not None:
            drafts.append(draft)
            problems += check_source(draft)
    return drafts, tuple(problems)


def _read_source(file: Path, document: Document) -> tuple[Draft | None, list[Problem]]:
    placeholders = {"name": "unread", "file_pattern": "unread", "schema": {"unread": "string"}}
    salvaged = salvage(SourceSpec, document, placeholders)
    problems = [
        Problem(str(file), dotted(key), message, hint)
        for key, (message, hint) in salvaged.mistakes.items()
    ]
    if salvaged.value is None:
        return None, problems
    return Draft(file, salvaged.value, salvaged.unread), problems
