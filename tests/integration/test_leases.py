"""Several processes on one MongoDB: who has a file in hand, and who may take it over."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from pipeline_world import (
    InThread,
    Result,
    World,
    many,
    opened,
    source,
    stop_after_a_chunk,
)

from ingestd.errors import FileTaken
from ingestd.ledger import THIS_PROCESS, Action, Asked, Claim, Owner, Verdict, Wanted, now
from ingestd.ledger.runs import Runs
from ingestd.records import COMMITTED, FoundFile
from ingestd.wayback import replay, undo

OTHER = Owner("other", "elsewhere", 4711)
ROWS = many(3000)


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path / "root") as world:
        yield world


@pytest.fixture
def other(world: World) -> World:
    """Another process that watches the same directories."""
    return world.on(world.mongo, OTHER)


def die(world: World) -> None:
    """Its lease ends: as if it had not been heard of for long."""
    lapse(world, world.desk.ledger.leases.me)


def lapse(world: World, owner: Owner) -> None:
    past = {"$set": {"expires_at": now() - timedelta(seconds=1)}}
    world.client[world.desk.settings.mongo.database]["ingestd_leases"].update_one(
        {"_id": owner.id}, past
    )


async def claim(world: World, file: FoundFile, sha256: bytes = bytes(32)) -> Claim:
    config_hash = world.desk.rules(world.desk.sources["orders"]).config_hash
    (answer,) = await world.desk.ledger.claims.claim_all([Wanted(file, sha256, config_hash)])
    assert isinstance(answer, Claim)
    return answer


def takeovers(world: World) -> float:
    (metric,) = world.desk.events.metrics.takeovers.labels("orders").collect()
    return metric.samples[0].value


# claims


async def test_a_file_in_hand_is_left_to_who_has_it(world: World, other: World) -> None:
    file = world.drop("a.csv", ROWS)
    mine = await claim(world, file)
    assert mine.verdict is Verdict.LOAD
    for name in ("a.csv", "copy.csv"):
        theirs = await claim(other, replace(file, path=file.path.with_name(name)))
        assert (theirs.verdict, theirs.file.attempts) == (Verdict.TAKEN, 1)
    (known,) = world.files
    assert known["owner"] == world.desk.ledger.leases.me.as_document()


async def test_what_a_dead_process_had_in_hand_is_taken_over_and_counted(
    world: World, other: World
) -> None:
    file = world.drop("a.csv", ROWS)
    await stop_after_a_chunk(other, file)
    assert world.files[0]["rows_done"] > 0
    assert await world.offer(file) == [(None, 5.0)]
    die(other)
    ((result, _),) = await world.offer(file)
    assert result is not None
    assert (result.state, result.counts.record_count) == ("archived", 3000)
    assert world.files[0]["attempts"] == 2
    assert takeovers(world) == 1
    assert world.ids() == [n for n in range(1, 3001) if n % 10]


async def test_of_many_files_each_goes_to_one_of_three_processes(
    world: World, other: World
) -> None:
    worlds = [world, other, world.on(world.mongo, Owner("third", "elsewhere", 4712))]
    files = [world.drop(f"{n}.csv", many(20, first=1 + 100 * n)) for n in range(120)]
    answers = await asyncio.gather(*(one.offer(*files) for one in worlds))
    results = [[result for result, _ in of_one if result is not None] for of_one in answers]
    names = [result.name for of_one in results for result in of_one]
    assert sorted(names) == sorted(file.name for file in files)
    assert len(world.ids()) == 120 * 18
    assert {known["attempts"] for known in world.files} == {1}
    assert len(world.files) == 120
    assert world.found("inbox") == []
    assert len(world.found("archive")) == 120
    assert [one.blocked() for one in worlds] == [[]] * 3


async def test_a_file_that_another_process_put_away_meanwhile_is_no_duplicate(
    world: World, other: World
) -> None:
    file = world.drop("a.csv", ROWS)
    await world.offer(file)
    assert (await claim(other, file, bytes.fromhex(world.files[0]["sha256"]))).verdict is (
        Verdict.TAKEN
    )
    assert len(world.files) == 1


async def test_a_file_that_another_process_set_aside_meanwhile_is_not_tried_again(
    world: World, other: World
) -> None:
    file = world.drop("a.csv", b"id\n1\n")
    await world.offer(file)
    (known,) = world.files
    assert known["state"] == "failed"
    assert (await claim(other, file, bytes.fromhex(known["sha256"]))).verdict is Verdict.TAKEN
    assert world.files == [known]


async def test_a_file_that_is_gone_before_it_is_read_is_no_complaint(world: World) -> None:
    file = world.drop("a.csv", ROWS)
    file.path.unlink()
    ((result, retry_s),) = await world.offer(file)
    assert (result, retry_s, world.blocked(), world.files) == (None, 1.0, [], [])


# who was not heard of


class Paused(InThread):
    """Workers of a process that is stopped in the middle of a file, and goes on much later."""

    def __init__(self) -> None:
        super().__init__()
        self.is_stopped, self.goes_on = anyio.Event(), anyio.Event()

    async def run(self, function: Callable[..., Result], *arguments: object) -> Result:
        result = await super().run(function, *arguments)
        self.is_stopped.set()
        await self.goes_on.wait()
        return result


@pytest.mark.parametrize("content", [ROWS, many(5), b"id,amount,note\n1,1,x\n2,3\n"])
async def test_who_wakes_up_too_late_stores_moves_and_records_nothing_more(
    mongo_uri: str, database: str, tmp_path: Path, content: bytes
) -> None:
    async with opened(mongo_uri, database, tmp_path / "root", ledger={"lease": 1}) as world:
        file, workers = world.drop("a.csv", content), Paused()
        late = world.on(world.mongo, OTHER).with_workers(workers)
        answers: list[Any] = []
        async with anyio.create_task_group() as group:
            group.start_soon(offer, late, file, answers)
            await workers.is_stopped.wait()
            while await world.offer(file) == [(None, 1.0)]:  # until its lease has ended
                await anyio.lowlevel.checkpoint()
            before = everything(world)
            workers.goes_on.set()
        assert answers == [(None, 1.0)]
        assert everything(world) == before
        assert [known["attempts"] for known in world.files] == [2]
        assert takeovers(world) == 1
        assert world.blocked() + late.blocked() == []


async def test_a_replay_that_wakes_up_too_late_changes_nothing_more(
    world: World, other: World
) -> None:
    """Its rows were replayed by another process, and may have been undone since."""
    await world.load("a.csv", ROWS)
    lax, workers = source(validation_rules={"amount": {"min": -1}}), Paused()
    late = other.configured(lax).with_workers(workers)
    async with anyio.create_task_group() as group:
        group.start_soon(replay_in_vain, late)
        await workers.is_stopped.wait()
        die(late)
        late.desk.ledger.leases.lease_s = 0.001  # it is over there, too
        await world.configured(lax).recover()
        assert len(world.ids()) == 3000
        await undo(world.desk, "a.csv", "ada")
        before = everything(world)
        workers.goes_on.set()
    assert everything(world) == before
    assert world.ids() == []


async def replay_in_vain(late: World) -> None:
    with pytest.raises(FileTaken, match=r"another ingestd has taken up a\.csv"):
        await replay(late.desk, "a.csv", "ada")


async def test_an_action_whose_lease_lapsed_goes_on_as_long_as_nobody_wants_it(
    world: World,
) -> None:
    await world.load("a.csv", ROWS)
    ledger, asked = world.desk.ledger, Asked(Action.DISMISS, "ada")
    begun = await ledger.actions.begin(world.files[0]["_id"], asked, COMMITTED, {})
    with ledger.actions.in_hand(begun):
        lapse(world, ledger.leases.me)
        ledger.leases.lease_s = 0.001
        await ledger.actions.require(begun)
    assert world.files[0]["doing"] == begun["doing"]


async def offer(world: World, file: FoundFile, answers: list[Any]) -> None:
    answers += await world.offer(file)


def everything(world: World) -> Any:
    return world.files, world.rows(), world.rows("errors"), world.found()


async def test_a_lease_that_lapsed_costs_nothing_as_long_as_nobody_wants_the_file(
    world: World,
) -> None:
    """MongoDB was away for long, or the only daemon was stopped: it simply goes on."""
    file = world.drop("a.csv", ROWS)
    mine, leases = await claim(world, file), world.desk.ledger.leases
    lapse(world, leases.me)
    leases.lease_s = 0.001  # all of it is over here, too
    await leases.require(mine.file)
    await world.desk.ledger.loading(mine.file)
    assert [entry["state"] for entry in world.files] == ["loading"]


async def test_a_lease_is_renewed_while_a_file_is_in_hand(
    mongo_uri: str, database: str, tmp_path: Path
) -> None:
    async with opened(mongo_uri, database, tmp_path / "root", ledger={"lease": 1}) as world:
        other, file = world.on(world.mongo, OTHER), world.drop("a.csv", ROWS)
        async with other.desk.ledger.leases.kept():
            await claim(other, file)
            first = await expiry(world)
            while await expiry(world) < first + timedelta(seconds=1):
                assert (await claim(world, file)).verdict is Verdict.TAKEN
        assert (await claim(world, file)).verdict is Verdict.LOAD


async def expiry(world: World) -> datetime:
    lease = await world.mongo.find_one("ingestd_leases", {"_id": OTHER.id})
    assert lease is not None
    moment: datetime = lease["expires_at"]
    return moment


async def test_a_process_of_this_machine_that_is_gone_is_not_waited_for(world: World) -> None:
    """Who runs a killed command again need not wait for the lease of the first."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    file = world.drop("a.csv", ROWS)
    for pid, verdict in ((process.pid, Verdict.LOAD), (os.getppid(), Verdict.TAKEN)):
        owner, content = replace(THIS_PROCESS, id=f"process {pid}", pid=pid), pid.to_bytes(32)
        await claim(world.on(world.mongo, owner), file, content)
        assert (await claim(world, file, content)).verdict is verdict


