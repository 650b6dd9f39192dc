"""TOML files: found, read, and told apart when they cannot be read.

``os.path`` asks about files here: ``pathlib`` raises where a directory may not be entered.
"""

import glob
import os
import re
import tomllib
from pathlib import Path
from typing import Any

from ingestd.errors import Problem

Document = dict[str, Any]

MAIN_FILE = "ingestd.toml"
SYSTEM_DIRECTORY = Path("/etc/ingestd")
_POSITION = re.compile(r"(?s)(.*) \(at (line \d+, column \d+|end of document)\)")


def searched_directories(location: Path | None) -> tuple[Path, ...]:
    """Where a main file is looked for."""
    return (Path("config"), SYSTEM_DIRECTORY) if location is None else (location,)


def find_main_file(location: Path | None) -> tuple[Path, Path | None]:
    """The configuration's directory, and its main file where there is one."""
    if location is not None and not os.path.isdir(location):
        return location.parent, location
    directories = searched_directories(location)
    for directory in directories:
        if _may_hold_main_file(directory):
            return directory, directory / MAIN_FILE
    return directories[-1], None


def _may_hold_main_file(directory: Path) -> bool:
    """A directory that may not be looked into counts, so that reading tells why."""
    is_closed = os.path.isdir(directory) and not os.access(directory, os.X_OK)
    return is_closed or os.path.exists(directory / MAIN_FILE)


def find_source_files(directory: Path, pattern: str, main_file: Path | None) -> list[Path]:
    """The files that ``pattern`` finds from ``directory``, in order of their paths."""
    found = sorted(glob.glob(pattern, root_dir=directory, recursive=True))
    return [directory / name for name in found if directory / name != main_file]


def read_document(path: Path) -> Document | Problem:
    """The content of a TOML file, or what is wrong with the file."""
    if os.path.exists(path) and not os.path.isfile(path):
        return Problem(str(path), "", "not a regular file")
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        hint = f"check its rights for user {os.geteuid()}" if os.path.exists(path) else ""
        return Problem(str(path), "", f"cannot be read: {error.strerror}", hint)
    except UnicodeDecodeError as error:
        return Problem(str(path), "", f"not UTF-8 at byte {error.start}", "save it as UTF-8")
    except tomllib.TOMLDecodeError as error:
        return _syntax_problem(path, str(error))
    except RecursionError:
        return Problem(str(path), "", "nested too deeply")


def _syntax_problem(path: Path, text: str) -> Problem:
    match = _POSITION.fullmatch(text)
    message, position = match.groups() if match else (text, "")
    return Problem(str(path), position, f"not TOML: {message[:1].lower()}{message[1:]}")
