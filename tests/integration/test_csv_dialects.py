"""CSV files in every dialect that can be declared: read as written, damage costs its own rows."""

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from csv_world import Outcome, outcome_of, source_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slow_csv import Dialect, read_slowly

from ingestd.errors import FileRefused
from ingestd.files import look
from ingestd.formats import csv
from ingestd.formats.limits import Limits

CUTS = (1, 7, 64, 2**21)
BOMS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
many_files = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class Written:
    """How a file is written."""

    encoding: str
    has_bom: bool
    delimiter: str
    quote: str
    escape: str
    record_end: str

    @property
    def options(self) -> dict[str, Any]:
        return {
            "encoding": self.encoding.partition("-le")[0] if self.has_bom else self.encoding,
            "delimiter": self.delimiter,
            "quote": self.quote,
            "escape": self.escape or "doubled",
            "record_end": self.record_end,
            "header": False,
        }

    @property
    def line_end(self) -> str:
        return "\n" if "\n" in self.record_end else self.record_end

    def octets(self, text: str) -> bytes:
        bom = BOMS[self.encoding] if self.has_bom else b""
        return bom + text.encode(self.encoding)

    def record(self, cells: tuple[str, ...]) -> str:
        return self.delimiter.join(map(self._cell, cells)) + self.record_end

    def has_content(self, cells: tuple[str, ...]) -> bool:
        """Whether there is more than delimiters and blanks, which make no record."""
        record = self.record(cells).removesuffix(self.record_end)
        return record.replace(self.delimiter, "").strip(" \t") != ""

    def _cell(self, cell: str) -> str:
        if not self.quote:
            marks = (self.escape, self.delimiter, self.record_end) if self.escape else ()
            for mark in marks:
                cell = cell.replace(mark, self.escape + mark)
            return cell
        if not self.escape:
            return self.quote + cell.replace(self.quote, self.quote * 2) + self.quote
        cell = cell.replace(self.escape, self.escape * 2)
        cell = cell.replace(self.quote, self.escape + self.quote)
        return (
            self.quote + cell.replace(self.record_end, self.escape + self.record_end) + self.quote
        )


@st.composite
def dialects(draw: st.DrawFn) -> Written:
    encoding = draw(st.sampled_from([*BOMS, "cp1252", "cp500", "shift_jis", "gb18030", "big5"]))
    return Written(
        encoding=encoding,
        has_bom=encoding in BOMS and draw(st.booleans()),
        delimiter=draw(st.sampled_from([",", ";", "|", "\t", "||", "\x01", "::", "\x1f", "~|~"])),
        quote=draw(st.sampled_from(['"', "'", ""])),
        escape=draw(st.sampled_from(["", "\\", "^"])),
        record_end=draw(st.sampled_from(["\n", "\r\n", "\r", "#\n", "\x1e", "<end>\r\n"])),
    )


@st.composite
def files(draw: st.DrawFn) -> tuple[Written, list[tuple[str, ...]]]:
    """A dialect, and rows that it can say."""
    written = draw(dialects())
    width = draw(st.integers(1, 3))
    letters = {*"ab\",;|\t: '\\^#~<\x1f\n\r", *"é字表ソ噂€😀"}
    letters = {c for c in letters if c.encode(written.encoding, "ignore")}
    if not written.quote:
        letters -= {*written.delimiter, *written.record_end, "\n", "\r"}
    if written.delimiter == "\x1f":
        letters |= {"\x1f"} if written.quote else set()
    cells = st.text(st.sampled_from(sorted(letters)), max_size=6)
    rows = st.tuples(*[cells] * width).filter(written.has_content)
    return written, draw(st.lists(rows, min_size=1, max_size=6))


@many_files
@given(file=files(), chunk_bytes=st.sampled_from(CUTS), is_ended=st.booleans())
def test_files_in_every_dialect_say_what_was_written(
    file: tuple[Written, list[tuple[str, ...]]],
    chunk_bytes: int,
    is_ended: bool,
    write: Callable[[bytes], Path],
) -> None:
    written, rows = file
    records = [written.record(row) for row in rows]
    lines = ["".join(records[:i]).count(written.line_end) + 1 for i in range(len(records))]
    text = "".join(records)
    path = write(written.octets(text if is_ended else text.removesuffix(written.record_end)))
    columns = [f"column {i}" for i in range(len(rows[0]))]
    outcome = outcome_of(path, source_of(columns, **written.options), Limits(chunk_bytes))
    assert outcome.faults == {}
    assert [outcome.rows[row] for row in range(outcome.row_count)] == rows
    assert list(outcome.lines.values()) == lines


