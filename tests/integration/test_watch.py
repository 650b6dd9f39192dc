"""The watcher on a real file system. Nothing sleeps: tests wait for what is offered."""

import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest
from watch_world import NEVER_BY_ITSELF, ORDERS, PATIENCE_S, QUICK, RecordedEvents, source, watching
from watchfiles import Change

from ingestd.config.settings import WatchSettings
from ingestd.errors import ConfigError
from ingestd.files import look
from ingestd.records import FoundFile
from ingestd.watch import Watcher, compile_pattern
from ingestd.watch.arrivals import Arrivals
from ingestd.watch.findings import Outlook
from ingestd.watch.patterns import compile_names
from ingestd.watch.scan import scan
from ingestd.watch.sightings import Feed


async def test_files_that_are_there_at_start_are_offered(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    path = tmp_path / "inbox" / "a.csv"
    path.write_bytes(b"a\n1\n")
    async with watching(tmp_path, ORDERS) as at:
        found = await at.next()
    assert (found.source_name, found.path, found.stat) == ("orders", path, look(path))
    assert found.found_at.tzinfo is not None


async def test_a_file_renamed_in_is_offered_by_a_wake_up(tmp_path: Path) -> None:
    async with watching(tmp_path, ORDERS, settings=NEVER_BY_ITSELF) as at:
        at.drop("first.csv")
        assert (await at.next()).path.name == "first.csv"
        await at.until_scanned()
        at.drop("second.csv")
        assert (await at.next()).path.name == "second.csv"


async def test_a_file_written_in_place_is_offered_when_it_is_closed(tmp_path: Path) -> None:
    async with watching(tmp_path, ORDERS) as at:
        path = at.inbox / "a.csv"
        with path.open("wb") as file:
            file.write(b"a\n")
            file.flush()
            await at.until(lambda: at.watcher.waiting()["orders"] == 1)
            at.drop("later.csv")
            assert (await at.next()).path.name == "later.csv"
            file.write(b"1\n")
        assert (await at.next()).stat.size_bytes == 4


async def test_each_file_is_offered_once(tmp_path: Path) -> None:
    async with watching(tmp_path, ORDERS) as at:
        at.drop("a.csv")
        found = await at.next()
        await at.until_scanned()
        at.watcher.finished(found, None)
        await at.until_scanned()
        at.drop("b.csv")
        assert (await at.next()).path.name == "b.csv"
        assert at.watcher.waiting() == {"orders": 0}


async def test_a_finished_file_is_offered_again_when_it_changes(tmp_path: Path) -> None:
    async with watching(tmp_path, ORDERS) as at:
        at.drop("a.csv")
        at.watcher.finished(await at.next(), None)
        at.drop("a.csv", b"a\n2\n")
        second = await at.next()
        at.watcher.finished(second, None)
        second.path.chmod(0o600)
        assert (await at.next()).path.name == "a.csv"


async def test_a_file_that_went_away_and_came_back_is_offered_again(tmp_path: Path) -> None:
    async with watching(tmp_path, ORDERS) as at:
        path = at.drop("a.csv")
        found = await at.next()
        path.rename(tmp_path / "archived.csv")
        at.watcher.finished(found, None)
        at.drop("a.csv")
        assert (await at.next()).path == path


async def test_a_file_replaced_in_flight_is_offered_after_the_first_is_finished(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path, ORDERS) as at:
        at.drop("a.csv", b"a\n1\n")
        first = await at.next()
        at.drop("a.csv", b"a\n2\n")
        await at.until_scanned()
        at.drop("b.csv")
        other = await at.next()
        assert other.path.name == "b.csv"
        at.watcher.finished(first, None)
        second = await at.next()
    assert second.path == first.path
    assert second.stat.inode != first.stat.inode


async def test_a_file_to_be_tried_again_is_offered_after_its_delay(tmp_path: Path) -> None:
    async with watching(tmp_path, ORDERS, settings=NEVER_BY_ITSELF) as at:
        at.drop("a.csv")
        first = await at.next()
        finished_at = anyio.current_time()
        at.watcher.finished(first, 0.2)
        second = await at.next()
        assert anyio.current_time() - finished_at >= 0.2
    assert (second.path, second.stat) == (first.path, first.stat)


async def test_the_pipeline_may_take_its_time_while_scans_go_on(tmp_path: Path) -> None:
    async with watching(tmp_path, ORDERS) as at:
        for number in range(5):
            at.drop(f"{number}.csv")
        await at.until(lambda: at.watcher.waiting()["orders"] == 4)
        await at.until_scanned()
        assert at.watcher.last_scan_age_s < PATIENCE_S
        assert await at.next_names(5) == [f"{number}.csv" for number in range(5)]


async def test_a_source_with_many_files_does_not_starve_another(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    (inbox / "many").mkdir(parents=True)
    (inbox / "few").mkdir()
    for number in range(200):
        (inbox / "many" / f"{number}.csv").write_bytes(b"a\n1\n")
    (inbox / "few" / "one.csv").write_bytes(b"a\n1\n")
    at_once = WatchSettings(settle=0)
    many, few = source("many", "many/*.csv"), source("few", "few/*.csv")
    async with watching(tmp_path, many, few, settings=at_once) as at:
        first_three = [(await at.next()).source_name for _ in range(3)]
    assert "few" in first_three


async def test_a_file_without_room_is_offered_when_another_one_is_finished(tmp_path: Path) -> None:
    at_work: list[FoundFile] = []
    async with watching(tmp_path, ORDERS, has_room=lambda size_bytes: not at_work) as at:
        at.drop("first.csv")
        at_work.append(await at.next())
        at.drop("second.csv")
        await at.until(lambda: at.watcher.waiting()["orders"] == 1)
        await at.until_scanned()
        assert at.watcher.waiting() == {"orders": 1}
        at.watcher.finished(at_work.pop(), None)
        assert (await at.next()).path.name == "second.csv"


async def test_files_are_offered_in_order_of_arrival(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    names = ["z.csv", "a.csv", "m.csv"]
    for number, name in enumerate(names):
        path = tmp_path / "inbox" / name
        path.write_bytes(b"a\n1\n")
        os.utime(path, (number, number))
    async with watching(tmp_path, ORDERS) as at:
        assert [(await at.next()).path.name for _ in names] == names


# complete or not


async def test_a_file_that_is_opened_closed_and_opened_again_is_not_taken_in_between(
    tmp_path: Path,
) -> None:
    patient = WatchSettings(rescan_interval=3600, settle=0.5)
    async with watching(tmp_path, ORDERS, settings=patient) as at:
        path = at.inbox / "a.csv"
        began_at = anyio.current_time()
        while anyio.current_time() - began_at < 2 * patient.settle:
            with path.open("ab") as file:
                file.write(b"1\n")
            await at.until_scanned()
        assert at.watcher.waiting() == {"orders": 1}
        assert (await at.next()).stat.size_bytes == path.stat().st_size


async def test_a_file_renamed_in_where_one_was_just_removed_is_offered_by_a_wake_up(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path, ORDERS, settings=NEVER_BY_ITSELF) as at:
        at.drop("first.csv")
        first = await at.next()
        await at.until_scanned()
        first.path.unlink()
        at.drop("first.csv", b"a\n2\n3\n")
        at.watcher.finished(first, None)
        assert (await at.next()).stat.size_bytes == 6


async def test_an_empty_file_gets_the_time_to_be_written(tmp_path: Path) -> None:
    patient = WatchSettings(rescan_interval=3600, settle=0.3, settle_unproven=0.5)
    async with watching(tmp_path, ORDERS, settings=patient) as at:
        at.drop("warm-up.csv")
        await at.next()
        await at.until_scanned()
        dropped_at = anyio.current_time()
        at.drop("empty.csv", b"")
        assert (await at.next()).stat.size_bytes == 0
        assert anyio.current_time() - dropped_at >= 0.3


async def test_a_file_with_a_done_marker_waits_for_it(tmp_path: Path) -> None:
    marked = source("orders", "*", done_marker=".done")
    async with watching(tmp_path, marked, settings=NEVER_BY_ITSELF) as at:
        at.drop("a.csv")
        at.drop("b.csv")
        await at.until(lambda: at.watcher.waiting()["orders"] == 2)
        at.drop("b.csv.done", b"")
        found = await at.next()
        assert found.path.name == "b.csv"
        assert at.watcher.marker_path(found) == at.inbox / "b.csv.done"
        await at.until_scanned()
        assert at.watcher.waiting() == {"orders": 1}


async def test_a_file_waits_for_its_manifest_until_that_is_written_whole(tmp_path: Path) -> None:
    counted = source("orders", "*", manifest={"suffix": ".count"})
    async with watching(tmp_path, counted) as at:
        at.drop("a.csv")
        await at.until(lambda: at.watcher.waiting()["orders"] == 1)
        with (at.inbox / "a.csv.count").open("wb") as manifest:
            manifest.write(b"1")
            manifest.flush()
            at.drop("b.csv")
            at.drop("b.csv.count", b"1")
            assert (await at.next()).path.name == "b.csv"
            assert at.watcher.waiting() == {"orders": 1}
        found = await at.next()
        assert (found.path.name, found.manifest) == ("a.csv", at.inbox / "a.csv.count")
        assert at.watcher.marker_path(found) is None


async def test_markers_that_are_there_at_start_count(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    for name in ("a.csv", "b.csv", "b.csv.done"):
        (tmp_path / "inbox" / name).write_bytes(b"a\n1\n")
    async with watching(tmp_path, source("orders", "*.csv", done_marker=".done")) as at:
        assert (await at.next()).path.name == "b.csv"
        await at.until_scanned()
        assert at.watcher.waiting() == {"orders": 1}


async def test_a_marker_left_from_an_earlier_file_does_not_vouch_for_a_half_written_one(
    tmp_path: Path,
) -> None:
    marked = source("orders", "*.csv", done_marker=".done")
    async with watching(tmp_path, marked) as at:
        at.drop("a.csv.done", b"")
        at.drop("b.csv.done", b"")
        with (at.inbox / "a.csv").open("wb") as file:
            file.write(b"a\n")
            file.flush()
            await at.until(lambda: at.watcher.waiting()["orders"] == 1)
            at.drop("b.csv")
            assert (await at.next()).path.name == "b.csv"
            file.write(b"1\n")
        assert (await at.next()).stat.size_bytes == 4


@pytest.mark.parametrize("name", [".a.csv", "a.csv.tmp", "a.part", "a.filepart", "~a.csv"])
async def test_temporary_names_are_left_alone(tmp_path: Path, name: str) -> None:
    async with watching(tmp_path, source("orders", "**/*")) as at:
        at.drop(name)
        (at.inbox / ".hidden").mkdir()
        at.drop(".hidden/b.csv")
        at.drop("c.csv")
        assert (await at.next()).path.name == "c.csv"
        await at.until_scanned()
        assert at.watcher.waiting() == {"orders": 0}


async def test_a_temporary_name_renamed_is_offered(tmp_path: Path) -> None:
    async with watching(tmp_path, ORDERS, settings=NEVER_BY_ITSELF) as at:
        temporary = at.drop(".a.csv.tmp")
        temporary.rename(at.inbox / "a.csv")
        assert (await at.next()).path.name == "a.csv"


# what must not stop the watcher


async def test_names_that_are_not_utf8_are_offered_and_the_watcher_goes_on(tmp_path: Path) -> None:
    async with watching(tmp_path, ORDERS) as at:
        await at.until_scanned()
        strange = os.fsdecode(b"caf\xe9.csv")
        at.drop(strange)
        assert (await at.next()).path == at.inbox / strange
        await at.until(lambda: at.events.troubles)
        at.drop("after.csv")
        assert (await at.next()).path.name == "after.csv"
        assert len(at.events.troubles) == 1


async def test_wake_ups_come_again_after_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    async with watching(tmp_path, ORDERS, settings=NEVER_BY_ITSELF) as at:
        await at.until_scanned()
        at.drop(os.fsdecode(b"\xff.csv"))
        await at.next()
        at.drop("after.csv")
        assert (await at.next()).path.name == "after.csv"


async def test_where_nobody_may_listen_rescans_find_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> AsyncIterator[set[tuple[Change, str]]]:
        raise OSError("OS file watch limit reached.")

    monkeypatch.setattr("ingestd.watch.listener.awatch", refuse)
    async with watching(tmp_path, ORDERS) as at:
        await at.until_scanned()
        at.drop("a.csv")
        assert (await at.next()).path.name == "a.csv"
        assert at.events.troubles == ["OS file watch limit reached."]


async def test_names_with_newlines_and_hard_links_are_files_like_others(tmp_path: Path) -> None:
    async with watching(tmp_path, ORDERS) as at:
        path = at.drop("two\nlines.csv")
        os.link(path, at.inbox / "link.csv")
        assert await at.next_names(2) == ["link.csv", "two\nlines.csv"]


async def test_a_missing_inbox_is_told_once_and_found_when_it_comes(tmp_path: Path) -> None:
    mount = tmp_path / "mount" / "point"
    async with watching(tmp_path, source("orders", f"{mount}/*.csv")) as at:
        await at.until_scanned()
        assert at.messages("orders") == [f"inbox {mount} is missing"]
        assert not mount.exists()
        mount.mkdir(parents=True)
        (mount / "a.csv").write_bytes(b"a\n1\n")
        assert (await at.next()).path.name == "a.csv"
        assert at.events.missing == [mount]
        assert at.watcher.problems() == {}


async def test_files_in_an_inbox_deleted_and_made_again_are_found_by_wake_up(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path, ORDERS, settings=NEVER_BY_ITSELF) as at:
        await at.until_scanned()
        for round_ in range(3):
            shutil.rmtree(at.inbox)
            at.inbox.mkdir()
            at.drop(f"{round_}.csv")
            assert (await at.next()).path.name == f"{round_}.csv"


async def test_files_in_an_inbox_replaced_by_rename_are_found(tmp_path: Path) -> None:
    async with watching(tmp_path, ORDERS) as at:
        await at.until_scanned()
        at.inbox.rename(tmp_path / "old")
        at.inbox.mkdir()
        at.drop("new.csv")
        assert (await at.next()).path.name == "new.csv"
        await at.until_scanned()
        (tmp_path / "old" / "a.csv").write_bytes(b"a\n1\n")
        at.drop("newer.csv")
        assert (await at.next()).path.name == "newer.csv"


async def test_a_link_that_leads_outside_is_left_alone_and_told_once(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_bytes(b"a\n1\n")
    async with watching(tmp_path, source("orders", "**/*.csv")) as at:
        (at.inbox / "link.csv").symlink_to(tmp_path / "secret.csv")
        (at.inbox / "linked").symlink_to(tmp_path, target_is_directory=True)
        (at.inbox / "dangling.csv").symlink_to(tmp_path / "nothing")
        at.drop("a.csv")
        assert (await at.next()).path.name == "a.csv"
        await at.until_scanned()
        await at.until_scanned()
        names = sorted(problem.path.name for problem in at.watcher.problems()["orders"])
        assert names == ["dangling.csv", "link.csv", "linked"]
        assert sorted(name for name, _ in at.events.ignored) == names
        assert at.watcher.waiting() == {"orders": 0}


async def test_a_link_that_leads_inside_is_another_name_for_what_is_found_anyway(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path, source("orders", "**/*.csv")) as at:
        (at.inbox / "day").mkdir()
        path = at.drop("day/a.csv")
        (at.inbox / "today").symlink_to("day")
        (at.inbox / "latest.csv").symlink_to("day/a.csv")
        (at.inbox / "loop").symlink_to(at.inbox)
        assert (await at.next()).path == path
        await at.until_scanned()
        assert at.watcher.waiting() == {"orders": 0}
        assert at.watcher.problems() == {}


async def test_an_inbox_that_is_a_link_is_followed(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    async with watching(tmp_path, source("orders", f"{tmp_path}/link/*.csv")) as at:
        (real / "a.csv").write_bytes(b"a\n1\n")
        assert (await at.next()).path == real / "a.csv"


async def test_what_is_no_regular_file_is_a_problem_and_no_more(tmp_path: Path) -> None:
    async with watching(tmp_path, ORDERS) as at:
        (at.inbox / "dir.csv").mkdir()
        os.mkfifo(at.inbox / "pipe.csv")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(at.inbox / "socket.csv"))
        at.drop("a.csv")
        assert (await at.next()).path.name == "a.csv"
        await at.until_scanned()
        assert sorted(at.messages("orders")) == [
            "dir.csv is a directory, not a file",
            "pipe.csv is a named pipe, not a file",
            "socket.csv is a socket, not a file",
        ]


async def test_directories_are_nothing_odd_where_any_name_fits(tmp_path: Path) -> None:
    async with watching(tmp_path, source("orders", "*")) as at:
        (at.inbox / "done").mkdir()
        at.drop("a")
        await at.next()
        await at.until_scanned()
        assert at.watcher.problems() == {}


async def test_a_path_of_two_sources_is_left_alone(tmp_path: Path) -> None:
    async with watching(tmp_path, ORDERS, source("all", "a*"), source("deep", "**/*.csv")) as at:
        at.drop("a.csv")
        at.drop("a.txt")
        assert (await at.next()).source_name == "all"
        await at.until_scanned()
        message = "a.csv belongs to more than one source: orders, all, deep"
        for name in ("orders", "all", "deep"):
            assert at.messages(name) == [message]
        assert sum(at.watcher.waiting().values()) == 0


async def test_sources_whose_directories_lie_in_each_other_share_one_tree(tmp_path: Path) -> None:
    inner = source("inner", "sub/*.json")
    async with watching(tmp_path, source("outer", "**/*.csv"), inner) as at:
        at.drop("sub/a.csv")
        at.drop("sub/b.json")
        offered = {(f.source_name, f.name_in_source) for f in [await at.next(), await at.next()]}
    assert offered == {("outer", "sub/a.csv"), ("inner", "b.json")}


async def test_new_subdirectories_are_found_with_what_is_in_them_already(tmp_path: Path) -> None:
    async with watching(tmp_path, source("o", "**/*.csv"), settings=NEVER_BY_ITSELF) as at:
        await at.until_scanned()
        filled = tmp_path / "filled" / "deep"
        filled.mkdir(parents=True)
        (filled / "a.csv").write_bytes(b"a\n1\n")
        (tmp_path / "filled").rename(at.inbox / "filled")
        assert (await at.next()).path == at.inbox / "filled/deep/a.csv"
        (at.inbox / "x/y/z").mkdir(parents=True)
        at.drop("x/y/z/b.csv")
        assert (await at.next()).path.name == "b.csv"


async def test_files_that_vanish_while_they_wait_are_forgotten(tmp_path: Path) -> None:
    async with watching(tmp_path, ORDERS) as at:
        paths = [at.drop(f"{number}.csv") for number in range(3)]
        first = await at.next()
        await at.until(lambda: at.watcher.waiting()["orders"] >= 1)
        for path in paths:
            path.unlink()
        at.watcher.finished(first, None)
        await at.until_scanned()
        at.drop("last.csv")
        names = {(await at.next()).path.name}
        if "last.csv" not in names:  # one was on its way already
            names = {(await at.next()).path.name}
        assert names == {"last.csv"}
        assert at.watcher.waiting() == {"orders": 0}


async def test_ten_thousand_files_are_all_offered_once(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    for number in range(10_000):
        (tmp_path / "inbox" / f"{number}.csv").touch()
    async with watching(tmp_path, ORDERS) as at:
        names = {(await at.next()).path.name for _ in range(10_000)}
        await at.until_scanned()
        assert len(names) == 10_000
        assert at.watcher.waiting() == {"orders": 0}


async def test_no_more_files_are_kept_in_mind_than_allowed(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.csv").touch()
    feed = Feed("orders", compile_pattern("*.csv", tmp_path))
    files = Arrivals([feed], QUICK)
    outlook = Outlook((feed,), compile_names(()), files.known, files.counts, most_files=3)
    first = scan(outlook)
    assert len(first.changed) == 3
    assert [problem.message for problem in first.problems["orders"]] == [
        f"more than 3 files wait below {tmp_path}"
    ]
    for sighting in first.changed:
        files.sight(sighting, 0.0)
        Path(sighting.path).unlink()
    second = scan(outlook)
    assert sorted(second.vanished) == sorted(files.known)
    for path in second.vanished:
        files.vanish(path)
    assert len(scan(outlook).changed) == 2


async def test_files_of_a_paused_source_wait(tmp_path: Path) -> None:
    async with watching(tmp_path, source("a", "a/*"), source("b", "b/*")) as at:
        at.watcher.pause({"a"})
        at.drop("a/1")
        await at.until(lambda: at.watcher.waiting()["a"] == 1)
        at.drop("b/2")
        assert (await at.next()).source_name == "b"
        at.watcher.pause(set())
        assert (await at.next()).source_name == "a"


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory that an ordinary user reaches; the test is run as one, as root reads all."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        was_root = os.geteuid() == 0
        yield Path(directory)
        if was_root:
            os.seteuid(0)


async def test_a_directory_that_cannot_be_read_stops_nothing_else(open_to_all: Path) -> None:
    closed = open_to_all / "inbox" / "closed"
    closed.mkdir(parents=True)
    (closed / "a.csv").write_bytes(b"a\n1\n")
    closed.chmod(0)
    open_to_all.joinpath("inbox").chmod(0o777)
    if os.geteuid() == 0:
        os.seteuid(65534)
    async with watching(open_to_all, source("orders", "**/*.csv")) as at:
        at.drop("b.csv")
        assert (await at.next()).path.name == "b.csv"
        await at.until_scanned()
        assert at.messages("orders") == [f"cannot read {closed}: Permission denied"]
        assert "with mode 0000" in at.watcher.problems()["orders"][0].hint


async def test_a_directory_that_cannot_be_watched_leaves_wake_ups_for_others(
    open_to_all: Path,
) -> None:
    (open_to_all / "inbox" / "closed").mkdir(parents=True, mode=0)
    open_to_all.joinpath("inbox").chmod(0o777)
    if os.geteuid() == 0:
        os.seteuid(65534)
    async with watching(
        open_to_all, source("orders", "**/*.csv"), settings=NEVER_BY_ITSELF
    ) as at:  # fmt: skip
        await at.until(lambda: at.events.troubles)
        await at.until_scanned()
        at.drop("a.csv")  # at the latest the scan finds it with which listening begins again
        await at.next()
        scans_before = at.events.scans
        at.drop("b.csv")
        await at.next()
        assert at.events.scans == scans_before
        assert ["Permission denied" in reason for reason in at.events.troubles] == [True]


# preparing


def test_only_directories_in_the_inbox_are_made(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    sources = [source("orders", "orders/in/*.csv"), source("partner", f"{outside}/*.csv")]
    Watcher(sources, tmp_path / "inbox", QUICK, RecordedEvents()).prepare()
    assert (tmp_path / "inbox/orders/in").is_dir()
    assert not outside.exists()


def test_an_inbox_that_cannot_be_made_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "inbox").write_bytes(b"")
    watcher = Watcher(
        [source("orders", "orders/*.csv")], tmp_path / "inbox", QUICK, RecordedEvents()
    )
    with pytest.raises(ConfigError, match=r"cannot make the inbox .*orders: Not a directory"):
        watcher.prepare()


async def test_the_watcher_ends_when_nobody_receives(tmp_path: Path) -> None:
    watcher = Watcher([ORDERS], tmp_path / "inbox", QUICK, RecordedEvents())
    watcher.prepare()
    (tmp_path / "inbox" / "a.csv").write_bytes(b"a\n1\n")
    outbox, found = anyio.create_memory_object_stream[FoundFile](0)
    found.close()
    with anyio.fail_after(PATIENCE_S):
        await watcher.run(outbox)
    assert outbox.statistics().open_send_streams == 0
