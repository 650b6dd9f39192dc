"""``retry``: a file that failed or is held comes back to its inbox, where it is loaded again."""

import os
from pathlib import Path

from anyio import to_thread

from ingestd.config.source import SourceSpec
from ingestd.errors import ActionRefused, FileUnavailable
from ingestd.files import explaining, move, move_beside
from ingestd.ledger import Action, Asked, path_fields, path_in
from ingestd.mongo import Document
from ingestd.pipeline.desk import Desk
from ingestd.records import FileState
from ingestd.rejects import error_report_of
from ingestd.watch.patterns import compile_pattern
from ingestd.wayback.hand import in_hand
from ingestd.wayback.lookup import find_file, source_of

_STATES = (FileState.FAILED, FileState.HELD)


async def retry(desk: Desk, file: str, by: str, *, ignores_budget: bool = False) -> Document:
    """Bring a file back to where it came from; whoever watches there loads it.

    One that came in an archive comes to the inbox by itself, if its source watches for its name.

    ``ignores_budget``: however many of its rows are refused.

    Raises:
        UnknownFile, ActionRefused: it is in another state, or its place is not free.
        FileUnavailable: it is not where it was put, or cannot be moved.
    """
    entry = await find_file(desk, file)
    fields = {"failures": 0, "retry_at": None, "ignores_budget": ignores_budget}
    if entry["state"] in _STATES and not entry.get("doing"):
        place = await to_thread.run_sync(_find_way_back, desk, entry)
        fields |= path_fields("path", place)
    asked = Asked(Action.RETRY, by, {"ignores_budget": ignores_budget})
    begun = await desk.ledger.actions.begin(entry["_id"], asked, _STATES, fields)
    return await finish_retry(desk, begun)


@in_hand
async def finish_retry(desk: Desk, entry: Document) -> Document:
    """Move the file. When it cannot be moved, it stays where it is, as if nobody had asked."""
    actions, source = desk.ledger.actions, source_of(desk, entry)
    try:
        await to_thread.run_sync(_bring_back, entry, source)
    except FileUnavailable:
        await actions.finish(entry, {})
        raise
    fields = path_fields("archived_to", None) | {"is_put_away": False}
    back = await actions.finish(entry, fields)
    desk.events.action_done(Action.RETRY, back)
    return back


def _find_way_back(desk: Desk, entry: Document) -> Path:
    """Where the file is to lie.

    Raises:
        ActionRefused: nobody would find it there, or another one has its name.
    """
    place, lies_at = path_in(entry, "path"), path_in(entry, "archived_to")
    source, paths = source_of(desk, entry), desk.settings.paths
    pattern = compile_pattern(source.file_pattern, paths.inbox)
    assert place is not None
    if place.is_relative_to(paths.unpacked):
        place = pattern.base / place.name
    if not place.is_relative_to(pattern.base) or not pattern.matches(
        place.relative_to(pattern.base).parts
    ):
        raise ActionRefused(
            f"{entry['name']} came from a place that source {source.name} does not watch",
            f"ingestd load '{lies_at or place}' --source {source.name}",
        )
    if lies_at is not None and os.path.lexists(place):
        raise ActionRefused(f"another {place.name} is in the inbox", "try again when it is loaded")
    return place


def _bring_back(entry: Document, source: SourceSpec) -> None:
    """The file to its inbox, its report away, its done-marker or manifest beside it.

    Raises:
        FileUnavailable: it cannot be moved.
    """
    place, lies_at = path_in(entry, "path"), path_in(entry, "archived_to")
    assert place is not None
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