MARKS = {
    "quote": '"',
    "delimiter": ",",
    "end": "\n",
    "text": "a",
    "letter": "é",
    "empty quotes": '""',
    "quoted": '"b"',
    "between quotes": '","',
    "two lines": '"x\ny"',
    "row": 'a,"b"\n',
    "zero": "\0",
    "escaped quote": "\x02",
    "escaped delimiter": "\x03",
    "escaped escape": "\x04",
    "escaped end": "\x05",
}
"""Pieces of damaged files in the usual dialect; what is escaped is a letter there."""


@many_files
@given(
    written=dialects().filter(lambda written: written.quote),
    pieces=st.lists(st.sampled_from(sorted(MARKS)), min_size=1, max_size=30),
    width=st.integers(1, 3),
)
def test_damage_in_every_dialect_costs_what_it_costs_in_the_usual_one(
    written: Written, pieces: list[str], width: int, write: Callable[[bytes], Path]
) -> None:
    usual = "".join(MARKS[piece] for piece in [*pieces, "end"])
    if not written.escape:
        usual = usual.translate(dict.fromkeys(range(2, 6), "e"))
    if "é".encode(written.encoding, "ignore") == b"":
        usual = usual.replace("é", "e")
    columns = ["a", "b", "c"][:width]
    path = write(written.octets(_translated(usual, written)))
    expected = read_slowly(usual.encode(), Dialect(ord(","), ord('"'), width, 2**20), 0)
    for chunk_bytes in CUTS:
        source = source_of(columns, **written.options)
        if not expected:
            with pytest.raises(FileRefused, match="no rows"):
                outcome_of(path, source, Limits(chunk_bytes))
            continue
        outcome = outcome_of(path, source, Limits(chunk_bytes))
        assert _said(outcome, written) == [
            (
                record.rule,
                _translated(record.raw.decode(), written),
                tuple(_meant(cell.decode(), written) for cell in record.cells),
            )
            for record in expected
        ]


def _translated(usual: str, written: Written) -> str:
    """A text of the usual dialect as it is written in another."""
    escape = written.escape
    marks = {
        '"': written.quote,
        ",": written.delimiter,
        "\n": written.record_end,
        "\x02": escape + written.quote,
        "\x03": escape + written.delimiter,
        "\x04": escape * 2,
        "\x05": escape + written.record_end,
    }
    return "".join(marks.get(mark, mark) for mark in usual)


def _meant(cell: str, written: Written) -> str:
    """A cell of the usual dialect as it is to be read in another."""
    meanings = {
        ",": written.delimiter,
        '"': written.quote,
        "\n": written.record_end,
        "\x02": written.quote,
        "\x03": written.delimiter,
        "\x04": written.escape,
        "\x05": written.record_end,
    }
    return "".join(meanings.get(mark, mark) for mark in cell)


def _said(outcome: Outcome, written: Written) -> list[tuple[str, str, tuple[str, ...]]]:
    """Rule, raw text and cells of every record."""
    return [
        (
            outcome.faults[row][0] if row in outcome.faults else "",
            outcome.raws[row].decode(written.encoding),
            outcome.rows.get(row, ()),
        )
        for row in range(outcome.row_count)
    ]


# one option after the other

