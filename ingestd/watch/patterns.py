"""File patterns: which paths below which directory belong to a source. Pure, no I/O.

``*``, ``?`` and ``[…]`` match within a name, ``**`` any number of directories; a leading dot is
nothing special. The directories before the first wildcard are the base.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

State = frozenset[int]
"""The parts of a pattern that may come next; empty: nothing below can match."""

NameTest = Callable[[str], object]

_WILDCARD = re.compile(r"[*?[]")
_ANY_DEPTH = "**"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled ``file_pattern``: names below ``base``, tested one part at a time.

    Walking a tree, it is a small automaton: ``start`` in the base, ``descend`` with each
    directory, ``accepts`` for the names of files.
    """

    base: Path
    is_in_inbox: bool
    tests: tuple[NameTest | None, ...]
    """One for each part below the base, the last for the file's name; None stands for ``**``."""
    is_any_name: bool
    """Every file name fits, so that a directory that fits it is nothing odd."""

    @property
    def start(self) -> State:
        return self._with_any_depth(frozenset({0}))

    @property
    def has_subdirectories(self) -> bool:
        return len(self.tests) > 1

    def descend(self, state: State, directory_name: str) -> State:
        """The state inside a directory of that name."""
        last = len(self.tests) - 1
        following = set()
        for index in state:
            test = self.tests[index]
            if test is None:
                following.add(index)
            elif index < last and test(directory_name):
                following.add(index + 1)
        return self._with_any_depth(frozenset(following))

    def accepts(self, state: State, name: str) -> bool:
        """Whether a file of that name belongs to the source."""
        test = self.tests[-1]
        return len(self.tests) - 1 in state and test is not None and bool(test(name))

    def matches(self, parts: Sequence[str]) -> bool:
        """Whether the path of these parts, relative to the base, belongs to the source."""
        state = self.start
        for directory_name in parts[:-1]:
            state = self.descend(state, directory_name)
        return bool(parts) and self.accepts(state, parts[-1])

    def _with_any_depth(self, state: State) -> State:
        """``**`` also stands for no directory at all, so what follows it may come at once."""
        following = set(state)
        for index in range(len(self.tests)):
            if index in following and self.tests[index] is None:
                following.add(index + 1)
        return frozenset(following)


def compile_pattern(file_pattern: str, inbox: Path) -> Pattern:
    """A pattern relative to the inbox, or absolute. A ``**`` at the end means every file."""
    path = PurePosixPath(file_pattern)
    parts = list(path.parts) or [file_pattern]
    if parts[-1] == _ANY_DEPTH:
        parts.append("*")
    first = next((i for i, part in enumerate(parts) if _WILDCARD.search(part)), len(parts))
    cut = min(first, len(parts) - 1)
    return Pattern(
        base=Path(inbox, *parts[:cut]),
        is_in_inbox=not path.is_absolute(),
        tests=tuple(_compile_part(part) for part in parts[cut:]),
        is_any_name=parts[-1] == "*",
    )


def directory_below(base: str, path: Path) -> str:
    """The directory of a path, as seen from ``base``; nothing if that is it, or not above it."""
    if not path.is_relative_to(base):
        return ""
    directory = str(path.relative_to(base).parent)
    return "" if directory == "." else directory


def compile_names(patterns: Iterable[str]) -> NameTest:
    """A test for names that fit any of the patterns."""
    joined = "|".join(fnmatch.translate(pattern) for pattern in patterns)
    return re.compile(joined or r"(?!)").match


def _compile_part(part: str) -> NameTest | None:
    return None if part == _ANY_DEPTH else re.compile(fnmatch.translate(part)).match
