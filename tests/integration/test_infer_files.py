"""A source inferred from sample files: what it says, and that it reads every row of them."""

import codecs
import gzip
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inferred import documents_of, inferred_from, rejections_of

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused
from ingestd.files import look
from ingestd.formats import FORMATS
from ingestd.formats.limits import Limits
from ingestd.infer.samples import take_sample
from ingestd.refine import check_source, schema_of

DAMAGE = [
    '"',
    '""',
    ";",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\\",
    "'",
    "#",
    "sep=;\n",
    "\ufeff",
    "\x1e",
    "||",
    " ",
]
SAMPLES = sorted((Path(__file__).parents[1] / "data" / "infer").glob("*.csv"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_the_dialect_the_types_and_the_names_are_found(path: Path) -> None:
    found = tomllib.loads(inferred_from(path).toml)
    expected = tomllib.loads(path.with_suffix(".toml").read_text(encoding="utf-8"))
    assert found.get("csv") == expected.get("csv")
    assert found["schema"] == expected["schema"]


@pytest.mark.parametrize(
    "path", [path for path in SAMPLES if path.stem != "damaged_row"], ids=lambda path: path.stem
)
def test_the_source_reads_every_row(path: Path) -> None:
    source = inferred_from(path).source
    assert check_source(source) == ()
    assert rejections_of(path, source) == []


def test_a_type_holds_for_the_last_row_too(sample: Any) -> None:
    path = sample("id\n" + "1\n" * 500_000 + "A-7\n")
    assert inferred_from(path).source.columns["id"].type == "string"


def test_the_first_rows_are_enough_when_asked(sample: Any) -> None:
    path = sample("id\n" + "1234567\n" * 500_000 + "A-7\n")
    inferred = inferred_from(path, most_rows=10)
    assert inferred.source.columns["id"].type == "int64"
    (reading,) = inferred.findings.readings
    assert not reading.is_whole
    assert f"the first {reading.rows:,} rows, {reading.read_bytes:,} bytes" in inferred.toml


def test_a_type_fits_all_files(sample: Any) -> None:
    one = sample("id,day\n1,2024-01-31\n", "one.csv")
    other = sample("id,day\n1.5,2024-02-01T10:00:00\n", "other.csv")
    columns = inferred_from(one, other).source.columns
    assert (columns["id"].type, columns["day"].type) == ("float64", "datetime")


def test_a_compressed_file_is_read_like_a_plain_one(sample: Any, tmp_path: Path) -> None:
    plain = sample("id,name\n" + "7,Müller\n" * 1000)
    packed = tmp_path / "sample.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    inferred = inferred_from(packed)
    assert inferred.source.columns == inferred_from(plain).source.columns
    assert inferred.source.file_pattern == "sample/*.csv.gz"
    assert "all 1,000 rows" in inferred.toml


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"PAR1" + bytes(range(256)) * 10)
    with pytest.raises(FileRefused, match="Parquet"):
        inferred_from(path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("title", ["Report", "Report of May", "Report\nprinted by hand"])
def test_a_short_table_below_a_title_keeps_its_delimiter(
    sample: Any, title: str, delimiter: str
) -> None:
    source = inferred_from(sample(f"{title}\n\nid,n\n1,a\n".replace(",", delimiter))).source
    assert source.csv.delimiter == delimiter
    assert [*source.columns] == ["id", "n"]


@pytest.mark.parametrize("end", ["4", "4\n", "   \n \n", "\x1a", "\0\0\0\0", "\r"])
def test_no_row_of_another_file_is_lost_to_a_damaged_end(sample: Any, end: str) -> None:
    path = sample("id,name,day\n1,Ada,2024-01-31\n2,Bob,2024-02-01\n3,Cyd,2024-02-02\n" + end)
    assert inferred_from(path).source.csv.skip_rows == ()


def test_no_footer_is_seen_where_only_the_beginning_of_a_file_is_read(sample: Any) -> None:
    path = sample("id,name,day\n" + "1,Ada,2024-01-31\n" * 200_000)
    assert take_sample(path, look(path), 2**20).end == ""


def test_the_end_of_a_long_file_has_its_byte_order(tmp_path: Path) -> None:
    path = tmp_path / "sample.csv"
    rows = "id,name,day\n" + "1,Ada,2024-01-31\n" * 10_000
    path.write_bytes(codecs.BOM_UTF16_BE + f"{rows}10000 rows\n".encode("utf-16-be"))
    source = inferred_from(path).source
    assert source.csv.skip_rows == ("10000 rows",)
    assert rejections_of(path, source) == []


@pytest.mark.parametrize(
    "text", ["id,day\n", "id;day\n\n\n", "Report\n\nid,day\n", "# by hand\nid\tday\n"]
)
def test_a_header_without_rows_gives_columns_of_text(sample: Any, text: str) -> None:
    inferred = inferred_from(sample(text))
    types = {name: column.type for name, column in inferred.source.columns.items()}
    assert types == {"id": "string", "day": "string"}
    assert "# There is a header and no row" in inferred.toml
    assert "AMBIGUOUS" not in inferred.toml


@pytest.mark.parametrize("text", ["hello\n", "Nothing was sold today\n", ",\n", "id,\n"])
def test_a_line_that_is_no_header_gives_no_source(sample: Any, text: str) -> None:
    with pytest.raises(FileRefused, match="no rows"):
        inferred_from(sample(text))


def test_a_file_without_rows_takes_nothing_from_what_the_others_show(sample: Any) -> None:
    empty, full = sample("id,day\n", "empty.csv"), sample("id,day\n1,2024-01-31\n", "full.csv")
    for files in ((empty, full), (full, empty)):
        source = inferred_from(*files).source
        assert [source.columns[name].type for name in ("id", "day")] == ["int64", "date"]


def test_columns_are_matched_by_name_and_those_of_some_files_left_out(sample: Any) -> None:
    one, other = sample("id,b,c\n1,2,x\n", "one.csv"), sample("c,id,d\ny,2.5,7\n", "other.csv")
    inferred = inferred_from(one, other)
    assert [(n, c.type) for n, c in inferred.source.columns.items()] == [
        ("id", "float64"), ("c", "string"),
    ]  # fmt: skip
    assert "# Left out, because not all files have them: b, d." in inferred.toml
    assert rejections_of(one, inferred.source) == rejections_of(other, inferred.source) == []


def test_preambles_of_several_lengths_are_skipped(sample: Any) -> None:
    one = sample("id,c\n1,x\n", "one.csv")
    other = sample("Report\nof today\nid,c\n2,y\n", "other.csv")
    source = inferred_from(one, other).source
    assert source.csv.skip_lines == "auto"
    assert rejections_of(one, source) == rejections_of(other, source) == []


def test_an_encoding_that_one_file_shows_is_that_of_all(sample: Any, tmp_path: Path) -> None:
    one, other = sample("id;name\n1;Ada\n", "one.csv"), tmp_path / "other.csv"
    other.write_bytes("id;name\n2;Müller\n".encode("cp1252"))
    assert inferred_from(one, other).source.csv.encoding == "cp1252"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x,y\n1,2\n", "no column has the same name"),
        ("c;id;more\n1;2;3\n", "its delimiter is ';', not ','"),
        ("c\tid\n1\t2\n", r"its delimiter is '\\t', not ','"),
        ("1,2\n3,4\n", "another header"),
    ],
)
def test_files_that_no_source_can_read_together_are_refused(
    sample: Any, text: str, reason: str
) -> None:
    one, other = sample("id,c\n1,x\n2,y\n", "one.csv"), sample(text, "other.csv")
    with pytest.raises(FileRefused, match=reason):
        inferred_from(one, other)


