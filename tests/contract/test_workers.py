"""Process slots: a task's fate is its own, whatever a worker does."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import psutil
import pytest
import worker_tasks as tasks

from ingestd import errors
from ingestd.events import Events
from ingestd.metrics import Metrics
from ingestd.records import Drift
from ingestd.workers import ProcessSlots, WorkerLimits, run_twice

ALL_ERRORS = [
    errors.IngestdError("what failed", "what to do"),
    errors.ConfigError((errors.Problem("a.toml", "name", "is wrong", "mend it"),)),
    errors.FileRefused("empty_file", "the file is empty", "ask the sender"),
    errors.FileDrifted("new_columns", "it has more columns", "see on_new_column", Drift(("vat",))),
    errors.FileUnavailable("unreadable_file", "cannot be read", "check its mode"),
    errors.FileHeld("too_many_errors", "9 of 10 rows", "mend it"),
    errors.FileTaken("another process has it", "one daemon per inbox"),
    errors.ActionRefused("it is loading", "wait for its end"),
    errors.UnknownFile("no such file", "see ingestd files"),
    errors.WorkerLost("died", "see dmesg"),
    errors.WorkerHung("too long", "see the step"),
    errors.FileChanged("file_changed", "it changed", "rename when complete"),
    errors.StoreAway("away", "is it up?"),
    errors.QueryTooSlow("slow", "ask for less"),
    errors.StoreRefused("no", "ask the operator"),
    errors.EntryRefused("wrong password", "ask the operator"),
    errors.AnswerLost("the connection broke", "look"),
    errors.ExportRefused("no such number in Arrow", "ask for CSV"),
]


class Replacements(Events):
    """Events that remember why workers were replaced."""

    def __init__(self) -> None:
        super().__init__(Metrics())
        self.reasons: list[str] = []

    def worker_replaced(self, reason: str) -> None:
        self.reasons.append(reason)


@pytest.fixture
def events() -> Replacements:
    return Replacements()


Started = Callable[..., AbstractAsyncContextManager[ProcessSlots]]


@pytest.fixture
def started(events: Replacements) -> Started:
    """Process slots; their limits are generous unless told otherwise."""

    @asynccontextmanager
    async def start(
        count: int = 1,
        limits: WorkerLimits = WorkerLimits(60.0, 2**40),  # noqa: B008 - frozen
        warm: Callable[[], object] = tasks.pid,
    ) -> AsyncIterator[ProcessSlots]:
        async with ProcessSlots(count, events, limits, warm).started() as slots:
            yield slots

    return start


async def until(condition: Callable[[], object], limit_s: float = 30) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_result_comes_back(started: Started) -> None:
    async with started() as slots:
        assert await slots.run(tasks.add, 1, 2) == 3
        assert await slots.run(tasks.pid) not in (0, os.getpid())


async def test_more_tasks_than_workers_wait_for_their_turn(started: Started) -> None:
    async with started(2) as slots:
        sums = await asyncio.gather(*(slots.run(tasks.add, i, i) for i in range(50)))
        assert sums == [2 * i for i in range(50)]
        assert len(slots.pids) == slots.count == 2


@pytest.mark.parametrize("error", ALL_ERRORS, ids=lambda error: type(error).__name__)
async def test_an_error_of_ours_comes_back_whole(
    error: errors.IngestdError, started: Started, events: Replacements
) -> None:
    async with started() as slots:
        with pytest.raises(type(error)) as raised:
            await slots.run(tasks.fail_with, error)
        assert type(raised.value) is type(error)
        assert str(raised.value) == str(error)
        assert vars(raised.value) == vars(error)
    assert events.reasons == []


def test_every_class_of_error_is_tried() -> None:
    classes = {value for value in vars(errors).values() if isinstance(value, type)}
    raised = {cls for cls in classes if issubclass(cls, Exception)}
    assert {type(error) for error in ALL_ERRORS} == raised


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (tasks.panic, RuntimeError),
        (tasks.exit_at_once, RuntimeError),
        (tasks.time_out, TimeoutError),
        (tasks.raise_something_unpicklable, Exception),
        (tasks.return_something_unpicklable, Exception),
    ],
)
async def test_what_a_task_raises_costs_neither_daemon_nor_worker(
    task: Callable[[], object],
    expected: type[Exception],
    started: Started,
    events: Replacements,
) -> None:
    async with started() as slots:
        pid = await slots.run(tasks.pid)
        with pytest.raises(expected) as raised:
            await slots.run(task)
        assert not isinstance(raised.value, errors.WorkerLost)
        assert await slots.run(tasks.pid) == pid
    assert events.reasons == []


async def test_a_worker_that_dies_costs_its_own_task_only(
    started: Started, events: Replacements, tmp_path: Path
) -> None:
    async with started(2) as slots:
        other = asyncio.create_task(
            slots.run(tasks.tell_and_wait, tmp_path / "waits", tmp_path / "go")
        )
        await until((tmp_path / "waits").exists)
        with pytest.raises(errors.WorkerLost, match="died"):
            await slots.run(tasks.die)
        assert await slots.run(tasks.add, 1, 2) == 3
        (tmp_path / "go").touch()
        assert await other in slots.pids
    assert events.reasons == ["died"]


async def test_a_worker_that_dies_in_the_middle_of_its_answer_is_noticed_soon(
    started: Started, events: Replacements
) -> None:
    async with started() as slots, asyncio.timeout(30):
        with pytest.raises(errors.WorkerLost, match="died"):
            await slots.run(tasks.die_while_answering)
        assert await slots.run(tasks.add, 1, 2) == 3
    assert events.reasons == ["died"]


async def test_a_worker_that_is_killed_between_tasks_costs_one_task_at_most(
    started: Started,
) -> None:
    async with started() as slots:
        os.kill(await slots.run(tasks.pid), signal.SIGKILL)
        try:
            assert await slots.run(tasks.add, 1, 2) == 3
        except errors.WorkerLost:
            assert await slots.run(tasks.add, 1, 2) == 3


async def test_workers_that_are_killed_all_at_once_cost_a_task_one_try_only(
    started: Started,
) -> None:
    """As the kernel does it to a control group that is out of memory."""
    async with started(3) as slots:
        for pid in {await slots.run(tasks.pid) for _ in range(slots.count)}:
            os.kill(pid, signal.SIGKILL)
            await until(lambda pid=pid: not psutil.pid_exists(pid))
        assert await run_twice(slots, tasks.add, 1, 2) == 3


async def test_a_worker_that_hangs_is_replaced_after_the_limit(
    started: Started, events: Replacements
) -> None:
    async with started(limits=WorkerLimits(1.5, 2**40)) as slots:
        pid = await slots.run(tasks.pid)
        with pytest.raises(errors.WorkerLost, match=r"longer than 1\.5 s"):
            await slots.run(tasks.hang)
        await until(lambda: not psutil.pid_exists(pid))
        assert await slots.run(tasks.add, 1, 2) == 3
    assert events.reasons == ["hung"]


async def test_a_task_that_runs_alone_waits_for_all_others_and_holds_them_back(
    started: Started, tmp_path: Path
) -> None:
    async with started(2) as slots, anyio.create_task_group() as group:
        for n in range(6):
            run = slots.run_alone if n % 3 == 0 else slots.run
            group.start_soon(run, tasks.note_span, tmp_path / f"{n}", n % 3 == 0)
    spans = sorted(tuple(map(float, path.read_text().split())) for path in tmp_path.iterdir())
    alone = [(began, ended) for began, ended, is_alone in spans if is_alone]
    assert len(alone) == 2
    for began, ended in alone:
        overlapping = [one for one in spans if one[0] < ended and one[1] > began]
        assert len(overlapping) == 1


async def test_a_cancelled_task_ends_its_worker_and_the_slot_works_again(
    started: Started, tmp_path: Path
) -> None:
    async with started() as slots:
        pid = await slots.run(tasks.pid)
        task = asyncio.create_task(
            slots.run(tasks.tell_and_wait, tmp_path / "waits", tmp_path / "never")
        )
        await until((tmp_path / "waits").exists)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not psutil.pid_exists(pid))
        assert await slots.run(tasks.add, 1, 2) == 3


async def test_a_worker_with_too_much_memory_is_replaced_after_its_task(
    started: Started, events: Replacements
) -> None:
    async with started(limits=WorkerLimits(60.0, 2**29)) as slots:
        pid = await slots.run(tasks.pid)
        assert await slots.run(tasks.take_memory, 2**20) == pid
        assert events.reasons == []
        assert await slots.run(tasks.take_memory, 2**29) == pid
        assert await slots.run(tasks.pid) != pid
    assert events.reasons == ["memory"]


async def test_workers_leave_signals_to_the_daemon(started: Started) -> None:
    async with started() as slots:
        assert await slots.run(tasks.signal_yourself) == "still here"
        assert await slots.run(tasks.add, 1, 2) == 3


async def test_workers_are_warm_before_their_first_task(started: Started) -> None:
    async with started(warm=tasks.remember) as slots:
        assert await slots.run(tasks.times_warmed) == 1
        with pytest.raises(errors.WorkerLost):
            await slots.run(tasks.die)
        assert await slots.run(tasks.times_warmed) == 1


@pytest.mark.parametrize("warm", [tasks.refuse_to_warm_up, tasks.exit_at_once])
async def test_workers_that_do_not_get_warm_work(
    warm: Callable[[], object], started: Started
) -> None:
    async with started(warm=warm) as slots:
        assert await slots.run(tasks.add, 1, 2) == 3


async def test_workers_that_die_of_their_warming_up_work_without_it(started: Started) -> None:
    async with started(warm=tasks.die) as slots:
        with pytest.raises(errors.WorkerLost, match="died"):
            await slots.run(tasks.add, 1, 2)
        assert await slots.run(tasks.add, 1, 2) == 3


async def test_no_worker_is_left_when_the_slots_are_closed(started: Started) -> None:
    async with started(2) as slots:
        await until(lambda: len(slots.pids) == 2)
        pids = slots.pids
    await until(lambda: not any(map(psutil.pid_exists, pids)))
    assert slots.pids == []


async def test_slots_that_are_closed_while_they_start_leave_no_worker(
    started: Started,
) -> None:
    children = _descendants()
    async with started(2) as slots:
        pass
    await until(lambda: _descendants() <= children)
    assert slots.pids == []


def _descendants() -> set[int]:
    """Worker processes of this one; the fork server itself stays."""
    servers = psutil.Process().children()
    return {child.pid for server in servers for child in server.children()}


ORPHANS = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
import worker_tasks as tasks
from ingestd.events import Events
from ingestd.metrics import Metrics
from ingestd.workers import ProcessSlots, WorkerLimits, run_twice

async def main():
    async with ProcessSlots(2, Events(Metrics()), WorkerLimits()).started() as slots:
        idle = await slots.run(tasks.pid)
        busy = asyncio.create_task(slots.run(tasks.hang))
        await asyncio.sleep(0)
        while len(slots.pids) < 2:
            await asyncio.sleep(0.01)
        print(*slots.pids, flush=True)
        await busy

if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_no_worker_outlives_a_daemon_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    command = [sys.executable, str(script), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        pids = [int(pid) for pid in daemon.stdout.readline().split()]
        assert len(pids) == 2
        servers = {psutil.Process(pid).ppid() for pid in pids}
        daemon.kill()
    await until(lambda: not any(map(psutil.pid_exists, [*pids, *servers])))
