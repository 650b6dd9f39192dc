"""What every format promises: cuts that cover the file, rows that add up, changes that show."""

import hashlib
import io
import json
import os
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fastavro
import polars as pl
import pytest
from refusals import errors_in
from workbooks import workbook

from ingestd.config.source import SourceSpec
from ingestd.documents import Run
from ingestd.errors import FileRefused, FileUnavailable
from ingestd.files import look
from ingestd.formats import FORMATS, Format
from ingestd.formats.limits import Limits
from ingestd.formats.octets import fill
from ingestd.formats.text import Text
from ingestd.records import ROW, Chunk, FileLayout, Violation
from ingestd.rejections import encode_rejections
from ingestd.validate import violations_of

ROWS = [(str(i), None if i % 3 else f"text {i}") for i in range(100)]
LIMITS = Limits(chunk_bytes=64, max_record_bytes=256)


@dataclass(frozen=True)
class Sample:
    """Files of one format: the rows above; the same with one row unreadable; and no such file."""

    good: bytes
    damaged: bytes
    damaged_row: int
    foreign: bytes


def _csv() -> Sample:
    lines = [f"{number},{text or ''}\n" for number, text in ROWS]
    damaged = [*lines[:50], "a,b,c\n", *lines[51:]]
    return Sample(
        good=("number,text\n" + "".join(lines)).encode(),
        damaged=("number,text\n" + "".join(damaged)).encode(),
        damaged_row=50,
        foreign=b"PAR1 no text",
    )


def _tsv() -> Sample:
    csv = _csv()
    return replace(
        csv, good=csv.good.replace(b",", b"\t"), damaged=csv.damaged.replace(b",", b"\t")
    )


def _fixed() -> Sample:
    lines = [f"{number:5}{text or '':10}" for number, text in ROWS]
    damaged = [*lines[:50], "50", *lines[51:]]
    return replace(_csv(), good="\n".join(lines).encode(), damaged="\r\n".join(damaged).encode())


def _objects(*, damaged_row: int | None = None) -> list[str]:
    objects = [json.dumps({"number": int(number), "text": text}) for number, text in ROWS]
    if damaged_row is not None:
        objects[damaged_row] = '{"number": 50, "number": 51}'
    return objects


def _ndjson() -> Sample:
    return Sample(
        good="\n".join(_objects()).encode(),
        damaged="\n".join(_objects(damaged_row=50)).encode(),
        damaged_row=50,
        foreign=b"number,text\n1,a\n",
    )


def _json() -> Sample:
    damaged = _objects(damaged_row=50)
    return replace(
        _ndjson(),
        good=f"[{', '.join(_objects())}]".encode(),
        damaged=f"[{', '.join(damaged)}]".encode(),
    )


def _parquet() -> Sample:
    stream = io.BytesIO()
    numbers, texts = zip(*ROWS, strict=True)
    pl.DataFrame({"number": map(int, numbers), "text": texts}).write_parquet(stream)
    return replace(_ndjson(), good=stream.getvalue())


def _avro() -> Sample:
    fields = [{"name": "number", "type": "int"}, {"name": "text", "type": ["null", "string"]}]
    stream = io.BytesIO()
    rows = [{"number": int(number), "text": text} for number, text in ROWS]
    fastavro.writer(stream, {"type": "record", "name": "row", "fields": fields}, rows)
    return replace(_ndjson(), good=stream.getvalue())


SAMPLES = {
    "csv": _csv(),
    "tsv": _tsv(),
    "fixed": _fixed(),
    "ndjson": _ndjson(),
    "json": _json(),
    "parquet": _parquet(),
    "excel": replace(_ndjson(), good=workbook([("number", "text"), *ROWS])),
    "avro": _avro(),
}


WHY = Violation("number", "min", "1", "too small")


def refused(text: Text, reasons: dict[int, Violation]) -> list[dict[str, Any]]:
    """The error documents of these records."""
    runs = [Run("00" * 8, "samples", 0)] * len(text.chunks)
    made = encode_rejections(text, violations_of(reasons.items()), runs, 0)
    return [error for rejections in made for error in errors_in(rejections)]


def test_every_format_has_samples() -> None:
    assert SAMPLES.keys() == FORMATS.keys()


@dataclass(frozen=True)
class World:
    """One format at work on one file."""

    format: Format
    sample: Sample
    source: SourceSpec
    path: Path

    def lay_out(self, octets: bytes, limits: Limits = LIMITS) -> FileLayout:
        self.path.write_bytes(octets)
        return self.format.lay_out(self.path, look(self.path), self.source, limits)

    def read(self, layout: FileLayout) -> list[Text]:
        """Every chunk, sent to a worker and read there."""
        chunks = pickle.loads(pickle.dumps(self.ready(layout)))
        return [self.format.read([c], layout.shape, self.source, LIMITS) for c in chunks]

    def ready(self, layout: FileLayout) -> list[Chunk]:
        """The chunks as they are sent."""
        if layout.is_packed:
            return list(fill(layout.chunks, self.source, LIMITS))
        return list(layout.chunks)