def test_what_was_seen_stands_in_the_comments(sample: Any) -> None:
    text = inferred_from(sample("id,n\n1,\n2,10000\n3,7\n"), name="shop").toml
    assert "all 3 rows, 20 bytes" in text
    assert 'name = "shop"' in text
    assert '= "int64"  # 7 to 10,000; 2 different; 1 empty' in text
    assert "# id = { not_null = true, unique = true, min = 1, max = 3 }" in text


def test_every_suggested_rule_holds_when_it_is_taken(sample: Any) -> None:
    answers = ("yes", "no idea", "unknown")
    rows = "".join(
        f"{n},word {n % 3},2024-01-{n % 28 + 1:02},{n / 7:.3f},x,{answers[n % 3]}\n"
        for n in range(100)
    )
    path = sample("id,word,day,share,same,answer\n" + rows)
    lines = inferred_from(path).toml.splitlines()
    taken = [line.removeprefix("# ") if " = { " in line else line for line in lines]
    source = SourceSpec.model_validate(tomllib.loads("\n".join(taken)))
    assert source.validation_rules.keys() == set(source.columns)
    assert check_source(source) == ()
    assert rejections_of(path, source) == []


def test_unreadable_rows_are_told(sample: Any) -> None:
    text = inferred_from(sample("a,b\n1,2\n3,4,5\n5,6\n7,8\n")).toml
    assert "sample.csv, row 2, cannot be read: 3 fields instead of 2." in text
    assert "# Rows that cannot be read: 1 of 4." in text


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ('""id,v\n0,1\n1,2\n', ["id", "v"]),
    ],
)
def test_a_header_that_the_daemon_refuses_is_skipped(
    sample: Any, text: str, columns: list[str]
) -> None:
    path = sample(text)
    inferred = inferred_from(path)
    assert rejections_of(path, inferred.source) == []
    assert [*inferred.source.columns] == columns
    assert "later files is not read: the header" in inferred.toml


