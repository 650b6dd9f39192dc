"""What people do with files that have ended: retry, undo, forget."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pipeline_world import InThread, World, csv, many, opened, source

from ingestd.api.files import as_file
from ingestd.config.source import SourceSpec
from ingestd.errors import ActionRefused, FileUnavailable, UnknownFile
from ingestd.ledger import Action, Asked
from ingestd.records import COMMITTED, FileState
from ingestd.visible import visible_runs
from ingestd.wayback import dismiss, forget, receipt, retry, undo

OLD = csv((1, 1, "a"), (2, -2, "b"))
STRICT = source(errors={"max_rows": 0})
UPSERT = source(
    load={"mode": "upsert", "key": ["id"]},
    validation_rules={"amount": {"min": 0}, "id": {"not_null": True}},
)


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path) as world:
        yield world


def actions(world: World) -> list[tuple[str, str]]:
    (file,) = world.files
    return [(action["action"], action["by"]) for action in file["actions"]]


# undo


async def test_undo_removes_all_rows_and_rejections_of_that_file_alone(world: World) -> None:
    result = await world.load("a.csv", many(300))
    await world.load("b.csv", csv((1000, 1, "b"), (1001, -1, "b")))
    undone = await undo(world.desk, result.file_id, "ada")
    assert (undone["state"], undone["has_rows"]) == ("undone", False)
    assert world.ids() == [1000]
    assert [error["file"] for error in world.rows("errors")] == ["b.csv"]
    assert [a["by"] for a in undone["actions"]] == ["ada"]
    assert len(world.found("archive")) == 2


async def test_undo_removes_the_rejects_file_unless_somebody_has_changed_it(world: World) -> None:
    for name, mended in (("a.csv", False), ("b.csv", True)):
        result = await world.load(name, csv((1, 1, name), (2, -2, name)))
        assert result.rejects_file is not None
        if mended:
            result.rejects_file.write_bytes(csv((2, 2, name)))
    undone = [await undo(world.desk, name, "ada") for name in ("a.csv", "b.csv")]
    left = world.root / "rejects" / "orders" / "b.csv.rejects.csv"
    assert [entry["rejects_file"] for entry in undone] == [None, str(left)]
    assert world.found("rejects", "orders") == [left.name]
    assert (world.rows(), world.rows("errors")) == ([], [])


async def test_what_is_undone_stays_so_while_its_rejects_file_cannot_be_removed(
    world: World,
) -> None:
    replacing = world.configured(source(load={"on_changed_file": "replace"}))
    first = await replacing.load("a.csv", OLD)
    rejects = first.rejects_file
    assert rejects is not None
    rejects.unlink()
    rejects.mkdir()
    assert (await replacing.load("a.csv", csv((3, 3, "c")))).state is FileState.ARCHIVED
    assert (world.ids(), world.files[0]["doing"]["action"]) == ([3], "undo")
    rejects.rmdir()
    await world.recover()
    assert (world.files[0].get("doing"), world.files[0]["has_rows"]) == (None, False)


async def test_a_rejects_file_that_several_would_have_is_removed_of_each_alone(
    world: World,
) -> None:
    await world.load("a.csv", OLD)
    await world.load("a.csv", csv((3, 3, "c"), (4, -4, "d")))
    first, second = world.files
    await undo(world.desk, second["_id"], "ada")
    assert world.found("rejects", "orders") == ["a.csv.rejects.csv"]
    await undo(world.desk, first["_id"], "ada")
    assert world.found("rejects") == []


async def test_undo_again_changes_nothing(world: World) -> None:
    await world.load("a.csv", OLD)
    first = await undo(world.desk, "a.csv", "ada")
    assert await undo(world.desk, "a.csv", "bob") == first


async def test_readers_lose_all_rows_before_the_first_is_removed(world: World) -> None:
    result = await world.load("a.csv", OLD)
    asked, fields = Asked(Action.UNDO, "ada"), {"state": "undone", "has_rows": True}
    begun = await world.desk.ledger.actions.begin(result.file_id, asked, COMMITTED, fields)
    runs = await visible_runs(world.mongo, source())
    assert world.ids() == [1]
    assert runs is not None
    assert begun["processed_at"] in runs.hidden


async def test_an_undone_file_is_loaded_again_when_it_is_dropped_again(world: World) -> None:
    await world.load("a.csv", OLD)
    await undo(world.desk, "a.csv", "ada")
    result = await world.load("a.csv", OLD)
    assert result.state is FileState.ARCHIVED
    assert world.ids() == [1]
    assert len(world.rows("errors")) == 1


async def test_undo_of_what_is_not_loaded_is_refused_with_its_state(world: World) -> None:
    await world.load("a.csv", b"id,note\n1,a\n")
    with pytest.raises(ActionRefused, match=r"a.csv is failed: undo is for .* loaded or archived"):
        await undo(world.desk, "a.csv", "ada")
    with pytest.raises(UnknownFile, match=r"there is no file b\.csv"):
        await undo(world.desk, "b.csv", "ada")


async def test_undo_of_upserted_rows_is_refused_because_others_are_gone(world: World) -> None:
    upserts = world.configured(UPSERT)
    await upserts.load("a.csv", csv((1, 1, "a")))
    with pytest.raises(ActionRefused, match="replaced others"):
        await undo(upserts.desk, "a.csv", "ada")
    with pytest.raises(ActionRefused, match="replaced others"):
        await undo(world.desk, "a.csv", "ada")  # the source has become one of inserts since
    assert upserts.ids() == [1]


async def test_a_duplicate_is_refused_naming_the_first_file(world: World) -> None:
    first = await world.load("a.csv", OLD)
    await world.load("b.csv", OLD)
    with pytest.raises(ActionRefused, match="is a duplicate") as refusal:
        await undo(world.desk, world.files[-1]["_id"], "ada")
    assert first.file_id in refusal.value.hint
    assert world.ids() == [1]


async def test_a_name_that_several_files_have_is_refused_naming_their_ids(world: World) -> None:
    first = await world.load("a.csv", OLD)
    second = await world.load("a.csv", csv((3, 3, "c")))
    with pytest.raises(ActionRefused, match="2 files are called") as refusal:
        await undo(world.desk, "a.csv", "ada")
    assert first.file_id in refusal.value.hint
    assert second.file_id in refusal.value.hint


async def test_nothing_else_is_done_with_a_file_while_an_action_is_under_way(
    world: World,
) -> None:
    result = await world.load("a.csv", OLD)
    asked, fields = Asked(Action.UNDO, "ada"), {"state": "undone", "has_rows": True}
    await world.desk.ledger.actions.begin(result.file_id, asked, COMMITTED, fields)
    with pytest.raises(ActionRefused, match=r"the undo of a\.csv is under way"):
        await forget(world.desk, "a.csv", "bob")
    ((answer, retry_s),) = await world.offer(world.drop("again.csv", OLD))
    assert answer is None
    assert retry_s is not None
    assert world.blocked() == ["its undo is under way"]
    await undo(world.desk, "a.csv", "bob")
    ((answer, _),) = await world.offer_inbox()
    assert answer is not None
    assert answer.state is FileState.ARCHIVED
    assert world.ids() == [1]


# forget


async def test_a_forgotten_content_is_loaded_again_in_the_place_of_its_rows(world: World) -> None:
    first = await world.load("a.csv", OLD)
    await forget(world.desk, "a.csv", "ada")
    assert world.ids() == [1]
    laxer = world.configured(source(validation_rules={}))
    result = await laxer.load("a.csv", OLD)
    assert (result.file_id, result.state) == (first.file_id, FileState.ARCHIVED)
    assert (laxer.ids(), laxer.rows("errors"), laxer.found("rejects")) == ([1, 2], [], [])
    (file,) = laxer.files
    assert {row["processed_at"] for row in laxer.rows()} == {file["processed_at"]}
    assert (await laxer.load("b.csv", OLD)).state is FileState.DUPLICATE


BOTH_GOOD = csv((1, 1, "a"), (2, 2, "b"))
AT_MOST_TWO = source(validation_rules={"amount": {"max": 1}}, errors={"max_rows": 0})
MORE_COLUMNS = source(schema={"id": "int64", "amount": "float64", "note": "string", "x": "int64"})


@pytest.mark.parametrize(
    ("spec", "state", "error_type"),
    [
        (AT_MOST_TWO, FileState.HELD, "too_many_errors"),
        (MORE_COLUMNS, FileState.FAILED, "missing_column"),
    ],
    ids=["held", "failed"],
)
async def test_forgotten_rows_stay_seen_when_the_content_would_not_load_any_more(
    world: World, spec: SourceSpec, state: FileState, error_type: str
) -> None:
    first = await world.load("a.csv", BOTH_GOOD)
    before = world.rows()
    await forget(world.desk, "a.csv", "ada")
    changed = world.configured(spec)
    result = await changed.load("b.csv", BOTH_GOOD)
    assert (result.state, result.moved_to) == (state, world.root / "failed" / "orders" / "b.csv")
    assert f"ingestd retry {first.file_id}" in result.hint
    assert "--file" not in result.hint
    assert world.found("failed", "orders") == ["b.csv", "b.csv.error.json"]
    runs = await visible_runs(world.mongo, source())
    assert (world.rows(), runs and runs.hidden) == (before, frozenset())
    entry, beside = world.files
    assert (entry["state"], entry["success_count"], entry["is_forgotten"]) == ("archived", 2, True)
    assert (beside["state"], beside["duplicate_of"]) == (state.value, first.file_id)
    ((row, error),) = [(error["row"], error) for error in world.rows("errors")]
    assert (row, error["error_type"], error["state"]) == (0, error_type, "open")


async def test_retry_loads_forgotten_content_in_the_place_of_its_rows_once_it_would_load(
    world: World,
) -> None:
    first = await world.load("a.csv", BOTH_GOOD)
    await forget(world.desk, "a.csv", "ada")
    await world.configured(AT_MOST_TWO).load("b.csv", BOTH_GOOD)
    back = await retry(world.desk, first.file_id, "ada")
    assert (back["name"], back["path"]) == ("b.csv", str(world.inbox / "b.csv"))
    assert (world.found("failed"), world.found("inbox", "orders")) == ([], ["b.csv"])
    ((result, _),) = await world.offer_inbox()
    assert result is not None
    assert (result.state, result.file_id) == (FileState.ARCHIVED, first.file_id)
    assert world.ids() == [1, 2]
    assert [file["state"] for file in world.files] == ["undone", "archived"]
    assert [error["state"] for error in world.rows("errors")] == ["replayed"]
    with pytest.raises(ActionRefused, match="retry is for files that are failed or held"):
        await retry(world.desk, first.file_id, "ada")


async def test_retry_may_ignore_the_budget_of_forgotten_content(world: World) -> None:
    await world.load("a.csv", BOTH_GOOD)
    await forget(world.desk, "a.csv", "ada")
    strict = world.configured(AT_MOST_TWO)
    await strict.load("a.csv", BOTH_GOOD)
    _, beside = world.files
    await retry(strict.desk, beside["_id"], "ada", ignores_budget=True)
    ((result, _),) = await strict.offer_inbox()
    assert result is not None
    assert result.state is FileState.ARCHIVED
    assert world.ids() == [1]
    assert [error["row"] for error in world.rows("errors", state="open")] == [2]


async def test_forgotten_content_that_failed_again_loads_when_it_is_dropped_again(
    world: World,
) -> None:
    await world.load("a.csv", BOTH_GOOD)
    await forget(world.desk, "a.csv", "ada")
    await world.configured(MORE_COLUMNS).load("a.csv", BOTH_GOOD)
    assert (await world.load("a.csv", BOTH_GOOD)).state is FileState.ARCHIVED
    assert world.ids() == [1, 2]


async def test_forgotten_content_that_changes_while_it_is_tried_waits_in_the_inbox(
    world: World,
) -> None:
    content = many(1000, refused_every=0x1000)
    await world.load("a.csv", content)
    await forget(world.desk, "a.csv", "ada")
    file = world.drop("b.csv", content)
    spoiled = world.with_workers(InThread(after=lambda: file.path.write_bytes(BOTH_GOOD)))
    assert await spoiled.offer(file) == [(None, 300.0)]
    (entry,) = world.files
    assert (entry["state"], len(world.ids())) == ("archived", 1000)
    assert (await world.offer_inbox())[0][0] is not None
    assert len(world.ids()) == 1002


async def test_what_people_do_with_a_file_is_no_attempt_to_load_it(world: World) -> None:
    await world.load("a.csv", b"")
    await dismiss(world.desk, "a.csv", "ada", reason="tests")
    back = as_file(await retry(world.desk, "a.csv", "ada"))
    assert back["attempts"] == 1
    await world.offer_inbox()
    report = (world.root / "failed" / "orders" / "a.csv.error.json").read_text()
    assert json.loads(report)["attempts"] == as_file(world.files[0])["attempts"] == 2


# dismiss and receipt


async def test_dismiss_closes_open_rejections_with_a_reason(world: World) -> None:
    await world.load("a.csv", many(30))
    await world.load("b.csv", csv((1, -1, "b")))
    await dismiss(world.desk, "a.csv", "ada", reason="tests", rows=[10])
    await dismiss(world.desk, "a.csv", "bob", reason="all of it")
    errors = world.rows("errors", state="dismissed")
    assert [(e["row"], e["closed_by"], e["reason"]) for e in errors] == [
        (10, "ada", "tests"), (20, "bob", "all of it"), (30, "bob", "all of it")
    ]  # fmt: skip
    assert [error["file"] for error in world.rows("errors", state="open")] == ["b.csv"]
    assert world.files[0]["error_count"] == 3


async def test_a_receipt_accounts_for_every_row(world: World) -> None:
    result = await world.load("a.csv", many(30))
    told = await receipt(world.desk, "a.csv")
    assert told["sha256"] == world.files[0]["sha256"]
    assert (told["state"], told["is_loaded"], told["is_complete"]) == ("archived", True, True)
    assert (told["record_count"], told["success_count"], told["error_count"]) == (30, 27, 3)
    assert [(r["row"], r["line"]) for r in told["rejections"]] == [(10, 11), (20, 21), (30, 31)]
    assert told["rejections"][0]["reasons"][0]["rule"] == "min"
    assert told["file_id"] == result.file_id


async def test_a_receipt_of_a_failed_file_tells_why(world: World) -> None:
    await world.load("a.csv", b"id\n1\n")
    told = await receipt(world.desk, "a.csv")
    assert (told["is_loaded"], told["loaded_at"]) == (False, None)
    assert [(r["row"], r["reasons"][0]["rule"]) for r in told["rejections"]] == [
        (0, "missing_column")
    ]


async def test_a_receipt_of_a_duplicate_names_the_first(world: World) -> None:
    first = await world.load("a.csv", OLD)
    await world.load("b.csv", OLD)
    told = await receipt(world.desk, world.files[-1]["_id"])
    assert (told["duplicate_of"], told["rejections"]) == (first.file_id, [])


# retry


async def test_retry_brings_a_failed_file_back_and_it_loads_once_its_source_is_mended(
    world: World,
) -> None:
    content = b"id,amount\n1,1\n"
    await world.load("a.csv", content)
    assert world.found("failed", "orders") == ["a.csv", "a.csv.error.json"]
    mended = world.configured(source(schema={"id": "int64", "amount": "float64"}))
    await retry(mended.desk, "a.csv", "ada")
    assert (mended.found("failed"), mended.found("inbox", "orders")) == ([], ["a.csv"])
    ((result, _),) = await mended.offer_inbox()
    assert result is not None
    assert result.state is FileState.ARCHIVED
    assert mended.ids() == [1]
    assert [error["state"] for error in mended.rows("errors")] == ["replayed"]
    assert actions(mended) == [("retry", "ada")]


async def test_retry_ignores_the_budget_when_it_is_told_to(world: World) -> None:
    world = world.configured(STRICT)
    assert (await world.load("a.csv", OLD)).state is FileState.HELD
    await retry(world.desk, "a.csv", "ada")
    ((result, _),) = await world.offer_inbox()
    assert result is not None
    assert result.state is FileState.HELD
    await retry(world.desk, "a.csv", "ada", ignores_budget=True)
    ((result, _),) = await world.offer_inbox()
    assert result is not None
    assert result.state is FileState.ARCHIVED
    assert world.ids() == [1]
    assert [error["row"] for error in world.rows("errors", state="open")] == [2]
    await undo(world.desk, "a.csv", "ada")
    assert (await world.load("b.csv", OLD)).state is FileState.HELD


async def test_retry_of_a_file_that_is_back_already_is_fine(world: World) -> None:
    await world.load("a.csv", b"id\n1\n")
    await retry(world.desk, "a.csv", "ada")
    back = await retry(world.desk, "a.csv", "ada")
    assert back["archived_to"] is None
    assert world.found("inbox", "orders") == ["a.csv"]


async def test_retry_makes_the_done_marker_that_its_source_wants(world: World) -> None:
    world = world.configured(source(done_marker=".done"))
    await world.load("a.csv", b"id\n1\n")
    await retry(world.desk, "a.csv", "ada")
    assert world.found("inbox", "orders") == ["a.csv", "a.csv.done"]


async def test_retry_overwrites_no_other_file_in_the_inbox(world: World) -> None:
    await world.load("a.csv", b"id\n1\n")
    world.drop("a.csv", OLD)
    with pytest.raises(ActionRefused, match=r"another a\.csv is in the inbox"):
        await retry(world.desk, "a.csv", "ada")
    assert world.found("failed", "orders") == ["a.csv", "a.csv.error.json"]


async def test_retry_of_a_file_that_somebody_removed_says_so_and_may_be_repeated(
    world: World,
) -> None:
    content = b"id\n1\n"
    result = await world.load("a.csv", content)
    assert result.moved_to is not None
    result.moved_to.unlink()
    with pytest.raises(FileUnavailable, match="it is gone"):
        await retry(world.desk, "a.csv", "ada")
    result.moved_to.write_bytes(content)
    await retry(world.desk, "a.csv", "ada")
    assert world.found("inbox", "orders") == ["a.csv"]


async def test_retry_of_a_file_from_elsewhere_names_the_command_that_loads_it(
    world: World, tmp_path: Path
) -> None:
    await world.load("a.csv", b"id\n1\n")
    moved: dict[str, Any] = {"$set": {"path": str(tmp_path / "elsewhere" / "a.csv")}}
    await world.mongo.update("files", {}, moved)
    with pytest.raises(ActionRefused, match="does not watch") as refusal:
        await retry(world.desk, "a.csv", "ada")
    assert refusal.value.hint.startswith("ingestd load '")


async def test_retry_of_a_loaded_file_is_refused(world: World) -> None:
    await world.load("a.csv", OLD)
    with pytest.raises(ActionRefused, match="retry is for files that are failed or held"):
        await retry(world.desk, "a.csv", "ada")
