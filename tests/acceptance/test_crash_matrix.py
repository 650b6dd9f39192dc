"""The page that ``tests/crash_matrix.py`` writes is complete; and a few points of each kind."""

import pytest
from crash_matrix import REPORT
from crashes.points import play, strikes_of
from crashes.report import rows
from crashes.stage import Stage
from crashes.stories import STORIES
from crashes.witness import Strike

POINTS = [
    ("load", Strike("ledger: files are committed", 1, "before")),
    ("load", Strike("rows: a batch is inserted", 2, "after", "mongod")),
    ("small files", Strike("files: rename inbox → archive", 1, "after")),
    ("other disk", Strike("files: rename archive (hidden) → archive", 1, "after")),
    ("archive", Strike("files: rename unpacked → archive", 1, "after")),
    ("changed file", Strike("ledger: a commit of several files is confirmed", 1, "before")),
    ("undo", Strike("rows: those of a file are removed", 1, "before")),
]


LEASES = "ledger: the lease of a process is "
"""Steps that come with time; in which story, is chance."""


@pytest.mark.parametrize(("name", "strike"), POINTS, ids=str)
def test_what_a_kill_interrupted_is_exactly_right_after_the_restart(
    stage: Stage, name: str, strike: Strike
) -> None:
    outcome, played = play(stage, name, strike)
    assert outcome.fell
    assert not outcome.wrong, played.log


@pytest.mark.parametrize("name", STORIES)
def test_each_step_of_a_story_is_in_the_crash_matrix(stage: Stage, name: str) -> None:
    played = {step for story, step in rows(REPORT.read_text("utf-8")) if story == name}
    steps = {str(strike.step) for strike in strikes_of(name, stage.rehearse(STORIES[name]))}
    assert played
    assert {step for step in steps if not step.startswith(LEASES)} <= played


def test_all_is_right_in_the_crash_matrix() -> None:
    assert set(rows(REPORT.read_text("utf-8")).values()) == {"right"}
