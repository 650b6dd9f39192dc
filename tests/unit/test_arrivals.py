"""Whose turn it is, and when a file counts as complete: pure, with time as an argument."""

from datetime import UTC, datetime
from math import inf
from pathlib import Path

import pytest

from ingestd.config.settings import WatchSettings
from ingestd.records import FileStat, FoundFile
from ingestd.watch.arrivals import Arrivals
from ingestd.watch.patterns import compile_pattern
from ingestd.watch.settle import Look, complete_at, still_time_s
from ingestd.watch.sightings import Candidate, Feed, Sighting

SETTINGS = WatchSettings(rescan_interval=2.0, settle=0.1, settle_unproven=3.0)
WRITTEN = FileStat(1, 1, 10, 1000, 1000)
RENAMED = FileStat(1, 1, 10, 1000, 2000)
EMPTY = FileStat(1, 1, 0, 1000, 2000)


def arrivals(*source_names: str) -> Arrivals:
    pattern = compile_pattern("*", Path("/inbox"))
    return Arrivals([Feed(name, pattern) for name in source_names], SETTINGS)


def sighting(path: str, stat: FileStat = RENAMED, source_name: str = "s") -> Sighting:
    return Sighting(source_name, path, stat, is_marked=False)


def offer(files: Arrivals, at: float, *, has_writer: bool | None = False) -> Candidate | None:
    """Take the next file and find it as it was seen."""
    file = files.take(at)
    if file is None or file.stat is None:
        return None
    return file if files.judge(file, Look(file.stat, has_writer), at) else None


def found(file: Candidate, stat: FileStat = RENAMED) -> FoundFile:
    return FoundFile(file.source_name, Path(file.path), stat, datetime.now(UTC))


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (Look(RENAMED, has_writer=False), 100.0),
        (Look(WRITTEN, has_writer=False), 100.1),
        (Look(EMPTY, has_writer=False), 100.1),
        (Look(RENAMED, has_writer=None), 103.0),
        (Look(RENAMED, has_writer=True), None),
        (Look(WRITTEN, has_writer=True, is_marked=True), None),
        (Look(WRITTEN, has_writer=True, is_marked=True, is_vouched=True), 100.0),
    ],
)
def test_when_a_file_counts_as_complete(look: Look, expected: float | None) -> None:
    assert complete_at(look, 100.0, SETTINGS) == expected


@pytest.mark.parametrize(
    ("now_ns", "expected"), [(2_000, 0.0), (30_002_000, 0.03), (10**18, 0.1), (0, 0.0)]
)
def test_time_before_the_first_look_counts_up_to_what_has_to_settle(
    now_ns: int, expected: float
) -> None:
    assert still_time_s(RENAMED, now_ns, SETTINGS) == expected


def test_a_file_written_in_place_is_due_exactly_when_it_has_settled() -> None:
    files = arrivals("s")
    files.sight(sighting("/a", WRITTEN), 5.0)
    assert files.take(5.0) is None
    assert files.next_due_at() == 5.1
    assert offer(files, 5.1) is not None


def test_a_change_resets_the_clock_and_a_change_of_name_does_not() -> None:
    files = arrivals("s")
    files.sight(sighting("/a", WRITTEN), 5.0)
    files.sight(sighting("/a", FileStat(1, 1, 20, 1001, 1001)), 5.05)
    assert files.take(5.1) is None
    files.sight(sighting("/a", FileStat(1, 1, 20, 1001, 1500)), 5.2)
    assert files.known["/a"].unchanged_since == 5.05


def test_sources_take_turns() -> None:
    files = arrivals("many", "few")
    for number in range(100):
        files.sight(sighting(f"/many/{number}", source_name="many"), 1.0)
    files.sight(sighting("/few/1", source_name="few"), 1.0)
    taken = [file.source_name for _ in range(3) if (file := files.take(1.0))]
    assert sorted(taken[:2]) == ["few", "many"]


def test_a_file_without_room_keeps_its_place_and_lets_others_pass() -> None:
    files = arrivals("s", "t")
    files.sight(sighting("/large", FileStat(1, 1, 10_000, 1000, 2000)), 1.0)
    files.sight(sighting("/small", FileStat(1, 2, 10, 1000, 3000)), 1.0)
    files.sight(sighting("/other", source_name="t"), 1.0)

    def is_small(size_bytes: int) -> bool:
        return size_bytes < 100

    taken = [file.path for _ in range(3) if (file := files.take(1.0, is_small))]
    assert sorted(taken) == ["/other", "/small"]
    assert files.take(1.0) is files.known["/large"]


def test_files_of_a_paused_source_wait_until_it_is_resumed() -> None:
    files = arrivals("s", "t")
    files.sight(sighting("/a"), 1.0)
    files.sight(sighting("/b", source_name="t"), 1.0)
    assert files.pause({"s"})
    taken = files.take(1.0)
    assert taken is not None
    assert taken.path == "/b"
    assert files.take(1.0) is None
    assert not files.pause({"s"})
    assert files.pause(set())
    assert files.take(1.0) is files.known["/a"]


def test_a_file_held_open_is_looked_at_ever_less_often_and_becomes_a_problem() -> None:
    files = arrivals("s")
    files.sight(sighting("/inbox/a"), 0.0)
    looks, at = 0, 0.0
    while at < 100.0:
        assert offer(files, at, has_writer=True) is None
        looks, at = looks + 1, files.next_due_at()
    assert looks < 60
    assert next(iter(files.stuck(30.0)), None) is None
    ((source_name, problem),) = files.stuck(100.0)
    assert source_name == "s"
    assert "somebody still has it open" in problem.message
    files.sight(sighting("/inbox/a", FileStat(1, 1, 30, 9000, 9000)), 100.0)
    assert list(files.stuck(200.0)) == []


def test_many_changes_queue_a_file_once() -> None:
    files = arrivals("s")
    for number in range(1000):
        files.sight(sighting("/a", FileStat(1, 1, number + 1, number, number)), float(number))
    assert files.take(999.05) is None
    assert offer(files, 999.1) is not None
    assert files.take(inf) is None


def test_a_file_is_neither_offered_twice_nor_forgotten_while_it_is_loaded() -> None:
    files = arrivals("s")
    files.sight(sighting("/a"), 1.0)
    file = offer(files, 1.0)
    assert file is not None
    files.vanish("/a")
    files.sight(sighting("/a", FileStat(1, 2, 10, 3000, 4000)), 2.0)
    assert files.take(10.0) is None
    files.finish(found(file), inf)
    assert offer(files, 10.0) is file


def test_a_finished_file_that_is_gone_is_forgotten() -> None:
    files = arrivals("s")
    files.sight(sighting("/a"), 1.0)
    file = offer(files, 1.0)
    assert file is not None
    files.vanish("/a")
    files.finish(found(file), inf)
    assert not files.known
    assert files.counts["s"] == files.waiting["s"] == 0


def test_finishing_what_was_not_offered_changes_nothing() -> None:
    files = arrivals("s")
    files.sight(sighting("/a"), 1.0)
    files.finish(found(files.known["/a"]), inf)
    assert offer(files, 1.0) is not None
