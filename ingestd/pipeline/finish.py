"""All rows of some files are durable: commit them, and do what is left to do.

After the commit rows are safe and seen. The rest is repeated until it succeeds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from ingestd.config.source import SourceSpec
from ingestd.errors import StoreRefused
from ingestd.ledger import Commit, now
from ingestd.pipeline.desk import Desk, Ended, Outcome
from ingestd.pipeline.job import FileJob
from ingestd.pipeline.policy import describe
from ingestd.pipeline.putaway import Leaving
from ingestd.pipeline.takeback import remove_undone
from ingestd.records import ClaimedFile, Counts, FileState, Shape
from ingestd.rejects import Refused

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Committed:
    """A file whose end the ledger knows, and which has not left the inbox yet."""

    source: SourceSpec
    file: ClaimedFile
    counts: Counts
    shape: Shape
    target: Path | None
    state: FileState = FileState.LOADED
    refused: Iterable[bytes] | None = None
    """The refused records, when they are at hand."""


async def commit_all(desk: Desk, jobs: Sequence[FileJob]) -> list[Committed | Exception]:
    """Show the rows of complete files to readers, and those they replace no more."""
    if not jobs:
        return []
    for job in jobs:
        if not job.counts.is_balanced or job.counts.record_count != job.layout.row_count:
            raise AssertionError(f"rows do not add up: {job.counts} of {job.layout.row_count}")
    targets = await desk.put_away.archive_targets([job.file for job in jobs])
    states = await desk.ledger.commit_all(
        [
            Commit(
                job.file, job.counts, target, job.source.load.replaces_versions, job.layout.drift
            )
            for job, target in zip(jobs, targets, strict=True)
        ]
    )
    for job, state in zip(jobs, states, strict=True):
        if job.layout.drift.summary and not isinstance(state, Exception):
            desk.events.columns_drifted(job.file, job.layout.drift)
    return [
        state if isinstance(state, Exception) else _committed(job, target, state)
        for job, target, state in zip(jobs, targets, states, strict=True)
    ]


def _committed(job: FileJob, target: Path | None, state: FileState) -> Committed:
    refused = job.refused if job.refused.is_whole else None
    return Committed(job.source, job.file, job.counts, job.layout.shape, target, state, refused)


async def finish_all(desk: Desk, committed: Sequence[Committed]) -> list[Ended]:
    """Put committed files of a source away. Trouble is told and tried again; nothing fails."""
    seen_at = now()
    outcomes = await put_away_all(desk, committed)
    return [
        _ended(desk, one, outcome, max((seen_at - one.file.found_at) / _SECOND, 0.0))
        for one, outcome in zip(committed, outcomes, strict=True)
    ]


def _ended(
    desk: Desk, committed: Committed, outcome: Outcome | Exception, queryable_s: float
) -> Ended:
    file = committed.file
    if not isinstance(outcome, Exception):
        return desk.finished(file, replace(outcome, queryable_s=queryable_s)), None
    told = describe(outcome)
    desk.events.archive_failed(file, told["message"], told["hint"])
    outcome = Outcome(committed.state, committed.counts, queryable_s=queryable_s)
    return desk.finished(file, outcome), committed.source.errors.retry_delay


async def put_away_all(
    desk: Desk, committed: Sequence[Committed]
) -> list[Outcome | Exception]:  # fmt: skip
    """Remove what the files of a source replaced, write their rejects files, and move them.

    What is answered with an error may pass later.
    """
    if not committed:
        return []
    try:
        await _clean_up(desk, committed)
        rejects = await desk.put_away.write_rejects(
            [
                Refused(one.file, one.shape, one.refused)
                for one in committed
                if one.counts.error_count and one.state is not FileState.UNDONE
            ]
        )
        moved = await desk.put_away.move_all(
            [
                Leaving(one.file, one.target, one.file.file_id)
                for one in committed
                if not isinstance(rejects.get(one.file.file_id), Exception)
            ]
        )
        await _index(desk, committed[0].source)
    except Exception as error:  # noqa: BLE001 - the rows are safe, and the files come again
        return [error] * len(committed)
    return [
        _outcome(one, rejects.get(one.file.file_id), moved.get(one.file.file_id))
        for one in committed
    ]


def _outcome(
    committed: Committed, rejects: Path | Exception | None, moved: Path | Exception | None
) -> Outcome | Exception:
    if isinstance(rejects, Exception):
        return rejects
    if isinstance(moved, Exception):
        return moved
    is_archived = moved is not None and committed.state is FileState.LOADED
    state = FileState.ARCHIVED if is_archived else committed.state
    return Outcome(state, committed.counts, moved_to=moved, rejects_file=rejects)


async def _clean_up(desk: Desk, committed: Sequence[Committed]) -> None:
    """Rows that the files replaced, and failures that are mended."""
    source = committed[0].source
    is_replacing = any(one.file.replaces for one in committed)
    if is_replacing or source.load.on_changed_file == "replace":
        await remove_undone(desk, [source.name])
    for one in committed:
        if one.file.attempts > 1:
            await desk.rejects.clear_file(one.file)


async def _index(desk: Desk, source: SourceSpec) -> None:
    """Nothing is wrong with the file when MongoDB does not take an index."""
    try:
        await desk.loader.index(source)
    except StoreRefused as refusal:
        desk.events.source_refused(source.name, refusal.message, refusal.hint)
