"""``ingestd try``: what would become of a file, without MongoDB and without writing anything."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused
from ingestd.formats.limits import Limits
from ingestd.pipeline.trial import Trial, try_file

SOURCE = """
name = "orders"
file_pattern = "orders/*.csv"
[schema]
id = "string"
amount = "float64"
[validation_rules.id]
unique = true
[validation_rules.amount]
min = 0
[[transform]]
filter = "id <> 'test'"
[errors]
max_rate = 0.5
"""
LINES = "id,amount\nA,1.5\nB,-5\nC,abc\ntest,1\nA,2\n"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ingestd(tmp_path: Path) -> Run:
    """A directory with a configuration, a file in it, and no MongoDB."""
    (tmp_path / "config" / "sources").mkdir(parents=True)
    (tmp_path / "config" / "ingestd.toml").write_text(
        '[mongo]\nuri = "mongodb://127.0.0.1:9"\n[refine]\nchunk_bytes = "4KiB"\n'
    )
    (tmp_path / "config" / "sources" / "orders.toml").write_text(SOURCE)
    (tmp_path / "day.csv").write_text(LINES)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ingestd", "try", *arguments, "--config", "config"]
        own = {key: value for key, value in os.environ.items() if not key.startswith("INGESTD_")}
        return subprocess.run(
            command, cwd=tmp_path, env=own | {"PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    return run


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_every_row_is_accounted_for_and_nothing_is_written(ingestd: Run, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    done = ingestd("day.csv", "--source", "orders", "--json")
    assert done.returncode == 65
    found = told(done)
    counts = [found[f"{name}_count"] for name in ("record", "success", "error", "filtered")]
    assert counts == [5, 1, 3, 1]
    assert found["rules"] == {"min": 1, "type": 1, "unique": 1}
    assert found["is_held"]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_caret_stands_under_each_refused_value(ingestd: Run) -> None:
    shown = ingestd("day.csv", "--source", "orders").stdout
    assert "line 3, row 2: amount: -5 is below min 0\n    B,-5\n      ^^\n" in shown
    assert "line 4, row 3: amount: 'abc' is not a float64\n    C,abc\n      ^^^\n" in shown
    assert "    A,2\n    ^\n" in shown


def test_the_first_documents_are_shown_as_they_would_be_stored(ingestd: Run) -> None:
    (document,) = told(ingestd("day.csv", "--source", "orders", "--json"))["documents"]
    assert list(document) == ["_id", "id", "amount", "processed_at", "source_name"]
    assert (document["id"], document["amount"]) == ("A", 1.5)
    assert document["_id"]["$oid"].endswith("00000001")


def test_the_error_budget_is_told(ingestd: Run) -> None:
    shown = ingestd("day.csv", "--source", "orders")
    assert "would be held: 3 of 5 rows are refused; allowed: 50.00%" in shown.stdout


def test_a_clean_file_ends_with_zero(ingestd: Run, tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text("new,id,amount\n,A,1\n")
    done = ingestd("day.csv", "--source", "orders")
    assert done.returncode == 0
    assert "new columns, which are left out: new" in done.stdout


def test_only_so_many_rejections_are_shown_as_asked(ingestd: Run) -> None:
    shown = ingestd("day.csv", "--source", "orders", "--limit", "1").stdout
    assert "row 2" in shown
    assert "row 3" not in shown
    assert "and 2 more" in shown


def test_a_file_that_is_refused_as_a_whole_fails(ingestd: Run, tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text("id\nA\n")
    done = ingestd("day.csv", "--source", "orders")
    assert done.returncode == 1
    assert "lacks 'amount'" in done.stderr


def test_a_wrong_configuration_has_its_own_code(ingestd: Run, tmp_path: Path) -> None:
    (tmp_path / "config" / "sources" / "orders.toml").write_text("name = 1")
    assert ingestd("day.csv", "--source", "orders").returncode == 78


async def trial_of(path: Path, octets: bytes, **source: Any) -> Trial:
    path.write_bytes(octets)
    document = {"name": "a", "file_pattern": "a", "schema": {"id": "int64"}, **source}
    return await try_file(path, SourceSpec.model_validate(document), Limits(chunk_bytes=4096), 10)


async def test_an_upsert_shows_the_document_not_the_statement(tmp_path: Path) -> None:
    load = {"mode": "upsert", "key": ["id"]}
    trial = await trial_of(tmp_path / "a.csv", b"id\n7\n\n8\n", load=load)
    assert [document["id"] for document in trial.documents] == [7, 8]
    assert all("_id" in document for document in trial.documents)


async def test_many_chunks_are_counted_together(tmp_path: Path) -> None:
    rows = b"".join(b"%d\n" % n if n % 100 else b"x\n" for n in range(10_000))
    trial = await trial_of(tmp_path / "a.csv", b"id\n" + rows)
    assert len(trial.layout.chunks) > 2
    assert (trial.counts.record_count, trial.counts.error_count) == (10_000, 100)
    assert [error["row"] for error in trial.errors] == [n * 100 + 1 for n in range(10)]


async def test_documents_of_several_chunks_are_shown(tmp_path: Path) -> None:
    """A last record without an end is a chunk of its own."""
    trial = await trial_of(tmp_path / "a.csv", b"id\n7\n8\n9")
    assert len(trial.layout.chunks) > 1
    assert [document["id"] for document in trial.documents] == [7, 8, 9]


async def test_no_more_documents_are_shown_than_asked_for(tmp_path: Path) -> None:
    trial = await trial_of(tmp_path / "a.csv", b"id\n" + b"1\n" * 5_000)
    assert (len(trial.layout.chunks) > 2, len(trial.documents)) == (True, 10)


async def test_repeats_are_found_across_chunks(tmp_path: Path) -> None:
    rows = b"".join(b"%d\n" % n for n in range(5000)) + b"0\n"
    rules = {"id": {"unique": True}}
    trial = await trial_of(tmp_path / "a.csv", b"id\n" + rows, validation_rules=rules)
    assert [error["row"] for error in trial.errors] == [5001]


async def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused):
        await trial_of(tmp_path / "a.csv", b"")


OBJECTS = '{"id": "A", "amount": 5}\n{"id": "-5", "amount": -5, "late": 1}\n'


@pytest.mark.parametrize("name", ["day.ndjson", "day.json"])
def test_carets_stand_behind_the_keys_of_json(ingestd: Run, tmp_path: Path, name: str) -> None:
    form = name.partition(".")[2]
    source = tmp_path / "config" / "sources" / "orders.toml"
    source.write_text(SOURCE.replace("[schema]", f'format = "{form}"\n[schema]'))
    (tmp_path / name).write_text(OBJECTS)
    shown = ingestd(name, "--source", "orders").stdout
    line = "line 2, " if form == "ndjson" else ""
    raw = OBJECTS.splitlines()[1]
    carets = " " * raw.rindex("-5") + "^^"
    assert f"{line}row 2: amount: -5 is below min 0\n    {raw}\n    {carets}\n" in shown


def test_each_file_of_an_archive_is_tried(ingestd: Run, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "week.zip", "w") as archive:
        archive.writestr("1/day.csv", LINES)
        archive.writestr("2/day.csv", "id,amount\nA,1\n")
        archive.writestr("README.txt", "Hello")
    done = ingestd("week.zip", "--source", "orders", "--json")
    assert done.returncode == 1
    first, second, third = told(done)["files"]
    assert (first["file"], first["error_count"]) == ("week.zip/1/day.csv", 3)
    assert (second["file"], second["success_count"]) == ("week.zip/2/day.csv", 1)
    assert (third["file"], "lacks" in third["error"]) == ("week.zip/README.txt", True)
    shown = ingestd("week.zip", "--source", "orders")
    assert "week.zip/2/day.csv in source orders\n" in shown.stdout
    assert "week.zip/README.txt would not be loaded: the header lacks" in shown.stdout


def test_a_source_with_manifests_takes_archives_of_one_file(ingestd: Run, tmp_path: Path) -> None:
    source = tmp_path / "config" / "sources" / "orders.toml"
    source.write_text(SOURCE + '[manifest]\nsuffix = ".count"\n')
    with zipfile.ZipFile(tmp_path / "week.zip", "w") as archive:
        archive.writestr("1.csv", LINES)
        archive.writestr("2.csv", LINES)
    done = ingestd("week.zip", "--source", "orders")
    assert (done.returncode, "holds 2 files" in done.stderr) == (1, True)
