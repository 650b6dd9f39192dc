"""Refused rows as error documents, made column by column, are those that are made one by one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bson
import numpy as np
import polars as pl
from bson import Int64, ObjectId
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st
from refusals import errors_in

from ingestd.documents import Run
from ingestd.formats.text import Records, Text, TextChunk
from ingestd.records import ROW, Chunk, FileStat, Position, Rejections, Violation
from ingestd.rejections import MAX_RAW_BYTES, encode_rejections, head, joined
from ingestd.validate import violations_of

COLUMNS = ("a", "é")
NOW_MS = 1_700_000_000_123
START = Position()
END = b"\r\n"
"""Of records in a rejects file, which may be another than some have in the file itself."""


@dataclass(frozen=True)
class Row:
    """A record of a file: its bytes, its texts if it can be read, and why it is refused."""

    raw: bytes
    texts: tuple[str | None, ...] | None
    reasons: tuple[Violation, ...] = ()


@dataclass(frozen=True)
class File:
    """A chunk's rows, and the rows and lines before it."""

    name: str
    rows: list[Row]
    start: Position = START

    def run(self, number: int) -> Run:
        return Run(f"{number:016x}", "orders-é", 0, file_name=self.name, record_end=END)


def text_of(files: list[File]) -> Text:
    chunks, frames, first = [], [], 0
    for file in files:
        records = [row.raw + b"\n" for row in file.rows]
        ends = np.cumsum([len(record) for record in records], dtype=np.int64)
        start = file.start
        end = Position(start.offset_bytes + int(ends[-1]), start.row + len(records), 0)
        chunk = Chunk(Path(file.name), FileStat(0, 0, 0, 0, 0), start, end)
        faults = {i: row.reasons[0] for i, row in enumerate(file.rows) if row.texts is None}
        found = Records(chunk, b"".join(records), np.append(0, ends[:-1]), ends)
        chunks.append(TextChunk(found, faults, first))
        frames += [(*row.texts, first + i) for i, row in enumerate(file.rows) if row.texts]
        first += len(records)
    schema = {**dict.fromkeys(COLUMNS, pl.String), ROW: pl.UInt32}
    return Text(pl.DataFrame(frames, schema, orient="row"), chunks)


def encoded(files: list[File]) -> list[Rejections]:
    text = text_of(files)
    rows = [row for file in files for row in file.rows]
    found = [(place, why) for place, row in enumerate(rows) for why in row.reasons]
    runs = [file.run(number) for number, file in enumerate(files)]
    return encode_rejections(text, violations_of(found[::-1]), runs, NOW_MS)


def expected(file: File, number: int, as_number: Any = int) -> list[dict[str, Any]]:
    """What design says of ``errors``, row by row."""
    documents, line, offset = [], file.start.line + 1, file.start.offset_bytes
    for index, row in enumerate(file.rows, file.start.row + 1):
        if row.reasons:
            place = (as_number(index), as_number(line), Int64(offset))
            documents.append(_document(file, number, row, place))
        line += row.raw.count(b"\n") + 1
        offset += len(row.raw) + 1
    return documents


def _document(file: File, number: int, row: Row, place: tuple[int, int, int]) -> dict[str, Any]:
    reasons = row.reasons[::-1]  # they were found from the last to the first
    rules = [why.rule for why in reasons]
    kind = "structure" if row.texts is None else "type" if "type" in rules else "rule"
    told = [
        why.message if why.column is None else f"{why.column}: {why.message}" for why in reasons
    ]
    is_kept = row.texts is not None and len(row.raw) <= MAX_RAW_BYTES
    return {
        "_id": ObjectId(f"{number:016x}{place[0]:08x}"), "source_name": "orders-é",
        "file": file.name, "file_id": f"{number:016x}",
        "row": place[0], "line": place[1], "offset": place[2],
        "state": "open", "error_time": DatetimeMS(NOW_MS), "error_type": kind,
        "error_message": "; ".join(told),
        "record": dict(zip(COLUMNS, row.texts or (), strict=True)) if is_kept else None,
        "raw": _text_if_text(row.raw[:MAX_RAW_BYTES]),
        "violations": [why._asdict() for why in reasons],
    }  # fmt: skip


