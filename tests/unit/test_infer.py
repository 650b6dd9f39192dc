"""The parts of ``infer`` that need no file: encodings, dialects, names, kinds of values."""

import codecs
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestd.infer.columns import decide
from ingestd.infer.comments import find_comments
from ingestd.infer.dialects import Dialect, guess_dialect
from ingestd.infer.encodings import Encoding, EncodingScan, guess_encoding
from ingestd.infer.evidence import Evidence
from ingestd.infer.names import source_name, storable_names, suffix_of
from ingestd.infer.samples import lines_of
from ingestd.infer.toml import as_comment, toml_key, toml_value

TEXTS = {
    "iso8859-2": "Łódź, Šumperk, Žďár, Ľubovňa, Ťahanovce\nPlzeň, Dvořák, Ústí, kůň\n",
    "iso8859-5": "Москва, Санкт-Петербург, Новосибирск; улица Ленина\n",
    "iso8859-6": "القاهرة, الرياض, بغداد\n",
    "cp737": "Αθήνα, Θεσσαλονίκη, Πάτρα, οδός\n",
    "cp852": "Łódź, Kraków, Gdańsk, żółw, święto\nPlzeň, Dvořák, Ústí, kůň\n",
    "cp862": "ירושלים, תל אביב, חיפה\n",
    "cp1257": "Rīga, Liepāja, Jūrmala, Bērziņš, Ķegums, rēķins\n",
    "koi8-u": "Київ, Харків, Львів, Запоріжжя, Їжакевич\n",
    "mac-cyrillic": "МОСКВА, Санкт-Петербург, Новосибирск; улица Ленина\n",
    "mac-latin2": "Łódź, Kraków, Gdańsk, żółw, święto\nPlzeň, Dvořák, Ústí, kůň\n",
    "cp1252": "Café crème, Müller, señor, naïve; Straße; it’s “good” – ok\n",
    "cp1250": "Łódź, Kraków, Gdańsk, żółw, święto\nPlzeň, Dvořák, Ústí, kůň\n",
    "cp1251": "Москва, Санкт-Петербург, Новосибирск; улица Ленина\n",
    "koi8-r": "Москва, Санкт-Петербург, Новосибирск; улица Ленина\n",
    "cp866": "Москва, Санкт-Петербург, Новосибирск; улица Ленина\n",
    "cp1253": "Αθήνα, Θεσσαλονίκη, Πάτρα, οδός\n",
    "cp1254": "İstanbul, Şişli, Beşiktaş, ağaç, ışık, güneş\n",
    "cp1255": "ירושלים, תל אביב, חיפה\n",
    "cp1256": "القاهرة, الرياض, بغداد\n",
    "cp874": "กรุงเทพ, เชียงใหม่\n",
    "cp850": "Müller, Köln, Straße, café\n",
    "mac-roman": "Müller, Köln, Straße, café, señor\n",
    "cp932": "東京都,大阪府,北海道,カタカナ,ひらがな\n山田太郎,佐藤花子\n",
    "euc_jp": "東京都,大阪府,北海道,カタカナ,ひらがな\n山田太郎,佐藤花子\n",
    "gb18030": "北京市,上海市,广州,深圳,中华人民共和国\n姓名,地址,电话\n",
    "big5": "臺北市,高雄市,中華民國,姓名,地址,電話\n",
    "cp949": "서울,부산,대구,인천,홍길동,이름,주소,전화번호\n",
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_an_older_encoding_is_told_by_its_letters(encoding: str) -> None:
    found = guess_encoding(TEXTS[encoding].encode(encoding))
    assert (found.name, found.is_sure) == (encoding, False)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_settles_the_encoding(encoding: str) -> None:
    octets = "a,é\n".encode(encoding)
    found = scanned(octets)
    assert found.is_sure
    assert octets.decode(found.name).lstrip("\ufeff") == "a,é\n"


def test_capitals_are_told_from_small_letters_of_another_encoding() -> None:
    octets = "МОСКВА, САНКТ-ПЕТЕРБУРГ, НОВОСИБИРСК\n".encode("koi8-r")
    assert guess_encoding(octets).name == "koi8-r"


def test_a_damaged_byte_does_not_hide_the_encoding() -> None:
    octets = TEXTS["gb18030"].encode("gb18030") + b"\xff,\n"
    assert guess_encoding(octets).name == "gb18030"


@pytest.mark.parametrize(
    ("octets", "other"),
    [
        ("0,Zoé0\n".encode() * 8 + b"99,Bo\xe9b\n", "cp1252 it would read 'ZoÃ©'"),
        ("3,éve\n4,€\n".encode() + b"2,Bo\xffb\n", "cp850 it would read '├®ve'"),
    ],
)
def test_one_damaged_byte_makes_no_older_encoding_of_a_few_words(octets: bytes, other: str) -> None:
    assert guess_encoding(octets) == Encoding(
        "utf-8", False, f"UTF-8 but for some damaged lines; AMBIGUOUS: as {other}"
    )


def test_a_word_that_is_nearly_utf_8_by_chance_keeps_its_encoding() -> None:
    assert guess_encoding("홍길동\n".encode("cp949")).name == "cp949"


def test_damage_beside_many_sound_words_leaves_no_doubt() -> None:
    found = guess_encoding("Zoé\n".encode() * 11 + b"Bo\xe9b\n")
    assert found.why == "UTF-8 but for some damaged lines"


def test_a_guess_shows_what_it_reads_and_what_it_may_be() -> None:
    assert guess_encoding("1,Köln\n".encode("cp1252")).why == "it reads 'Köln'"
    doubtful = guess_encoding("1,Curaçao\n".encode("cp1252"))
    assert doubtful.name == "cp1252"
    assert "'Curaçao'; AMBIGUOUS: as iso8859-13 it would read 'Curaēao'" in doubtful.why


def test_bytes_of_no_language_are_said_to_be_that() -> None:
    assert guess_encoding(bytes(range(128, 256))).why == "nothing speaks for another one"


WIDE = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("text", ["name,city\n", "1,東京\n2,大阪\n", "1,Москва\n"])
def test_wide_characters_are_known_without_a_mark(text: str, encoding: str) -> None:
    assert scanned(text.encode(encoding)).name == encoding


def test_a_zero_byte_makes_no_wide_characters() -> None:
    assert scanned(b"id,name\n1,A\0da\n").name == "utf-8"


def test_japanese_written_in_ascii_is_known_by_its_escapes() -> None:
    assert scanned("1,東京\n".encode("iso2022_jp")).name == "iso2022_jp"


@given(st.text(min_size=1), st.integers(1, 7))
def test_utf_8_is_sure_however_it_is_cut(text: str, size: int) -> None:
    octets = b"x" + text.replace("\0", "").encode("utf-8", "ignore")
    assert scanned(octets, size).name == "utf-8"


@given(st.binary(min_size=1), st.integers(1, 7))
def test_any_bytes_get_an_encoding(octets: bytes, size: int) -> None:
    assert codecs.lookup(scanned(octets, size).name)


def scanned(octets: bytes, size: int = 1000) -> Any:
    scan = EncodingScan(octets)
    for start in range(0, len(octets), size):
        scan.see(octets[start : start + size])
    return scan.result()


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("a,b,c\n1,2,3\n4,5,6\n", Dialect(",")),
        ("a;b;c\n1,5;2,5;x\n1,7;2;y\n", Dialect(";")),
        ("a\tb\n1\t2\n", Dialect("\t")),
        ("a b\n1 2\n3 4\n", Dialect(" ")),
        ("a|t\nx, y|10:00:00\nz|10:00:01\n", Dialect("|")),
        ("name,t\n'x, y',10:00:00\n'z','10:00:01'\n", Dialect(",", "'")),
        ('a,b\n"x \\"q\\", y",2\n"z",3\n', Dialect(",", '"', "\\")),
        ("id,name,v\n1,a\\,b,1\n2,c,2\n3,d\\,e,3\n", Dialect(",", '"', "\\")),
        ('id|name|v\n1|a\\|b|5" x\n2|c|3" x\n3|d\\|e|1" x\n', Dialect("|", "", "\\")),
        ('id;name;v\n1;a\\;b;"x; y"\n2;c;z\n3;d\\;e;w\n', Dialect(";", '"', "\\")),
        ("id,path,v\n1,C:\\x,1\n2,D:\\,2\n3,E:\\y\\,3\n", Dialect(",")),
        ("1,C:\\,1\n2,D:\\,2\n3,E:\\,3\n", Dialect(",")),
        (" id | name \n----+------\n  1 | Ada\n  2 | Bob\n(2 rows)\n\n", Dialect("|")),
        ("Who, and where\n\nid | at\n:-- | --:\n1 | x\n2 | y\n", Dialect("|")),
        ("word\nhello\nworld, you\n", Dialect(";")),
        ("a||b||c\n1||2||3|x\n", Dialect("||")),
        ("a~|~b\n1~|~2\n", Dialect("~|~")),
        ('a, b\n1, "x, y"\n', Dialect(", ")),
        ("\n", Dialect(",")),
        ("", Dialect(",")),
    ],
)
def test_the_dialect_gives_a_regular_table(text: str, dialect: Dialect) -> None:
    assert guess_dialect(text) == dialect


