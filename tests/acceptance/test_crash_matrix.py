"""A few points of each kind of those that ``tests/crash_matrix.py`` plays."""

import pytest
from crashes.points import play
from crashes.stage import Stage
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


@pytest.mark.parametrize(("name", "strike"), POINTS, ids=str)
def test_what_a_kill_interrupted_is_exactly_right_after_the_restart(
    stage: Stage, name: str, strike: Strike
) -> None:
    outcome, played = play(stage, name, strike)
    assert outcome.fell
    assert not outcome.wrong, played.log
