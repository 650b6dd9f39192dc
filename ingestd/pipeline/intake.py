"""One file from the inbox to its end: identify, claim, hand out chunks, finish, put away."""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused, FileUnavailable
from ingestd.files import explaining, file_id, stat_of
from ingestd.formats import FORMATS
from ingestd.ledger import Claim, Verdict, Wanted
from ingestd.pipeline.desk import Desk, Outcome
from ingestd.pipeline.finish import Committed, finish
from ingestd.pipeline.lanes import Lanes
from ingestd.pipeline.loading import Ended, Loading
from ingestd.pipeline.policy import cause_of, describe
from ingestd.pipeline.together import Errand, Together, run_errands
from ingestd.records import FileLayout, FileResult, FileState, FoundFile, Shape

Done = Callable[[FoundFile, FileResult | None, float | None], None]
"""Told when a file is done with: its result, and after how many seconds to offer it again."""

_LEAST_DELAY_S = 1.0
"""Between two looks at a file: whatever goes wrong, it must not go wrong in a hot loop."""

_REST = 10
"""A file whose content another file brings in at this moment is read again after so many times
as long as reading it took."""


@dataclass(frozen=True, slots=True)
class _Identified:
    """A file whose content is known; ``layout`` is missing when it cannot be read as it should."""

    sha256: bytes
    layout: FileLayout | None
    refusal: FileRefused | None = None


@dataclass(slots=True)
class Intake:
    """Takes found files, one at a time per task; several tasks share one intake."""

    desk: Desk
    loading: Loading
    done: Done
    large: anyio.CapacityLimiter
    """Files of more than one chunk, of which a few at once are enough to keep all busy."""
    at_work: set[str] = field(default_factory=set)
    """File ids of which a task has one in hand: it alone asks the ledger for them."""
    _claim: Together[Wanted, Claim] = field(init=False)
    _errand: Together[Errand, Any] = field(init=False)

    def __post_init__(self) -> None:
        self._claim = Together(self.desk.ledger.claims.claim_all)
        self._errand = Together(run_errands)

    async def run(
        self,
        inbox: MemoryObjectReceiveStream[FoundFile],
        outbox: Lanes,
    ) -> None:
        """Until the inbox is closed."""
        async with inbox:
            async for found in inbox:
                if not self.loading.is_stopping:
                    await self._take(found, outbox)

    async def _take(self, found: FoundFile, outbox: Lanes) -> None:
        """Whatever happens to one file, the next one is taken."""
        result, retry_after_s = None, None
        try:
            result, retry_after_s = await self._bring_in(found, outbox)
        except Exception as error:  # noqa: BLE001 - the task of one file ends here
            retry_after_s = self._give_back(found, cause_of(error))
        if retry_after_s is not None:
            retry_after_s = max(retry_after_s, _LEAST_DELAY_S)
        self.done(found, result, retry_after_s)

    def _give_back(self, found: FoundFile, error: Exception) -> float:
        """The file's end could not even be recorded: it stays in the inbox and comes again."""
        told = describe(error)
        self.desk.events.file_blocked(found.source_name, found.path, told["message"], told["hint"])
        return self.desk.sources[found.source_name].errors.retry_delay

    async def _bring_in(
        self, found: FoundFile, outbox: Lanes
    ) -> Ended:  # fmt: skip
        if found.stat.size_bytes <= self.desk.limits.chunk_bytes:
            return await self._bring_in_now(found, outbox)
        async with self.large:
            return await self._bring_in_now(found, outbox)

    async def _bring_in_now(self, found: FoundFile, outbox: Lanes) -> Ended:
        source = self.desk.sources[found.source_name]
        await self.desk.loader.prepare(source)
        started = time.monotonic()
        identified = await self._identify(found, source)
        identity = file_id(source.name, identified.sha256)
        if identity in self.at_work:
            return None, _REST * (time.monotonic() - started)
        self.at_work.add(identity)
        try:
            return await self._act(found, source, identified, outbox)
        finally:
            self.at_work.discard(identity)

    async def _act(
        self, found: FoundFile, source: SourceSpec, identified: _Identified,
        outbox: Lanes,
    ) -> Ended:  # fmt: skip
        """Do what the ledger says is to be done with the file."""
        claim = await self._claim(Wanted(found, identified.sha256, source.config_hash))
        if claim.verdict is Verdict.WAIT:
            return None, self._wait(found, claim)
        if claim.verdict is Verdict.DUPLICATE:
            return await self._set_duplicate_aside(found, claim, source), None
        if claim.verdict is Verdict.PUT_AWAY:
            return await self._put_away_again(claim, source, identified), None
        if identified.layout is None:
            assert identified.refusal is not None
            return await self.loading.refuse(source, claim, identified.refusal)
        return await self.loading.load(source, claim, identified.layout, outbox)

    async def _identify(self, found: FoundFile, source: SourceSpec) -> _Identified:
        """Read the whole file once: its digest, and where to cut it."""
        limits = self.desk.limits
        lay_out = partial(FORMATS[source.format].lay_out, found.path, found.stat, source, limits)
        try:
            if found.stat.size_bytes <= limits.chunk_bytes:
                layout: FileLayout = await self._errand(lay_out)
            else:
                layout = await anyio.to_thread.run_sync(lay_out, abandon_on_cancel=True)
        except FileUnavailable:
            raise
        except FileRefused as refusal:
            sha256 = await anyio.to_thread.run_sync(_digest, found, abandon_on_cancel=True)
            return _Identified(sha256, None, refusal)
        return _Identified(layout.sha256, layout)

    # files that are not loaded

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

    async def _set_duplicate_aside(
        self, found: FoundFile, claim: Claim, source: SourceSpec
    ) -> FileResult:
        is_failure = source.load.on_duplicate_file == "fail"
        state = FileState.FAILED if is_failure else FileState.DUPLICATE
        away, file = self.desk.put_away, claim.file
        message = f"the same content was loaded before, as file {file.file_id}"
        error = {"type": "duplicate_file", "message": message, "hint": "nothing was loaded"}
        target = await (away.failed_target(file) if is_failure else away.archive_target(file))
        fields = {"state": state.value, "error": error if is_failure else None}
        identity, target = await self.desk.ledger.claims.duplicate(found, file, fields, target)
        if is_failure:
            moved = await away.set_aside(file, target, error, identity)
        else:
            moved = await away.move(file, identity, target)
        return self.desk.finished(file, Outcome(state, error=error, moved_to=moved))

    async def _put_away_again(
        self, claim: Claim, source: SourceSpec, identified: _Identified
    ) -> FileResult:
        """The file ended before, but did not leave the inbox."""
        file = claim.file
        if claim.state in (FileState.LOADED, FileState.UNDONE):
            shape = identified.layout.shape if identified.layout else Shape(())
            committed = Committed(source, file, claim.counts, shape, claim.target, claim.state)
            return self.desk.finished(file, await finish(self.desk, committed))
        error = claim.error or {"type": "", "message": "", "hint": ""}
        moved = await self.desk.put_away.set_aside(file, claim.target, error)
        return self.desk.finished(file, Outcome(claim.state, error=error, moved_to=moved))


def _digest(found: FoundFile) -> bytes:
    """Of a file that is not what it should be.

    Raises:
        FileUnavailable: it changed since it was found, so the refusal is about another content.
    """
    with explaining("unreadable_file", found.path), found.path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
        if not stat_of(os.fstat(stream.fileno())).is_same_content(found.stat):
            raise FileUnavailable("file_changed", f"{found.path.name} changed while it was read")
    return digest