@given(st.text())
def test_any_text_gets_a_dialect(text: str) -> None:
    assert guess_dialect(text).delimiter


@pytest.mark.parametrize("mark", "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
def test_only_line_feeds_end_the_lines_of_a_sample(mark: str) -> None:
    text = f"# a{mark}b\nid,c\n1,2\n"
    assert lines_of(text) == [f"# a{mark}b\n", "id,c\n", "1,2\n"]
    assert find_comments(text, Dialect(",")).text == "\nid,c\n1,2\n"


def test_names_are_kept_where_mongodb_can_store_them() -> None:
    names = ["id", "Größe", "a b", "naïve/x"]
    assert list(storable_names(names)) == names


def test_names_are_changed_as_little_as_possible() -> None:
    names = ["", "a.b", "a_b", "$x", "_id", "processed_at", "a_b", "a\nb"]
    assert list(storable_names(names)) == [
        "column_1", "a_b_2", "a_b", "x", "id_in_file", "processed_at_in_file", "a_b_3", "a b",
    ]  # fmt: skip


@given(st.lists(st.text()))
def test_names_are_always_storable_and_different(names: list[str]) -> None:
    given = storable_names(names)
    assert len(set(given)) == len(given) == len(names)
    assert not any(not name or "." in name or name[0] == "$" or "\0" in name for name in given)
    assert storable_names(given) == given


@pytest.mark.parametrize(
    ("text", "name"),
    [("orders", "orders"), ("2024 sales (1)", "source_2024_sales_1"), ("errors", "errors_source"),
     ("", "source"), ("Ünï", "n")],
)  # fmt: skip
def test_a_source_is_named_like_its_file(text: str, name: str) -> None:
    assert source_name(text) == name


@pytest.mark.parametrize(
    ("file", "suffix"),
    [("a.csv", ".csv"), ("a.2024.csv.gz", ".csv.gz"), ("a.TXT", ".TXT"), ("a", ".csv"),
     ("sales.2024", ".csv"), ("a b.tsv", ".tsv"), ("x.csv.*", ".csv")],
)  # fmt: skip
def test_the_pattern_ends_like_the_file(file: str, suffix: str) -> None:
    assert suffix_of(file) == suffix


def kind_of(*texts: str | None, name: str = "x") -> dict[str, Any]:
    """How the source would describe a column with these texts."""
    evidence = Evidence(name)
    evidence.see(pl.Series("c0", texts, pl.String))
    kinds = evidence.kinds
    return kinds[0].spec.model_dump(exclude_unset=True) if kinds else {"type": "string"}


@pytest.mark.parametrize(
    ("texts", "type_"),
    [
        (("1", "-2", "30"), "int64"),
        (("9223372036854775807",), "int64"),
        (("9223372036854775808",), "string"),
        (("007", "8"), "string"),
        (("00.5", "1.5"), "string"),
        (("+4912345678", "+4998765432"), "string"),
        (("1", "2", "A3"), "string"),
        (("1e5", "2e7"), "string"),
        (("1e-05", "1.5E5", "2"), "float64"),
        (("1.", ".5", "-0.25"), "float64"),
        (("1e400", "1.5e+999"), "string"),
        (("1,5", "2"), "float64"),
        (("12345678901234567.5", "1.5"), "string"),
        (("true", "FALSE"), "bool"),
        (("true",), "bool"),
        (("yes", "No"), "bool"),
        (("no",), "string"),
        (("f", "f"), "string"),
        (("yes", "false"), "string"),
        (("0", "1"), "int64"),
        (("2024-01-31", None), "date"),
        (("2024-02-30",), "string"),
        (("2024-01-31", "2024-01-31T10:00:00Z"), "datetime"),
        (("2024-01-31 10:00:00.5",), "datetime"),
        (("20240131",), "int64"),
        (("12:34", "23:59:59"), "time"),
        (("25:00",), "string"),
        (("PT1H",), "duration"),
        (('{"a": 1}', "[1]"), "json"),
        (("[draft]",), "string"),
        (("NA", "5", "-"), "int64"),
        (("NA",), "string"),
        ((None, ""), "string"),
        ((" 5", "6 "), "int64"),
        (("12%", "5 %"), "float64"),
        (("12%", "5"), "string"),
        (("$5.00", "-$7"), "float64"),
        (("$5.00", "€7"), "string"),
        (("1\u00a0234,50\u00a0€", "3,00\u202f€"), "float64"),
        (("CHF 1’234.50", "CHF 5"), "float64"),
        (("12,5\u00a0%", "1\u202f234,5\u202f%"), "float64"),
        (("€ -12.345,60", "€ 3,00"), "float64"),
        (("(12.50)", "3.00"), "float64"),
        (("(12)", "3"), "int64"),
        (("(1)", "(2)"), "string"),
        (("(2)", "-1"), "string"),
        (("(007)", "12"), "string"),
        (("1,234", "12,345"), "int64"),
        (("1,234,567.5", "2"), "float64"),
        (("1,23", "1,234"), "float64"),
        (("12,34,567",), "string"),
        (("192.168.1.1",), "string"),
    ],
)
def test_the_type_is_the_narrowest_that_loses_nothing(
    texts: tuple[str | None, ...], type_: str
) -> None:
    assert kind_of(*texts)["type"] == type_


@pytest.mark.parametrize(
    ("texts", "format_"),
    [
        (("31.12.2024", "1.2.2024"), "%d.%m.%Y"),
        (("31/12/24",), "%d/%m/%y"),
        (("12/31/2024", "1/2/2024"), "%m/%d/%Y"),
        (("2024/12/31",), "%Y/%m/%d"),
        (("5-Jan-20",), "%d-%b-%y"),
        (("Jan 5, 2020",), "%b %d, %Y"),
        (("January 5, 2020", "May 6, 2020"), "%B %d, %Y"),
        (("12/31/2024 1:05 PM",), "%m/%d/%Y %I:%M %p"),
        (("31.12.2024 13:05:07",), "%d.%m.%Y %H:%M:%S"),
        (("01/Feb/2024:10:00:00 +0100",), None),
        (("12/31/2024 23:59:59.123",), "%m/%d/%Y %H:%M:%S.%f"),
        (("2024-1-5",), "%Y-%m-%d"),
    ],
)
def test_moments_get_the_format_that_all_values_have(
    texts: tuple[str, ...], format_: str | None
) -> None:
    assert kind_of(*texts).get("format") == format_


def described(*columns: Sequence[str]) -> list[dict[str, Any]]:
    """How the source would describe columns that stand beside each other in a file."""
    gathered = [Evidence(f"c{n}") for n in range(len(columns))]
    for evidence, texts in zip(gathered, columns, strict=True):
        evidence.see(pl.Series("c", texts, pl.String))
    decision = decide(gathered)
    return [decision.csv, *(column.description for column in decision.columns)]


def test_one_style_of_numbers_is_said_for_the_whole_file() -> None:
    assert described(["1.234", "5"], ["0,5", "1.234,5"], ["1,5", "2"]) == [
        {"decimal": ",", "thousands": "."},
        {"type": "int64"}, {"type": "float64"}, {"type": "float64"},
    ]  # fmt: skip


def test_a_column_that_writes_numbers_in_another_style_says_so_itself() -> None:
    assert described(["1.5"], ["2.5"], ["3,5"]) == [
        {}, {"type": "float64"}, {"type": "float64"}, {"type": "float64", "decimal": ","},
    ]  # fmt: skip


def test_signs_of_money_and_percent_are_options_of_the_column() -> None:
    assert described(["$5.00", "$1,200"], ["5 %", "1.5%"], ["(€ 5)", "€ 7"], ["(5)", "7"]) == [
        {"thousands": ","},
        {"type": "float64", "currency": "$"},
        {"type": "float64", "percent": True},
        {"type": "float64", "currency": "€", "accounting": True},
        {"type": "int64", "accounting": True},
    ]  # fmt: skip


def test_thousands_that_may_be_fractions_are_told() -> None:
    evidence = Evidence("n")
    evidence.see(pl.Series("c", ["1,234", "2,345"]))
    (column,) = decide([evidence]).columns
    assert column.type == "int64"
    assert "AMBIGUOUS" in column.doubts[0]


def test_numbers_without_marks_are_in_no_doubt_beside_those_with_marks() -> None:
    gathered = [Evidence("id"), Evidence("amount")]
    gathered[0].see(pl.Series("c", ["1", "2", "3"]))
    gathered[1].see(pl.Series("c", ["1.234", "12.345", "999"]))
    plain, marked = decide(gathered, ";").columns
    assert plain.doubts == ()
    assert marked.doubts == ("AMBIGUOUS: taken for thousands, not for fractions",)


def test_day_and_month_follow_the_column_that_tells_them_apart() -> None:
    _, day, paid = described(["01/02/2024"], ["31/01/2024"])
    assert day["format"] == paid["format"] == "%d/%m/%Y"


def test_eight_digits_are_a_day_where_the_name_says_so() -> None:
    assert kind_of("20240131", name="order_date") == {"type": "date", "format": "%Y%m%d"}
    assert kind_of("20240131", "20249931", name="order_date") == {"type": "int64"}


@given(st.recursive(
    st.text(st.characters(exclude_categories=["Cs"])) | st.integers() | st.booleans()
    | st.dates(date(1, 1, 1)),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), inner
    ),
))  # fmt: skip
def test_values_are_written_as_toml_reads_them(value: Any) -> None:
    key = 'a".\x7f b'
    assert tomllib.loads(f"{toml_key(key)} = {toml_value(value)}") == {key: value}


def test_moments_are_written_as_toml_reads_them() -> None:
    moment = datetime(2024, 1, 31, 10, 0, 0, 500_000, tzinfo=UTC)
    assert tomllib.loads(f"a = {toml_value(moment)}")["a"] == moment


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_comment_stays_one(text: str) -> None:
    assert tomllib.loads(f"# {as_comment(text)}\na = 1") == {"a": 1}
