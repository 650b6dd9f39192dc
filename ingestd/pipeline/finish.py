"""After the commit: rows are safe and seen. What is left to do is repeated until it succeeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ingestd.config.source import SourceSpec
from ingestd.errors import StoreRefused
from ingestd.pipeline.desk import Desk, Outcome
from ingestd.pipeline.recovery import remove_undone
from ingestd.records import ClaimedFile, Counts, FileState, Shape


@dataclass(frozen=True, slots=True)
class Committed:
    """A file whose end the ledger knows, and which has not left the inbox yet."""

    source: SourceSpec
    file: ClaimedFile
    counts: Counts
    shape: Shape
    target: Path | None
    state: FileState = FileState.LOADED
    refused: Sequence[bytes] | None = None
    """The refused records, when they are few and at hand."""


async def finish(desk: Desk, committed: Committed) -> Outcome:
    """Remove what the file replaced, write its rejects file, and put it away.

    Raises:
        FileUnavailable, StoreRefused: the same call may pass later.
    """
    file, source = committed.file, committed.source
    if source.load.on_changed_file == "replace":
        await remove_undone(desk.ledger, desk.loader, [source.name])
    if file.attempts > 1:
        await desk.rejects.clear_file(file)
    rejects = None
    if committed.counts.error_count:
        rejects = await desk.put_away.write_rejects(file, committed.shape, committed.refused)
    moved = await desk.put_away.move(file, file.file_id, committed.target)
    await _index(desk, source)
    outcome = Outcome(committed.state, committed.counts, moved_to=moved, rejects_file=rejects)
    if moved is not None and outcome.state is FileState.LOADED:
        return replace(outcome, state=FileState.ARCHIVED)
    return outcome


async def _index(desk: Desk, source: SourceSpec) -> None:
    """Nothing is wrong with the file when MongoDB does not take an index."""
    try:
        await desk.loader.index(source)
    except StoreRefused as refusal:
        desk.events.source_refused(source.name, refusal.message, refusal.hint)
