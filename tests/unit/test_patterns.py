"""File patterns against ``pathlib`` as the oracle, and the ways in which ours are our own."""

from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestd.watch.patterns import compile_names, compile_pattern, directory_below

INBOX = Path("/inbox")


@pytest.mark.parametrize(
    ("file_pattern", "base"),
    [
        ("orders/*.csv", "/inbox/orders"),
        ("*.csv", "/inbox"),
        ("today.csv", "/inbox"),
        ("a/b/today.csv", "/inbox/a/b"),
        ("a/**/b/*.csv", "/inbox/a"),
        ("a/2024-??/x.csv", "/inbox/a"),
        ("/mnt/partner/*.csv", "/mnt/partner"),
        ("./a//b/*.csv", "/inbox/a/b"),
    ],
)
def test_the_base_is_what_comes_before_the_first_wildcard(file_pattern: str, base: str) -> None:
    pattern = compile_pattern(file_pattern, INBOX)
    assert pattern.base == Path(base)
    assert pattern.is_in_inbox is not file_pattern.startswith("/")


@pytest.mark.parametrize(
    ("file_pattern", "relative", "does_match"),
    [
        ("*.csv", "a.csv", True),
        ("*.csv", "a.CSV", False),
        ("*.csv", ".csv", True),
        ("*.csv", "sub/a.csv", False),
        ("*.csv", "a.csv\n", False),
        ("*.csv", "two\nlines.csv", True),
        ("*.csv", "\udcff.csv", True),
        ("**/*.csv", "a.csv", True),
        ("**/*.csv", "x/y/z/a.csv", True),
        ("a*/**/c/?.csv", "ab/c/1.csv", True),
        ("a*/**/c/?.csv", "ab/c/c/c/1.csv", True),
        ("a*/**/c/?.csv", "ab/c/d/1.csv", False),
        ("*/**/**/x.csv", "a/x.csv", True),
        ("**", "any/depth/at all", True),
        ("[!a]*.csv", "b.csv", True),
        ("[!a]*.csv", "a.csv", False),
        ("[*].csv", "*.csv", True),
        ("[*].csv", "a.csv", False),
        ("[unclosed.csv", "[unclosed.csv", True),
        ("today.csv", "today.csv", True),
        ("today.csv", "todayXcsv", False),
    ],
)
def test_paths_that_match(file_pattern: str, relative: str, does_match: bool) -> None:
    assert compile_pattern(file_pattern, INBOX).matches(relative.split("/")) is does_match


def test_a_pattern_matches_no_empty_path() -> None:
    assert not compile_pattern("**", INBOX).matches([])


names = st.text(alphabet="ab.*?[]!-", min_size=1, max_size=4).filter(lambda n: n not in {".", ".."})
wildcards = st.text(alphabet="ab.*?[]!-", min_size=1, max_size=4).filter(
    lambda part: part not in {".", ".."} and "**" not in part
)


@given(st.lists(wildcards, min_size=1, max_size=4), st.lists(names, min_size=1, max_size=5))
def test_patterns_without_depth_match_as_pathlib_does(parts: list[str], path: list[str]) -> None:
    # the prefix keeps the base empty, whatever the first part is
    pattern = compile_pattern("/".join(["?", *parts]), INBOX)
    oracle = len(path) == len(parts) and PurePath(*path).match("/".join(parts))
    assert pattern.matches(["x", *path]) is oracle


@given(
    st.lists(st.sampled_from(["**", "*", "a*", "b"]), min_size=1, max_size=5),
    st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=6),
)
def test_any_depth_matches_as_its_meaning_written_out(parts: list[str], path: list[str]) -> None:
    pattern = compile_pattern("/".join(["?", *parts]), INBOX)
    assert pattern.matches(["x", *path]) is does_match(parts, path)


def does_match(parts: list[str], path: list[str]) -> bool:
    """The definition: ``**`` is any number of directories, everything else is one name."""
    if not parts or not path:
        return False
    if parts == ["**"]:
        return True
    if parts[0] == "**":
        return any(does_match(parts[1:], path[depth:]) for depth in range(len(path)))
    if len(parts) == 1 or len(path) == 1:
        return len(parts) == len(path) and PurePath(path[0]).match(parts[0])
    return PurePath(path[0]).match(parts[0]) and does_match(parts[1:], path[1:])


def test_ignored_names_fit_any_of_the_patterns() -> None:
    is_ignored = compile_names((".*", "*.tmp", "~*"))
    names = [".a", "a.tmp", "~a", "a.csv", "a.tmp.csv"]
    assert [bool(is_ignored(name)) for name in names] == [True, True, True, False, False]
    assert not compile_names(())("anything")


@pytest.mark.parametrize(
    ("path", "directory"),
    [
        ("/in/a.csv", ""), ("/in/eu/a.csv", "eu"), ("/in/eu/b/a.csv", "eu/b"), ("/x/eu/a.csv", ""),
        ("/input/a.csv", ""),
    ],
)  # fmt: skip
def test_a_directory_counts_only_below_the_base(path: str, directory: str) -> None:
    assert directory_below("/in", Path(path)) == directory