READ: dict[str, tuple[bytes, dict[str, Any], list[tuple[str | None, ...]]]] = {
    "separator line of Excel": (b"sep=;\r\na;b\r\n1;2\r\n", {"delimiter": ";"}, [("1", "2")]),
    "separator line among skipped ones": (b"sep=,\nx\na,b\n1,2\n", {"skip_lines": 2}, [("1", "2")]),
    "separator line in UTF-16": (
        "\ufeffsep=\t\r\na\tb\r\n1\té\r\n".encode("utf-16-le"), {"delimiter": "\t"}, [("1", "é")],
    ),
    "byte order mark of another encoding": (
        "\ufeffa,b\n1,é\n".encode("utf-16-be"), {"encoding": "cp1252"}, [("1", "é")],
    ),
    "UTF-16 without a byte order mark": (
        "a,b\n1,é\n".encode("utf-16-be"), {"encoding": "utf-16"}, [("1", "é")],
    ),
    "letters of ASCII bytes": (
        "a\tb\n表\tポ\n".encode("iso2022_jp"),
        {"encoding": "iso2022_jp", "delimiter": "\t", "quote": ""}, [("表", "ポ")],
    ),
    "CR record ends": (b'a,b\r1,"x\ny"\r2,"z"\r', {}, [("1", "x\ny"), ("2", "z")]),
    "LF in values of CRLF files": (
        b"a,b\r\n1,x\ny\r\n2,z\r\n", {"record_end": "\r\n"}, [("1", "x\ny"), ("2", "z")],
    ),
    "no header": (b"1,2\n", {"header_lines": 0}, [("1", "2")]),
    "case ignored": (b"B,A\n1,2\n", {"ignore_case": True}, [("2", "1")]),
    "preamble of any length": (
        b'Report "x\nmade,by,us\n\na,b\n1,2\n', {"skip_lines": "auto"}, [("1", "2")],
    ),
    "footer": (b'a,b\n1,2\n3,4\nTotal "2\n', {"skip_footer": 1}, [("1", "2"), ("3", "4")]),
    "totals and notes": (
        b'a,b\n1,2\nTOTAL,2\n3,4\n"Total",9\n\n ,total: 3\nSource: a, b, c\n  2,048 Rows\n'
        b'"Source:" "x\n\nTotally,5\nrows,1\n',
        {"skip_rows": ["total", "Source:", "1 rows"]},
        [("1", "2"), ("3", "4"), ("Totally", "5"), ("rows", "1")],
    ),
    "notes in another encoding": (
        "a||b\n1||2\nGröße||9\nSumme ß||9\nsumme  ß\n".encode("utf-16"),
        {"skip_rows": ["Summe ß"], "delimiter": "||", "encoding": "utf-16"},
        [("1", "2"), ("Größe", "9")],
    ),
    "totals in cp1252": (
        "a;b\n1;2\nGröße;9\nGrößer;9\n".encode("cp1252"),
        {"skip_rows": ["Größe"], "delimiter": ";", "encoding": "cp1252"},
        [("1", "2"), ("Größer", "9")],
    ),
    "totals in bytes that look like others": (  # 表 ends with a backslash, カ with J, ニ with j
        "a;b\n1;2\n表;9\n表紙;9\nカ;7\nニ;8\n".encode("shift_jis"),
        {"skip_rows": ["表", "カ", "Größe"], "delimiter": ";", "encoding": "shift_jis"},
        [("1", "2"), ("表紙", "9"), ("ニ", "8")],
    ),
    "totals in any case": (
        "a;b\nÜBERTRAG;1\nübertrag;2\n1;2\n".encode(),
        {"skip_rows": ["Übertrag"], "delimiter": ";"}, [("1", "2")],
    ),
    "an escape as the last character": (
        b"a,b\n1,2\n3,4\\", {"escape": "\\"}, [("1", "2"), ("3", "4\n")],
    ),
    "a footer that ends with an escape": (
        b"a,b\n1,2\n3,4\\", {"escape": "\\", "skip_footer": 1}, [("1", "2")],
    ),
    "comments": (
        b'# it\'s "\na,b\n#\n1,"x\n# no comment"\n# 2,3\n4,5\n#', {"comment": "#"},
        [("1", "x\n# no comment"), ("4", "5")],
    ),
    "missing fields": (b"a,b\n1\n2,3\n", {"ragged": "pad"}, [("1", None), ("2", "3")]),
    "escapes outside quotes": (
        b"a,b\n1\\,2,\\N\n", {"escape": "\\", "null_values": ["\\N"]}, [("1,2", None)],
    ),
    "quotes without a way to write one": (
        b'a,b\n"1,2",""\n', {"escape": "none"}, [("1,2", "")],
    ),
    "blanks around quotes": (
        b'a,b\n "1" ,\t"x, ""y"" , z"\n2  ,  "p\n ,  q " \r\n', {"trim": True},
        [("1", 'x, "y" , z'), ("2", "p\n ,  q")],
    ),
    "repeated headers": (
        b"a,b\r\n1,2\r\na,b\r\n3,4\r\n\xef\xbb\xbfa,b\r\n5,6\r\n", {},
        [("1", "2"), ("3", "4"), ("5", "6")],
    ),
    "repeated headers written otherwise": (
        b'a,b\n1,2\n"a","b"\n3,4\nA, b \n\xef\xbb\xbf"A",B\r\n5,6\na,"b"\nab,b\na,\n', {},
        [("1", "2"), ("3", "4"), ("5", "6"), ("ab", "b"), ("a", "")],
    ),
    "rows of delimiters alone": (
        b'a,b\n,\n1,2\n,\n , \r\n"",""\n"",\n,3\n\t\n,\r\n', {},
        [("1", "2"), ("", ""), ("", ""), ("", "3")],
    ),
    "rows of long delimiters alone": (
        b"||\na||b\n||\n1||2\n || \n|\\||\n", {"delimiter": "||", "escape": "\\", "ragged": "pad"},
        [("1", "2"), ("|||", None)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("octets", "options", "rows"), READ.values(), ids=READ)
@pytest.mark.parametrize("chunk_bytes", CUTS)
def test_files_are_read_as_their_source_says(
    octets: bytes, options: dict[str, Any], rows: list[tuple[str | None, ...]], chunk_bytes: int,
    write: Callable[[bytes], Path],
) -> None:  # fmt: skip
    outcome = outcome_of(write(octets), source_of(["a", "b"], **options), Limits(chunk_bytes))
    assert outcome.faults == {}
    assert list(outcome.rows.values()) == rows


def test_a_header_of_one_name_comes_again_only_as_it_is_written(
    write: Callable[[bytes], Path],
) -> None:
    path = write(b'name\nAda\nname\nName\n"name"\n')
    outcome = outcome_of(path, source_of(["name"]), Limits())
    assert list(outcome.rows.values()) == [("Ada",), ("Name",), ("name",)]


def test_names_of_several_header_lines_are_joined(write: Callable[[bytes], Path]) -> None:
    path = write(b",2023,,2024\r\nid,q1,q2,q1\r\n1,2,3,4\r\n,2023,,2024\r\n")
    source = source_of(["id", "2023_q1", "2023_q2", "2024_q1"], header_lines=2)
    assert list(outcome_of(path, source, Limits()).rows.values()) == [("1", "2", "3", "4")]


def test_columns_are_known_by_their_other_names(write: Callable[[bytes], Path]) -> None:
    path = write("Größe;ORDER ID\n1;2\n".encode("cp1252"))
    source = source_of(["id", "size"], delimiter=";", encoding="cp1252", ignore_case=True)
    columns = {
        "id": {"type": "string", "aliases": ["order id"]},
        "size": {"type": "string", "aliases": ["GRÖSSE"]},
    }
    source = source.model_validate({**source.model_dump(by_alias=True), "schema": columns})
    assert outcome_of(path, source, Limits()).rows == {0: ("2", "1")}


def test_extra_fields_are_rescued(write: Callable[[bytes], Path]) -> None:
    path = write('a,b\n1\n2,3\n4,5,6,"7,""é"\n8,9,\n'.encode())
    source = source_of(["a", "b"], ragged="rescue")
    assert list(outcome_of(path, source, Limits()).rows.values()) == [
        ("1", None, None),
        ("2", "3", None),
        ("4", "5", '["6", "7,\\"é"]'),
        ("8", "9", None),
    ]


def test_what_stands_behind_the_last_record_goes_with_the_rejects(
    write: Callable[[bytes], Path],
) -> None:
    path = write(b"a,b\n1,2\nTotal,1\n-- end\n")
    layout = csv.lay_out(path, look(path), source_of(["a", "b"], skip_footer=2), Limits(3))
    assert (layout.row_count, layout.data_row_count) == (3, 1)
    assert layout.shape.footer == b"Total,1\n-- end\n"


FAULTY: dict[str, tuple[bytes, dict[str, Any], dict[int, tuple[str, bytes]]]] = {
    "extra fields are no padding": (
        b"a,b\n1,2,3\n4\n", {"ragged": "pad"}, {0: ("too_many_fields", b"1,2,3")},
    ),
    "a quote that cannot be written": (
        b'a,b\n"1""",2\n3,4\n', {"escape": "none"}, {0: ("stray_quote", b'"1""",2')},
    ),
    "half a character at the end": (
        "a,b\n1,2\n3,4".encode("utf-16-le")[:-1], {"encoding": "utf-16-le"},
        {1: ("encoding", "3,4".encode("utf-16-le")[:-1])},
    ),
    "half a line feed at the end": (
        "a,b\n1,2\n3,4\n".encode("utf-16-le")[:-1], {"encoding": "utf-16-le"},
        {1: ("encoding", "3,4\n".encode("utf-16-le")[:-1])},
    ),
    "half a surrogate pair": (
        "a,b\n1,2\n3,".encode("utf-16-le") + b"\x00\xd8" + "\n5,6\n".encode("utf-16-le"),
        {"encoding": "utf-16"}, {1: ("encoding", "3,".encode("utf-16-le") + b"\x00\xd8")},
    ),
    "half a letter before a delimiter": (
        b"a|b\n1|\x83\n\x83|2\n3|4\n", {"encoding": "shift_jis", "delimiter": "|"},
        {0: ("encoding", b"1|\x83"), 1: ("too_few_fields", b"\x83|2")},
    ),
    "letters of ASCII bytes, cut off": (
        b"a\tb\n1\t\x1b$B%]=(B\n2\t3\n",
        {"encoding": "iso2022_jp", "delimiter": "\t", "quote": ""},
        {0: ("encoding", b"1\t\x1b$B%]=(B")},
    ),
    "characters that are none": (
        "a||b\n1||\ufdd0\n2||3\n".encode(), {"delimiter": "||"},
        {0: ("encoding", "1||\ufdd0".encode())},
    ),
    "an open quote": (
        b'a||b\n1||"x\n2||3\n', {"delimiter": "||"}, {0: ("unclosed_quote", b'1||"x')},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("octets", "options", "faults"), FAULTY.values(), ids=FAULTY)
@pytest.mark.parametrize("chunk_bytes", CUTS)
def test_a_fault_costs_its_own_record(
    octets: bytes, options: dict[str, Any], faults: dict[int, tuple[str, bytes]], chunk_bytes: int,
    write: Callable[[bytes], Path],
) -> None:  # fmt: skip
    outcome = outcome_of(write(octets), source_of(["a", "b"], **options), Limits(chunk_bytes))
    assert outcome.faults == faults


REFUSED: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "another delimiter than Excel says": (
        b"sep=;\na;b\n1;2\n", {}, "says that the delimiter is ';', the source says ','",
    ),
    "no line names the columns": (
        b"x\n" * 200, {"skip_lines": "auto"}, "none of the first 100 lines names all columns",
    ),
    "the nearest line": (b"x\na,c\n1,2\n", {"skip_lines": "auto"}, "lacks 'b'"),
    "names in another case": (b"A,B\n1,2\n", {}, "set csv.ignore_case = true"),
    "names in two cases": (b"a,A,b\n1,2,3\n", {"ignore_case": True}, "has 'a' more than once"),
    "a name that is close": (b"a,bb\n1,2\n", {}, r'aliases = \["bb"\]'),
    "zero bytes": ("a,b\n1,2\n".encode("utf-16-le"), {}, "utf-16"),
    "fewer lines than are skipped": (b"a,b\n1,2\n", {"skip_lines": 9}, "no header and no rows"),
    "nothing but a footer": (b"a,b\n1,2\n", {"skip_footer": 2}, "no rows"),
    "nothing behind the header but blank lines": (b"a,b\n\n", {"skip_footer": 1}, "no rows"),
    "nothing but a total": (b"a,b\n1,2\n3,4\n", {"skip_footer": 1, "skip_rows": ["1,"]}, "no rows"),
}  # fmt: skip


@pytest.mark.parametrize(("octets", "options", "words"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("chunk_bytes", CUTS)
def test_a_file_that_is_not_as_its_source_says_is_refused_with_advice(
    octets: bytes, options: dict[str, Any], words: str, chunk_bytes: int,
    write: Callable[[bytes], Path],
) -> None:  # fmt: skip
    with pytest.raises(FileRefused, match=words):
        outcome_of(write(octets), source_of(["a", "b"], **options), Limits(chunk_bytes))