@given(st.lists(st.sampled_from([*DAMAGE, *"ab1,"]), max_size=20).map("".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_source_refuses_its_own_sample(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    with suppress(FileRefused):  # infer may, the daemon may not once there is a source
        source = inferred_from(path).source
        layout = FORMATS["csv"].lay_out(path, look(path), source, Limits())
        assert layout.chunks


HEADERS = {
    "years": ("region,2019,2020\nN,1,2\nS,3,4\n", {}, ["region", "2019", "2020"]),
    "years alone": ("2019,2020\n1,2\n3,4\n5,6\n", {}, ["2019", "2020"]),
    "years below titles": (
        ",Sales,Sales\nregion,2019,2020\nN,1,2\nS,3,4\nW,9,3\n", {"header_lines": 2},
        ["region", "Sales_2019", "Sales_2020"],
    ),
    "years in all rows": (
        "N,2019,2020\nS,2001,2005\nW,2010,2011\n",
        {"header": False, "columns": ["column_1", "column_2", "column_3"]},
        ["column_1", "column_2", "column_3"],
    ),
    "units below names": (
        "Report\nof 2020\n\nid,len,mass\n-,m,kg\n1,2.5,3\n2,3.5,4\n3,2,1\n",
        {"header_lines": 2, "skip_lines": 2}, ["id_-", "len_m", "mass_kg"],
    ),
    "a delimiter at the end of each line": ("a,b,\n1,2,\n3,4,\n", {}, ["a", "b"]),
    "rows of delimiters": (",,\na,b,c\n1,2,3\n,,\n4,5,6\n,,\n", {}, ["a", "b", "c"]),
    "prose above": (
        "Report, for ACME, Ltd\nid,n,day\n1,2,2024-01-31\n2,3,2024-02-01\n", {"skip_lines": 1},
        ["id", "n", "day"],
    ),
    "keys and values above, as many as columns": (
        "Region,North\nYear,2024\n\nday,n\n2024-01-31,2\n2024-02-01,3\n", {"skip_lines": 2},
        ["day", "n"],
    ),
    "more lines above than rows": (
        "To,ACME\nOrder,17\nPhone,23\nFax,24\n\nid,name,n\n1,Ada,5\n2,Bob,6\n", {"skip_lines": 4},
        ["id", "name", "n"],
    ),
    "lines above filled up with delimiters": (
        "Report,,\nDay,2024-01-31,\n,,\nid,name,n\n1,Ada,5\n2,Bob,6\n", {"skip_lines": 2},
        ["id", "name", "n"],
    ),
    "a title above texts": (
        "Rivers, cities, and so on\ncity,land,river\nRome,Italy,Tiber\nBern,Suisse,Aare\n",
        {"skip_lines": 1}, ["city", "land", "river"],
    ),
    "lines above rows without names": (
        "Report, of today\n\n1,Ada,5\n2,Bob,6\n",
        {"header": False, "columns": ["column_1", "column_2", "column_3"], "skip_lines": 1},
        ["column_1", "column_2", "column_3"],
    ),
    "years over groups": (
        ",2023,,2024,\nland,a,b,a,b\nDE,1,2,3,4\nFR,5,6,7,8\n", {"header_lines": 2},
        ["land", "2023_a", "2023_b", "2024_a", "2024_b"],
    ),
    "repeated years over groups": (
        "land,2023,2023,2024\nland,a,b,a\nDE,1,2,3\nFR,5,6,7\n", {"header_lines": 2},
        ["land_land", "2023_a", "2023_b", "2024_a"],
    ),
    "groups below a title": (
        "Sales of all,,\n,,\n,In,In\nland,a,b\nDE,1,2\nFR,5,6\n",
        {"header_lines": 2, "skip_lines": 1}, ["land", "In_a", "In_b"],
    ),
    "the names of an index below the others": (
        ",x,y\nkey,,\n1,5,6\n2,7,8\n3,9,9\n", {"header_lines": 2}, ["key", "x", "y"],
    ),
    "a first row with a text for a number": (
        "name,score\nAda,absent\nBob,12\nCyd,13\nDan,14\nEve,15\n", {}, ["name", "score"],
    ),
    "a first row without values": (
        "id,temp,wind\n-,-,-\n1,2.5,3\n2,3.5,4\n", {"null_values": ["", "-"]},
        ["id", "temp", "wind"],
    ),
    "rows of a name alone": (
        "region,2019,2020\nEUROPE,,\nFrance,5,6\nSpain,7,8\n", {}, ["region", "2019", "2020"],
    ),
    "years that go down": ("land,2021,2020\nDE,1,2\nFR,5,6\n", {}, ["land", "2021", "2020"]),
    "years above years": (
        "land,1990,1991,1992\nDE,1800,2100,2300\nFR,1500,1600,1700\n", {},
        ["land", "1990", "1991", "1992"],
    ),
    "days above numbers": (
        "site,2024-01-01,2024-01-02\nA,5,7\nB,3,9\n", {}, ["site", "2024-01-01", "2024-01-02"],
    ),
    "names that come again, and none": (
        "id,n,,n,\n1,2,3,4,5\n6,7,8,9,10\n", {}, ["id", "n", "column_3", "n_2", "column_5"],
    ),
    "a name that a repeated one would get": (
        "x,x,x_2\n1,2,a\n4,5,b\n", {}, ["x", "x_3", "x_2"],
    ),
    "names with what nobody sees": (
        "\ufeff\ufeffid,na\u200bme,\u00a0first  one\u00a0,na\rme,\"sum\n(EUR)\"\n"
        "1,a,b,c,2\n2,d,e,f,3\n",
        {}, ["id", "name", "first one", "na me", "sum (EUR)"],
    ),
    "a first row of negatives in parentheses": (
        "a,b\n(1.50),(2.50)\n3.00,4.00\n", {}, ["a", "b"],
    ),
    "money with blanks that do not break, and no header": (
        "1\u00a0234,50\u00a0€;3,00\u00a0€\n3,00\u00a0€;12\u202f000,00\u202f€\n",
        {
            "delimiter": ";", "decimal": ",", "thousands": " ", "header": False,
            "columns": ["column_1", "column_2"],
        },
        ["column_1", "column_2"],
    ),
    "a header repeated in quotes": ('a,b\n1,2\n"A","b"\n3,4\n', {}, ["a", "b"]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "options", "names"), HEADERS.values(), ids=HEADERS)
def test_the_header_is_told_from_the_rows(
    sample: Any, text: str, options: dict[str, Any], names: list[str]
) -> None:
    path = sample(text)
    inferred = inferred_from(path)
    assert inferred.findings.options == options
    assert [*inferred.source.columns] == names
    assert rejections_of(path, inferred.source) == []


def test_columns_of_the_same_name_are_found_in_another_order(sample: Any) -> None:
    source = inferred_from(sample("id,n,n\n1,2,3\n4,5,6\n")).source
    later = sample("n,new,n,id\n7,x,8,9\n", "later.csv")
    (document,) = documents_of(later, source)
    assert [document[name] for name in ("id", "n", "n_2")] == [9, 7, 8]


def test_a_header_that_lacks_a_name_is_said_to_be_ambiguous(sample: Any) -> None:
    inferred = inferred_from(sample("id,name\nr1,1,Ada\nr2,2,Bob\nr3,3,Cyd\n"))
    assert [*inferred.source.columns] == ["column_1", "id", "name"]
    assert "AMBIGUOUS: the header names fewer columns" in inferred.toml
    assert "without a name: column_1." in inferred.toml


@pytest.mark.parametrize(("short", "ragged"), [(9, "reject"), (10, "pad"), (50, "pad")])
def test_rows_are_padded_where_many_are_short(sample: Any, short: int, ragged: str) -> None:
    rows = "1,2,3\n" * (100 - short) + "4,5\n" * short
    inferred = inferred_from(sample("a,b,c\n" + rows))
    assert inferred.source.csv.ragged == ragged
    assert (f"become null: {short}%." in inferred.toml) == (ragged == "pad")


@pytest.mark.parametrize(
    ("rows", "ragged"),
    [
        ("1,2,3\n" * 9 + "4,5\n" * 4, "reject"),
        ("1,2,3\n" * 9 + "4,5\n" * 4 + "4,5", "reject"),
        ("1,2,3\n" * 9 + "4,5\n" * 5 + "4,5", "pad"),
        ("1,2,3\n" * 9 + "4,5\n" * 5 + "4,5,6", "pad"),
        ("4,5\n", "pad"),
    ],
)
def test_rows_are_not_padded_because_of_a_few_or_of_one_that_is_cut_off(
    sample: Any, rows: str, ragged: str
) -> None:
    assert inferred_from(sample("a,b,c\n" + rows)).source.csv.ragged == ragged


def test_a_file_whose_only_row_is_cut_off_is_refused(sample: Any) -> None:
    with pytest.raises(FileRefused, match="not one row"):
        inferred_from(sample("a,b,c\n1,2"))


@pytest.mark.parametrize(
    ("first", "ragged", "type_"), [("1.5", "pad", "float64"), ("n", "reject", "int64")]
)
def test_padded_rows_may_widen_a_type_but_make_no_text(
    sample: Any, first: str, ragged: str, type_: str
) -> None:
    source = inferred_from(sample("a,b,c\n" + f"{first},2\n" * 8 + "7,8,9\n" * 2)).source
    assert source.csv.ragged == ragged
    assert source.columns["a"].type == type_


def test_rows_that_are_left_out_are_told(sample: Any) -> None:
    told = inferred_from(sample("id,day\n1,2024-01-31\n2,2024-02-01\n3,2024-02-02\n3 rows\n"))
    assert told.source.csv.skip_rows == ("3 rows",)
    assert "# Taken for totals or notes and left out (skip_rows): 1 row." in told.toml


def test_a_note_with_as_many_commas_as_rows_is_none(sample: Any) -> None:
    notes = "Note: values are\nprovisional, subject to change, see web\n(c) 2026\n"
    path = sample(f"id,name,v\n1,A,10\n2,B,20\n3,C,30\n\n{notes}")
    source = inferred_from(path).source
    assert [source.columns[name].type for name in ("id", "v")] == ["int64", "int64"]
    assert [row["id"] for row in documents_of(path, source)] == [1, 2, 3]
    assert rejections_of(path, source) == []


@pytest.mark.parametrize("last", ["unknown,D,none", "x, D, 40", "4, D, none", "-, D, NA"])
def test_a_last_row_with_a_word_for_a_value_is_no_note(sample: Any, last: str) -> None:
    path = sample(f"id,name,v\n1,A,10\n2,B,20\n3,C,30\n{last}\n")
    assert inferred_from(path).source.csv.skip_rows == ()


def test_files_with_and_without_totals_and_notes_are_one_feed(sample: Any) -> None:
    rows = "2024-01-31,North,1.5,a\n2024-02-01,South,2,b\n"
    texts = {
        "none.csv": rows,
        "note.csv": rows + "Source: the books, all of them\n",
        "both.csv": rows * 3 + "\nTOTAL,,12.5,\n\nPrinted at night\n(6 rows)\n\n",
        "padded.csv": rows + "total,,3.5,\nSource: nobody knows,,,\n",
    }
    paths = [sample(f"day,region,amount,flag\n{text}", name) for name, text in texts.items()]
    source = inferred_from(*paths).source
    assert source.csv.skip_rows == ("TOTAL", "Source:", "(6 rows)", "Printed at night")
    assert source.columns["day"].type == "date"
    for path in paths:
        assert rejections_of(path, source) == []
        assert len(documents_of(path, source)) == path.read_text().count("2024-")


@pytest.mark.parametrize(
    "damaged", ['9,"Ada,"Ulm"', '9,"Ada","Ulm', '9,"A"da","Ulm"'], ids=["open", "last", "stray"]
)
@pytest.mark.parametrize("place", [0, 3])
def test_one_damaged_quote_costs_its_row_and_no_other_their_quotes(
    sample: Any, damaged: str, place: int
) -> None:
    rows = ['1,"Bob","Bonn"', '2,"E, ve","Nice"', '3,"Cyd","Rome"']
    path = sample("\n".join(["id,name,city", *rows[:place], damaged, *rows[place:], ""]))
    source = inferred_from(path).source
    assert source.csv.quote == '"'
    assert [(row["id"], row["name"]) for row in documents_of(path, source)] == [
        (1, "Bob"), (2, "E, ve"), (3, "Cyd"),
    ]  # fmt: skip
    assert len(rejections_of(path, source)) == 1


@pytest.mark.parametrize("damaged", ['3,"C,3', '3,"C" c,3', '3,C" c,3'])
def test_one_row_in_quotes_is_enough_beside_a_damaged_one(sample: Any, damaged: str) -> None:
    path = sample(f'id,name,v\n1,A,1\n2,B,2\n{damaged}\n4,D,4\n5,E,5\n6,"F",6\n')
    source = inferred_from(path).source
    assert "".join(row["name"] for row in documents_of(path, source)) == "ABDEF"
    assert len(rejections_of(path, source)) == 1


def test_escaped_delimiters_are_read_beside_quotes_that_are_none(sample: Any) -> None:
    path = sample('id|name|v\n1|a\\|b|5"\n2|c|3"\n3|d\\|e|1"\n')
    source = inferred_from(path).source
    assert (source.csv.quote, source.csv.escape) == ("", "\\")
    assert [row["name"] for row in documents_of(path, source)] == ["a|b", "c", "d|e"]


def test_numbers_that_may_be_thousands_or_fractions_are_told(sample: Any) -> None:
    for delimiter, meant in ((";", "thousands"), ("\t", "fractions")):
        told = inferred_from(sample(f"id{delimiter}v\n1{delimiter}1.234\n2{delimiter}2.345\n"))
        assert f"AMBIGUOUS: taken for {meant}" in told.toml
    assert "AMBIGUOUS" not in inferred_from(sample("id,v\n1,1.234\n2,2.345\n")).toml


@pytest.mark.parametrize("title", ["", "Table 2: prices\n"])
def test_a_second_table_is_told_and_the_first_one_read(sample: Any, title: str) -> None:
    path = sample(f"id,name,n\n1,Ada,5\n2,Bob,6\n3,Cyd,7\n\n\n{title}code,price\nA,1.5\nB,2.5\n")
    told = inferred_from(path)
    assert "# Another table begins on line 7: only the first one is read" in told.toml
    assert [row["id"] for row in documents_of(path, told.source)] == [1, 2, 3]
    notes = sample("id,name,n\n1,Ada,5\n2,Bob,6\n\nSource: a, b\nNote: c, d\n", "notes.csv")
    assert "Another table" not in inferred_from(notes).toml


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("id,a,b\n1,A,10\n2,B,20\n\nnum,title,w\n5,X,50\n6,Y,60\n", "line 5: its rows are taken"),
        ("id,a,b\n1,A,10\n2,B,20\n\n[orders]\nnum,title,w\n5,X,50\n", "line 5: its rows are taken"),
        ("id,v\n1,A\n2,B\n\ncode,price,qty\nx,5,50\ny,6,60\n", "line 1: only the one below"),
    ],
)
def test_a_table_beside_the_one_that_is_read_is_told(sample: Any, text: str, note: str) -> None:
    assert f"# Another table begins on {note}" in inferred_from(sample(text)).toml


@pytest.mark.parametrize("row", ["id,a,b", "3,,", "x,,", "y,C,30", "7,text,none"])
def test_rows_behind_blank_lines_are_no_other_table(sample: Any, row: str) -> None:
    told = inferred_from(sample(f"id,a,b\n1,A,10\n2,B,20\n\n{row}\n5,X,50\n6,Y,60\n"))
    assert "Another table" not in told.toml


@pytest.mark.parametrize("above", ["To,ACME\nNo,17\nFax,23\n", "Of,,\nDay,1.5.,\nNo,17,\n"])
def test_keys_and_values_above_a_table_are_no_other_table(sample: Any, above: str) -> None:
    told = inferred_from(sample(f"{above}\nid,name,n\n1,Ada,5\n2,Bob,6\n3,Cyd,7\n"))
    assert told.source.csv.skip_lines == 3
    assert "Another table" not in told.toml


def test_the_few_values_that_make_a_column_text_are_told(sample: Any) -> None:
    days = "".join(f"2024-01-{n:02},{n}\n" for n in range(1, 31))
    told = inferred_from(sample(f"day,n\n{days}closed,0\n{days}"))
    assert told.source.columns["day"].type == "string"
    assert 'all date but "closed" (see null_values, csv.skip_rows)' in told.toml
    assert "but" not in inferred_from(sample("day,n\n2024-01-31,1\nclosed,2\n")).toml


def test_a_total_far_from_both_ends_of_a_file_is_found(sample: Any) -> None:
    days = "".join(f"2024-01-{n % 28 + 1:02},{n}\n" for n in range(120_000))
    source = inferred_from(sample(f"day,n\n{days}TOTAL,1\n{days}")).source
    assert source.csv.skip_rows == ("TOTAL",)
    assert source.columns["day"].type == "date"


def test_a_total_between_rows_is_none_and_a_row_that_is_called_so_is_one(sample: Any) -> None:
    rows = "North,3,1.5\nSubtotal,,1.5\nSouth,4,2.0\nSubtotal:,,2.0\n"
    assert inferred_from(sample("region,n,amount\n" + rows)).source.csv.skip_rows == ("Subtotal",)
    rows = "Total Energies,3,1.5\nTotal,,3\nSum,1,2.0\nShell,2,1\n"
    assert inferred_from(sample("company,n,amount\n" + rows)).source.csv.skip_rows == ()


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("1,2\n3,4\n5,6\n", "No header was found, columns are told by their places: remove header"),
        ("id,name\n1,Ada\n", "Types are told by one row alone"),
        ("name,city\nAda,Rome\nBob,Bern\n", "AMBIGUOUS: a header of texts above texts; if it is a"),
        (",In,In\nid,a,b\n1,2,3\n4,5,6\n", "Names are joined from 2 lines"),
        ("Report of\ntoday\nid,n\n1,2\n3,4\n", r"left out \(skip_lines\): 2 lines"),
    ],
)
def test_what_was_assumed_of_the_header_is_told(sample: Any, text: str, note: str) -> None:
    assert re.search(f"# .*(?:{note})", inferred_from(sample(text)).toml)


