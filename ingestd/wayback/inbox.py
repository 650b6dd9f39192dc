"""Where a file that was set aside comes back to, and how."""

import os
from pathlib import Path

from ingestd.config.source import SourceSpec
from ingestd.errors import ActionRefused
from ingestd.files import explaining, move, move_beside
from ingestd.ledger import path_in
from ingestd.mongo import Document
from ingestd.pipeline.desk import Desk
from ingestd.rejects import error_report_of
from ingestd.watch.patterns import compile_pattern
from ingestd.wayback.lookup import source_of


def base_of(desk: Desk, source: SourceSpec) -> str:
    """The directory below which the files of a source are found, without links."""
    pattern = compile_pattern(source.file_pattern, desk.settings.paths.inbox)
    return os.path.realpath(pattern.base)


def find_way_back(desk: Desk, entry: Document) -> Path:
    """Where the file is to lie: where it was dropped, or in the inbox if it came in an archive, or
    was given by hand to replace another.

    Raises:
        ActionRefused: nobody would find it there.
    """
    place, lies_at = path_in(entry, "path"), path_in(entry, "archived_to")
    source, paths = source_of(desk, entry), desk.settings.paths
    pattern = compile_pattern(source.file_pattern, paths.inbox)
    assert place is not None
    base = Path(base_of(desk, source))  # a place that was found has no links in it
    is_replacement = entry.get("replaces") is not None and lies_at is not None
    if place.is_relative_to(paths.unpacked) or (is_replacement and not place.is_relative_to(base)):
        place = base / place.name
    if not place.is_relative_to(base) or not pattern.matches(place.relative_to(base).parts):
        raise ActionRefused(
            f"{entry['name']} came from a place that source {source.name} does not watch",
            how_to_load(entry),
        )
    return place


def how_to_load(entry: Document) -> str:
    """The command that loads a file from where it lies."""
    lies_at = path_in(entry, "archived_to") or path_in(entry, "path")
    if entry.get("replaces") is not None:
        return f"ingestd replace {entry['replaces']} '{lies_at}' --archive (--ignore-budget)"
    return f"ingestd load '{lies_at}' --source {entry['source_name']}"


def bring_back(source: SourceSpec, lies_at: Path | None, place: Path) -> None:
    """The file to its inbox, its report away, its done-marker or manifest beside it.

    ``lies_at``: where it was put; ``None`` when it never left the inbox, or is back already.

    Raises:
        FileUnavailable: it cannot be moved.
    """
    if lies_at is not None:
        place = move(lies_at, place)
        with explaining("unwritable_file", lies_at):
            error_report_of(lies_at).unlink(missing_ok=True)
    with explaining("unwritable_file", place):
        os.utime(place)  # it waits in the inbox: a change brings it up at once
        if source.done_marker is not None:
            place.with_name(place.name + source.done_marker).touch()
    if lies_at is not None and (manifest := source.manifest_of(lies_at)):
        move_beside(manifest, lies_at, place)