# what a dead process left that no watcher finds


async def test_a_move_is_finished_by_another_process_once_its_lease_has_ended(
    world: World, other: World
) -> None:
    await other.load("a.csv", ROWS)
    unfinished = {"is_put_away": False, "state": "loaded", "owner": OTHER.as_document()}
    await world.mongo.update("files", {}, {"$set": unfinished})
    await world.recover()
    assert world.files[0]["state"] == "loaded"
    die(other)
    await world.recover()
    assert (world.files[0]["state"], world.files[0]["owner"]) == ("archived", None)


async def test_an_action_is_finished_by_another_process_once_its_lease_has_ended(
    world: World, other: World
) -> None:
    """It was killed beside a running daemon: nobody has to run the command again."""
    await world.load("a.csv", ROWS)
    asked = Asked(Action.UNDO, "ada")
    fields = {"state": "undone", "has_rows": True}
    identity = world.files[0]["_id"]
    await other.desk.ledger.actions.begin(identity, asked, COMMITTED, fields)
    await world.recover()
    assert world.files[0]["doing"]["owner"] == OTHER.as_document()
    die(other)
    await world.recover()
    assert (world.rows(), world.files[0]["has_rows"]) == ([], False)
    assert "doing" not in world.files[0]


async def test_an_action_that_a_running_process_has_in_hand_is_not_begun_twice(
    world: World,
) -> None:
    await world.load("a.csv", ROWS)
    actions, identity = world.desk.ledger.actions, world.files[0]["_id"]
    begun = await actions.begin(identity, Asked(Action.DISMISS, "ada"), COMMITTED, {})
    with actions.in_hand(begun):
        assert [entry async for entry in actions.cut_off(["orders"])] == []
    assert [entry["_id"] async for entry in actions.cut_off(["orders"])] == [identity]


