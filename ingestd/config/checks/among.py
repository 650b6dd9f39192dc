"""What sources must agree on with each other and with the daemon's directories."""

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import combinations
from pathlib import Path

from ingestd.config.checks.draft import Draft
from ingestd.config.settings import PathSettings, Settings
from ingestd.errors import Problem

Parts = tuple[str, ...]
"""A path, or a pattern for one, cut at its slashes."""


def check_sources(
    drafts: Sequence[Draft], settings: Settings, config_file: Path | None
) -> Iterator[Problem]:
    """Names used twice, files claimed twice, and directories that would be read again."""
    yield from _check_names(drafts)
    placed = [draft for draft in drafts if draft.has_read("file_pattern")]
    for draft in placed:
        yield from _check_place(draft, settings)
    yield from _check_overlaps(placed, settings.paths)
    yield from _check_own_directories(placed, settings.paths, str(config_file or "settings"))


def _check_names(drafts: Sequence[Draft]) -> Iterator[Problem]:
    first: dict[str, Draft] = {}
    for draft in drafts:
        if draft.has_read("name") and (other := first.setdefault(draft.spec.name, draft)) != draft:
            message = f'"{draft.spec.name}" is the name of the source in {other.file.name}, too'
            yield Problem(str(draft.file), "name", message, "every source needs a name of its own")


def _check_place(draft: Draft, settings: Settings) -> Iterator[Problem]:
    pattern, paths = _full_pattern(draft, settings.paths), settings.paths
    roots = [os.path.normpath(root) for root in (paths.inbox, *paths.allowed_roots)]
    if not any(Path(pattern).is_relative_to(root) for root in roots):
        message = f'"{draft.spec.file_pattern}" lies outside the allowed roots'
        hint = f"allowed: under {', '.join(roots)}; more can be listed in paths.allowed_roots"
        yield Problem(str(draft.file), "file_pattern", message, hint)
    for ignored in settings.watch.ignore:
        if fnmatchcase(Path(pattern).name, ignored):
            message = f'"{draft.spec.file_pattern}" finds only names that are left alone'
            hint = f'watch.ignore holds "{ignored}"'
            yield Problem(str(draft.file), "file_pattern", message, hint)


def _check_overlaps(drafts: Sequence[Draft], paths: PathSettings) -> Iterator[Problem]:
    patterns = [(draft, _cut(_full_pattern(draft, paths))) for draft in drafts]
    for (one, one_parts), (two, two_parts) in combinations(patterns, 2):
        if _covers(one_parts, two_parts) or _covers(two_parts, one_parts):
            message = (
                f'"{two.spec.file_pattern}" claims files of source "{one.spec.name}" '
                f'("{one.spec.file_pattern}"), too'
            )
            hint = "give every source a directory or a file name of its own"
            yield Problem(str(two.file), "file_pattern", message, hint)


def _check_own_directories(
    drafts: Sequence[Draft], paths: PathSettings, file: str
) -> Iterator[Problem]:
    for name in ("archive", "rejects", "failed", "unpacked", "mongo"):
        directory = os.path.normpath(getattr(paths, name))
        for draft in drafts:
            pattern = _full_pattern(draft, paths)
            if _reaches_into(_cut(pattern), _cut(directory)):
                message = f'{directory} lies where source "{draft.spec.name}" looks ({pattern})'
                hint = "what ingestd writes there would be read again; move one of the two"
                yield Problem(file, f"paths.{name}", message, hint)
                break


def _full_pattern(draft: Draft, paths: PathSettings) -> str:
    return os.path.normpath(paths.inbox / draft.spec.file_pattern)


def _cut(path: str) -> Parts:
    return tuple(path.split("/"))


@lru_cache(maxsize=2**14)  # several ** in one pattern would be tried in every combination
def _covers(pattern: Parts, other: Parts) -> bool:
    """Whether ``pattern``, part by part, also finds what the pattern ``other`` finds."""
    if not pattern or not other:
        return not pattern and not other
    if pattern[0] == "**":
        is_last = len(pattern) == 1
        return is_last or _covers(pattern[1:], other) or _covers(pattern, other[1:])
    return fnmatchcase(other[0], pattern[0]) and _covers(pattern[1:], other[1:])


def _reaches_into(pattern: Parts, directory: Parts) -> bool:
    """Whether ``pattern`` can find a file in ``directory`` or below."""
    if not pattern or not directory:
        return bool(pattern)
    if pattern[0] == "**":
        return True
    return fnmatchcase(directory[0], pattern[0]) and _reaches_into(pattern[1:], directory[1:])
