"""Small files of one source, loaded together: each step is taken once for all of them.

Together goes what goes well. A file that is in any trouble here is left to ``loading.py``, which
does everything again for it alone and knows what each error leads to: rows that are stored
already are simply found there.
"""

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress

from ingestd.config.source import SourceSpec
from ingestd.errors import FileHeld, FileRefused, FileUnavailable
from ingestd.ledger import Claim, Verdict
from ingestd.pipeline.chunks import ready_chunks
from ingestd.pipeline.desk import Desk, Ended
from ingestd.pipeline.finish import Committed, commit_all, finish_all
from ingestd.pipeline.gather import runs
from ingestd.pipeline.job import FileJob
from ingestd.pipeline.survey import require_within_budget
from ingestd.records import Chunk, Counts, FileLayout, RefinedChunk, Shape
from ingestd.refine import refine_together
from ingestd.validate import unique_columns

Refined = tuple[FileJob, RefinedChunk]


def can_go_together(source: SourceSpec, claim: Claim, layout: FileLayout) -> bool:
    """Whether nothing has to be known or removed first, and one chunk is all there is."""
    is_new = claim.verdict is Verdict.LOAD and claim.file.attempts == 1 and not claim.is_stale
    needs_survey = unique_columns(source) or layout.told_sum is not None
    return is_new and len(layout.chunks) == 1 and not needs_survey


async def load_together(desk: Desk, jobs: Sequence[FileJob]) -> Mapping[str, Ended]:
    """How each file ended, by file id; those that are missing have to be loaded alone."""
    ended: dict[str, Ended] = {}
    for alike in _alike(jobs):
        committed: list[Committed] = []
        with suppress(Exception):  # who causes it raises it again when it is alone
            committed = await _load(desk, alike)
        finished = await finish_all(desk, committed)
        ended |= {one.file.file_id: how for one, how in zip(committed, finished, strict=True)}
    return ended


def _alike(jobs: Sequence[FileJob]) -> Iterator[Sequence[FileJob]]:
    """Files of one shape; not too many: a compressed one is larger than it was in the inbox."""
    by_shape: dict[Shape, list[FileJob]] = {}
    for job in jobs:
        by_shape.setdefault(job.plan.shape, []).append(job)
    for of_shape in by_shape.values():
        yield from runs(of_shape, lambda job: job.layout.size_bytes)


async def _load(desk: Desk, jobs: Sequence[FileJob]) -> list[Committed]:
    """Those of which all rows are stored and seen."""
    stored = await _store(desk, await _refine(desk, jobs))
    return [one for one in await commit_all(desk, stored) if isinstance(one, Committed)]


async def _refine(desk: Desk, jobs: Sequence[FileJob]) -> list[Refined]:
    """Without those that cannot be refined, or have too many errors."""
    try:
        chunks = [chunk for job in jobs async for chunk in _chunks(desk, job)]
        plans = [job.plan for job in jobs]
        refined = await desk.workers.run(refine_together, plans, chunks)
    except (FileRefused, FileUnavailable):  # of one of the files: halve them until it is found
        middle = len(jobs) // 2
        halves = (jobs[:middle], jobs[middle:]) if middle else ()
        return [one for half in halves for one in await _refine(desk, half)]
    return [one for one in zip(jobs, refined, strict=True) if _is_within_budget(*one)]


def _chunks(desk: Desk, job: FileJob) -> AsyncIterator[Chunk]:
    return ready_chunks(job.layout, job.layout.chunks, job.source, desk.limits)


def _is_within_budget(job: FileJob, refined: RefinedChunk) -> bool:
    with suppress(FileHeld):
        require_within_budget(_counts(refined), job.source)
        return True
    return False


async def _store(desk: Desk, refined: Sequence[Refined]) -> list[FileJob]:
    """Make rows and rejections durable, but for files of which MongoDB refuses rows."""
    if not refined:
        return []
    started = time.perf_counter()
    source = refined[0][0].source
    for job, _ in refined:
        await desk.ledger.leases.require(job.file)
    faults = await desk.loader.store_all(source, [chunk for _, chunk in refined])
    whole = [one for one, refused in zip(refined, faults, strict=True) if not refused]
    await desk.rejects.record_rows([chunk.rejections for _, chunk in whole])
    desk.events.stage_took("load", time.perf_counter() - started)
    for job, chunk in whole:
        desk.events.chunk_refined(source.name, chunk)
        desk.events.chunk_loaded(
            source.name, chunk.document_count, chunk.filtered_count, chunk.rejections
        )
        await job.refused.keep(chunk.chunk, chunk.rejections)
        job.advance(chunk.chunk, _counts(chunk))
    return [job for job, _ in whole]


def _counts(refined: RefinedChunk) -> Counts:
    return Counts(
        refined.chunk.row_count, refined.document_count, len(refined.rejections),
        refined.filtered_count,
    )  # fmt: skip
