"""Files whose columns are not those of their source: what is stored, refused and told."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pipeline_world import World, opened, source

from ingestd.config.source import SourceSpec
from ingestd.formats.limits import Limits
from ingestd.pipeline.trial import try_file
from ingestd.records import FileResult, FileState

SAMPLES = Path(__file__).parent.parent / "data" / "drift"
OWN = ("_id", "processed_at", "source_name")
TWO = [{"id": 1, "amount": 1.5, "note": "a"}, {"id": 2, "amount": 2.5, "note": "b"}]


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path) as world:
        yield world


async def load(world: World, sample: str, **changes: Any) -> FileResult:
    spec = source(**changes)
    return await world.configured(spec).load(sample, (SAMPLES / sample).read_bytes())


def documents(world: World) -> list[dict[str, Any]]:
    """The rows without the fields that every row has."""
    return [{k: v for k, v in row.items() if k not in OWN} for row in world.rows()]


def drift(world: World) -> Any:
    return world.files[-1]["drift"]


def drifted(world: World, kind: str) -> float:
    metrics = world.desk.events.metrics.registry
    labels = {"source_name": "orders", "kind": kind}
    return metrics.get_sample_value("ingestd_drifted_files_total", labels) or 0.0


@pytest.mark.parametrize("sample", ["as_declared.csv", "other_order.csv", "blank_names.csv"])
@pytest.mark.parametrize("policy", ["ignore", "add", "rescue", "fail"])
async def test_order_and_columns_without_a_name_are_no_drift(
    world: World, sample: str, policy: str
) -> None:
    result = await load(world, sample, load={"on_new_column": policy})
    assert result.state is FileState.ARCHIVED
    rescued = {"_extra": None} if policy == "rescue" else {}
    assert documents(world) == [row | rescued for row in TWO]
    assert drift(world) is None
    assert drifted(world, "new") == 0


async def test_new_columns_are_left_out_and_told_in_ledger_log_and_metric(world: World) -> None:
    with structlog.testing.capture_logs() as lines:
        await load(world, "new_columns.csv")
    assert documents(world) == TWO
    assert drift(world) == {"new": ["channel", "ref.no"]}
    (line,) = [line for line in lines if line["event"] == "columns differ from the source"]
    assert (line["log_level"], line["new"]) == ("warning", ["channel", "ref.no"])
    assert (line["source"], line["file"]) == ("orders", "new_columns.csv")
    assert drifted(world, "new") == 1


async def test_the_same_drift_in_the_next_file_is_no_warning_any_more(world: World) -> None:
    await load(world, "new_columns.csv")
    with structlog.testing.capture_logs() as lines:
        await world.load("b.csv", b"id,amount,note,channel,ref.no\n3,1,c,,\n")
        await world.load("c.csv", b"id,amount,note,channel\n4,1,d,\n")
    levels = [line["log_level"] for line in lines if "differ" in line["event"]]
    assert levels == ["info", "warning"]
    assert drifted(world, "new") == 3


async def test_new_columns_are_added_as_strings_under_safe_names(world: World) -> None:
    await load(world, "new_columns.csv", load={"on_new_column": "add"})
    assert documents(world) == [
        TWO[0] | {"channel": "web", "ref_no": None},
        TWO[1] | {"channel": None, "ref_no": "R-7"},
    ]
    assert drift(world) == {"new": ["channel", "ref.no"]}


async def test_an_added_column_takes_no_name_that_means_something_else(world: World) -> None:
    steps = [{"rename": {"amount": "total"}}, {"set": {"vat": "total * 0.2"}}]
    await load(world, "names_of_others.csv", load={"on_new_column": "add"}, transform=steps)
    (row,) = world.rows()
    assert (row["total"], row["vat"]) == (1.5, pytest.approx(0.3))
    added = {"_set": "q", "_id_": "r", "id_": "s", "total_": "t", "vat_": "u"}
    assert {name: row[name] for name in added} == added


async def test_rows_of_files_with_and_without_an_added_column_load_together(world: World) -> None:
    adding = world.configured(source(load={"on_new_column": "add"}))
    contents = [
        b"id,amount,note\n1,1,a\n",
        b"id,amount,note,x\n2,1,b,y\n",
        b"x,id,amount,note\nz,3,1,c\n",
    ]
    await adding.offer(*(adding.drop(f"{n}.csv", text) for n, text in enumerate(contents)))
    assert [row.get("x") for row in sorted(world.rows(), key=lambda row: row["id"])] == [
        None, "y", "z",
    ]  # fmt: skip


async def test_added_columns_of_refused_rows_are_in_their_records(world: World) -> None:
    adding = world.configured(source(load={"on_new_column": "add"}))
    result = await adding.load("a.csv", b"id,amount,note,x\n1,-1,a,y\n")
    (error,) = world.rows("errors")
    assert error["record"] == {"id": "1", "amount": "-1", "note": "a", "x": "y"}
    assert result.rejects_file is not None
    assert result.rejects_file.read_bytes() == b"id,amount,note,x\n1,-1,a,y\n"


async def test_an_upsert_adds_columns_too(world: World) -> None:
    spec = source(
        load={"mode": "upsert", "key": ["id"], "on_new_column": "add"},
        validation_rules={"id": {"not_null": True}},
    )
    await world.configured(spec).load("a.csv", b"id,amount,note,_version\n1,1,a,y\n")
    (row,) = world.rows()
    assert (row["_version_"], row["id"]) == ("y", 1)


async def test_new_columns_are_rescued_into_one_field(world: World) -> None:
    await load(world, "new_columns.csv", load={"on_new_column": "rescue"})
    assert documents(world) == [
        TWO[0] | {"_extra": {"channel": "web", "ref_no": None}},
        TWO[1] | {"_extra": {"channel": None, "ref_no": "R-7"}},
    ]


async def test_extra_fields_of_a_row_go_beside_rescued_columns(world: World) -> None:
    changes = {"load": {"on_new_column": "rescue"}, "csv": {"ragged": "rescue"}}
    await load(world, "new_column_and_extra_fields.csv", **changes)
    assert [row["_extra"] for row in documents(world)] == [
        {"channel": "web", "_fields": ["over", "there"]}, {"channel": "app"},
    ]  # fmt: skip


async def test_extra_fields_have_the_same_place_where_no_column_is_new(world: World) -> None:
    spec = source(load={"on_new_column": "rescue"}, csv={"ragged": "rescue"})
    await world.configured(spec).load("a.csv", b"id,amount,note\n1,1.5,a,x\n2,2.5,b\n")
    assert [row["_extra"] for row in documents(world)] == [{"_fields": ["x"]}, None]


async def test_a_new_column_called_like_the_rescued_ones_is_one_of_them(world: World) -> None:
    spec = source(load={"on_new_column": "rescue"}, csv={"ragged": "rescue"})
    await world.configured(spec).load("a.csv", b"id,_fields,_extra,amount,note\n1,x,y,1.5,a,z\n")
    assert [row["_extra"] for row in documents(world)] == [
        {"_fields_": "x", "_extra": "y", "_fields": ["z"]}
    ]


@pytest.mark.parametrize(
    ("sample", "changes", "told"),
    [
        ("new_columns.csv", {"on_new_column": "fail"}, "does not have 'channel', 'ref.no'"),
        ("missing_column.csv", {}, "the header lacks 'amount'; it has 'id', 'note'"),
        ("renamed_column.csv", {}, "the header lacks 'amount'"),
        ("duplicated_new_column.csv", {"on_new_column": "add"}, "has 'tag' more than once"),
        ("duplicated_new_column.csv", {"on_new_column": "rescue"}, "has 'tag' more than once"),
        ("other_file.csv", {"on_missing_column": "null"}, "lacks 'id', 'amount', 'note'"),
    ],
)
async def test_drift_that_the_source_does_not_take_fails_the_file_and_is_in_the_ledger(
    world: World, sample: str, changes: dict[str, str], told: str
) -> None:
    result = await load(world, sample, load=changes)
    assert result.state is FileState.FAILED
    assert told in result.message
    assert world.rows() == []
    assert drift(world).keys() & {"new", "missing", "duplicated"}
    assert drifted(world, "new") + drifted(world, "missing") >= 1


async def test_a_likely_new_name_of_a_missing_column_is_told(world: World) -> None:
    result = await load(world, "renamed_column.csv")
    assert result.hint == (
        "did 'amuont' mean 'amount'? If so, add aliases = [\"amuont\"] to the column"
    )
    assert drift(world) == {
        "new": ["amuont"], "missing": ["amount"], "renamed": {"amount": "amuont"},
    }  # fmt: skip
    assert drifted(world, "renamed") == 1


async def test_drift_is_forgotten_when_the_source_learns_of_it(world: World) -> None:
    await load(world, "renamed_column.csv")
    columns = {
        "id": "int64",
        "amount": {"type": "float64", "aliases": ["amuont"]},
        "note": "string",
    }
    result = await load(world, "renamed_column.csv", schema=columns)
    assert (result.state, documents(world)) == (FileState.ARCHIVED, TWO)
    assert drift(world) is None


async def test_a_missing_column_is_null_in_all_rows(world: World) -> None:
    await load(world, "missing_column.csv", load={"on_missing_column": "null"})
    assert documents(world) == [row | {"amount": None} for row in TWO]
    assert drift(world) == {"missing": ["amount"]}


async def test_rows_that_need_a_missing_column_are_refused_for_that(world: World) -> None:
    rules = {"amount": {"not_null": True}, "id": {"min": 2}}
    await load(
        world, "missing_column.csv", load={"on_missing_column": "null"}, validation_rules=rules
    )
    reasons = [
        [(reason["column"], reason["message"]) for reason in error["violations"]]
        for error in world.rows("errors")
    ]
    missing = ("amount", "the file has no such column, and a value is required")
    assert reasons == [[("id", "1 is below min 2"), missing], [missing]]


async def test_drift_of_a_held_file_is_told(world: World) -> None:
    result = await load(
        world, "new_columns.csv", validation_rules={"id": {"min": 5}}, errors={"max_rows": 0}
    )
    assert result.state is FileState.HELD
    assert drift(world) == {"new": ["channel", "ref.no"]}


async def test_of_very_many_new_columns_a_part_is_told_and_too_many_are_not_added(
    world: World,
) -> None:
    names = [f"column_{n}_{'x' * 200}" for n in range(1001)]
    text = f"id,amount,note,{','.join(names)}\n1,1.5,a{',y' * len(names)}\n".encode()
    await world.load("a.csv", text)
    told = drift(world)["new"]
    assert (len(told), told[0], told[-1]) == (51, names[0][:100], "and 951 more")
    adding = world.configured(source(load={"on_new_column": "add"}))
    result = await adding.load("b.csv", text + b"\n")
    assert (result.state, result.message) == (
        FileState.FAILED, "1001 columns are new; allowed: 1000",
    )  # fmt: skip


# formats whose rows name their own values


def json_source(policy: str) -> SourceSpec:
    return source(format="ndjson", load={"on_new_column": policy})


async def load_keys(world: World, policy: str) -> FileResult:
    content = (SAMPLES / "new_keys.ndjson").read_bytes()
    return await world.configured(json_source(policy)).load("a.ndjson", content)


NEW_KEYS = ["channel", "tags", "seen", "a.b"]


async def test_new_keys_of_all_rows_are_told(world: World) -> None:
    await load_keys(world, "ignore")
    assert documents(world) == TWO
    assert drift(world) == {"new": NEW_KEYS}


async def test_new_keys_of_all_rows_are_added(world: World) -> None:
    await load_keys(world, "add")
    none = dict.fromkeys(["channel", "tags", "seen", "a_b"])
    assert documents(world) == [
        TWO[0] | none | {"channel": "web", "tags": '["x",1]'}, TWO[1] | none | {"a_b": '{"c":1}'},
    ]  # fmt: skip


async def test_new_keys_of_every_row_are_rescued_as_they_are(world: World) -> None:
    await load_keys(world, "rescue")
    assert [row["_extra"] for row in documents(world)] == [
        {"channel": "web", "tags": ["x", 1]}, {"seen": None, "a_b": {"c": 1}},
    ]  # fmt: skip


async def test_new_keys_of_any_row_fail_the_file_where_they_may_not_be(world: World) -> None:
    result = await load_keys(world, "fail")
    assert (result.state, result.message) == (
        FileState.FAILED, "the source does not have 'channel', 'tags', 'seen', 'a.b'",
    )  # fmt: skip
    spec, late = json_source("fail"), b'{"id":1,"amount":1,"note":"a"}\n' * 50_000
    result = await world.configured(spec).load("b.ndjson", late + b'{"id":2,"late":1}\n')
    assert result.message == "the source does not have 'late'"


@pytest.mark.parametrize(
    "odd", [b'{"id":1,"id":2,"seen":1}', b"[1]", b'{"id":', b'{"id":[{"seen":1}]}', b"\xff", b"5"]
)
async def test_keys_are_told_of_rows_beside_odd_ones(world: World, odd: bytes) -> None:
    text = odd + b'\n{"id":1,"amount":1.5,"note":"a","channel":1}\n'
    await world.configured(json_source("ignore")).load("a.ndjson", text)
    assert documents(world)[-1] == TWO[0]
    assert "channel" in (drift(world) or {})["new"]


async def test_a_file_without_any_known_key_is_one_of_another_source(world: World) -> None:
    result = await world.configured(json_source("ignore")).load("a.ndjson", b'{"x":1}\n{"y":2}\n')
    assert result.state == FileState.FAILED
    assert "lacks 'id', 'amount', 'note'; it has 'x', 'y'" in result.message


@pytest.mark.parametrize("odd", [b"", b'{"amount":0,"note":[1]}\n'])
async def test_aliases_are_keys_of_json_too(world: World, odd: bytes) -> None:
    columns = {"id": {"type": "int64", "aliases": ["ID"]}, "amount": "float64", "note": "string"}
    spec = source(format="ndjson", schema=columns)
    text = b'{"ID":1,"amount":1.5,"note":"a"}\n{"id":2,"amount":2.5,"note":"b"}\n' + odd
    await world.configured(spec).load("a.ndjson", text)
    assert documents(world)[:2] == TWO
    assert drift(world) is None


async def test_an_object_with_two_names_of_one_column_is_refused(world: World) -> None:
    columns = {"id": {"type": "int64", "aliases": ["ID"]}, "amount": "float64", "note": "string"}
    spec = source(format="ndjson", schema=columns)
    await world.configured(spec).load("a.ndjson", b'{"id":1,"note":"a"}\n{"id":2,"ID":3}\n')
    (error,) = world.rows("errors")
    assert error["error_message"] == "two keys of the object mean the column 'id'"


async def test_a_missing_column_of_parquet_is_null_where_it_may_be(
    world: World, tmp_path: Path
) -> None:
    import polars as pl

    frame = pl.DataFrame({"id": [1, 2], "note": ["a", "b"], "x.y": [True, None]})
    frame.write_parquet(tmp_path / "a.parquet")
    changes = {"on_missing_column": "null", "on_new_column": "add"}
    spec = source(format="parquet", load=changes)
    await world.configured(spec).load("a.parquet", (tmp_path / "a.parquet").read_bytes())
    assert documents(world) == [
        TWO[0] | {"amount": None, "x_y": "true"}, TWO[1] | {"amount": None, "x_y": None},
    ]  # fmt: skip
    assert drift(world) == {"new": ["x.y"], "missing": ["amount"]}


async def test_a_trial_shows_drift_and_what_becomes_of_it(tmp_path: Path) -> None:
    spec = source(load={"on_new_column": "add"})
    trial = await try_file(SAMPLES / "new_columns.csv", spec, Limits(), 1)
    assert trial.layout.drift.summary == {"new": ["channel", "ref.no"]}
    assert (trial.documents[0]["channel"], trial.documents[0]["ref_no"]) == ("web", None)
