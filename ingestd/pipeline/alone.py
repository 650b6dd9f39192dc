"""Files that take a way of their own: large, resumed, refused, known already, or in trouble."""

from dataclasses import dataclass, replace

from ingestd.config.source import SourceSpec
from ingestd.ledger import Claim, Verdict, Wanted
from ingestd.mongo import Document
from ingestd.pipeline.desk import Desk, Ended, Outcome
from ingestd.pipeline.finish import Committed, put_away_all
from ingestd.pipeline.identify import Identified
from ingestd.pipeline.lanes import Lanes
from ingestd.pipeline.loading import Loading
from ingestd.pipeline.policy import cause_of, describe, reaction_to
from ingestd.pipeline.putaway import Leaving
from ingestd.records import FileResult, FileState, FoundFile, Shape

REST = 10
"""A file that somebody else has in hand is read again after so many times as long as reading it
took."""

_FORMER_ROWS_STAY = (
    "its former rows stay; `ingestd try` shows what is refused; mend the source or its rules, then "
    "`ingestd retry {0}`"
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A file of which the ledger has said what is to be done."""

    source: SourceSpec
    file: Identified
    claim: Claim


@dataclass(frozen=True, slots=True)
class Alone:
    """Does with one file what the ledger says."""

    desk: Desk
    loading: Loading

    async def bring_in(self, claimed: Claimed, outbox: Lanes) -> Ended:
        """To its end, or to where it waits for another try."""
        file, claim = claimed.file, claimed.claim
        if claim.taken_from:
            self.desk.events.file_taken_over(claim.file, claim.taken_from)
        if claim.verdict is Verdict.TAKEN:
            return None, max(claim.wait_s, REST * file.read_s)
        if claim.verdict is Verdict.WAIT:
            return None, self._wait(file.found, claim)
        if claim.verdict is Verdict.DUPLICATE:
            return await self._set_duplicate_aside(claimed)
        if claim.verdict is Verdict.TRY:
            return await self._try(claimed) or await self._load_again(claimed, outbox)
        if claim.verdict is Verdict.PUT_AWAY:
            return await self._put_away_again(claimed), None
        return await self._load(claimed, outbox)

    async def _load(self, claimed: Claimed, outbox: Lanes) -> Ended:
        source, file, claim = claimed.source, claimed.file, claimed.claim
        if file.layout is None:
            assert file.refusal is not None
            return await self.loading.refuse(source, claim, file.refusal)
        return await self.loading.load(self.loading.job(source, claim, file.layout), outbox)

    def _wait(self, found: FoundFile, claim: Claim) -> float:
        """It failed before a restart, and its time to be tried again has not come."""
        error = claim.error or {"message": "failed", "hint": ""}
        self.desk.events.file_blocked(
            source_name=found.source_name,
            path=found.path,
            reason=error["message"],
            hint=error["hint"],
        )
        return claim.wait_s

    async def _set_duplicate_aside(self, claimed: Claimed) -> Ended:
        is_allowed = claimed.source.load.on_duplicate_file == "skip"
        is_fine = is_allowed and claimed.file.found.replaces is None  # else it replaces nothing
        state = FileState.DUPLICATE if is_fine else FileState.FAILED
        message = f"the same content was loaded before, as file {claimed.claim.file.file_id}"
        error = {"type": "duplicate_file", "message": message, "hint": "nothing was loaded"}
        return await self._end_beside(claimed, state, error)

    async def _try(self, claimed: Claimed) -> Ended | None:
        """Whether a file can take the place of its own former rows; else how it ends."""
        source, file, claim = claimed.source, claimed.file, claimed.claim
        try:
            if file.layout is None:
                assert file.refusal is not None
                raise file.refusal
            await self.loading.try_out(self.loading.job(source, claim, file.layout))
        except Exception as error:  # noqa: BLE001 - the policy decides what it leads to
            return await self._refuse_again(claimed, cause_of(error))
        return None

    async def _load_again(self, claimed: Claimed, outbox: Lanes) -> Ended:
        """From here on the former rows are not seen any more."""
        config_hash = self.desk.rules(claimed.source).config_hash
        wanted = Wanted(claimed.file.found, claimed.file.sha256, config_hash, is_tried=True)
        (claim,) = await self.desk.ledger.claims.claim_all([wanted])
        if isinstance(claim, Exception):
            raise claim
        return await self.bring_in(replace(claimed, claim=claim), outbox)

    async def _refuse_again(self, claimed: Claimed, error: Exception) -> Ended:
        """Set a file aside of which the former rows stay, or leave it for another try."""
        desk, file, source = self.desk, claimed.claim.file, claimed.source
        reaction, told = reaction_to(error), describe(error)
        if reaction.state is None:
            raise error
        if reaction.error_type == "internal_error":
            desk.events.defect(file, error)
        if reaction.is_left or reaction.is_retried:
            desk.events.file_blocked(source.name, file.path, told["message"], told["hint"])
            return None, source.errors.retry_delay
        what_now = _FORMER_ROWS_STAY.format(file.file_id)
        is_held = reaction.state is FileState.HELD  # `errors` has the reasons of the former rows
        told["hint"] = what_now if is_held else f"{told['hint']}; {what_now}"
        await desk.rejects.record_file(file, told)
        return await self._end_beside(claimed, reaction.state, told)

    async def _end_beside(self, claimed: Claimed, state: FileState, error: Document) -> Ended:
        """End a file in an entry of its own; that of its content stays as it is."""
        is_failure, file = state is not FileState.DUPLICATE, claimed.claim.file
        found, away = claimed.file.found, self.desk.put_away
        if is_failure:
            target = await away.failed_target(file)
        else:
            (target,) = await away.archive_targets([file])
        fields = {"state": state.value, "error": error if is_failure else None}
        recorded = await self.desk.ledger.duplicates.record(found, file, fields, target)
        if recorded is None:
            return None, REST * claimed.file.read_s
        identity, target = recorded
        if is_failure:
            moved = await away.set_aside(file, target, error, identity)
        else:
            moved = await away.move(Leaving(file, target, identity))
        return self.desk.finished(file, Outcome(state, error=error, moved_to=moved)), None

    async def _put_away_again(self, claimed: Claimed) -> FileResult:
        """The file ended before, but did not leave the inbox."""
        claim, layout = claimed.claim, claimed.file.layout
        file = claim.file
        if claim.state in (FileState.LOADED, FileState.UNDONE):
            shape = layout.shape if layout else Shape(())
            committed = Committed(
                claimed.source, file, claim.counts, shape, claim.target, claim.state
            )
            (outcome,) = await put_away_all(self.desk, [committed])
            if isinstance(outcome, Exception):
                raise outcome
            return self.desk.finished(file, outcome)
        error = claim.error or {"type": "", "message": "", "hint": ""}
        moved = await self.desk.put_away.set_aside(file, claim.target, error)
        return self.desk.finished(file, Outcome(claim.state, error=error, moved_to=moved))
