"""A claimed file to its end: survey, chunks, commit, and what follows when it cannot load."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused
from ingestd.ledger import Claim, Ending, Verdict, now
from ingestd.pipeline.chunks import ready_chunks
from ingestd.pipeline.desk import Desk, Ended, Outcome
from ingestd.pipeline.finish import commit_all, finish_all
from ingestd.pipeline.job import ChunkTask, FileJob
from ingestd.pipeline.lanes import Lanes
from ingestd.pipeline.policy import cause_of, describe, reaction_to
from ingestd.pipeline.survey import (
    find_repeats,
    require_told_sum,
    require_within_budget,
    try_whole_file,
)
from ingestd.pipeline.takeback import remove_rejects_file
from ingestd.pipeline.together import load_together
from ingestd.records import NO_DRIFT, ClaimedFile, Counts, FileLayout, FileResult
from ingestd.refine import Repeats
from ingestd.validate import unique_columns

_IN_ITS_PLACE = (
    "{0}. What it was to replace stays, until `ingestd replace {1} FILE` brings this file or a "
    "mended one, or `ingestd retry {2}` if it lies in failed/; any other drop would load beside it"
)


@dataclass(slots=True)
class Loading:
    """Loads claimed files; several at a time."""

    desk: Desk
    jobs: dict[str, FileJob] = field(default_factory=dict)
    """The files that are loading now, by file id."""
    is_stopping: bool = False
    """No more chunks are handed out: files that are not complete go on after the restart."""

    def job(self, source: SourceSpec, claim: Claim, layout: FileLayout) -> FileJob:
        """A claimed file that is to be loaded."""
        return FileJob(self.desk, source, claim, layout)

    @contextmanager
    def in_hand(self, jobs: Sequence[FileJob]) -> Iterator[None]:
        """Show that these files are loading."""
        for job in jobs:
            self.jobs[job.file.file_id] = job
            self.desk.events.file_claimed(job.file, job.claim.start.row)
        try:
            yield
        finally:
            for job in jobs:
                job.refused.close()
                del self.jobs[job.file.file_id]
                self.desk.events.file_released(job.file)

    async def load_together(self, jobs: Sequence[FileJob]) -> Mapping[str, Ended]:
        """Load small files of a source; those that are missing in the answer are to load alone."""
        with self.in_hand(jobs):
            return await load_together(self.desk, jobs)

    async def load(self, job: FileJob, outbox: Lanes) -> Ended:
        """Bring all rows of a file into MongoDB and the file out of the inbox."""
        with self.in_hand([job]):
            return await self._bring_in(job, outbox)

    async def try_out(self, job: FileJob) -> None:
        """Do all that is done before rows are stored; raises what would keep the file from it."""
        await self._survey(job)

    async def refuse(self, source: SourceSpec, claim: Claim, error: Exception) -> Ended:
        """Set a file aside that cannot even be cut into chunks."""
        return await self._end(source, claim, error)

    async def _bring_in(self, job: FileJob, outbox: Lanes) -> Ended:
        """Load, commit, finish. Once committed, a file cannot fail: rows that were seen stay."""
        try:
            await self._load_rows(job, outbox)
            if not job.is_complete:
                return None, None
            (committed,) = await commit_all(self.desk, [job])
            if isinstance(committed, Exception):
                raise committed
        except Exception as error:  # noqa: BLE001 - the policy decides what it leads to
            return await self._end(job.source, job.claim, cause_of(error), job)
        return (await finish_all(self.desk, [committed]))[0]

    async def _load_rows(self, job: FileJob, outbox: Lanes) -> None:
        """Hand out all chunks and wait for them; when stopping, as many as there is time for."""
        if job.claim.is_stale:
            await self._remove_rows(job.source, job.file)
            entry = await self.desk.ledger.actions.find(job.file.file_id)
            await remove_rejects_file(self.desk, entry)
        repeats = await self._survey(job)
        if job.claim.is_stale or job.layout.size_bytes > self.desk.limits.chunk_bytes:
            await self.desk.ledger.loading(job.file)  # else it is done in a moment
        try:
            await self._hand_out(job, repeats, outbox)
        except FileRefused as error:
            job.fail(error)
        await job.settled()
        if not job.is_complete:
            await job.checkpoint(self.desk.ledger)

    async def _hand_out(
        self, job: FileJob, repeats: Sequence[Repeats | None],
        outbox: Lanes,
    ) -> None:  # fmt: skip
        left = iter(repeats)
        async for chunk in ready_chunks(
            job.layout, job.remaining_chunks, job.source, self.desk.limits
        ):
            if job.has_failed or self.is_stopping:
                break
            job.open_chunk()
            await outbox.send(ChunkTask(job, chunk, next(left)))

    async def _survey(self, job: FileJob) -> list[Repeats | None]:
        """What has to be known of the whole file first, if its source asks for such things."""
        chunks = job.layout.chunks
        repeats: list[Repeats | None] = [None] * len(chunks)
        if unique_columns(job.source):
            repeats = [*await find_repeats(job.plan, job.layout, self.desk.workers)]
        if not job.claim.start.row:
            await require_told_sum(job.plan, job.layout, self.desk.workers)
        is_limited = job.source.errors.has_budget and not job.claim.ignores_budget
        is_trial = job.claim.verdict is Verdict.TRY
        if (is_limited or is_trial) and not job.claim.start.row:
            await self._try_rows(job, repeats)
        return repeats[len(chunks) - len(job.remaining_chunks) :]

    async def _try_rows(self, job: FileJob, repeats: Sequence[Repeats | None]) -> None:
        trial, workers = replace(job.plan, is_trial=True), self.desk.workers
        job.tried, job.refused_in_trial = await try_whole_file(trial, job.layout, repeats, workers)
        if not job.claim.ignores_budget:
            require_within_budget(job.tried, job.source)
        job.refused_in_trial = []

    async def _end(
        self, source: SourceSpec, claim: Claim, error: Exception, job: FileJob | None = None
    ) -> Ended:
        """Set a file aside, or leave it for another try, as the policy says."""
        file, desk = claim.file, self.desk
        reaction, told = reaction_to(error), describe(error)
        if file.replaces is not None:
            told["hint"] = _IN_ITS_PLACE.format(told["hint"], file.replaces, file.file_id)
        if reaction.state is None:
            raise error
        if reaction.error_type == "internal_error":
            desk.events.defect(file, error)
        await desk.ledger.rewinding(file)  # or a crash below would skip rows that are gone
        await self._remove_rows(source, file)
        drift = job.layout.drift if job else getattr(error, "drift", NO_DRIFT)
        counts = job.counts_if_held if job else Counts()
        ending = Ending(reaction.state, told, claim.failures + 1, counts=counts, drift=drift)
        if reaction.is_left:
            return await self._leave(source, file, ending)
        await desk.rejects.record_rows(job.refused_in_trial if job else ())
        await desk.rejects.record_file(file, told)
        if reaction.is_retried and ending.failures <= source.errors.retries:
            return await self._end_for_now(source, file, ending)
        return await self._end_for_good(file, ending), None

    async def _end_for_now(self, source: SourceSpec, file: ClaimedFile, ending: Ending) -> Ended:
        retry_at = now() + timedelta(seconds=source.errors.retry_delay)
        return await self._leave(source, file, replace(ending, retry_at=retry_at))

    async def _leave(self, source: SourceSpec, file: ClaimedFile, ending: Ending) -> Ended:
        """Whatever lies there in a while is offered again."""
        await self.desk.ledger.ended(file, replace(ending, is_left=True))
        told = ending.error
        self.desk.events.file_blocked(source.name, file.path, told["message"], told["hint"])
        return None, source.errors.retry_delay

    async def _end_for_good(self, file: ClaimedFile, ending: Ending) -> FileResult:
        desk = self.desk
        if ending.drift.summary:
            desk.events.columns_drifted(file, ending.drift)
        target = await desk.put_away.failed_target(file)
        await desk.ledger.ended(file, replace(ending, target=target))
        moved = await desk.put_away.set_aside(file, target, ending.error)
        outcome = Outcome(ending.state, ending.counts, error=ending.error, moved_to=moved)
        return desk.finished(file, outcome)

    async def _remove_rows(self, source: SourceSpec, file: ClaimedFile) -> None:
        """Take back what this attempt and earlier ones stored. What an upsert changed stays."""
        await self.desk.ledger.leases.require(file)
        await self.desk.rejects.remove_rows(file.file_id)
        if source.load.mode == "insert":
            await self.desk.loader.remove_run(source.name, file.file_id, file.processed_at)