@pytest.fixture(params=FORMATS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    fields: dict[str, Any] = {
        "name": "samples",
        "file_pattern": "*",
        "format": request.param,
        "schema": {"text": "string", "number": "int64"},
        "fixed": {"columns": {"number": [1, 5], "text": [6, 10]}},
    }
    source = SourceSpec.model_validate(fields)
    sample = SAMPLES[request.param]
    return World(FORMATS[request.param], sample, source, tmp_path / "sample")


def test_chunks_hold_every_row_once_in_order(world: World) -> None:
    layout = world.lay_out(world.sample.good)
    frames = [text.frame for text in world.read(layout)]
    assert len(frames) > 3
    assert pl.concat(frames).select("number", "text").rows() == ROWS
    assert layout.row_count == len(ROWS)
    for frame, chunk in zip(frames, layout.chunks, strict=True):
        assert frame.columns == [*world.source.columns, ROW]
        assert frame.dtypes == [pl.String, pl.String, pl.UInt32]
        assert frame[ROW].to_list() == list(range(chunk.row_count))


def test_chunks_follow_each_other(world: World) -> None:
    chunks = world.lay_out(world.sample.good).chunks
    assert chunks[0].start.row == 0
    assert [chunk.start for chunk in chunks[1:]] == [chunk.end for chunk in chunks[:-1]]
    assert all(chunk.row_count > 0 for chunk in chunks)


def test_the_digest_is_that_of_the_whole_file(world: World) -> None:
    digest = hashlib.sha256(world.sample.good).digest()
    assert world.lay_out(world.sample.good).sha256 == digest


def test_the_same_file_is_cut_the_same_again(world: World) -> None:
    first = world.lay_out(world.sample.good)
    again = world.format.lay_out(world.path, look(world.path), world.source, LIMITS)
    assert first == again


def test_a_record_that_cannot_be_read_costs_itself_and_keeps_its_place(world: World) -> None:
    layout = world.lay_out(world.sample.damaged)
    assert layout.row_count == len(ROWS)
    texts = world.read(layout)
    place = world.sample.damaged_row
    faults = [(text, fault) for text in texts for fault in text.faults.items()]
    [(text, fault)] = faults
    [error] = refused(text, {fault[0]: fault[1]})
    assert (error["row"], error["error_type"]) == (place + 1, "structure")
    assert error["record"] is None
    rows = pl.concat([text.frame for text in texts]).select("number", "text").rows()
    assert rows == ROWS[:place] + ROWS[place + 1 :]


def test_a_rejection_of_a_readable_record_holds_its_texts(world: World) -> None:
    texts = world.read(world.lay_out(world.sample.good))
    [error] = refused(texts[1], {0: WHY})
    row = texts[0].chunks[0].records.chunk.row_count
    assert error["row"] == row + 1
    assert error["record"] == dict(zip(("text", "number"), ROWS[row][::-1], strict=True))
    assert error["violations"] == [WHY._asdict()]
    assert refused(texts[1], {}) == []


def test_chunks_of_several_files_are_read_as_one(world: World) -> None:
    """Each keeps its own rows, faults and rejections."""
    good, damaged = world.sample.good, world.sample.damaged
    layouts = []
    for number, octets in enumerate((good, damaged, good)):
        path = world.path.with_name(f"sample-{number}")
        path.write_bytes(octets)
        layouts.append(world.format.lay_out(path, look(path), world.source, LIMITS))
    chunks = [world.ready(layout)[0] for layout in layouts]
    alone = [world.format.read([c], layouts[0].shape, world.source, LIMITS) for c in chunks]
    text = world.format.read(chunks, layouts[0].shape, world.source, LIMITS)
    columns = pl.exclude(ROW)
    assert text.frame.select(columns).equals(pl.concat([t.frame.select(columns) for t in alone]))
    firsts = [0, chunks[0].row_count, chunks[0].row_count + chunks[1].row_count]
    rows = [first + row for first, t in zip(firsts, alone, strict=True) for row in t.frame[ROW]]
    assert text.frame[ROW].to_list() == rows
    reasons = dict.fromkeys(firsts, WHY)
    assert refused(text, reasons) == [refused(t, {0: WHY})[0] for t in alone]


def test_a_file_of_another_format_is_refused(world: World) -> None:
    with pytest.raises(FileRefused) as refused:
        world.lay_out(world.sample.foreign)
    assert not isinstance(refused.value, FileUnavailable)
    assert refused.value.hint


def test_an_empty_file_is_refused(world: World) -> None:
    with pytest.raises(FileRefused, match="empty"):
        world.lay_out(b"")


def test_a_file_that_changed_since_it_was_found_is_not_laid_out(world: World) -> None:
    world.path.write_bytes(world.sample.good)
    stat = replace(look(world.path), mtime_ns=1)
    with pytest.raises(FileUnavailable):
        world.format.lay_out(world.path, stat, world.source, LIMITS)


def test_a_file_that_grew_since_it_was_laid_out_is_not_read(world: World) -> None:
    layout = world.lay_out(world.sample.good)
    with world.path.open("ab") as stream:
        stream.write(b"1,2\n")
    with pytest.raises(FileUnavailable):
        world.read(layout)


def test_a_file_that_another_took_the_place_of_is_not_read(world: World) -> None:
    layout = world.lay_out(world.sample.good)
    other = world.path.with_name("other")
    other.write_bytes(world.sample.good)
    os.utime(other, ns=(layout.chunks[0].stat.mtime_ns,) * 2)
    other.rename(world.path)
    with pytest.raises(FileUnavailable):
        world.read(layout)


def test_a_file_that_is_gone_is_unavailable(world: World) -> None:
    layout = world.lay_out(world.sample.good)
    stat = look(world.path)
    world.path.unlink()
    with pytest.raises(FileUnavailable):
        world.read(layout)
    with pytest.raises(FileUnavailable):
        world.format.lay_out(world.path, stat, world.source, LIMITS)