def test_a_header_that_tells_all_is_not_doubted(sample: Any) -> None:
    assert inferred_from(sample("id,name\n1,Ada\n2,Bob\n")).findings.doubts == ()


def test_a_file_of_unreadable_rows_is_refused(sample: Any) -> None:
    with pytest.raises(FileRefused, match=r"not one row of sample\.csv .* NUL byte"):
        inferred_from(sample("a,b\n1\0,2\n3\0,4\n"))


@pytest.mark.parametrize("text", ["", "\n\n", "  \n"])
def test_an_empty_sample_is_refused(sample: Any, text: str) -> None:
    with pytest.raises(FileRefused):
        inferred_from(sample(text))


def test_hostile_names_stay_values(sample: Any) -> None:
    path = sample('"a""b","x\ny",c]d = 1 # e\n1,2,3\n', 'x"\n[y].csv')
    source = inferred_from(path).source
    assert list(schema_of(source)) == ['a"b', "x y", "c]d = 1 # e"]
    assert rejections_of(path, source) == []


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ingestd", "infer", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_the_command_writes_what_check_accepts(sample: Any, tmp_path: Path) -> None:
    path = sample("id,name\n1,Ada\n")
    sources = tmp_path / "config" / "sources"
    sources.mkdir(parents=True)
    (tmp_path / "config" / "ingestd.toml").touch()
    done = command(path, "--name", "people", "--output", sources / "people.toml")
    assert (done.returncode, done.stdout) == (0, "")
    check = [sys.executable, "-m", "ingestd", "check", "--config", str(tmp_path / "config")]
    assert subprocess.run(check, check=False, capture_output=True, timeout=60).returncode == 0


