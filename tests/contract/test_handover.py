"""Results whose large buffers leave a worker through shared memory are what they were."""

import os
import pickle
from collections.abc import Iterator

import pytest

from ingestd.handover import Handover, Outlet, Packed
from ingestd.records import (
    Chunk,
    FileStat,
    Position,
    RefinedChunk,
    Rejections,
)

LARGE = 2**16


@pytest.fixture
def handover() -> Iterator[Handover]:
    handover = Handover()
    yield handover
    handover.close()


def offered(*sizes: int) -> list[pickle.PickleBuffer]:
    return [pickle.PickleBuffer(os.urandom(size)) for size in sizes]


def bytes_of(result: object) -> list[bytes]:
    assert isinstance(result, list)
    return [bytes(buffer) for buffer in result]


@pytest.mark.parametrize(
    "sizes", [(), (0,), (LARGE - 1,), (LARGE,), (LARGE, 3, 0, 5 * LARGE, 2 * LARGE + 1)]
)
def test_buffers_of_any_size_arrive_as_they_were(
    handover: Handover, sizes: tuple[int, ...]
) -> None:
    result = offered(*sizes)
    packed = Outlet(handover.address).pack(result)
    assert packed.sizes == tuple(size for size in sizes if size >= LARGE)
    assert bytes_of(handover.unpack(packed)) == bytes_of(result)


def test_a_smaller_result_after_a_larger_one_holds_nothing_of_it(handover: Handover) -> None:
    outlet = Outlet(handover.address)
    for size in (40 * 2**20, LARGE, 3 * LARGE):
        result = offered(size)
        assert bytes_of(handover.unpack(outlet.pack(result))) == bytes_of(result)


def test_without_shared_memory_all_of_it_goes_through_the_pipe(handover: Handover) -> None:
    result = offered(3 * LARGE)
    packed = Outlet("/nowhere/at/all").pack(result)
    assert packed.sizes == ()
    assert bytes_of(handover.unpack(packed)) == bytes_of(result)


def test_memory_that_takes_no_more_sends_it_through_the_pipe(handover: Handover) -> None:
    outlet, full = Outlet(handover.address), Outlet("/dev/full")
    result = offered(3 * LARGE)
    packed = full.pack(result)
    assert packed.sizes == ()
    assert bytes_of(handover.unpack(packed)) == bytes_of(result)
    assert outlet.pack(result).sizes == (3 * LARGE,)


def test_a_closed_handover_reads_from_nothing_else(handover: Handover) -> None:
    packed = Outlet(handover.address).pack(offered(LARGE))
    other = Handover()
    other.close()
    with pytest.raises(ValueError, match="closed"):
        other.unpack(packed)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_refined_chunk_is_the_same_after_any_pickle(handover: Handover, protocol: int) -> None:
    stat = FileStat(1, 2, 3, 4, 5)
    chunk = Chunk("a.csv", stat, Position(), Position(9, 1, 1))  # type: ignore[arg-type]
    refined = RefinedChunk(
        chunk, b"d" * LARGE, b"e" * 8, 1, 2, Rejections(b"r" * LARGE, b"x" * 8, {"max": 1}), 0.5
    )
    assert pickle.loads(pickle.dumps(refined, protocol)) == refined
    packed = Outlet(handover.address).pack(refined)
    assert packed == Packed(packed.head, (LARGE, LARGE))
    arrived = handover.unpack(packed)
    assert arrived == refined
    for part in (arrived, arrived.rejections):
        assert type(part.documents) is type(part.ends) is bytes
