"""A file through the daemon's path without MongoDB: what would be stored, refused, and why."""

import pickle
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from ingestd.config.source import SourceSpec
from ingestd.documents import Run, decoded
from ingestd.errors import FileHeld
from ingestd.files import file_id, look
from ingestd.formats import FORMATS
from ingestd.formats.drift import fitted
from ingestd.formats.limits import Limits
from ingestd.ledger import now
from ingestd.pipeline.chunks import ready_chunks
from ingestd.pipeline.manifest import broken_promise
from ingestd.pipeline.survey import find_repeats, require_told_sum, require_within_budget
from ingestd.records import Counts, FileLayout, FoundFile, RefinedChunk
from ingestd.refine import Plan, Repeats, refine
from ingestd.rejections import head
from ingestd.validate import unique_columns
from ingestd.workers import ThisProcess


@dataclass(slots=True)
class Trial:
    """What would become of a file."""

    path: Path
    source: SourceSpec
    layout: FileLayout
    counts: Counts = field(default_factory=Counts)
    seconds: float = 0.0
    rules: Counter[str] = field(default_factory=Counter)
    """How many reasons there are under each rule."""
    errors: list[dict[str, Any]] = field(default_factory=list)
    """The first error documents."""
    documents: list[dict[str, Any]] = field(default_factory=list)
    """The first documents, as they would be stored."""
    held: FileHeld | None = None
    """Why nothing of the file would be seen."""

    @property
    def rows_per_s(self) -> float:
        return self.counts.record_count / self.seconds if self.seconds else 0.0


async def try_file(path: Path, source: SourceSpec, limits: Limits, most_shown: int) -> Trial:
    """Do all that the daemon does with a file before it writes anything, in this process.

    Raises:
        FileRefused, FileUnavailable: the file as a whole would not be loaded.
    """
    started = time.monotonic()
    lay_out = FORMATS[source.format].lay_out
    stat = look(path)
    layout = await anyio.to_thread.run_sync(lay_out, path, stat, source, limits)
    trial = Trial(path, source, layout)
    if (manifest := source.manifest_of(path)) and manifest.exists():
        found = FoundFile(source.name, path, stat, now(), manifest)
        trial.held = await anyio.to_thread.run_sync(broken_promise, found, layout)
    plan = _plan(trial, limits)
    repeats: list[Repeats | None] = [None] * len(layout.chunks)
    if unique_columns(source):
        repeats = [*await find_repeats(plan, layout, ThisProcess())]
    left = iter(repeats)
    async for chunk in ready_chunks(layout, layout.chunks, source, limits):
        refined = await anyio.to_thread.run_sync(refine, plan, chunk, next(left))
        _add(trial, refined, most_shown)
    trial.seconds = time.monotonic() - started
    try:
        await require_told_sum(plan, layout, ThisProcess())
        require_within_budget(trial.counts, source)
    except FileHeld as held:
        trial.held = trial.held or held
    return trial


def _plan(trial: Trial, limits: Limits) -> Plan:
    source = trial.source
    run = Run(
        file_id=file_id(source.name, trial.layout.sha256), source_name=source.name,
        processed_at_ms=int(time.time() * 1000),
        key=source.load.key if source.load.mode == "upsert" else (), file_name=trial.path.name,
    )  # fmt: skip
    own = fitted(source, trial.layout.drift)
    return Plan(pickle.dumps(own), trial.layout.shape, run, limits)


def _add(trial: Trial, refined: RefinedChunk, most_shown: int) -> None:
    rejections = refined.rejections
    trial.counts += Counts(
        refined.chunk.row_count, refined.document_count, len(rejections), refined.filtered_count
    )
    trial.rules.update(rejections.rules)
    if rejections and (room := most_shown - len(trial.errors)) > 0:
        trial.errors += decoded(head(rejections, room).documents)
    if (room := most_shown - len(trial.documents)) > 0:
        documents = decoded(_first(refined, room))
        is_upsert = trial.source.load.mode == "upsert"
        trial.documents += map(_stored, documents) if is_upsert else documents


def _first(refined: RefinedChunk, count: int) -> bytes:
    """The first documents of a chunk."""
    ends = memoryview(refined.ends).cast("q")[:count]
    return refined.documents[: ends[-1]] if ends else b""


def _stored(document: dict[str, Any]) -> dict[str, Any]:
    """The document that the statement of an upsert stores."""
    change = document["u"]
    return {**change["$setOnInsert"], **change["$set"]}
