"""One file from the inbox to its end: identify, claim, hand out chunks, finish, put away."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused, FileUnavailable
from ingestd.files import file_id
from ingestd.formats import FORMATS
from ingestd.ledger import Claim, Verdict
from ingestd.pipeline.desk import Desk, Outcome
from ingestd.pipeline.job import ChunkTask
from ingestd.pipeline.loading import Loading
from ingestd.pipeline.policy import describe
from ingestd.records import FileLayout, FileResult, FileState, FoundFile

Done = Callable[[FoundFile, FileResult | None, float | None], None]
"""Told when a file is done with: its result, and after how many seconds to offer it again."""

_BUSY_S = 1.0
"""How long a file waits whose content another file brings in at this moment."""


@dataclass(frozen=True, slots=True)
class _Identified:
    """A file whose content is known; ``layout`` is missing when it cannot be read as it should."""

    sha256: bytes
    layout: FileLayout | None
    refusal: FileRefused | None = None


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes found files, one at a time per task; several tasks share one intake."""

    desk: Desk
    loading: Loading
    done: Done

    async def run(
        self,
        inbox: MemoryObjectReceiveStream[FoundFile],
        outbox: MemoryObjectSendStream[ChunkTask],
    ) -> None:
        """Until the inbox is closed."""
        async with inbox, outbox:
            async for found in inbox:
                if not self.loading.is_stopping:
                    await self._take(found, outbox)

    async def _take(self, found: FoundFile, outbox: MemoryObjectSendStream[ChunkTask]) -> None:
        """Whatever happens to one file, the next one is taken."""
        result, retry_after_s = None, None
        try:
            result, retry_after_s = await self._bring_in(found, outbox)
        except Exception as error:  # noqa: BLE001 - the task of one file ends here
            retry_after_s = self._give_back(found, error)
        self.done(found, result, retry_after_s)

    def _give_back(self, found: FoundFile, error: Exception) -> float:
        """The file's end could not even be recorded: it stays in the inbox and comes again."""
        told = describe(error)
        self.desk.events.file_blocked(found.source_name, found.path, told["message"], told["hint"])
        return self.desk.sources[found.source_name].errors.retry_delay

    async def _bring_in(
        self, found: FoundFile, outbox: MemoryObjectSendStream[ChunkTask]
    ) -> tuple[FileResult | None, float | None]:
        source = self.desk.sources[found.source_name]
        identified = await self._identify(found, source)
        identity = file_id(source.name, identified.sha256)
        if identity in self.loading.jobs:
            return None, _BUSY_S
        claim = await self.desk.ledger.claim(found, identified.sha256, source.config_hash)
        if claim.verdict is Verdict.WAIT:
            return None, self._wait(found, claim)
        if claim.verdict is Verdict.DUPLICATE:
            return await self._set_duplicate_aside(found, claim, source), None
        if claim.verdict is Verdict.PUT_AWAY:
            return await self._put_away_again(claim, identified), None
        if identified.layout is None:
            assert identified.refusal is not None
            return await self.loading.refuse(source, claim, identified.refusal)
        return await self.loading.load(source, claim, identified.layout, outbox)

    async def _identify(self, found: FoundFile, source: SourceSpec) -> _Identified:
        """Read the whole file once: its digest, and where to cut it."""
        lay_out = FORMATS[source.format].lay_out
        try:
            layout = await anyio.to_thread.run_sync(
                lay_out, found.path, found.stat, source, self.desk.limits
            )
        except FileUnavailable:
            raise
        except FileRefused as refusal:
            sha256 = await anyio.to_thread.run_sync(_digest, found.path)
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
        identity = await self.desk.ledger.record_duplicate(claim, found, state)
        away, file = self.desk.put_away, claim.file
        message = f"the same content was loaded before, as file {file.file_id}"
        error = {"type": "duplicate_file", "message": message, "hint": "nothing was loaded"}
        if is_failure:
            target = await away.failed_target(file)
            moved = await away.set_aside(file, target, error, identity)
        else:
            moved = await away.move(file, identity, await away.archive_target(file))
        return self.desk.finished(file, Outcome(state, error=error, moved_to=moved))

    async def _put_away_again(self, claim: Claim, identified: _Identified) -> FileResult:
        """The file ended before, but did not leave the inbox."""
        away, file = self.desk.put_away, claim.file
        if claim.state is FileState.LOADED:
            header = identified.layout.header if identified.layout else b""
            rejects = await away.write_rejects(file, claim.counts, header)
            moved = await away.move(file, file.file_id, claim.target)
            outcome = Outcome(
                FileState.ARCHIVED, claim.counts, moved_to=moved, rejects_file=rejects
            )
        else:
            error = claim.error or {"type": "", "message": "", "hint": ""}
            moved = await away.set_aside(file, claim.target, error)
            outcome = Outcome(claim.state, error=error, moved_to=moved)
        return self.desk.finished(file, outcome)


def _digest(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
