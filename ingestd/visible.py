"""The read side of the ledger: which rows of a source may be seen (read committed).

A row carries the ``processed_at`` of the file that wrote it last: its *run*. It may be seen while
that file is in a state of ``records.COMMITTED``. A list of all such runs would grow for ever, so
a reader asks for the runs up to a horizon, except the few that are not committed.

An ``upsert`` source is the exception: a row that replaced another is seen as soon as it is
written, because hiding it would take both from the reader for as long as the file loads, and for
ever if it fails.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ingestd.config.source import SourceSpec
from ingestd.ledger import FILES, SOURCES
from ingestd.mongo import Document, Reads
from ingestd.records import COMMITTED, UNFINISHED, FileState

_ARRIVED = tuple(state.value for state in FileState if state is not FileState.DUPLICATE)
"""States of files that have a run. The time of a duplicate is no place in the order of arrival."""
_ONLY_RUNS: Document = {"$project": {"_id": 0, "processed_at": 1, "stale_runs": 1}}


@dataclass(frozen=True, slots=True)
class VisibleRuns:
    """Runs up to ``horizon``, except ``hidden``. Both are ``processed_at`` values, UTC."""

    horizon: datetime
    hidden: frozenset[datetime] = frozenset()
    changes: int = field(default=0, compare=False)
    """How often people had added or taken away rows of these runs."""

    def narrowed(self, other: "VisibleRuns") -> "VisibleRuns":
        """What both may see."""
        hidden = self.hidden | other.hidden
        return VisibleRuns(min(self.horizon, other.horizon), hidden, self.changes)

    def as_condition(self) -> Document:
        """The condition that a row may be seen."""
        condition: Document = {"$lte": self.horizon}
        if hidden := sorted(moment for moment in self.hidden if moment <= self.horizon):
            condition["$nin"] = hidden
        return {"processed_at": condition}


async def visible_runs(reads: Reads, source: SourceSpec, **options: Any) -> VisibleRuns | None:
    """The runs whose rows may be seen from now on; ``None`` before a source's first file.

    Why rows read *after* this call, within its answer, belong to files that were complete before
    it. First the horizon H is read, then the files that are not committed: they are looked up with
    H, so not before it is known. Let ``p`` be the run of a row found later, ``p <= H`` and not
    hidden.

    1. The ledger records the runs of a source in their order (``Ledger`` takes turns), so when H
       was in the ledger, ``p`` was, too: no file can be claimed later with a run up to H. A file
       tried again gets a new run, above H. Duplicates have no run, so they do not make H.
    2. When the files were looked up, the file of ``p`` was therefore known, and not claimed,
       loading or undone with rows. If it was committed, it was complete: rows are durable before
       the ledger says so. If it failed, was held or undone, it never commits as ``p`` again; its
       rows are gone, or (an upsert cannot be taken back) ``visible_files`` tells them. If it is
       at work under a later run, ``p`` is one of the stale runs that its entry names.

    So the list is as long as the files at work, not as the history of failures. Rows of a file
    undone later vanish while they are read; ``visible_files``, asked afterwards, tells that too,
    and ``are_whole`` whether it happened at all.
    """
    stages: list[Document] = [
        {"$match": {"source_name": source.name, "state": {"$in": list(_ARRIVED)}}},
        {"$sort": {"processed_at": -1}}, {"$limit": 1}, _ONLY_RUNS, _source(source.name),
    ]  # fmt: skip
    if source.load.mode != "upsert":
        stages.append(_uncommitted(source.name))
    found = await reads.aggregate(FILES, stages, **options)
    if not found:
        return None
    hidden = (
        run
        for file in found[0].get("uncommitted", ())
        for run in (file["processed_at"], *file.get("stale_runs", ()))
    )
    changes = sum(known.get("changes", 0) for known in found[0]["source"])
    return VisibleRuns(found[0]["processed_at"], frozenset(hidden), changes)


def _source(source_name: str) -> Document:
    """The stage that looks up what is known of the source."""
    return {
        "$lookup": {"from": SOURCES, "pipeline": [{"$match": {"_id": source_name}}], "as": "source"}
    }


def _uncommitted(source_name: str) -> Document:
    """The stage that looks up the runs that are not committed, up to that of the document."""
    at_work = {"state": {"$in": [state.value for state in UNFINISHED]}}
    match: Document = {
        "$or": [{"source_name": source_name, **one} for one in (at_work, {"has_rows": True})],
        "$expr": {"$lte": ["$processed_at", "$$horizon"]},
    }
    return {
        "$lookup": {
            "from": FILES, "let": {"horizon": "$processed_at"}, "as": "uncommitted",
            "pipeline": [{"$match": match}, _ONLY_RUNS],
        }
    }  # fmt: skip


async def are_whole(
    reads: Reads, source: SourceSpec, runs: VisibleRuns, **options: Any
) -> bool:  # fmt: skip
    """Whether all rows of these runs have been there since the runs were looked up.

    Rows are taken away while their file says that it is undone and has some. Before it ceases to
    say so, that is counted; so the files are asked first, and ``visible_runs`` reads the count
    first.
    """
    undone = {
        "source_name": source.name, "has_rows": True,
        "processed_at": {"$lte": runs.horizon, "$nin": sorted(runs.hidden)},
    }  # fmt: skip
    if source.load.mode != "upsert" and await reads.find(FILES, undone, limit=1, **options):
        return False
    known = await reads.find(SOURCES, {"_id": source.name}, **options)
    changes: int = sum(one.get("changes", 0) for one in known)
    return changes == runs.changes


async def visible_files(
    reads: Reads, source: SourceSpec, runs: Iterable[datetime], **options: Any
) -> dict[datetime, Document]:
    """The ledger's documents of those runs whose rows may be seen now."""
    states = _ARRIVED if source.load.mode == "upsert" else COMMITTED
    match = {
        "source_name": source.name, "state": {"$in": list(states)},
        "processed_at": {"$in": list(runs)},
    }  # fmt: skip
    found = await reads.find(FILES, match, **options)
    return {file["processed_at"]: file for file in found}