def test_the_command_says_on_stderr_what_stands_on_top_of_the_file(
    sample: Any, tmp_path: Path
) -> None:
    rows = '1,01.02.2024,"x" y\n2,03.04.2024,z\n3,05.06.2024,9,9\n4,07.08.2024,w\n4 rows\n'
    output = tmp_path / "a.toml"
    done = command(sample("id,day,text\n" + rows), "--output", output)
    preface = output.read_text().partition("\n\n")[0].splitlines()[2:]
    head, *told = done.stderr.splitlines()
    assert head.endswith("3 columns")
    assert [f"# {note.strip()}." for note in told] == preface
    for note in (
        "row 3, cannot",
        "cannot be read: 1 of 4",
        'quote = ""',
        "left out (skip_rows): 1 row",
        "each says why: day",
    ):
        assert note in done.stderr


def test_the_command_says_when_most_rows_are_refused(sample: Any) -> None:
    done = command(sample("a,b\n1,2\n3\0,4\n5\0,6\n"))
    assert done.returncode == 65
    assert "refuses 2 of the 3 rows" in done.stderr
    assert "# sample.csv, row 2, cannot be read: the record holds a NUL byte." in done.stdout


def test_the_command_never_writes_over_a_file(sample: Any, tmp_path: Path) -> None:
    path, output = sample("id\n1\n"), tmp_path / "mine.toml"
    output.write_text("mine")
    done = command(path, "--output", output)
    assert done.returncode == 1
    assert "is there already" in done.stderr
    assert output.read_text() == "mine"


