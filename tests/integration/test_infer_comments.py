"""Which lines ``infer`` takes for comments, and which marks it leaves in the values."""

from typing import Any

import pytest
from inferred import documents_of, inferred_from, rejections_of

HEADER, ROWS = "id,name,day\n", "1,Ada,2024-01-31\n2,Bob,2024-02-01\n3,Cyd,2024-02-02\n"


@pytest.mark.parametrize("mark", ["#", "//", ";", "%", "--", "!", "*"])
@pytest.mark.parametrize("comment", ["", " a remark", " one, of many, parts", " as, wide"])
@pytest.mark.parametrize("place", [1, 3])
def test_a_comment_below_the_header_costs_no_row(
    sample: Any, mark: str, comment: str, place: int
) -> None:
    lines = f"{HEADER}{ROWS}".splitlines()
    path = sample("\n".join([*lines[:place], f"{mark}{comment}", *lines[place:]]))
    source = inferred_from(path).source
    assert source.csv.comment == mark
    assert source.columns["id"].type == "int64"
    assert rejections_of(path, source) == []
    assert len(documents_of(path, source)) == 3


@pytest.mark.parametrize("mark", ["#", "//", ";", "%", "--"])
def test_a_row_that_is_commented_out_stays_out(sample: Any, mark: str) -> None:
    path = sample(f"{HEADER}{ROWS}{mark}9,Zed,2024-01-01\n{ROWS}")
    source = inferred_from(path).source
    assert source.columns["id"].type == "int64"
    assert len(documents_of(path, source)) == 6


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("tag,posts\n#python,5\n#rust,7\n", 2),
        ("# tags of today\ntag,posts\n#python,5\n#rust,7\n#go,8\n", 3),
        ("channel,members\n#general,42\nrandom,3\n#dev,7\n", 3),
        ("#ff0000,red,5\n#00ff00,green,6\n#0000ff,blue,7\n", 3),
        ("colour,n\nred,1\n#ff0000,2\nblue,3\n", 3),
        ("path,size\n//server/a,5\n//server/b,6\n", 2),
        ("path,size\n/home/a,5\n//server/b,6\n/home/c\n", 2),
        ("score,name\n--,Ada\n5,Bob\n6,Cyd\n", 3),
        ("v,name\n-1,Ada\n--6,Bob\n-5,Cyd\n", 3),
        ("id,n\n1,5\n*2,6\n3,7\n4,8\n", 4),
        ("id,n\n1,5\n#DIV/0!,6\n#N/A,7\n4,8\n", 4),
        (";a;b\n;1;2\nx;3;4\n;5;6\n", 3),
        ('id,text\n1,"line\n# heading\nmore"\n2,"x\n# y"\n3,z\n', 3),
        ("#id,name\n1,Ada\n2,Bob\n", 2),
        ("%share,name\n%5,Ada\n%6,Bob\n", 2),
    ],
)
def test_a_mark_that_begins_values_is_part_of_them(sample: Any, text: str, rows: int) -> None:
    path = sample(text)
    source = inferred_from(path).source
    assert source.csv.comment == ""
    assert len(documents_of(path, source)) == rows


@pytest.mark.parametrize("header", ["#id,name,day\n", "# made by hand\n# for all\n#id,name,day\n"])
def test_comments_below_a_marked_header_are_left_out_as_notes(sample: Any, header: str) -> None:
    path = sample(f"{header}{ROWS}# a remark\n{ROWS}")
    source = inferred_from(path).source
    assert (source.csv.comment, source.csv.skip_rows) == ("", ("#",))
    assert [*source.columns] == ["id", "name", "day"]
    assert rejections_of(path, source) == []
    assert len(documents_of(path, source)) == 6


def test_a_line_in_quotes_that_begins_with_the_mark_stays_in_its_value(sample: Any) -> None:
    path = sample('id,name\n1,Ada\n# remark\n2,"Bob\n# of Ulm"\n3,Cyd\n')
    source = inferred_from(path).source
    assert source.csv.comment == "#"
    assert [one["name"] for one in documents_of(path, source)] == ["Ada", "Bob\n# of Ulm", "Cyd"]


def test_lines_that_are_taken_for_comments_are_told(sample: Any) -> None:
    few = inferred_from(sample(f"{HEADER}# now\n{ROWS}# so on\n{ROWS}")).toml
    assert "# Taken for comments and left out: line 2, line 6; if they are rows, remove" in few
    many = inferred_from(sample(HEADER + f"# now\n{ROWS}" * 7)).toml
    assert "line 2, line 6, line 10, line 14, line 18 and 2 lines more; if" in many


def test_a_comment_in_a_later_file_counts_for_all(sample: Any) -> None:
    one, other = sample(HEADER + ROWS, "one.csv"), sample(f"{HEADER}# so\n{ROWS}", "other.csv")
    source = inferred_from(one, other).source
    assert source.csv.comment == "#"
    assert rejections_of(one, source) == rejections_of(other, source) == []
