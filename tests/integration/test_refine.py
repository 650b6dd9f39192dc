"""One chunk through parse, validate, transform and encode: every row ends in one place."""

import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bson
import pytest
from csv_world import source_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refine_world import Laid, documents_of, errors_of, laid_out, rules_of, timeless
from refusals import errors_in

from ingestd.config.source import SourceSpec
from ingestd.documents import Run
from ingestd.errors import FileRefused
from ingestd.files import look
from ingestd.formats import csv
from ingestd.formats.limits import Limits
from ingestd.pipeline.survey import find_repeats, try_whole_file
from ingestd.records import Rejections, Violation
from ingestd.refine import Plan, compile_source, recover_rows, refine, refine_together, warm
from ingestd.rejections import MAX_RAW_BYTES, raw_octets
from ingestd.validate.violations import LONGEST_MESSAGE

SOURCE = SourceSpec.model_validate(
    {
        "name": "cells",
        "file_pattern": "*.csv",
        "schema": {"number": "int64", "text": "string", "nested": "json"},
        "csv": {"header": False},
        "validation_rules": {"number": {"min": 0}, "text": {"max_length": 3}},
        "checks": [{"name": "no_twos", "expression": "number <> 2"}],
        "transform": [{"filter": "text IS NULL OR text <> 'out'"}, {"cast": {"text": "string"}}],
    }
)
any_file = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Inline:
    """Workers that are this process."""

    async def run(self, function: Callable[..., Any], *arguments: object) -> Any:
        return function(*pickle.loads(pickle.dumps(arguments)))


@pytest.fixture
def laid(tmp_path: Path) -> Callable[..., Laid]:
    """A file of this content, laid out."""

    def lay(
        octets: bytes,
        source: SourceSpec = SOURCE,
        chunk_bytes: int = 2**21,
        *,
        max_record_bytes: int = 2**20,
        key: tuple[str, ...] = (),
    ) -> Laid:
        limits = Limits(chunk_bytes, max_record_bytes)
        return laid_out(tmp_path / "cells.csv", octets, source, limits, key)

    return lay


@dataclass(frozen=True)
class Line:
    """A line of a file and what shall become of it: rules it breaks, or a document, or nothing."""

    text: bytes
    rules: tuple[str, ...] = ()
    document: dict[str, Any] | None = None


def stored(number: int | None, text: str | None, nested: Any) -> dict[str, Any]:
    return {"number": number, "text": text, "nested": nested}


LINES = [
    Line(b"1,abc,[1]", document=stored(1, "abc", [1])),
    Line(b'"",,', document=stored(None, None, None)),
    Line('7,é,"{""k"": null}"'.encode(), document=stored(7, "é", {"k": None})),
    Line(b"1,out,"),
    Line(b"-1,abc,", ("min",)),
    Line(b"x,toolong,", ("type", "max_length")),
    Line(b"2,abc,", ("check:no_twos",)),
    Line(b"-5,toolong,{", ("min", "max_length", "type")),
    Line(b"1,abc,18446744073709551616", ("type",)),
    Line(b"1", ("too_few_fields",)),
    Line(b"1,2,3,4", ("too_many_fields",)),
    Line(b'1,"abc', ("unclosed_quote",)),
    Line(b'1,a"c,', ("stray_quote",)),
    Line(b"1,\0,", ("nul_byte",)),
    Line(b"1,\xff,", ("encoding",)),
]
lines = st.lists(st.sampled_from(LINES), min_size=1, max_size=30)


@any_file
@given(lines=lines, chunk_bytes=st.sampled_from([1, 20, 90, 2**21]))
def test_every_row_is_a_document_or_a_rejection_or_filtered(
    lines: list[Line], chunk_bytes: int, laid: Callable[..., Laid]
) -> None:
    file = laid(b"\n".join(line.text for line in lines), chunk_bytes=chunk_bytes)
    chunks = file.refined()
    for chunk in chunks:
        parts = chunk.document_count + len(chunk.rejections) + chunk.filtered_count
        assert chunk.chunk.row_count == parts
        assert chunk.document_count == len(chunk.ends) // 8
    numbered = dict(enumerate(lines, 1))
    run = {"processed_at": bson.datetime_ms.DatetimeMS(0), "source_name": "cells"}
    documents = {
        row: {name: document[name] for name in document if name not in run}
        for row, document in documents_of(chunks).items()
    }
    assert documents == {row: line.document for row, line in numbered.items() if line.document}
    errors = errors_of(chunks)
    assert errors.keys() == {row for row, line in numbered.items() if line.rules}
    for row, error in errors.items():
        assert error["line"] == row
        assert raw_octets(error["raw"], "utf-8") == lines[row - 1].text
        assert rules_of(error) == lines[row - 1].rules
    told = Counter(rule for error in errors.values() for rule in rules_of(error))
    assert sum((Counter(chunk.rejections.rules) for chunk in chunks), Counter()) == told