def test_the_command_tells_programs_the_same(sample: Any) -> None:
    told = json.loads(command(sample("id,day\n1,2024-01-31\n2,2024-02-01\n"), "--json").stdout)
    assert [column["type"] for column in told["columns"]] == ["int64", "date"]
    assert told["columns"][1]["max"] == "2024-02-01"
    assert told["files"][0]["rows"] == 2
    assert tomllib.loads(told["toml"])["name"] == told["name"] == "sample"


def test_the_command_tells_programs_what_a_person_should_know(sample: Any, tmp_path: Path) -> None:
    output = tmp_path / "a.toml"
    done = command(sample("1,2\n3,4\n5,6,7\n8,9\n"), "--output", output, "--json")
    told = json.loads(done.stdout)["notes"]
    assert told[0] == "sample.csv, row 3, cannot be read: 3 fields instead of 2"
    assert [f"# {note}." for note in told] == output.read_text().partition("\n\n")[0].splitlines()[
        2:
    ]


def test_the_command_refuses_a_name_that_no_source_can_have(sample: Any) -> None:
    done = command(sample("id\n1\n"), "--name", "errors")
    assert done.returncode == 2
    assert "--name" in done.stderr


def test_the_command_reads_each_file_of_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "week.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1/day.csv", "id,day\n1,2024-01-31\n")
        archive.writestr("2/day.csv", "id,day\n2.5,2024-01-31\n")
        archive.writestr("_SUCCESS", "")
    done = command(path, "--json")
    assert done.stderr == "week.zip/_SUCCESS: empty, left out\n"
    told = json.loads(done.stdout)
    assert told["name"] == "week"
    assert [(file["path"], file["rows"]) for file in told["files"]] == [
        ("week.zip/1/day.csv", 1), ("week.zip/2/day.csv", 1),
    ]  # fmt: skip
    assert [column["type"] for column in told["columns"]] == ["float64", "date"]
    assert tomllib.loads(told["toml"])["file_pattern"] == "week/*.zip"
