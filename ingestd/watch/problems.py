"""What can stand in the way in an inbox, in words."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingestd.files import displayable
from ingestd.files.look import kind_of
from ingestd.files.trouble import unavailable


@dataclass(frozen=True, slots=True)
class PathProblem:
    """Something in an inbox that is left alone or cannot be read, and what to do about it."""

    path: Path
    message: str
    hint: str
    is_missing_inbox: bool = False
    is_notice: bool = False
    """To be told, and no more: the source works."""


def missing_inbox(directory: str) -> PathProblem:
    message = f"inbox {displayable(directory)} is missing"
    hint = "it is looked for at every rescan; make it, or mount it"
    return PathProblem(Path(directory), message, hint, is_missing_inbox=True)


def unreadable(path: str, error: OSError) -> PathProblem:
    trouble = unavailable("unreadable_file", Path(path), error)
    return PathProblem(Path(path), trouble.message, trouble.hint)


def not_a_file(path: str, mode: int) -> PathProblem:
    message = f"{_name(path)} is {kind_of(mode)}, not a file"
    return PathProblem(Path(path), message, "remove or rename it", is_notice=True)


def link_outside(path: str, target: str) -> PathProblem:
    message = f"{_name(path)} is a link that leads outside, to {displayable(target)}"
    hint = "put the file itself there, or give the source the other place as its file_pattern"
    return PathProblem(Path(path), message, hint, is_notice=True)


def dangling_link(path: str, target: str) -> PathProblem:
    message = f"{_name(path)} is a link to {displayable(target)}, which is not there"
    return PathProblem(Path(path), message, "put the file itself there", is_notice=True)


def unmatched_file(path: str) -> PathProblem:
    message = f"{_name(path)} fits no file_pattern"
    hint = "rename or remove it, give a source a pattern that it fits, or add it to watch.ignore"
    return PathProblem(Path(path), message, hint, is_notice=True)


def unmatched_directory(path: str) -> PathProblem:
    message = f"directory {_name(path)} is in no file_pattern: nobody looks into it"
    hint = "rename it, give a source a pattern that leads there, or add it to watch.ignore"
    return PathProblem(Path(path), message, hint, is_notice=True)


def held_open(path: str) -> PathProblem:
    message = (
        f"{_name(path)} has not changed for a while, but somebody still has it open for writing"
    )
    return PathProblem(Path(path), message, "close it there; fuser names the program")


def claimed_by_several(path: str, source_names: Sequence[str]) -> PathProblem:
    message = f"{_name(path)} belongs to more than one source: {', '.join(source_names)}"
    return PathProblem(Path(path), message, "make their file_pattern settings exclude each other")


def too_many_files(directory: Path, most_files: int) -> PathProblem:
    message = f"more than {most_files} files wait below {displayable(directory)}"
    hint = "the others are taken when these are gone"
    return PathProblem(directory, message, hint, is_notice=True)


def _name(path: str) -> str:
    return displayable(os.path.basename(path))