@any_file
@given(lines=lines)
def test_a_trial_counts_the_same_and_makes_nothing(
    lines: list[Line], laid: Callable[..., Laid]
) -> None:
    file = laid(b"\n".join(line.text for line in lines))
    trial = Laid(file.layout, replace(file.plan, is_trial=True))
    for tried, done in zip(trial.refined(), file.refined(), strict=True):
        assert tried.documents == b""
        assert (tried.document_count, tried.filtered_count, timeless(tried)) == (
            done.document_count, done.filtered_count, timeless(done),
        )  # fmt: skip


def test_a_rejection_keeps_the_record_where_it_can_be_read(laid: Callable[..., Laid]) -> None:
    errors = errors_of(laid(b'-1,"a\nb",\r\n1,2\r\nx,,\r\n').refined()).values()
    assert [error["record"] for error in errors] == [
        {"number": "-1", "text": "a\nb", "nested": None}, None,
        {"number": "x", "text": None, "nested": None},
    ]  # fmt: skip
    assert [error["raw"] for error in errors] == ['-1,"a\nb",', "1,2", "x,,"]
    assert [error["line"] for error in errors] == [1, 3, 4]
    assert [error["error_type"] for error in errors] == ["rule", "structure", "type"]


def test_an_upsert_row_without_its_key_is_refused(laid: Callable[..., Laid]) -> None:
    file = laid(b"1,a,\n,b,\n3,c,\n", key=("number",))
    [chunk] = file.refined()
    [error] = errors_in(chunk.rejections)
    assert (error["row"], rules_of(error)) == (2, ("key",))
    assert chunk.document_count == 2


def test_a_document_that_mongodb_would_not_take_is_a_rejection(laid: Callable[..., Laid]) -> None:
    too_large = b"x" * (16 * 2**20)
    source = source_of(["a"], header=False)
    file = laid(b"1\n" + too_large + b"\n3\n", source, max_record_bytes=2**25)
    chunks = file.refined()
    assert documents_of(chunks).keys() == {1, 3}
    [error] = errors_of(chunks).values()
    assert (error["row"], rules_of(error)) == (2, ("bson",))
    assert (error["record"], error["raw"]) == (None, "x" * MAX_RAW_BYTES)


def test_a_record_that_an_error_repeats_is_a_rejection_that_mongodb_takes(
    laid: Callable[..., Laid],
) -> None:
    """Polars tells a value in full, and the message is stored twice: 8 MiB would be too much."""
    source = SourceSpec.model_validate(
        {
            "name": "cells", "file_pattern": "*.csv", "schema": {"a": "string"},
            "csv": {"header": False},
            "checks": [{"name": "is_positive", "expression": "CAST(a AS INT) > 0"}],
        }
    )  # fmt: skip
    file = laid(b"1\n" + b"x" * (2**23 - 1) + b"\n", source, max_record_bytes=2**23)
    chunks = file.refined()
    assert documents_of(chunks).keys() == {1}
    [error] = errors_of(chunks).values()
    assert (error["row"], rules_of(error)) == (2, ("check:is_positive",))
    assert len(error["violations"][0]["message"]) == LONGEST_MESSAGE


def test_rows_that_mongodb_refused_are_found_again(laid: Callable[..., Laid]) -> None:
    file = laid(b"1,a,\n\n2,\n3,c,\n4,d,\n", chunk_bytes=6)
    why = Violation("text", "unique_index", None, "is there already")
    chunk = next(c for c in file.layout.chunks if c.start.row <= 2 < c.end.row)
    recovered = recover_rows(file.plan, chunk, {3: why})
    [error] = errors_in(recovered)
    assert (error["row"], error["line"], error["raw"]) == (3, 4, "3,c,")
    assert error["record"] == {"number": "3", "text": "c", "nested": None}
    assert error["violations"] == [why._asdict()]
    assert recovered.rules == {"unique_index": 1}


UNIQUE = SourceSpec.model_validate(
    {
        "name": "cells",
        "file_pattern": "*.csv",
        "schema": {"number": "int64", "text": "string"},
        "csv": {"header": False},
        "validation_rules": {"number": {"unique": True}, "text": {"unique": True}},
    }
)
NUMBERS = {b"1": 1, b"01": 1, b"+1": 1, b"2": 2, b"0": 0, b"-0": 0, b"x": None, b"": None}
TEXTS = {b"a": "a", b'"a"': "a", b"b": "b", b" a": " a", b'""': None, "é".encode(): "é"}


@any_file
@given(
    cells=st.lists(
        st.tuples(st.sampled_from(sorted(NUMBERS)), st.sampled_from(sorted(TEXTS))), min_size=1
    ),
    chunk_bytes=st.sampled_from([1, 10, 30, 2**21]),
)
async def test_repeats_are_all_but_the_first_row_with_a_value(
    cells: list[tuple[bytes, bytes]], chunk_bytes: int, laid: Callable[..., Laid]
) -> None:
    octets = b"".join(b"%b,%b\n" % pair for pair in cells)
    file = laid(octets, UNIQUE, chunk_bytes)
    repeats = await find_repeats(file.plan, file.layout, Inline())
    for column, values in (
        ("number", [NUMBERS[number] for number, _ in cells]),
        ("text", [TEXTS[text] for _, text in cells]),
    ):
        found = {
            chunk.start.row + index
            for chunk, repeated in zip(file.layout.chunks, repeats, strict=True)
            for index in repeated[column]
        }
        assert found == _all_but_first(values)


