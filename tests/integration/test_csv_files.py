"""CSV files cut into chunks and read: every record once, whatever is in them."""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from csv_world import Outcome, outcome_of, source_of
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from slow_csv import Dialect, read_slowly

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused, FileUnavailable
from ingestd.files import look
from ingestd.formats import csv as csv_format
from ingestd.formats.limits import Limits

WHATEVER_CUTS = (1, 2, 3, 5, 8, 13, 64, 2**21)
many_files = settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class Table:
    """A well-formed file, and what it says."""

    text: str
    columns: list[str]
    rows: list[tuple[str, ...]]
    lines: list[int]
    delimiter: str
    quote: str
    has_header: bool


CELLS = {
    "": st.text(st.characters(exclude_characters="\0\r\n\x1a,;|\t", exclude_categories=["Cs"])),
    '"': st.text(st.sampled_from(list('ab",;|\t\n\r é€😀 ')), max_size=8),
    "'": st.text(st.sampled_from(list("ab'\",;|\t\n\ré")), max_size=8),
}


@st.composite
def tables(draw: st.DrawFn) -> Table:
    delimiter = draw(st.sampled_from(",;|\t"))
    quote = draw(st.sampled_from(["", '"', "'"]))
    width = draw(st.integers(1, 4))
    written = draw(st.lists(st.tuples(*[CELLS[quote]] * width), min_size=1, max_size=8))
    columns = [f"column {i}" for i in range(width)]
    has_header = draw(st.booleans())
    end = draw(st.sampled_from(["\n", "\r\n"]))
    # the writer leaves a CR bare where it is not part of the line end
    has_return = any("\r" in cell for row in written for cell in row)
    is_minimal = draw(st.booleans()) and (end == "\r\n" or not has_return)
    text, rows, lines = "", [], []
    if has_header:
        text = _written(tuple(columns), delimiter, quote, end, is_minimal)
    for row in written:
        text += draw(st.sampled_from(["", "", end]))
        record = _written(row, delimiter, quote, end, is_minimal)
        if record.removesuffix(end).strip(f"{delimiter} \t"):  # else it is no record
            rows.append(row)
            lines.append(text.count("\n") + 1)
        text += record
    assume(rows)
    if draw(st.booleans()):
        text = text.removesuffix(end)
    bom = draw(st.sampled_from(["", "\ufeff"]))
    return Table(bom + text, columns, rows, lines, delimiter, quote, has_header)


def _written(
    row: tuple[str, ...], delimiter: str, quote: str, end: str, is_minimal: bool
) -> str:  # fmt: skip
    if not quote:
        return delimiter.join(row) + end
    stream = io.StringIO(newline="")
    quoting = csv.QUOTE_MINIMAL if is_minimal else csv.QUOTE_ALL
    csv.writer(
        stream, delimiter=delimiter, quotechar=quote, lineterminator=end, quoting=quoting
    ).writerow(row)
    return stream.getvalue()


@many_files
@given(table=tables(), chunk_bytes=st.sampled_from(WHATEVER_CUTS))
def test_well_formed_files_say_what_was_written(
    table: Table, chunk_bytes: int, write: Callable[[bytes], Path]
) -> None:
    source = source_of(
        table.columns, delimiter=table.delimiter, quote=table.quote, header=table.has_header
    )
    outcome = outcome_of(write(table.text.encode()), source, Limits(chunk_bytes))
    assert outcome.faults == {}
    assert [outcome.rows[row] for row in range(outcome.row_count)] == table.rows
    assert list(outcome.lines.values()) == table.lines


PIECES = [
    b'"', b'"', b",", b",", b"\n", b"\n", b"\r\n", b"\r", b"a", b"bc", b'""', b'"a"', b'","',
    b'"x\ny"', b'a,"b"\n', b'a,b\n', b'"p","q\r\nr"\n', "é".encode(), b"\0", b"\xff",
    b"\xef\xbb\xbf", b"'",
]  # fmt: skip
damaged = st.lists(st.sampled_from(PIECES), min_size=1, max_size=40).map(b"".join)


