"""Files whose last record tells what they hold, and that are held when they do not."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pipeline_world import World, opened, source

from ingestd.config.source import SourceSpec
from ingestd.errors import FileHeld
from ingestd.formats.limits import Limits
from ingestd.pipeline.trial import try_file
from ingestd.records import FileResult, FileState

SAMPLES = Path(__file__).parent.parent / "data" / "trailers"
TRAILER = {"prefix": "TRL|", "count": 2, "sum": {"column": "amount", "field": 3}}
SPANS = {"prefix": "TRL", "count": [4, 5], "sum": {"column": "amount", "field": [9, 8]}}
COLUMNS = {"id": [1, 4], "amount": [5, 8], "note": [13, 1]}


def spec(trailer: dict[str, Any] | None = None, **changes: Any) -> SourceSpec:
    csv = {"delimiter": "|", **changes.pop("csv", {})}
    return source(trailer=trailer or TRAILER, csv=csv, validation_rules={}, **changes)


def fixed(trailer: dict[str, Any] = SPANS, **changes: Any) -> SourceSpec:
    places = {"columns": COLUMNS, **changes.pop("fixed", {})}
    return spec(trailer, format="fixed", fixed=places, **changes)


@pytest.fixture
async def world(mongo_uri: str, database: str, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(mongo_uri, database, tmp_path, spec()) as world:
        yield world


async def load(world: World, sample: str) -> FileResult:
    return await world.load(sample, (SAMPLES / sample).read_bytes())


@pytest.mark.parametrize(
    "sample", ["as_told.csv", "quoted.csv", "without_line_end.csv", "blank_lines_after.csv"]
)
async def test_a_file_that_is_as_its_trailer_says_is_loaded_without_it(
    world: World, sample: str
) -> None:
    result = await load(world, sample)
    assert (result.state, result.counts.record_count) == (FileState.ARCHIVED, 3)
    assert world.ids() == [1, 2, 3]


@pytest.mark.parametrize(
    ("sample", "told"),
    [
        ("cut_off.csv", "the last record does not begin with 'TRL|': '3|-0.75|c'"),
        ("row_lost.csv", "the trailer says 3 rows, the file has 2"),
        ("value_changed.csv", "amount adds up to 3.27, the trailer says 3"),
        ("value_unreadable.csv", "amount adds up to 0.75, the trailer says 3"),
        ("count_is_text.csv", "field 2 of the trailer is 'three', no number of rows"),
        ("sum_is_text.csv", "the trailer says that amount adds up to 'lots', no number"),
        ("too_short.csv", "the trailer has no field 3: it has 2"),
        ("stray_quote.csv", "the trailer has no field 2: it has 1"),
    ],
)
async def test_a_file_that_is_not_as_its_trailer_says_is_held_and_nothing_of_it_shows(
    world: World, sample: str, told: str
) -> None:
    result = await load(world, sample)
    assert (result.state, result.message) == (FileState.HELD, told)
    assert world.rows() == []
    (file,) = world.files
    assert (file["state"], file["error"]["message"]) == ("held", told)
    assert [error["error_message"] for error in world.rows("errors")] == [told]
    assert world.found("failed", "orders") == [sample, f"{sample}.error.json"]


@pytest.mark.parametrize(
    "sample", ["as_told.txt", "without_line_end.txt", "blank_lines_after.txt", "crlf.txt"]
)
async def test_fixed_width_text_that_is_as_its_trailer_says_is_loaded_without_it(
    world: World, sample: str
) -> None:
    result = await load(world.configured(fixed()), sample)
    assert (result.state, result.counts.record_count) == (FileState.ARCHIVED, 3)
    assert world.ids() == [1, 2, 3]


@pytest.mark.parametrize(
    ("sample", "told"),
    [
        ("cut_off.txt", "the last record does not begin with 'TRL': '   3   -0.75c'"),
        ("row_lost.txt", "the trailer says 3 rows, the file has 2"),
        ("value_changed.txt", "amount adds up to 3.27, the trailer says 3"),
        ("count_is_text.txt", "field [4, 5] of the trailer is 'three', no number of rows"),
        ("sum_is_text.txt", "the trailer says that amount adds up to 'lots', no number"),
        ("too_short.txt", "the trailer has no field [9, 8]: it has 8 characters"),
    ],
)
async def test_fixed_width_text_that_is_not_as_its_trailer_says_is_held(
    world: World, sample: str, told: str
) -> None:
    result = await load(world.configured(fixed()), sample)
    assert (result.state, result.message) == (FileState.HELD, told)
    assert world.rows() == []


async def test_a_trailer_of_fixed_width_text_may_lack_blanks_where_all_lines_may(
    world: World,
) -> None:
    trailer = {**SPANS, "sum": {"column": "amount", "field": [9, 40]}}
    assert (await load(world.configured(fixed(trailer)), "as_told.txt")).state is FileState.HELD
    padded = world.configured(fixed(trailer, fixed={"short_lines": "pad"}))
    result = await padded.load("again.txt", b"   1    1.50a\nTRL    1    1.50\n")
    assert result.state is FileState.ARCHIVED


@pytest.mark.parametrize("blank_lines", [0, 5000])
@pytest.mark.parametrize("count", [292, 1000])
async def test_the_trailer_of_fixed_width_text_belongs_to_no_chunk(
    world: World, count: int, blank_lines: int
) -> None:
    rows = "".join(f"{n:4}     0.1x\n" for n in range(1, count + 1))
    text = f"{rows}TRL{count:5}{count / 10:8}" + "\n" * blank_lines
    result = await world.configured(fixed()).load("a.txt", text.encode())
    assert (result.state, result.counts.success_count) == (FileState.ARCHIVED, count)


async def test_refused_lines_of_fixed_width_text_keep_the_trailer(world: World) -> None:
    strict = world.configured(
        source(
            trailer=SPANS, format="fixed", fixed={"columns": COLUMNS, "skip_lines": 1},
            validation_rules={"amount": {"min": 0}},
        )
    )  # fmt: skip
    lines = (SAMPLES / "as_told.txt").read_bytes()
    result = await strict.load("a.txt", b"heading\n" + lines)
    assert (result.state, result.rejects_file is not None) == (FileState.ARCHIVED, True)
    assert result.rejects_file is not None
    text = result.rejects_file.read_bytes()
    assert text == b"heading\n   3   -0.75c\nTRL    3    3.00\n"
    again = await strict.load(result.rejects_file.name, text.replace(b"-", b" "))
    assert (again.state, world.ids()) == (FileState.ARCHIVED, [1, 2, 3])


async def test_fixed_width_text_of_nothing_but_a_trailer_has_no_rows(world: World) -> None:
    await load(world.configured(fixed()), "trailer_alone.txt")
    assert world.files[0]["error"]["type"] == "no_rows"


def many(count: int, told: str) -> bytes:
    rows = "".join(f"{n}|0.1|{'x' * 40}\n" for n in range(1, count + 1))
    return f"id|amount|note\n{rows}TRL|{count}|{told}\n".encode()


async def test_a_sum_over_many_chunks_is_exact(world: World) -> None:
    result = await world.load("a.csv", many(1000, "100.0"))
    assert (result.state, result.counts.success_count) == (FileState.ARCHIVED, 1000)
    result = await world.load("b.csv", many(1000, "99.9999999999"))
    assert result.message == "amount adds up to 100, the trailer says 99.9999999999"


async def test_a_sum_is_written_as_the_numbers_are(world: World) -> None:
    written = world.configured(spec(csv={"decimal": ",", "thousands": "."}))
    text = b"id|amount|note\n1|1.000,5|a\n2|2.000|b\nTRL|2|3.000,50\n"
    assert (await written.load("a.csv", text)).state is FileState.ARCHIVED


async def test_rows_that_are_refused_for_other_reasons_count(world: World) -> None:
    strict = world.configured(
        source(trailer=TRAILER, csv={"delimiter": "|"}, validation_rules={"amount": {"min": 0}})
    )
    result = await load(strict, "as_told.csv")
    assert (result.counts.success_count, result.counts.error_count) == (2, 1)


async def test_refused_rows_can_be_mended_and_dropped_again_with_the_old_trailer(
    world: World,
) -> None:
    strict = world.configured(
        source(trailer=TRAILER, csv={"delimiter": "|"}, validation_rules={"amount": {"min": 0}})
    )
    result = await load(strict, "as_told.csv")
    assert result.rejects_file is not None
    text = result.rejects_file.read_bytes()
    assert text == b"id|amount|note\n3|-0.75|c\nTRL|3|3.00\n"
    again = await strict.load(result.rejects_file.name, text.replace(b"-", b""))
    assert (again.state, world.ids()) == (FileState.ARCHIVED, [1, 2, 3])


async def test_records_behind_the_trailer_are_skipped_where_the_source_says_so(
    world: World,
) -> None:
    skipping = world.configured(spec(csv={"skip_footer": 1}))
    text = (SAMPLES / "as_told.csv").read_bytes() + b"printed by the night shift\n"
    assert (await skipping.load("a.csv", text)).state is FileState.ARCHIVED
    assert (await load(skipping, "as_told.csv")).state is FileState.HELD


async def test_a_trailer_in_another_encoding_and_with_a_long_delimiter_is_read(
    world: World,
) -> None:
    wide = spec({**TRAILER, "prefix": "Größe||"}, csv={"delimiter": "||", "encoding": "utf-16"})
    text = (SAMPLES / "as_told.csv").read_text().replace("TRL", "Größe").replace("|", "||")
    result = await world.configured(wide).load("a.csv", text.encode("utf-16"))
    assert (result.state, world.ids()) == (FileState.ARCHIVED, [1, 2, 3])


async def test_a_trailer_that_tells_nothing_still_has_to_be_there(world: World) -> None:
    silent = world.configured(spec({"prefix": "TRL"}))
    assert (await load(silent, "row_lost.csv")).state is FileState.ARCHIVED
    assert (await load(silent, "cut_off.csv")).state is FileState.HELD


async def test_a_file_of_nothing_but_a_trailer_has_no_rows(world: World) -> None:
    await world.load("a.csv", b"id|amount|note\nTRL|0|0\n")
    assert world.files[0]["error"]["type"] == "no_rows"


async def test_a_trial_tells_that_the_file_would_be_held() -> None:
    trial = await try_file(SAMPLES / "value_changed.csv", spec(), Limits(), 1)
    assert trial.held is not None
    assert trial.held.message == "amount adds up to 3.27, the trailer says 3"
    with pytest.raises(FileHeld, match="the trailer says 3 rows, the file has 2"):
        await try_file(SAMPLES / "row_lost.csv", spec(), Limits(), 1)