async def test_a_successor_need_not_wait_for_the_lease_of_who_was_there_before(
    world: World, other: World
) -> None:
    file = world.drop("a.csv", ROWS)
    await claim(other, file)
    await world.desk.ledger.leases.succeed(OTHER.id)
    again = await claim(world, file)
    assert (again.verdict, again.taken_from) == (Verdict.LOAD, "")


async def test_leases_of_processes_that_died_long_ago_are_removed(world: World) -> None:
    old, recent = timedelta(days=2), timedelta(hours=1)
    leases = [{"_id": f"{ago}", "expires_at": now() - ago} for ago in (old, recent)]
    await world.mongo.insert_missing("ingestd_leases", leases)
    await world.desk.ledger.prepare()
    assert [lease["_id"] for lease in world.rows("ingestd_leases")] == [f"{recent}"]


async def test_an_archive_is_opened_by_one_process_at_a_time(world: World, other: World) -> None:
    here, there = world.desk.ledger.archives, other.desk.ledger.archives
    assert await asyncio.gather(there.take("ab"), there.take("ab")) == [True, True]
    assert not await here.take("ab")
    assert await here.take("cd")
    die(other)
    assert await here.take("ab")
    await there.let_go("ab")
    await here.let_go("cd")
    assert [archive["_id"] for archive in world.rows("ingestd_archives")] == ["ab"]


# order


async def test_runs_are_recorded_in_their_order_whoever_gives_them_out(world: World) -> None:
    """Readers rely on it: an earlier run that is recorded after a later one would be seen."""
    here, there = Runs(world.mongo), Runs(world.mongo)
    recorded: list[Any] = []

    async def record(runs: Sequence[datetime]) -> None:
        if not recorded:
            recorded.append(await there.give_out("orders"))
        recorded.append(runs[-1])

    await here.record("orders", 2, record)
    overtaken, late, last = recorded[1], recorded[0], recorded[2]
    assert overtaken < late < last
    assert len(recorded) == 3


async def test_a_later_run_of_another_process_gives_new_files_later_ones(
    world: World, other: World
) -> None:
    files = [world.drop(f"{n}.csv", many(20, first=1 + 100 * n)) for n in range(30)]
    await asyncio.gather(*(one.offer(file) for file in files for one in (world, other)))
    runs = [known["processed_at"] for known in world.files]
    assert len(set(runs)) == 30
    stored = {(row["processed_at"], row["id"] // 100) for row in world.rows()}
    assert {run for run, _ in stored} == set(runs)
    assert len(stored) == 30
