"""``retry``: a file that failed or is held comes back to its inbox, where it is loaded again.

Several files may have one content, of which the entry tells of one. Of each other one that did not
load, or did not take the place of its own rows, an entry *beside* it says where the file lies.
"""

import os
from pathlib import Path

from anyio import to_thread

from ingestd.errors import ActionRefused, FileUnavailable
from ingestd.files import look
from ingestd.ledger import Action, Asked, as_claimed, path_fields, path_in
from ingestd.mongo import Document
from ingestd.pipeline.desk import Desk
from ingestd.records import COMMITTED, SET_ASIDE, UNFINISHED, FileState, FoundFile
from ingestd.watch.patterns import directory_below
from ingestd.wayback.hand import in_hand
from ingestd.wayback.inbox import base_of, bring_back, find_way_back, how_to_load
from ingestd.wayback.lookup import find_file, source_of

_ENDED = [state for state in FileState if state not in UNFINISHED]


async def retry(desk: Desk, file: str, by: str, *, ignores_budget: bool = False) -> Document:
    """Bring a file back to where it came from; whoever watches there loads it.

    One that came in an archive comes to the inbox by itself, if its source watches for its name.
    One that was to replace another does so when it loads.

    ``ignores_budget``: however many of its rows are refused.

    Raises:
        UnknownFile, ActionRefused: it is in another state, or its place is not free.
        FileUnavailable: it is not where it was put, or cannot be moved.
    """
    entry = await find_file(desk, file)
    beside = await _find_beside(desk, entry)
    if beside is not None:
        return await _retry_beside(desk, beside, by, ignores_budget=ignores_budget)
    fields: Document = {"failures": 0, "retry_at": None, "ignores_budget": ignores_budget}
    if entry["state"] in SET_ASIDE and not entry.get("doing"):
        place = await to_thread.run_sync(_find_free_way_back, desk, entry)
        await _require_newest(desk, entry, place)
        await _require_seen(desk, entry)
        fields |= path_fields("path", place)
    asked = Asked(Action.RETRY, by, {"ignores_budget": ignores_budget})
    begun = await desk.ledger.actions.begin(entry["_id"], asked, SET_ASIDE, fields)
    return await finish_retry(desk, begun)


async def _require_newest(desk: Desk, entry: Document, place: Path) -> None:
    """Where a file takes the place of its older versions, a retry must not let it take a newer's.

    Raises:
        ActionRefused: a newer one was loaded since.
    """
    source, lies_at = source_of(desk, entry), path_in(entry, "archived_to") or place
    if not source.load.replaces_versions:
        return
    stat = await to_thread.run_sync(look, lies_at)
    directory = directory_below(base_of(desk, source), place)
    found = FoundFile(source.name, place, stat, entry["discovered_at"], directory=directory)
    file = as_claimed(found, entry)
    newer = await desk.ledger.versions.newer(file)
    if newer is not None:
        raise ActionRefused(
            f"a newer {file.name_in_source} was loaded since, and this one would take its place",
            f"if it is to: ingestd replace {newer} '{lies_at}'",
        )


async def _require_seen(desk: Desk, entry: Document) -> None:
    """Raises ActionRefused when what the file was to replace is not seen any more."""
    old = entry.get("replaces")
    if old is None or await desk.ledger.versions.is_seen(old):
        return
    newer = (await desk.ledger.actions.find(old)).get("replaced_by")
    entry = {**entry, "replaces": newer}
    raise ActionRefused(f"{old}, which it was to replace, is not seen any more", how_to_load(entry))


async def _find_beside(desk: Desk, entry: Document) -> Document | None:
    if entry.get("duplicate_of") is not None:
        return entry if entry["state"] in SET_ASIDE else None
    if entry["state"] in COMMITTED and entry.get("is_forgotten"):
        return await desk.ledger.actions.find_beside(entry["_id"], SET_ASIDE)
    return None


async def _retry_beside(
    desk: Desk, beside: Document, by: str, *, ignores_budget: bool
) -> Document:  # fmt: skip
    """It is begun at the entry of the content, so that nobody claims the file meanwhile."""
    actions = desk.ledger.actions
    first = await actions.find(beside["duplicate_of"])
    if not first.get("doing"):
        await _require_newest(
            desk, beside, await to_thread.run_sync(_find_free_way_back, desk, beside)
        )
    is_duplicate = first["state"] in COMMITTED and not first.get("is_forgotten")
    fields: Document = {"ignores_budget": ignores_budget and not is_duplicate}
    asked = Asked(Action.RETRY, by, {**fields, "beside": beside["_id"]})
    begun = await actions.begin(first["_id"], asked, _ENDED, fields)
    return await finish_retry(desk, begun)


def _find_free_way_back(desk: Desk, entry: Document) -> Path:
    """Raises ActionRefused when nobody would find it there, or another one has its name."""
    place = find_way_back(desk, entry)
    if path_in(entry, "archived_to") is not None and os.path.lexists(place):
        raise ActionRefused(f"another {place.name} is in the inbox", "try again when it is loaded")
    return place


@in_hand
async def finish_retry(desk: Desk, entry: Document) -> Document:
    """Move the file. When it cannot be moved, it stays where it is, as if nobody had asked."""
    actions, beside_id = desk.ledger.actions, entry["doing"].get("beside")
    file = await actions.find(beside_id) if beside_id else entry
    try:
        place = await to_thread.run_sync(_bring_back, desk, file)
    except (ActionRefused, FileUnavailable):
        await actions.finish(entry, {})
        raise
    if beside_id:
        file = await actions.end_beside(beside_id, place)
        await actions.finish(entry, {})
    else:
        file = await actions.finish(
            entry, {**path_fields("archived_to", None), "is_put_away": False}
        )
    desk.events.action_done(Action.RETRY, file)
    return file


def _bring_back(desk: Desk, entry: Document) -> Path:
    place = find_way_back(desk, entry)
    bring_back(source_of(desk, entry), path_in(entry, "archived_to"), place)
    return place
