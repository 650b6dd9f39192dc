"""Where refused rows go: ``errors``, the rejects file, the report beside a failed file."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from refusals import rejections_of

from ingestd.config.settings import MongoSettings
from ingestd.errors import FileUnavailable
from ingestd.events import Events
from ingestd.files import displayable
from ingestd.ledger import now
from ingestd.metrics import Metrics
from ingestd.mongo import Mongo, row_id
from ingestd.records import ClaimedFile, FileStat, Rejections, Shape
from ingestd.rejects import Rejects, write_error_report

HEADER = b"id,amount\n"
SHAPE = Shape((), header=HEADER)
ERROR = {"type": "bad", "message": "it is bad", "hint": "make it good"}


@pytest.fixture
async def mongo(mongo_uri: str, database: str) -> AsyncIterator[Mongo]:
    mongo = Mongo(mongo_uri, MongoSettings(database=database), Events(Metrics()))
    await mongo.connect()
    yield mongo
    mongo.close()


@pytest.fixture
async def rejects(mongo: Mongo) -> Rejects:
    rejects = Rejects(mongo)
    await rejects.prepare()
    return rejects


def claimed(name: str = "a.csv", file_id: str = "0123456789abcdef") -> ClaimedFile:
    stat = FileStat(1, 2, 3, 4, 5)
    path = Path("/in", name)
    return ClaimedFile(file_id, "orders", displayable(name), path, stat, "ab", now(), now())


def refused(file: ClaimedFile, row: int, raw: str | bytes) -> dict[str, Any]:
    """An error document, as far as it is looked at here."""
    return {"_id": row_id(file.file_id, row), "file_id": file.file_id, "row": row, "raw": raw}


def rows(count: int, file: ClaimedFile | None = None) -> list[Rejections]:
    """The first rows of a file, refused; in two chunks."""
    errors = [refused(file or claimed(), n, f"{n},-1") for n in range(1, count + 1)]
    return [rejections_of(errors[count // 2 :]), rejections_of(errors[: count // 2])]


async def test_a_rejection_recorded_again_stays_as_it_is(rejects: Rejects, mongo: Mongo) -> None:
    await rejects.record_rows(rows(3))
    before = await mongo.find("errors", {})
    await rejects.record_rows(rows(5))
    assert await mongo.find("errors", {"row": {"$lte": 3}}) == before
    assert await mongo.count("errors", {}) == 5


async def test_bytes_that_are_no_text_come_back_as_they_were(
    rejects: Rejects, mongo: Mongo, tmp_path: Path
) -> None:
    errors = [refused(claimed(), 1, b"1,\xff\xfe"), refused(claimed(), 2, "2,\x00")]
    await rejects.record_rows([rejections_of(errors)])
    assert await mongo.find("errors", {}) == errors
    path = await rejects.write_rejects_file(claimed(), SHAPE, tmp_path)
    assert path.read_bytes() == HEADER + b"1,\xff\xfe\n2,\x00\n"


# whole files


async def test_the_failure_of_a_file_stays_when_its_rows_are_taken_back(
    rejects: Rejects, mongo: Mongo
) -> None:
    await rejects.record_rows(rows(3))
    await rejects.record_file(claimed(), ERROR)
    await rejects.remove_rows(claimed().file_id)
    (error,) = await mongo.find("errors", {})
    assert (error["row"], error["record"], error["state"]) == (0, None, "open")
    assert (error["error_type"], error["error_message"], error["hint"]) == (
        "bad", "it is bad", "make it good",
    )  # fmt: skip


async def test_a_failure_is_closed_when_the_file_loads_after_all_and_open_when_it_fails_again(
    rejects: Rejects, mongo: Mongo
) -> None:
    await rejects.record_file(claimed(), ERROR)
    await rejects.clear_file(claimed())
    assert [error["state"] for error in await mongo.find("errors", {})] == ["replayed"]
    await rejects.record_file(claimed(), {**ERROR, "message": "again"})
    (error,) = await mongo.find("errors", {})
    assert (error["state"], error["error_message"]) == ("open", "again")


async def test_rows_of_other_files_are_not_taken_back(rejects: Rejects, mongo: Mongo) -> None:
    await rejects.record_rows(rows(2, claimed(file_id="0123456789abcdee")))
    await rejects.record_rows(rows(2, claimed(file_id="0123456789abcdf0")))
    await rejects.remove_rows(claimed().file_id)
    assert await mongo.count("errors", {}) == 4


# the rejects file


async def test_the_rejects_file_holds_the_records_as_they_stood_in_their_order(
    rejects: Rejects, tmp_path: Path
) -> None:
    await rejects.record_rows(rows(12_000))
    path = await rejects.write_rejects_file(claimed(), SHAPE, tmp_path / "rejects" / "orders")
    assert path == tmp_path / "rejects" / "orders" / "a.csv.rejects.csv"
    assert path.read_bytes() == HEADER + b"".join(b"%d,-1\n" % n for n in range(1, 12_001))
    assert [p.name for p in path.parent.iterdir()] == [path.name], "nothing temporary is left"


@pytest.mark.parametrize("header", [b"id,amount", b"", b"id,amount\r\n"])
async def test_the_header_is_on_lines_of_its_own(
    rejects: Rejects, tmp_path: Path, header: bytes
) -> None:
    await rejects.record_rows(rows(1))
    path = await rejects.write_rejects_file(claimed(), Shape((), header=header), tmp_path)
    assert path.read_bytes().endswith(b"1,-1\n")
    assert path.read_bytes().removesuffix(b"1,-1\n") == header + (
        b"" if header.endswith(b"\n") or not header else b"\n"
    )


async def test_a_rejects_file_written_again_is_the_same_file(
    rejects: Rejects, tmp_path: Path
) -> None:
    await rejects.record_rows(rows(3))
    (tmp_path / ".ingestd-0123456789abcdef.tmp").write_bytes(b"what a crash left")
    first = await rejects.write_rejects_file(claimed(), SHAPE, tmp_path)
    content = first.read_bytes()
    assert await rejects.write_rejects_file(claimed(), SHAPE, tmp_path) == first
    assert first.read_bytes() == content
    assert list(tmp_path.iterdir()) == [first]


async def test_files_of_one_name_have_rejects_files_of_their_own(
    rejects: Rejects, tmp_path: Path
) -> None:
    other = claimed(file_id="fedcba9876543210")
    await rejects.record_rows(rows(1))
    await rejects.record_rows(rows(2, other))
    first = await rejects.write_rejects_file(claimed(), SHAPE, tmp_path)
    for _ in range(2):
        second = await rejects.write_rejects_file(other, SHAPE, tmp_path)
        assert second.name == "a.csv.fedcba9876543210.rejects.csv"
        assert second.read_bytes() == HEADER + b"1,-1\n2,-1\n"
    assert first.read_bytes() == HEADER + b"1,-1\n"


async def test_a_directory_with_the_name_of_a_rejects_file_is_left_alone(
    rejects: Rejects, tmp_path: Path
) -> None:
    (tmp_path / "a.csv.rejects.csv").mkdir()
    await rejects.record_rows(rows(1))
    path = await rejects.write_rejects_file(claimed(), SHAPE, tmp_path)
    assert path.name == "a.csv.0123456789abcdef.rejects.csv"


@pytest.mark.parametrize("name", ["é" * 125 + ".csv", "\udcff.csv", "x" * 255])
async def test_names_of_any_kind_and_length_get_a_rejects_file_and_a_report(
    rejects: Rejects, tmp_path: Path, name: str
) -> None:
    await rejects.record_rows(rows(1))
    path = await rejects.write_rejects_file(claimed(name), SHAPE, tmp_path)
    assert path.name.endswith(".rejects.csv")
    write_error_report(tmp_path / name, {"file": "x"})
    (report,) = tmp_path.glob("*.error.json")
    assert json.loads(report.read_text()) == {"file": "x"}


async def test_a_file_in_the_place_of_the_directory_is_told(
    rejects: Rejects, tmp_path: Path
) -> None:
    (tmp_path / "rejects").write_text("in the way")
    await rejects.record_rows(rows(1))
    with pytest.raises(FileUnavailable) as caught:
        await rejects.write_rejects_file(claimed(), SHAPE, tmp_path / "rejects")
    assert caught.value.hint == "a file stands where a directory is expected"


# the report


def test_a_report_says_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    place = tmp_path / "failed" / "a.csv"
    write_error_report(place, {"file": "ü\udcff", "found_at": now(), "rows": 3})
    report = json.loads((place.parent / "a.csv.error.json").read_text(encoding="utf-8"))
    assert report["rows"] == 3
