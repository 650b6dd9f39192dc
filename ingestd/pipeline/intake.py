"""Found files to their ends: identify, claim, load; together where that can be, else alone."""

import os
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused, FileTaken, FileUnavailable
from ingestd.ledger import Wanted
from ingestd.pipeline.alone import REST, Alone, Claimed
from ingestd.pipeline.archives import Archive
from ingestd.pipeline.desk import Desk, Ended
from ingestd.pipeline.errands import run_errand, run_errands
from ingestd.pipeline.gather import gather, runs
from ingestd.pipeline.identify import Identified, identify
from ingestd.pipeline.lanes import Lanes
from ingestd.pipeline.loading import Loading
from ingestd.pipeline.policy import cause_of, describe
from ingestd.pipeline.together import can_go_together
from ingestd.pipeline.unpack import unpack
from ingestd.records import FileResult, FoundFile

Done = Callable[[FoundFile, FileResult | None, float | None], None]
"""Told when a file is done with: its result, and after how many seconds to offer it again."""

_LEAST_DELAY_S = 1.0
"""Between two looks at a file: whatever goes wrong, it must not go wrong in a hot loop."""


@dataclass(slots=True)
class Intake:
    """Takes found files in groups, a group at a time per task; several tasks share one intake."""

    desk: Desk
    loading: Loading
    done: Done
    at_work: set[str] = field(default_factory=set)
    """File ids of which a task has one in hand: it alone asks the ledger for them."""
    _alone: Alone = field(init=False)
    _slots: anyio.Semaphore = field(init=False)
    _large: anyio.CapacityLimiter = field(init=False)
    _archives: anyio.CapacityLimiter = field(init=False)

    def __post_init__(self) -> None:
        settings = self.desk.settings.load
        self._alone = Alone(self.desk, self.loading)
        self._slots = anyio.Semaphore(settings.files_at_once)
        self._large = anyio.CapacityLimiter(settings.large_files_at_once)
        self._archives = anyio.CapacityLimiter(settings.large_files_at_once)

    def has_room(self, size_bytes: int) -> bool:
        """Whether a file of that size need not wait for large ones to end."""
        return not self._is_large(size_bytes) or self._large.available_tokens > 0

    def _is_large(self, size_bytes: int) -> bool:
        return size_bytes > self.desk.limits.chunk_bytes

    async def run(
        self, inbox: MemoryObjectReceiveStream[FoundFile], outbox: Lanes, tasks: TaskGroup
    ) -> None:
        """Until the inbox is closed. What goes alone does so in ``tasks``: groups pass it."""
        async with inbox:
            async for group in gather(inbox):
                if self.loading.is_stopping:
                    continue
                await self._take_group(group, outbox, tasks)

    async def _take_group(
        self, group: Sequence[FoundFile], outbox: Lanes, tasks: TaskGroup
    ) -> None:  # fmt: skip
        if self._is_large(group[0].stat.size_bytes):
            tasks.start_soon(self._take_large, group, outbox, tasks)
            return
        for claimed in await self._take(group, outbox, tasks):
            await self._start(tasks, partial(self._bring_in, claimed, outbox))

    async def _start(self, tasks: TaskGroup, act: Callable[[], Awaitable[None]]) -> None:
        """Wait for a slot, and act in a task that frees it."""
        await self._slots.acquire()

        async def act_in_slot() -> None:
            try:
                await act()
            finally:
                self._slots.release()

        tasks.start_soon(act_in_slot)

    async def _take_large(
        self, group: Sequence[FoundFile], outbox: Lanes, tasks: TaskGroup
    ) -> None:  # fmt: skip
        """A large file takes no slot while it waits: small ones go past it."""
        async with self._large:
            for claimed in await self._take(group, outbox, tasks):
                await self._bring_in(claimed, outbox)

    async def _take(
        self, group: Sequence[FoundFile], outbox: Lanes, tasks: TaskGroup
    ) -> list[Claimed]:
        """Load what can go together; returns the others. Archives go in ``tasks``."""
        source = self.desk.sources[group[0].source_name]
        files = await self._identify(group, source)
        for file in files:
            if file.is_archive:
                tasks.start_soon(self._take_archive, file, outbox)
        claimed = await self._claim([file for file in files if not file.is_archive], source)
        jobs = [
            self.loading.job(one.source, one.claim, one.file.layout)
            for one in claimed
            if one.file.layout is not None and can_go_together(source, one.claim, one.file.layout)
        ]
        ended = await self.loading.load_together(jobs)
        for one in claimed:
            if one.file.file_id in ended:
                self._release(one.file, ended[one.file.file_id])
        return [one for one in claimed if one.file.file_id not in ended]

    async def _take_archive(self, file: Identified, outbox: Lanes) -> None:
        """The files in an archive, each for itself, then the archive."""
        async with self._archives:
            try:
                ended = await self._open_alone(file, outbox)
            except FileUnavailable as error:
                ended = self._left(file.found, error)
            except FileRefused as refusal:
                await self._refuse(replace(file, refusal=refusal), outbox)
                return
            except Exception as error:  # noqa: BLE001 - the task of the archive ends here
                ended = self._left(file.found, cause_of(error))
        self._release(file, ended)

    async def _open_alone(self, file: Identified, outbox: Lanes) -> Ended:
        """Unless another process has it open."""
        archives = self.desk.ledger.archives
        if not await archives.take(file.file_id):
            return None, REST * file.read_s
        try:
            return await self._open(file.found, outbox)
        finally:
            await archives.let_go(file.file_id)

    async def _open(self, found: FoundFile, outbox: Lanes) -> Ended:
        unpacked = await run_errand(
            partial(unpack, found, self.desk.settings.paths.unpacked, self.desk.limits)
        )
        archive = Archive(self.desk, unpacked)
        intake = copy(self)  # with the same slots
        intake.done = archive.file_done
        async with anyio.create_task_group() as tasks:
            for group in runs(unpacked.files, lambda file: file.stat.size_bytes):
                if not self.loading.is_stopping:
                    await intake._take_group(group, outbox, tasks)
        return await archive.end()

    async def _refuse(self, file: Identified, outbox: Lanes) -> None:
        for claimed in await self._claim([file], self.desk.sources[file.found.source_name]):
            await self._bring_in(claimed, outbox)

    async def _identify(
        self, group: Sequence[FoundFile], source: SourceSpec
    ) -> list[Identified]:  # fmt: skip
        """Read the files; those that nobody has at work are at work now."""
        contents = await self._read(group, source)
        mine = []
        for found, content in zip(group, contents, strict=True):
            if isinstance(content, Exception):
                self._end(found, self._left(found, content))
            elif content.file_id in self.at_work:
                self._end(found, (None, REST * content.read_s))
            else:
                self.at_work.add(content.file_id)
                mine.append(content)
        return mine

    async def _read(
        self, group: Sequence[FoundFile], source: SourceSpec
    ) -> list[Identified | Exception]:
        try:
            await self.desk.loader.prepare(source)
            limits = self.desk.limits
            return await run_errands([partial(identify, one, source, limits) for one in group])
        except Exception as error:  # noqa: BLE001 - the files come again
            return [error] * len(group)

    async def _claim(self, files: Sequence[Identified], source: SourceSpec) -> list[Claimed]:
        config_hash = self.desk.rules(source).config_hash
        wanted = [Wanted(file.found, file.sha256, config_hash) for file in files]
        try:
            claims = await self.desk.ledger.claims.claim_all(wanted)
        except Exception as error:  # noqa: BLE001 - the files come again
            claims = [error] * len(files)
        claimed = []
        for file, claim in zip(files, claims, strict=True):
            if isinstance(claim, Exception):
                self._release(file, self._left(file.found, claim))
            else:
                claimed.append(Claimed(source, file, claim))
        return claimed

    async def _bring_in(self, claimed: Claimed, outbox: Lanes) -> None:
        """Whatever happens to one file, the others go on."""
        try:
            ended = await self._alone.bring_in(claimed, outbox)
        except Exception as error:  # noqa: BLE001 - the task of one file ends here
            ended = self._left(claimed.file.found, error)
        self._release(claimed.file, ended)

    # how a file ends

    def _left(self, found: FoundFile, error: Exception) -> Ended:
        """The file's end could not even be recorded: it stays in the inbox and comes again."""
        if isinstance(error, FileTaken):
            self.desk.events.file_lost(found)
            return None, _LEAST_DELAY_S
        if isinstance(error, FileUnavailable) and not os.path.lexists(found.path):
            return None, _LEAST_DELAY_S  # somebody else has it, or nobody wants it loaded any more
        told = describe(cause_of(error))
        self.desk.events.file_blocked(found.source_name, found.path, told["message"], told["hint"])
        return None, self.desk.sources[found.source_name].errors.retry_delay

    def _release(self, file: Identified, ended: Ended) -> None:
        self.at_work.discard(file.file_id)
        self.desk.ledger.leases.let_go(file.file_id)
        self._end(file.found, ended)

    def _end(self, found: FoundFile, ended: Ended) -> None:
        result, retry_after_s = ended
        if retry_after_s is not None:
            retry_after_s = max(retry_after_s, _LEAST_DELAY_S)
        self.done(found, result, retry_after_s)
