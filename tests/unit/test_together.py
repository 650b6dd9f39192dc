"""Calls that are made together: who waits, who leads, and what becomes of errors."""

from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest

from ingestd.pipeline.together import Together, run_errands


class Doubling:
    """Doubles numbers, in calls that a test can hold up."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.gate = anyio.Event()
        self.gate.set()

    async def __call__(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.calls.append(list(numbers))
        await self.gate.wait()
        return [ValueError(n) if n < 0 else 2 * n for n in numbers]

    async def called(self, times: int) -> None:
        with anyio.fail_after(5):
            while len(self.calls) < times:
                await anyio.lowlevel.checkpoint()


async def collect(together: Together[int, int], number: int, into: dict[int, object]) -> None:
    try:
        into[number] = await together(number)
    except ValueError as error:
        into[number] = error


async def test_a_call_alone_is_made_at_once() -> None:
    run = Doubling()
    assert await Together(run)(21) == 42
    assert run.calls == [[21]]


async def test_what_comes_during_a_call_goes_with_the_next() -> None:
    run, results = Doubling(), dict[int, object]()
    together = Together(run)
    run.gate = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(collect, together, 1, results)
        await run.called(1)
        for number in (2, 3, 4):
            group.start_soon(collect, together, number, results)
        await anyio.wait_all_tasks_blocked()
        run.gate.set()
    assert run.calls == [[1], [2, 3, 4]]
    assert results == {1: 2, 2: 4, 3: 6, 4: 8}


async def test_a_call_takes_no_more_than_it_may() -> None:
    run, results = Doubling(), dict[int, object]()
    together = Together(run, most=2)
    run.gate = anyio.Event()
    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(collect, together, number, results)
        await anyio.wait_all_tasks_blocked()
        run.gate.set()
    assert max(map(len, run.calls)) == 2
    assert results == {number: 2 * number for number in range(6)}


async def test_an_error_is_that_of_its_item_only() -> None:
    run, results = Doubling(), dict[int, object]()
    together = Together(run)
    async with anyio.create_task_group() as group:
        for number in (1, -2, 3):
            group.start_soon(collect, together, number, results)
    assert isinstance(results[-2], ValueError)
    assert (results[1], results[3]) == (2, 6)


async def test_an_error_of_the_call_is_everybodys_and_the_next_call_is_made() -> None:
    async def fail(numbers: Sequence[int]) -> list[int | Exception]:
        raise ValueError(numbers)

    together, results = Together(fail, most=1), dict[int, object]()
    async with anyio.create_task_group() as group:
        for number in (1, 2):
            group.start_soon(collect, together, number, results)
    assert [str(results[number]) for number in (1, 2)] == ["[1]", "[2]"]


@pytest.mark.parametrize("cancelled", [1, 2, 3])
async def test_who_is_cancelled_leaves_the_others_their_call(cancelled: int) -> None:
    """Whether it leads, is next, or waits behind."""
    run, results = Doubling(), dict[int, object]()
    together, scopes = Together(run), {number: anyio.CancelScope() for number in (1, 2, 3)}
    run.gate = anyio.Event()

    async def call(number: int) -> None:
        with scopes[number]:
            await collect(together, number, results)

    async with anyio.create_task_group() as group:
        group.start_soon(call, 1)
        await run.called(1)
        group.start_soon(call, 2)
        group.start_soon(call, 3)
        await anyio.wait_all_tasks_blocked()
        scopes[cancelled].cancel()
        await anyio.wait_all_tasks_blocked()
        run.gate.set()
    left = {1, 2, 3} - {cancelled}
    assert results == {number: 2 * number for number in left}
    with anyio.fail_after(5):
        assert await together(5) == 10


async def test_cancelling_all_at_once_leaves_it_usable() -> None:
    run = Doubling()
    together = Together(run)
    run.gate = anyio.Event()
    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(collect, together, number, {})
        await run.called(1)
        group.cancel_scope.cancel()
    run.gate.set()
    with anyio.fail_after(5):
        assert await together(7) == 14


async def test_errands_are_run_in_one_thread_each_with_its_own_end() -> None:
    done = await run_errands([lambda: 1, lambda: int("x"), lambda: 3])
    assert (done[0], done[2]) == (1, 3)
    assert isinstance(done[1], ValueError)