@many_files
@given(body=damaged, width=st.integers(1, 3), longest=st.sampled_from([3, 9, 20, 2**20]))
def test_damage_costs_the_lines_it_stands_in_however_the_file_is_cut(
    body: bytes, width: int, longest: int, write: Callable[[bytes], Path]
) -> None:
    columns = ["a", "b", "c"][:width]
    dialect = Dialect(ord(","), ord('"'), width, longest)
    outcomes = [
        _outcome_or_refusal(write(body), columns, Limits(chunk, longest)) for chunk in WHATEVER_CUTS
    ]
    assert all(outcome == outcomes[-1] for outcome in outcomes)
    assert outcomes[-1] == _expected(body, dialect)


@many_files
@given(
    pieces=st.lists(st.sampled_from([" ", "\t", *map(bytes.decode, PIECES[:12])]), max_size=40),
)
def test_blanks_around_quotes_do_not_count_however_the_file_is_cut(
    pieces: list[str], write: Callable[[bytes], Path]
) -> None:
    path = write("".join(["a,b\n1,2\n", *pieces]).encode())
    source = source_of(["a", "b"], record_end="\n", trim=True)
    outcomes = [outcome_of(path, source, Limits(chunk_bytes)) for chunk_bytes in WHATEVER_CUTS]
    assert all(
        (outcome.rows, outcome.lines) == (outcomes[-1].rows, outcomes[-1].lines)
        for outcome in outcomes
    )


def _outcome_or_refusal(path: Path, columns: list[str], limits: Limits) -> Outcome | str:
    try:
        return outcome_of(path, source_of(columns, header=False, record_end="\n"), limits)
    except FileRefused as refused:
        return refused.error_type


def _expected(body: bytes, dialect: Dialect) -> Outcome | str:
    """What the slow reader makes of a file without a header."""
    records = read_slowly(body.removeprefix(b"\xef\xbb\xbf"), dialect, 0)
    if not records:
        return "no_rows"
    outcome = Outcome({}, {}, {})
    for row, record in enumerate(records):
        outcome.lines[row] = record.line
        try:
            record.raw.decode()
        except UnicodeDecodeError:
            outcome.faults[row] = ("encoding", record.raw)
            continue
        if record.rule:
            outcome.faults[row] = (record.rule, record.raw)
        else:
            outcome.rows[row] = tuple(cell.decode() for cell in record.cells)
    return outcome


def test_a_large_file_with_many_lines_per_record_is_read_as_written(
    write: Callable[[bytes], Path],
) -> None:
    """Chunks of the usual size, larger than what Polars gives to one thread."""
    rows = [(str(i), "x" * (i % 7) + '\n",\r\n' * (i % 5), "é" * (i % 3)) for i in range(100_000)]
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(rows)
    source = source_of(["a", "b", "c"], header=False)
    outcome = outcome_of(write(stream.getvalue().encode()), source, Limits(2**19))
    assert outcome.faults == {}
    assert list(outcome.rows.values()) == rows


