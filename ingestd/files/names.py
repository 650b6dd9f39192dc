"""Names that do not exist yet."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path, PurePath

_NAME_MAX_BYTES = 255
"""NAME_MAX of every common Linux file system."""

_SUFFIX_MAX_BYTES = 16
_COMPRESSIONS = frozenset({".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip"})


def free_name(directory: Path, name: str) -> Path:
    """A path in ``directory`` where nothing is yet: ``a.csv``, else ``a-2.csv``, ``a-3.csv``, …

    Names too long for the file system are cut before their suffix.
    """
    return next(path for path in names_like(directory / name) if not os.path.lexists(path))


def names_like(path: Path) -> Iterator[Path]:
    """``a.csv``, ``a-2.csv``, ``a-3.csv``, … in the directory of ``path``, without end."""
    stem, suffix = _split(path.name)
    for number in itertools.count(1):
        ending = suffix if number == 1 else f"-{number}{suffix}"
        yield path.with_name(name_with(stem, ending))


def name_with(name: str, ending: str) -> str:
    """The name followed by the ending, cut before it where the file system wants it shorter."""
    return _cut(name, _NAME_MAX_BYTES - len(os.fsencode(ending))) + ending


def _split(name: str) -> tuple[str, str]:
    """Stem and suffix; the suffix of a compressed file takes the one before it along."""
    pure = PurePath(name)
    suffix = pure.suffix
    if suffix.lower() in _COMPRESSIONS:
        suffix = PurePath(pure.stem).suffix + suffix
    if len(os.fsencode(suffix)) > _SUFFIX_MAX_BYTES:
        suffix = ""
    return name.removesuffix(suffix), suffix


def _cut(text: str, most_bytes: int) -> str:
    """The longest start of the text that takes at most so many bytes, whole characters only."""
    while len(os.fsencode(text)) > most_bytes:
        text = text[:-1]
    return text