def _text_if_text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
violations = st.builds(
    Violation, st.none() | texts, st.sampled_from(["type", "min", "é"]), st.none() | texts, texts
)
raws = (texts.map(str.encode) | st.binary(max_size=6)).map(lambda raw: raw.rstrip(b"\r\n"))
rows = st.builds(
    Row, raws, st.tuples(st.none() | texts, st.none() | texts),
    st.lists(violations, max_size=12).map(tuple),
) | st.builds(Row, raws, st.none(), st.tuples(violations))  # fmt: skip
positions = st.builds(Position, st.just(7), st.sampled_from([0, 5, 2**31]), st.integers(0, 3))
files = st.builds(File, texts, st.lists(rows, min_size=1, max_size=8), positions)


@given(st.lists(files, min_size=1, max_size=3))
def test_error_documents_are_those_that_bson_makes_of_their_description(files: list[File]) -> None:
    far = [row.reasons for file in files if file.start.row > 2**30 for row in file.rows]
    as_number = Int64 if any(far) else int
    for number, (file, made) in enumerate(zip(files, encoded(files), strict=True)):
        wanted = expected(file, number, as_number)
        assert made.documents == b"".join(map(bson.encode, wanted))
        assert len(errors_in(made)) == len(wanted)
        raws = [row.raw for row in file.rows if row.reasons]
        assert (made.records or b"") == b"".join(raw + END for raw in raws)
        rules = [why["rule"] for document in wanted for why in document["violations"]]
        assert made.rules == {rule: rules.count(rule) for rule in rules}


def test_of_a_long_record_the_beginning_is_kept() -> None:
    """Cut within a character, it is no text any more."""
    raws = [b"x" * MAX_RAW_BYTES, b"x" * (MAX_RAW_BYTES + 1), "€".encode() * MAX_RAW_BYTES, b"\xff"]
    why = (Violation("a", "min", "1", "m"),)
    file = File("long", [Row(raw, ("x", None), why) for raw in raws])
    [made] = encoded([file])
    assert made.documents == b"".join(map(bson.encode, expected(file, 0)))
    assert [error["raw"] for error in errors_in(made)] == [
        "x" * MAX_RAW_BYTES, "x" * MAX_RAW_BYTES, raws[2][:MAX_RAW_BYTES], b"\xff",
    ]  # fmt: skip
    assert [error["record"] is None for error in errors_in(made)] == [False, True, True, False]
    assert made.records == b"".join(raw[:MAX_RAW_BYTES] + END for raw in raws)


def test_of_very_many_reasons_the_first_thousand_are_kept() -> None:
    """A document stays within what MongoDB takes, however many columns a file has."""
    reasons = tuple(Violation(f"c{i}", "min", "€" * 200, "€" * 300) for i in range(10_000))
    [made] = encoded([File("wide", [Row(b"x", ("x", None), reasons)])])
    [error] = errors_in(made)
    assert len(error["violations"]) == 1000
    assert len(made.documents) < 16 * 2**20


def test_rejections_of_several_chunks_can_be_one_and_cut_off() -> None:
    reasons = (Violation("a", "min", "1", "m"), Violation("a", "type", "1", "m"))
    parts = encoded(
        [
            File("0", [Row(b"%d" % n, ("x", None), reasons) for n in range(3)]),
            File("1", [Row(b"good", ("x", None))]),
            File("2", [Row(b"\xff", None, reasons[:1])]),
        ]
    )
    every = joined(parts)
    assert errors_in(every) == [error for part in parts for error in errors_in(part)]
    assert every.rules == {"min": 4, "type": 3}
    assert joined(parts[2:]) is parts[2]
    assert not joined([])
    for count in range(6):
        assert errors_in(head(every, count)) == errors_in(every)[:count]