HEADERS = {
    "plain": b"a,b\n",
    "CRLF": b"a,b\r\n",
    "BOM": b"\xef\xbb\xbfa,b\n",
    "BOM and quotes": b'\xef\xbb\xbf"a","b"\r\n',
    "blank lines before": b"\n\r\n\na,b\n",
    "blanks around names": b" a , b\t\n",
    "other order and more columns": b"b,extra,a\n",
    "trailing delimiter": b"a,b,\n",
    "nameless and doubled columns": b"a,,b,,x,x\n",
    "a newline inside quotes": b'"other\nline",a,"b"\n',
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("chunk_bytes", WHATEVER_CUTS)
def test_headers_of_every_kind_name_the_columns(
    header: bytes, chunk_bytes: int, write: Callable[[bytes], Path]
) -> None:
    record = b",".join(name.encode() + b"1" for name in _names(header))
    path = write(header + record + b"\n\n" + record)
    outcome = outcome_of(path, source_of(["a", "b"]), Limits(chunk_bytes))
    assert outcome.rows == {0: ("a1", "b1"), 1: ("a1", "b1")}
    first = header.count(b"\n") + 1
    assert outcome.lines == {0: first, 1: first + 2}


def _names(header: bytes) -> list[str]:
    lines = io.StringIO(header.decode("utf-8-sig"), newline="")
    record = next(cells for cells in csv.reader(lines) if cells)
    return [cell.strip().replace("\n", " ") for cell in record]


def test_skipped_lines_may_hold_anything(write: Callable[[bytes], Path]) -> None:
    path = write(b'sep=,\n"open\n\na,b\n1,2\n')
    for chunk_bytes in WHATEVER_CUTS:
        outcome = outcome_of(path, source_of(["a", "b"], skip_lines=2), Limits(chunk_bytes))
        assert outcome.rows == {0: ("1", "2")}
        assert outcome.lines == {0: 5}


@pytest.mark.parametrize("end", [b"\x1a", b"\x1a\x1a\x1a", b"\n\r\n\x1a"])
def test_the_end_mark_of_dos_is_no_row(end: bytes, write: Callable[[bytes], Path]) -> None:
    path = write(b"a,b\n1,2\n3,\x1a\n" + end)
    for chunk_bytes in WHATEVER_CUTS:
        outcome = outcome_of(path, source_of(["a", "b"]), Limits(chunk_bytes))
        assert (outcome.rows, outcome.faults) == ({0: ("1", "2"), 1: ("3", "\x1a")}, {})


def test_a_letter_of_utf16_that_holds_the_end_mark_stays(write: Callable[[bytes], Path]) -> None:
    path = write("\ufeffa,b\n1,\u0d1a\u0a1a".encode("utf-16-be"))
    source = source_of(["a", "b"], encoding="utf-16")
    assert outcome_of(path, source, Limits()).rows == {0: ("1", "\u0d1a\u0a1a")}


REFUSED = {
    "empty_file": [b"", b"\n\r\n\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"],
    "no_rows": [b"a,b\n", b"a,b", b"a,b\n\n\r\n", b'a,"b"', b"a,b\n\r"],
    "bad_header": [b"\0" * 99, b'a,"b\n1,2\n', b'a,b"c\n1,2\n', b'a,"b', b'\r\0"a\n'],
    "missing_column": [b"a\n1\n", b"A,B\n1,2\n", b"a;b\n1;2\n", b"a\rb\r1\r2\r"],
    "duplicate_column": [b"a,b,a\n1,2,3\n"],
    "bad_encoding": [b"a,b,\xff\n1,2,3\n"],
    "wrong_format": [b"PAR1", b"%PDF-1.7\n", b"a.csv".ljust(257, b"\0") + b"ustar\x0000a,b\n1,2\n"],
}


@pytest.mark.parametrize("error_type", REFUSED)
def test_files_that_are_no_csv_of_this_source_are_refused_with_a_reason(
    error_type: str, write: Callable[[bytes], Path]
) -> None:
    for octets in REFUSED[error_type]:
        for chunk_bytes in WHATEVER_CUTS:
            limits = Limits(chunk_bytes, max_record_bytes=64)
            assert _refusal(write(octets), source_of(["a", "b"]), limits).error_type == error_type


def _refusal(path: Path, source: SourceSpec, limits: Limits) -> FileRefused:
    with pytest.raises(FileRefused) as refused:
        outcome_of(path, source, limits)
    assert refused.value.hint
    return refused.value


@pytest.mark.parametrize("filler", [b"\n", b"\0", b"x"])
def test_a_file_that_goes_on_for_ever_without_a_record_is_refused(
    filler: bytes, write: Callable[[bytes], Path]
) -> None:
    path = write(b"a,b\n1,2\n" + filler * (2**26 + 2**21))
    refused = _refusal(path, source_of(["a", "b"]), Limits())
    assert refused.error_type == "record_too_large"


@pytest.mark.parametrize("chunk_bytes", [10, 25, 2**20])
def test_what_stands_inside_closed_quotes_is_never_read_as_rows(
    chunk_bytes: int, write: Callable[[bytes], Path]
) -> None:
    """A pasted table in a cell, in a record with a field too many: one record, one fault."""
    record = b'1,x,"a note\n2,phantom\nend"'
    path = write(b"a,b\n" + record + b'\n3,good\n4,"two\nlines"\n')
    outcome = outcome_of(path, source_of(["a", "b"]), Limits(chunk_bytes))
    assert outcome.faults == {0: ("too_many_fields", record)}
    assert outcome.rows == {1: ("3", "good"), 2: ("4", "two\nlines")}
    assert outcome.lines == {0: 2, 1: 5, 2: 6}


ENCODINGS = {"cp1252": "é€", "iso8859-15": "é€", "gbk": "字", "euc_jp": "日本", "utf-8": "é€日😀"}


@pytest.mark.parametrize(("encoding", "text"), ENCODINGS.items())
def test_cells_are_decoded_as_declared(
    encoding: str, text: str, write: Callable[[bytes], Path]
) -> None:
    path = write(f"a,{text}\n1,{text}\n".encode(encoding))
    outcome = outcome_of(path, source_of(["a", text], encoding=encoding), Limits())
    assert outcome.rows == {0: ("1", text)}


def test_bytes_of_another_encoding_cost_their_own_rows(write: Callable[[bytes], Path]) -> None:
    lines = [b"%d,\x81" % i if i % 3 == 0 else b"%d,ok" % i for i in range(1000)]
    path = write(b"\n".join(lines))
    for encoding in ("utf-8", "cp1252"):
        source = source_of(["a", "b"], encoding=encoding, header=False)
        outcome = outcome_of(path, source, Limits(999))
        assert outcome.faults == {i: ("encoding", lines[i]) for i in range(0, 1000, 3)}


@pytest.mark.parametrize("start", ["\ufeff", "x^", "x\1", "\x1f", "(", "PK", "BZh", "PAR1"])
def test_a_chunk_may_begin_like_another_kind_of_file(
    start: str, write: Callable[[bytes], Path]
) -> None:
    rows = [(f"{start}{i}", "x" * 9) for i in range(100)]
    path = write("".join(f"{a},{b}\n" for a, b in [("a", "b"), *rows]).encode())
    for chunk_bytes in WHATEVER_CUTS:
        outcome = outcome_of(path, source_of(["a", "b"]), Limits(chunk_bytes))
        assert list(outcome.rows.values()) == rows


@pytest.mark.parametrize("is_quoted", [True, False])
def test_null_values_are_null_whether_quoted_or_not(
    is_quoted: bool, write: Callable[[bytes], Path]
) -> None:
    line = b'"","NA","x"\n' if is_quoted else b",NA,x\n"
    path, columns = write(line), ["a", "b", "c"]

    def cells(**dialect: Any) -> tuple[str | None, ...]:
        return outcome_of(path, source_of(columns, header=False, **dialect), Limits()).rows[0]

    assert cells(null_values=["", "NA"]) == (None, None, "x")
    assert cells(null_values=[""]) == (None, "NA", "x")
    assert cells(null_values=["NA"]) == ("", None, "x")
    assert cells(null_values=[]) == ("", "NA", "x")
    assert cells(null_values=["", "NA"], trim=True) == (None, None, "x")


def test_blanks_around_cells_are_taken_off_only_when_asked(write: Callable[[bytes], Path]) -> None:
    path = write(b' x , "y"\n\tz\t,\t\n')
    kept = outcome_of(path, source_of(["a", "b"], header=False, quote=""), Limits())
    assert kept.rows == {0: (" x ", ' "y"'), 1: ("\tz\t", "\t")}
    source = source_of(["a", "b"], header=False, quote="", trim=True, null_values=[""])
    assert outcome_of(path, source, Limits()).rows == {0: ("x", '"y"'), 1: ("z", None)}


def test_a_file_that_changes_after_its_layout_is_not_read(write: Callable[[bytes], Path]) -> None:
    source = source_of(["a"], header=False)
    path = write(b"1\n2\n")
    stat = look(path)
    layout = csv_format.lay_out(path, stat, source, Limits())
    write(b"1\n2\n3\n")
    with pytest.raises(FileUnavailable, match="changed while it was read"):
        csv_format.read(layout.chunks[:1], layout.shape, source, Limits())
    with pytest.raises(FileUnavailable, match="changed while it was read"):
        csv_format.lay_out(path, stat, source, Limits())
    path.unlink()
    with pytest.raises(FileUnavailable, match="was removed while it was read"):
        csv_format.read(layout.chunks[:1], layout.shape, source, Limits())


def test_content_that_differs_under_the_same_stat_is_not_taken_for_the_same_rows(
    write: Callable[[bytes], Path],
) -> None:
    """Writing through a memory map need not show in a file's times at once."""
    source = source_of(["a"], header=False)
    path = write(b"1\n2\n")
    layout = csv_format.lay_out(path, look(path), source, Limits())
    write(b"1\n\n\n")
    chunk = replace(layout.chunks[0], stat=look(path))
    with pytest.raises(FileUnavailable, match="changed while it was read"):
        csv_format.read([chunk], layout.shape, source, Limits())