def _all_but_first(values: list[Any]) -> set[int]:
    seen: set[Any] = set()
    repeated = set()
    for row, value in enumerate(values):
        if value is not None and value in seen:
            repeated.add(row)
        seen.add(value)
    return repeated


async def test_repeated_rows_are_refused_in_every_chunk(laid: Callable[..., Laid]) -> None:
    file = laid(b"1,a\n2,b\n1,c\n3,b\n1,a\n", UNIQUE, 5)
    repeats = await find_repeats(file.plan, file.layout, Inline())
    chunks = [
        refine(file.plan, chunk, repeated)
        for chunk, repeated in zip(file.layout.chunks, repeats, strict=True)
    ]
    broken = {
        row: [(violation["column"], violation["rule"]) for violation in error["violations"]]
        for row, error in errors_of(chunks).items()
    }
    assert broken == {
        3: [("number", "unique")],
        4: [("text", "unique")],
        5: [("number", "unique"), ("text", "unique")],
    }


async def test_a_trial_of_a_whole_file_counts_all_and_keeps_the_first_rejections(
    laid: Callable[..., Laid],
) -> None:
    octets = b"".join(b"%d,a,\n" % (i - 1500) for i in range(4000))
    file = laid(octets, chunk_bytes=1000)
    plan = replace(file.plan, is_trial=True)
    repeats = [None] * len(file.layout.chunks)
    counts, rejections = await try_whole_file(plan, file.layout, repeats, Inline())
    assert counts.is_balanced
    assert (counts.record_count, counts.error_count) == (4000, 1501)
    errors = [error for part in rejections for error in errors_in(part)]
    assert [error["row"] for error in errors] == list(range(1, 1001))


def test_a_defect_of_polars_refuses_the_file(
    laid: Callable[..., Laid], monkeypatch: pytest.MonkeyPatch
) -> None:
    import polars as pl

    from ingestd.transform import Transform

    def panic(*_: object) -> None:
        raise pl.exceptions.PanicException("index out of bounds")

    file = laid(b"1,a,\n")
    monkeypatch.setattr(Transform, "apply", panic)
    with pytest.raises(FileRefused, match="index out of bounds"):
        file.refined()


def test_warming_up_survives_sources_that_do_not_compile() -> None:
    broken = SOURCE.model_copy(update={"transform": ({"no_such_step": 1},)})
    sources = [pickle.dumps(broken), pickle.dumps(SOURCE)]
    compile_source.cache_clear()
    warm(sources)
    assert compile_source.cache_info().currsize == 1


def test_files_refined_together_come_out_as_if_alone(tmp_path: Path) -> None:
    """Whatever is wrong with some of them; also those of which nothing is left."""
    contents = [
        b"id,n\na,1\nb,x\n", b"id,n\nc,3\n", b'id,n\n"open,4\n"d",5\n', b"id,n\nbad\n",
        b"id,n\ne,\xff\nf,6",
    ]  # fmt: skip
    source = SourceSpec.model_validate(
        {"name": "s", "file_pattern": "*", "schema": {"id": "string", "n": "int64"}}
    )
    plans, chunks = [], []
    for number, octets in enumerate(contents):
        path = tmp_path / f"{number}.csv"
        path.write_bytes(octets)
        layout = csv.lay_out(path, look(path), source, Limits())
        run = Run(f"{number:016x}", "s", 1_700_000_000_000 + number)
        plan = Plan(pickle.dumps(source), layout.shape, run, Limits())
        plans += [plan] * len(layout.chunks)
        chunks += layout.chunks
    together = refine_together(plans, chunks)
    alone = [refine(plan, chunk) for plan, chunk in zip(plans, chunks, strict=True)]
    nothing = {"refine_s": 0, "rejections": Rejections()}
    assert [replace(r, **nothing) for r in together] == [replace(r, **nothing) for r in alone]
    assert [timeless(r) for r in together] == [timeless(r) for r in alone]
    assert sum(r.document_count for r in together) == 4


def test_a_worker_that_is_warm_has_not_imported_pandas() -> None:
    """It is 35 MB, and pyarrow imports it for some of its functions wherever it is installed."""
    code = (
        "import pickle, sys; from ingestd.config.source import SourceSpec; "
        "from ingestd.refine import warm; "
        "spec = {'name': 'a', 'file_pattern': '*', 'schema': {'a': 'int64', 'b': 'string'}}; "
        "warm([pickle.dumps(SourceSpec.model_validate(spec))]); print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
