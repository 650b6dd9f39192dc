"""What lies in an inbox and belongs to no source is told, once, and makes nothing unwell."""

import os
from pathlib import Path

from watch_world import QUICK, source, watching

from ingestd.watch import NOBODY, compile_pattern
from ingestd.watch.findings import Outlook
from ingestd.watch.patterns import compile_names
from ingestd.watch.scan import scan
from ingestd.watch.sightings import Feed

IGNORED = compile_names(QUICK.ignore)


def strays(inbox: Path, pattern: str, marker: str | None = None) -> dict[str, list[str]]:
    """What is told of an inbox; a file is a stray at once."""
    feed = Feed("orders", compile_pattern(pattern, inbox), marker)
    problems = scan(Outlook((feed,), IGNORED, {}, {}, 1000, inbox)).problems
    assert all(problem.is_notice and problem.hint for of in problems.values() for problem in of)
    return {name: sorted(problem.message for problem in of) for name, of in problems.items()}


def test_names_that_fit_no_pattern_are_told_and_ignored_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    for name in ("a.csv", "b.CSV", "c.csv.tmp", ".d.csv", "e.csv.done", "f.txt"):
        (tmp_path / "orders" / name).touch()
    assert strays(tmp_path, "orders/*.csv", ".done") == {
        "orders": ["b.CSV fits no file_pattern", "f.txt fits no file_pattern"]
    }


def test_a_slip_in_the_name_of_a_directory_is_told(tmp_path: Path) -> None:
    for name in ("orders/2026", "ordres"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a.csv").touch()
    told = "directory {} is in no file_pattern: nobody looks into it"
    assert strays(tmp_path, "orders/*.csv") == {
        "orders": [told.format("2026")],
        NOBODY: ["a.csv fits no file_pattern", told.format("ordres")],
    }


def test_directories_that_a_pattern_leads_into_are_no_strays(tmp_path: Path) -> None:
    (tmp_path / "orders" / "2026" / "11").mkdir(parents=True)
    assert strays(tmp_path, "orders/**/*.csv") == {}
    assert strays(tmp_path, "orders/*") == {}
    assert strays(tmp_path, "orders/2026/*/*.csv") == {}
    assert strays(tmp_path, "**/*.csv") == {}


def test_ever_more_strays_hide_no_other_problem(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}.txt").touch()
    feeds = tuple(Feed(name, compile_pattern("*.csv", tmp_path)) for name in ("orders", "returns"))
    (tmp_path / "a.csv").touch()
    noted = scan(Outlook(feeds, IGNORED, {}, {}, 1000)).problems["orders"]
    assert [problem.is_notice for problem in noted].count(True) == 20
    assert [p.message for p in noted if not p.is_notice] == [
        "a.csv belongs to more than one source: orders, returns"
    ]


async def test_a_stray_is_told_once_when_it_has_been_still(tmp_path: Path) -> None:
    async with watching(tmp_path, source("orders", "*.csv")) as at:
        at.drop("a.txt")
        (at.inbox / "dangling.csv").symlink_to(at.inbox / "nothing.csv")
        await at.until(lambda: len(at.events.ignored) == 2)
        await at.until_scanned()
        os.rename(at.inbox / "a.txt", at.inbox / "a.csv")
        assert (await at.next()).path.name == "a.csv"
        await at.until_scanned()
        assert sorted(name for name, _ in at.events.ignored) == ["a.txt", "dangling.csv"]
        assert [problem.path.name for problem in at.watcher.problems()["orders"]] == [
            "dangling.csv"
        ]
