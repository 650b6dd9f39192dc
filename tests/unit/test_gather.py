"""Groups of found files: which go together, and that none waits or gets lost."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio
from hypothesis import given
from hypothesis import strategies as st

from ingestd.pipeline.gather import MOST_BYTES, MOST_FILES, gather, runs
from ingestd.records import FileStat, FoundFile


def found(name: str, source_name: str = "orders", size_bytes: int = 100) -> FoundFile:
    stat = FileStat(1, 2, size_bytes, 3, 4)
    return FoundFile(source_name, Path(name), stat, datetime.now(UTC))


async def groups_of(*files: FoundFile) -> list[list[str]]:
    """The names in each group when all files wait at once."""
    send, receive = anyio.create_memory_object_stream[FoundFile](len(files))
    with send, receive:
        for file in files:
            send.send_nowait(file)
        send.close()
        return [[file.path.name for file in group] async for group in gather(receive)]


async def test_a_file_that_comes_alone_waits_for_no_other() -> None:
    send, receive = anyio.create_memory_object_stream[FoundFile](1)
    with send, receive, anyio.fail_after(5):
        await send.send(found("a"))
        async for group in gather(receive):
            assert [file.path.name for file in group] == ["a"]
            break


async def test_what_waits_of_one_source_goes_together_in_order_of_arrival() -> None:
    files = [found("c"), found("x", "other"), found("a"), found("b"), found("y", "other")]
    assert sorted(await groups_of(*files)) == [["c", "a", "b"], ["x", "y"]]


async def test_a_group_is_bounded_in_files_and_none_is_lost() -> None:
    groups = await groups_of(*(found(f"{n}") for n in range(3 * MOST_FILES + 1)))
    assert [len(group) for group in groups] == [MOST_FILES] * 3 + [1]


async def test_a_large_file_goes_alone_and_parts_those_beside_it() -> None:
    files = [found("a"), found("large", size_bytes=MOST_BYTES + 1), found("b"), found("c")]
    assert await groups_of(*files) == [["a"], ["large"], ["b", "c"]]


@given(st.lists(st.integers(min_value=0, max_value=2 * MOST_BYTES)))
def test_runs_keep_order_and_hold_as_much_as_fits(sizes: Sequence[int]) -> None:
    parts = [list(part) for part in runs(sizes, lambda size: size)]
    assert [size for part in parts for size in part] == list(sizes)
    assert all(sum(part) <= MOST_BYTES or len(part) == 1 for part in parts)
    assert all(sum(one) + other[0] > MOST_BYTES for one, other in itertools.pairwise(parts))
