"""What the ledger says of a file that was found, from every state that a crash can leave."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingestd.config.settings import MongoSettings
from ingestd.errors import FileTaken, StoreRefused
from ingestd.events import Events
from ingestd.files import file_id
from ingestd.ledger import (
    THIS_PROCESS,
    Action,
    Asked,
    Claim,
    Commit,
    Ending,
    Ledger,
    Owner,
    Verdict,
    Wanted,
    as_counts,
    now,
)
from ingestd.metrics import Metrics
from ingestd.mongo import Mongo
from ingestd.records import ClaimedFile, Counts, FileStat, FileState, FoundFile, Position

CONTENT, OTHER = bytes(32), bytes([1]) * 32
ERROR = {"type": "bad", "message": "it is bad", "hint": "make it good"}
HALF = Position(offset_bytes=500, row=5, line=6)
COUNTS = Counts(5, 4, 1, 0)
ARCHIVE, FAILED = Path("/archive/a.csv"), Path("/failed/a.csv")


@pytest.fixture
async def mongo(mongo_uri: str, database: str) -> AsyncIterator[Mongo]:
    mongo = Mongo(mongo_uri, MongoSettings(database=database), Events(Metrics()))
    await mongo.connect()
    yield mongo
    mongo.close()


@pytest.fixture
async def ledger(mongo: Mongo) -> Ledger:
    ledger = new_ledger(mongo)
    await ledger.prepare()
    return ledger


def new_ledger(mongo: Mongo, me: Owner = THIS_PROCESS) -> Ledger:
    """Files of these tests are nowhere, and yet there."""
    return Ledger(mongo, me=me, is_there=lambda _: True)


def found(name: str = "a.csv", directory: str = "/inbox") -> FoundFile:
    return FoundFile("orders", Path(directory, name), FileStat(1, 2, 1000, 4, 5), now())


async def claim(
    ledger: Ledger, file: FoundFile | None = None, sha256: bytes = CONTENT, config: str = "one"
) -> Claim:
    (answer,) = await ledger.claims.claim_all([Wanted(file or found(), sha256, config)])
    if isinstance(answer, Exception):
        raise answer
    return answer


async def entry(mongo: Mongo, identity: str) -> dict[str, Any]:
    known = await mongo.find_one("files", {"_id": identity})
    assert known is not None
    return known


async def commit(
    ledger: Ledger, file: ClaimedFile, target: Path | None = ARCHIVE, *, is_replacing: bool = False
) -> FileState:
    return await ledger.commit(Commit(file, COUNTS, target, is_replacing))


async def load(ledger: Ledger, file: FoundFile, sha256: bytes = CONTENT) -> ClaimedFile:
    """Through all states to the archive."""
    claimed = (await claim(ledger, file, sha256)).file
    await ledger.loading(claimed)
    await commit(ledger, claimed)
    await ledger.put_away(claimed.file_id, ARCHIVE)
    return claimed


async def fail(ledger: Ledger, claimed: Claim, **changes: Any) -> None:
    await ledger.ended(claimed.file, Ending(FileState.FAILED, ERROR, 1, **changes))


# claiming


async def test_a_new_file_is_to_be_loaded_from_its_start(ledger: Ledger, mongo: Mongo) -> None:
    first = await claim(ledger)
    assert (first.verdict, first.start, first.is_stale) == (Verdict.LOAD, Position(), False)
    assert first.file.file_id == file_id("orders", CONTENT)
    known = await entry(mongo, first.file.file_id)
    assert known["state"] == "claimed"
    assert known["processed_at"] == first.file.processed_at
    assert known["name"] == "a.csv"
    assert known["path"] == "/inbox/a.csv"


async def test_no_two_files_of_a_source_get_one_run_however_many_claim_at_once(
    ledger: Ledger, mongo: Mongo
) -> None:
    files = [found(f"{n}.csv") for n in range(40)]
    claims = await asyncio.gather(
        *(claim(ledger, file, n.to_bytes(32)) for n, file in enumerate(files))
    )
    runs = [one.file.processed_at for one in claims]
    assert len(set(runs)) == len(runs)
    assert all(run == run.replace(microsecond=run.microsecond // 1000 * 1000) for run in runs)


async def test_runs_rise_also_when_the_clock_was_set_back(ledger: Ledger, mongo: Mongo) -> None:
    future = now() + timedelta(hours=1)
    await mongo.update(
        "ingestd_sources", {"_id": "orders"}, {"$set": {"processed_at": future}}, upsert=True
    )
    assert (await claim(ledger)).file.processed_at == future + timedelta(milliseconds=1)


async def test_of_two_processes_that_find_a_file_one_gets_it(ledger: Ledger, mongo: Mongo) -> None:
    other = new_ledger(mongo, Owner("other", "elsewhere", 1))
    both = await asyncio.gather(claim(ledger), claim(other))
    assert {one.verdict for one in both} == {Verdict.LOAD, Verdict.TAKEN}
    assert [one.file.attempts for one in both] == [1, 1]


async def test_an_interrupted_load_goes_on_from_its_checkpoint(ledger: Ledger) -> None:
    first = await claim(ledger)
    await ledger.loading(first.file)
    await ledger.checkpoint(first.file, HALF, COUNTS)
    again = await claim(ledger)
    assert (again.verdict, again.start, again.counts) == (Verdict.LOAD, HALF, COUNTS)
    assert again.file.processed_at == first.file.processed_at
    assert (again.file.attempts, again.is_stale) == (2, False)


async def test_an_interrupted_load_goes_on_with_a_copy_of_the_file(ledger: Ledger) -> None:
    first = await claim(ledger)
    await ledger.loading(first.file)
    await ledger.checkpoint(first.file, HALF, COUNTS)
    again = await claim(ledger, found("copy.csv"))
    assert (again.start, again.file.name) == (HALF, "copy.csv")


async def test_another_configuration_starts_an_interrupted_load_anew(ledger: Ledger) -> None:
    first = await claim(ledger)
    await ledger.loading(first.file)
    await ledger.checkpoint(first.file, HALF, COUNTS)
    again = await claim(ledger, config="two")
    assert (again.start, again.counts, again.is_stale) == (Position(), Counts(), True)


async def test_stale_rows_are_remembered_until_they_are_removed(ledger: Ledger) -> None:
    """A crash after the new start was recorded must not leave rows of the old rules in place."""
    await ledger.loading((await claim(ledger)).file)
    assert (await claim(ledger, config="two")).is_stale
    assert (await claim(ledger, config="two")).is_stale
    await ledger.loading((await claim(ledger, config="two")).file)
    assert not (await claim(ledger, config="two")).is_stale


async def test_rows_that_are_taken_back_do_not_count_as_durable(ledger: Ledger) -> None:
    """A crash between taking rows back and recording the failure must not skip them."""
    first = await claim(ledger)
    await ledger.loading(first.file)
    await ledger.checkpoint(first.file, HALF, COUNTS)
    await ledger.rewinding(first.file)
    again = await claim(ledger)
    assert (again.start, again.counts, again.is_stale) == (Position(), Counts(), True)


# taken over


async def test_an_attempt_that_was_taken_over_can_record_nothing_more(
    ledger: Ledger, mongo: Mongo
) -> None:
    old = (await claim(ledger)).file
    await ledger.loading(old)
    new = (await claim(new_ledger(mongo))).file
    before = await entry(mongo, old.file_id)
    for step in (
        ledger.loading(old), ledger.checkpoint(old, HALF, COUNTS), ledger.rewinding(old),
        ledger.ended(old, Ending(FileState.FAILED, ERROR, 1)), commit(ledger, old),
    ):  # fmt: skip
        with pytest.raises(FileTaken, match="another ingestd has taken up"):
            await step
    assert await entry(mongo, old.file_id) == before
    await commit(ledger, new)


# ends


async def test_a_loaded_file_that_did_not_leave_the_inbox_is_put_away(ledger: Ledger) -> None:
    await commit(ledger, (await claim(ledger)).file)
    again = await claim(ledger)
    assert (again.verdict, again.state) == (Verdict.PUT_AWAY, FileState.LOADED)
    assert (again.target, again.counts) == (ARCHIVE, COUNTS)


async def test_a_file_that_stays_where_it_is_is_finished_after_a_crash(ledger: Ledger) -> None:
    await commit(ledger, (await claim(ledger)).file, target=None)
    again = await claim(ledger)
    assert (again.verdict, again.target) == (Verdict.PUT_AWAY, None)


async def test_a_file_that_was_put_away_is_archived(ledger: Ledger, mongo: Mongo) -> None:
    claimed = await load(ledger, found())
    known = await entry(mongo, claimed.file_id)
    assert (known["state"], known["archived_to"]) == ("archived", str(ARCHIVE))
    assert as_counts(known) == COUNTS


async def test_a_file_that_went_nowhere_is_loaded_for_good(ledger: Ledger, mongo: Mongo) -> None:
    claimed = (await claim(ledger)).file
    await commit(ledger, claimed, target=None)
    await ledger.put_away(claimed.file_id, None)
    assert (await entry(mongo, claimed.file_id))["state"] == "loaded"
    assert (await claim(ledger)).verdict is Verdict.DUPLICATE


async def test_paths_with_dollar_signs_are_no_expressions(ledger: Ledger, mongo: Mongo) -> None:
    claimed = (await claim(ledger, found("$a.csv"))).file
    await commit(ledger, claimed)
    await ledger.put_away(claimed.file_id, Path("$archive/$a.csv"))
    assert (await entry(mongo, claimed.file_id))["archived_to"] == "$archive/$a.csv"


async def test_names_that_are_not_utf_8_lead_back_to_the_file(ledger: Ledger, mongo: Mongo) -> None:
    odd = found("\udcff\n.csv")
    claimed = (await claim(ledger, odd)).file
    target = Path("/archive/\udcff\n.csv")
    await commit(ledger, claimed, target)
    assert (await entry(mongo, claimed.file_id))["name"] == r"\xff\n.csv"
    again = await claim(ledger, odd)
    assert (again.verdict, again.target) == (Verdict.PUT_AWAY, target)


@pytest.mark.parametrize("name", ["a.csv", "b.csv"])
async def test_the_same_content_again_is_a_duplicate(ledger: Ledger, name: str) -> None:
    await load(ledger, found())
    again = await claim(ledger, found(name))
    assert (again.verdict, again.state) == (Verdict.DUPLICATE, FileState.ARCHIVED)


async def test_the_same_content_in_another_source_is_another_file(ledger: Ledger) -> None:
    await load(ledger, found())
    other = replace(found(), source_name="returns")
    assert (await claim(ledger, other)).verdict is Verdict.LOAD


async def test_each_duplicate_has_its_own_record(ledger: Ledger, mongo: Mongo) -> None:
    first = await load(ledger, found())
    fields = {"state": "duplicate", "error": None}
    records = await asyncio.gather(*(
        ledger.duplicates.record(found(f"{n}.csv"), first, fields, ARCHIVE) for n in range(5)
    ))  # fmt: skip
    assert {identity for identity, _ in records} == {f"{first.file_id}-{n}" for n in range(2, 7)}
    assert await mongo.count("files", {"duplicate_of": first.file_id, "state": "duplicate"}) == 5


async def test_a_duplicate_is_recorded_once_however_often_its_move_is_begun(
    ledger: Ledger, mongo: Mongo
) -> None:
    first = await load(ledger, found())
    fields = {"state": "duplicate", "error": None}
    begun = await ledger.duplicates.record(found("b.csv"), first, fields, Path("/archive/b.csv"))
    again = await ledger.duplicates.record(found("b.csv"), first, fields, Path("/archive/b-2.csv"))
    assert again == begun
    await ledger.put_away(begun[0], begun[1])
    later = await ledger.duplicates.record(found("b.csv"), first, fields, Path("/archive/b-2.csv"))
    assert later[0] != begun[0]


async def test_a_failed_file_that_did_not_leave_the_inbox_is_put_away(ledger: Ledger) -> None:
    await fail(ledger, await claim(ledger), target=FAILED)
    again = await claim(ledger)
    assert (again.verdict, again.state, again.target) == (
        Verdict.PUT_AWAY, FileState.FAILED, FAILED,
    )  # fmt: skip
    assert again.error == ERROR


async def test_a_failed_file_that_is_dropped_again_is_a_new_attempt(ledger: Ledger) -> None:
    """Also at the same path, and with a clean sheet: its failures do not count any more."""
    first = await claim(ledger)
    await ledger.ended(first.file, Ending(FileState.FAILED, ERROR, 7, target=FAILED))
    await ledger.put_away(first.file.file_id, FAILED)
    again = await claim(ledger)
    assert (again.verdict, again.failures, again.is_stale) == (Verdict.LOAD, 0, True)
    assert again.file.processed_at > first.file.processed_at


@pytest.mark.parametrize("state", [FileState.HELD, FileState.FAILED])
async def test_a_file_set_aside_is_a_new_attempt_under_another_name(
    ledger: Ledger, state: FileState
) -> None:
    first = await claim(ledger)
    await ledger.ended(first.file, Ending(state, ERROR, 1, target=FAILED))
    assert (await claim(ledger, found("mended.csv"))).verdict is Verdict.LOAD


async def test_a_file_that_is_tried_again_waits_its_time_also_after_a_restart(
    ledger: Ledger, mongo: Mongo
) -> None:
    await fail(ledger, await claim(ledger), retry_at=now() + timedelta(minutes=5))
    again = await claim(new_ledger(mongo))
    assert again.verdict is Verdict.WAIT
    assert 290 < again.wait_s <= 300
    assert again.error == ERROR


async def test_a_file_that_failed_before_the_clock_was_set_back_is_tried_again_at_once(
    ledger: Ledger, mongo: Mongo
) -> None:
    failed = await claim(ledger)
    await fail(ledger, failed)
    tomorrow = now() + timedelta(hours=10)
    later = {"finished_at": tomorrow, "retry_at": tomorrow + timedelta(minutes=5)}
    await mongo.update("files", {"_id": failed.file.file_id}, {"$set": later})
    assert (await claim(ledger)).verdict is Verdict.LOAD


async def test_failures_count_on_while_a_file_is_tried_again(ledger: Ledger) -> None:
    for failures in range(1, 4):
        ending = Ending(FileState.FAILED, ERROR, failures, retry_at=now() - timedelta(seconds=1))
        await ledger.ended((await claim(ledger)).file, ending)
        again = await claim(ledger)
        assert (again.verdict, again.failures) == (Verdict.LOAD, failures)


async def test_who_drops_a_waiting_file_elsewhere_need_not_wait(ledger: Ledger) -> None:
    await fail(ledger, await claim(ledger), retry_at=now() + timedelta(minutes=5))
    assert (await claim(ledger, found("urgent.csv"))).verdict is Verdict.LOAD


async def test_two_contents_with_one_file_id_are_told_apart_loudly(
    ledger: Ledger, mongo: Mongo
) -> None:
    known = (await claim(ledger)).file
    await mongo.update("files", {"_id": known.file_id}, {"$set": {"sha256": OTHER.hex()}})
    with pytest.raises(StoreRefused, match="share the file id") as caught:
        await claim(ledger, found("b.csv"))
    assert "change a byte" in caught.value.hint


# several at once


async def test_files_that_are_committed_together_are_all_committed(
    ledger: Ledger, mongo: Mongo
) -> None:
    files = await versions(ledger, *(n.to_bytes(32) for n in range(5)))
    commits = [Commit(file, COUNTS, ARCHIVE, is_replacing=False) for file in files]
    assert await ledger.commit_all(commits) == [FileState.LOADED] * 5
    assert await states(mongo, *files) == ["loaded"] * 5


async def test_a_file_that_cannot_be_committed_keeps_none_of_the_others(
    ledger: Ledger, mongo: Mongo
) -> None:
    """One was taken over, one is refused: those beside them are loaded, and know nothing of it."""
    files = await versions(ledger, *(n.to_bytes(32) for n in range(4)))
    await claim(new_ledger(mongo), sha256=(1).to_bytes(32))
    forbidden = {"$or": [{"_id": {"$ne": files[2].file_id}}, {"state": {"$ne": "loaded"}}]}
    await mongo._database.command({"collMod": "files", "validator": forbidden})
    commits = [Commit(file, COUNTS, ARCHIVE, is_replacing=False) for file in files]
    first, taken, refused, last = await ledger.commit_all(commits)
    assert (first, last) == (FileState.LOADED, FileState.LOADED)
    assert isinstance(taken, FileTaken)
    assert isinstance(refused, StoreRefused)
    assert await states(mongo, *files) == ["loaded", "claimed", "claimed", "loaded"]


async def test_a_file_that_cannot_be_claimed_keeps_none_of_the_others(
    ledger: Ledger, mongo: Mongo
) -> None:
    await mongo._database.command({"collMod": "files", "validator": {"name": {"$ne": "2.csv"}}})
    wanted = [Wanted(found(f"{n}.csv"), n.to_bytes(32), "one") for n in range(4)]
    first, second, refused, last = await ledger.claims.claim_all(wanted)
    assert isinstance(refused, StoreRefused)
    for one in (first, second, last):
        assert isinstance(one, Claim)
        assert one.verdict is Verdict.LOAD
        await ledger.loading(one.file)


async def test_files_that_are_put_away_together_are_all_put_away(
    ledger: Ledger, mongo: Mongo
) -> None:
    files = await versions(ledger, *(n.to_bytes(32) for n in range(3)))
    for file in files:
        await commit(ledger, file)
    forbidden = {"$or": [{"_id": {"$ne": files[1].file_id}}, {"state": {"$ne": "archived"}}]}
    await mongo._database.command({"collMod": "files", "validator": forbidden})
    first, refused, last = await ledger.put_away_all([(file.file_id, ARCHIVE) for file in files])
    assert (first, last) == (None, None)
    assert isinstance(refused, StoreRefused)
    assert await states(mongo, *files) == ["archived", "loaded", "archived"]


async def test_claims_made_together_are_those_made_one_by_one(ledger: Ledger, mongo: Mongo) -> None:
    loaded = await load(ledger, found("known.csv"), (9).to_bytes(32))
    wanted = [Wanted(found(f"{n}.csv"), n.to_bytes(32), "one") for n in range(5)]
    wanted.insert(2, Wanted(found("again.csv"), (9).to_bytes(32), "one"))
    claims = await ledger.claims.claim_all(wanted)
    verdicts = [one.verdict for one in claims if isinstance(one, Claim)]
    assert verdicts == [Verdict.LOAD] * 2 + [Verdict.DUPLICATE] + [Verdict.LOAD] * 3
    runs = [one.file.processed_at for one in claims if isinstance(one, Claim)]
    assert runs == [*sorted(runs[:2]), loaded.processed_at, *sorted(runs[3:])]
    assert len(set(runs)) == 6
    assert min(runs[:2] + runs[3:]) > loaded.processed_at


# the same name again


async def versions(ledger: Ledger, *contents: bytes) -> list[ClaimedFile]:
    return [(await claim(ledger, found(), content)).file for content in contents]


async def states(mongo: Mongo, *files: ClaimedFile) -> list[str]:
    return [(await entry(mongo, file.file_id))["state"] for file in files]


async def test_new_content_under_a_name_is_added(ledger: Ledger, mongo: Mongo) -> None:
    old, new = await versions(ledger, CONTENT, OTHER)
    await commit(ledger, old)
    await commit(ledger, new)
    assert await states(mongo, old, new) == ["loaded", "loaded"]


async def test_new_content_under_a_name_replaces_the_old_where_asked(
    ledger: Ledger, mongo: Mongo
) -> None:
    old, new = await versions(ledger, CONTENT, OTHER)
    assert await commit(ledger, old, is_replacing=True) is FileState.LOADED
    await ledger.put_away(old.file_id, ARCHIVE)
    assert await commit(ledger, new, is_replacing=True) is FileState.LOADED
    assert await states(mongo, old, new) == ["undone", "loaded"]
    assert (await entry(mongo, old.file_id))["replaced_by"] == new.file_id


async def test_the_version_that_arrived_last_stays_whichever_commits_last(
    ledger: Ledger, mongo: Mongo
) -> None:
    old, new = await versions(ledger, CONTENT, OTHER)
    assert await commit(ledger, new, is_replacing=True) is FileState.LOADED
    assert await commit(ledger, old, is_replacing=True) is FileState.UNDONE
    assert await states(mongo, old, new) == ["undone", "loaded"]


async def test_of_versions_that_commit_at_once_one_stays(ledger: Ledger, mongo: Mongo) -> None:
    files = await versions(ledger, *(n.to_bytes(32) for n in range(5)))
    await asyncio.gather(*(commit(ledger, file, is_replacing=True) for file in files))
    assert await states(mongo, *files) == ["undone"] * 4 + ["loaded"]


async def test_of_versions_that_two_processes_commit_at_once_one_stays(
    ledger: Ledger, mongo: Mongo
) -> None:
    other = new_ledger(mongo, Owner("other", "elsewhere", 1))
    for n in range(0, 40, 2):
        both = [
            (one, (await claim(one, found(), m.to_bytes(32))).file)
            for one, m in ((ledger, n), (other, n + 1))
        ]
        await asyncio.gather(*(commit(one, file, is_replacing=True) for one, file in both))
        loaded = await mongo.find("files", {"state": "loaded"})
        assert [file["_id"] for file in loaded] == [both[1][1].file_id]


async def test_rows_of_replaced_versions_are_remembered_until_they_are_removed(
    ledger: Ledger, mongo: Mongo
) -> None:
    old, new = await versions(ledger, CONTENT, OTHER)
    for file in (old, new):
        await commit(ledger, file, is_replacing=True)
    assert [file["_id"] for file in await ledger.undone(["orders"])] == [old.file_id]
    undo = Asked(Action.UNDO, "ada")
    begun = await ledger.actions.try_to_begin(old.file_id, undo, [FileState.UNDONE], {})
    assert begun is not None
    assert await ledger.undone(["orders"]) == []
    assert await ledger.actions.try_to_begin(old.file_id, undo, [FileState.UNDONE], {}) is None
    await ledger.actions.finish(begun, {"has_rows": False})
    assert await ledger.undone(["orders"]) == []


async def test_a_name_in_another_source_is_not_replaced(ledger: Ledger, mongo: Mongo) -> None:
    old = (await claim(ledger)).file
    await commit(ledger, old, is_replacing=True)
    other = await claim(ledger, replace(found(), source_name="returns"), OTHER)
    await commit(ledger, other.file, is_replacing=True)
    assert await states(mongo, old) == ["loaded"]


# what is left to do


async def test_moves_under_way_are_known_after_a_crash(ledger: Ledger) -> None:
    loaded = (await claim(ledger, found("a.csv"))).file
    await commit(ledger, loaded)
    await fail(ledger, await claim(ledger, found("b.csv"), OTHER), target=FAILED)
    assert {file["name"] for file in await ledger.leaving(["orders"])} == {"a.csv", "b.csv"}
    assert await ledger.leaving(["returns"]) == []
    await ledger.put_away(loaded.file_id, ARCHIVE)
    assert [file["name"] for file in await ledger.leaving(["orders"])] == ["b.csv"]


async def test_the_last_load_of_a_source_is_known(ledger: Ledger) -> None:
    assert await ledger.last_loads(["orders"]) == {}
    await load(ledger, found())
    moment: datetime = (await ledger.last_loads(["orders", "returns"]))["orders"]
    assert abs(now() - moment) < timedelta(seconds=30)
