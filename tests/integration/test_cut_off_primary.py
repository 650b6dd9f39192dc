"""A primary that is cut off in the moment of a commit: it tells of what the others never hear."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from harness import Mongod, wait_for
from pipeline_world import World, many, opened
from pymongo import MongoClient
from replica_set import ReplicaSet

from ingestd.events import Events
from ingestd.files import digest_of
from ingestd.ledger import THIS_PROCESS, Claim, Commit, Owner, Wanted
from ingestd.metrics import Metrics
from ingestd.mongo import Mongo
from ingestd.records import Counts, FoundFile

TWO = many(30, first=200)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    members = ReplicaSet(tmp_path_factory.mktemp("members"))
    try:
        members.start().elect_no_sooner_than(30)
        yield members
    finally:
        members.stop()


@pytest.fixture
async def world(members: ReplicaSet, tmp_path: Path) -> AsyncIterator[World]:
    """One that has loaded a file, and needs nothing any more before it looks into the ledger."""
    root, ledger = tmp_path / "root", {"lease": 300}
    async with opened(members.uri, tmp_path.name, root, ledger=ledger) as world:
        await world.load("first.csv", many(30))
        yield world


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Task[Any]]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(look: Callable[[], Any], what: str) -> None:
    await to_thread.run_sync(wait_for, look, what, 20)


def dead_process() -> Owner:
    """One of this machine that is not there any more."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return Owner("dead", THIS_PROCESS.host, process.pid, THIS_PROCESS.place)


async def cut_off_at_commit(members: ReplicaSet, world: World, *files: FoundFile) -> list[Mongod]:
    """A process dies when the primary, and nobody else, knows that it has loaded the files.

    Returns:
        the others. They are killed: what waits in the sockets of members that are only stopped
        reaches them later.
    """
    primary, others = members.primary_and_others()
    settings = world.desk.settings.mongo  # a thread of the driver would live on, and try again
    mongo = Mongo(f"{members.uri}&retryWrites=false", settings, Events(Metrics()))
    ledger = world.on(mongo, dead_process()).desk.ledger
    wanted = [Wanted(file, digest_of(file.path, file.stat), "") for file in files]
    claims = await ledger.claims.claim_all(wanted)
    for other in others:
        other.signal(signal.SIGKILL)
    commits = [
        Commit(claim.file, Counts(30, 27, 3), world.root / "archive" / claim.file.name, False)
        for claim in claims
        if isinstance(claim, Claim)
    ]
    async with in_background(ledger.commit_all(commits)):
        await until(lambda: loaded(primary, world) == len(files), "the commit")
    mongo.close()
    return others


def loaded(member: Mongod, world: World) -> int:
    """How many files are loaded and still in their inbox, as far as one member knows."""
    uri = f"mongodb://127.0.0.1:{member.port}/?directConnection=true"
    with MongoClient[dict[str, Any]](uri) as client:
        files = client[world.desk.settings.mongo.database]["files"]
        return files.count_documents({"state": "loaded"})


def is_changing(member: Mongod) -> bool:
    """Whether somebody waits for most members to hear of a change."""
    operations = member.command({"currentOp": 1, "active": True})["inprog"]
    return any("findAndModify" in operation.get("command", ()) for operation in operations)


async def test_what_a_cut_off_primary_tells_of_a_commit_lets_no_file_leave_its_inbox(
    members: ReplicaSet, world: World
) -> None:
    """By what it tells two files are loaded, and a copy of the second one is a duplicate. The new
    primary knows of attempts that were never finished."""
    one, two = world.drop("one.csv", many(30, first=100)), world.drop("two.csv", TWO)
    others = await cut_off_at_commit(members, world, one, two)
    primary = members.wait_for_primary()
    async with in_background(world.offer(one, world.drop("copy.csv", TWO))) as offering:
        await until(lambda: is_changing(primary), "the ledger to be changed")
        members.forget_primary(others)
        with anyio.fail_after(20):
            answers = await offering
    assert [(result.state, result.counts.success_count) for result, _ in answers] == [
        ("archived", 27), ("archived", 27),
    ]  # fmt: skip
    told = {(entry["name"], entry["state"], entry["attempts"]) for entry in world.files[1:]}
    assert told == {("one.csv", "archived", 2), ("copy.csv", "archived", 2)}
    assert len(world.ids()) == 3 * 27
    assert world.found("inbox") == ["orders/two.csv"]
