"""What commands draw: on a terminal, on a dumb one, and where there is none."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from ingestd.cli.files import show_listed
from ingestd.cli.progress import Bars, FileProgress, PlainLines, open_display
from ingestd.cli.screen import Column, show_table

COLUMNS = (Column("name"), Column("rows", is_number=True))


def console_on(stream: io.StringIO, *, is_terminal: bool, term: str = "xterm") -> Console:
    return Console(
        file=stream, force_terminal=is_terminal, width=120, highlight=False, markup=False,
        color_system=None, _environ={"TERM": term},
    )  # fmt: skip


@pytest.mark.parametrize("is_terminal", [True, False])
def test_markup_in_cells_is_text(is_terminal: bool) -> None:
    stream = io.StringIO()
    show_table(console_on(stream, is_terminal=is_terminal), COLUMNS, [["[red]x[/nope]", "1"]])
    assert "[red]x[/nope]" in stream.getvalue()


def test_without_a_terminal_a_table_is_aligned_lines() -> None:
    stream = io.StringIO()
    show_table(console_on(stream, is_terminal=False), COLUMNS, [["a", "1,000"], ["long", "7"]])
    assert stream.getvalue() == "name   rows\na     1,000\nlong      7\n"


def test_keys_stay_whole_on_a_narrow_terminal() -> None:
    stream = io.StringIO()
    columns = (Column("id", is_key=True), Column("file"), Column("why"))
    row = ["0123456789abcdef", "orders of a long day.csv", "12 of 100 rows are refused"]
    console = console_on(stream, is_terminal=True)
    console.width = 30
    show_table(console, columns, [row])
    assert row[0] in stream.getvalue()
    assert row[1] not in stream.getvalue(), "the others make room"


def test_files_on_a_terminal_say_why_below_the_table() -> None:
    stream = io.StringIO()
    console = console_on(stream, is_terminal=True)
    console.width = 110
    row = ["0123456789abcdef", "orders", "orders_2026-01-31.csv", "held", "1", "0", "1"]
    row = [*row, "2026-01-31", "12:00:00"]
    show_listed(console, [[*row[:-2], "2026-01-31 12:00:00", "12 of 100 rows are refused"]])
    lines = stream.getvalue().splitlines()
    assert row in [line.split() for line in lines]
    assert lines[-1] == "0123456789abcdef  12 of 100 rows are refused"


@pytest.mark.parametrize(
    ("is_terminal", "term", "is_plain", "kind"),
    [
        (True, "xterm", False, Bars),
        (True, "xterm", True, PlainLines),
        (True, "dumb", False, PlainLines),
        (False, "xterm", False, PlainLines),
    ],
)
def test_bars_are_drawn_on_a_capable_terminal_only(
    is_terminal: bool, term: str, is_plain: bool, kind: type
) -> None:
    console = console_on(io.StringIO(), is_terminal=is_terminal, term=term)
    with open_display(console, is_plain=is_plain) as display:
        assert isinstance(display, kind)


def test_bars_show_bytes_rate_and_refused_rows() -> None:
    stream = io.StringIO()
    with open_display(console_on(stream, is_terminal=True), is_plain=False) as display:
        progress = FileProgress(2_000_000, 1_000_000, 10_000, 12, 50_000.0)
        display.update({Path("gone.csv"): progress}, "")
        display.update({Path("[b]a.csv"): progress}, "MongoDB is away, waiting")
    drawn = stream.getvalue()
    for part in ("[b]a.csv", "1.0/2.0 MB", "50,000 rows/s", "12 refused", "MongoDB is away"):
        assert part in drawn
    *_, last, _ = drawn.split("\x1b[2K")
    assert last.startswith("[b]a.csv"), "a file that is no longer at work has no bar"


def test_time_left_follows_the_rows_so_far() -> None:
    half = FileProgress(2_000_000, 1_000_000, 10_000, 0, 5_000.0)
    assert half.seconds_left == pytest.approx(2.0)
    assert FileProgress(2_000_000).seconds_left is None
    assert FileProgress(2_000_000, 0, 0, 0, 0.0).seconds_left is None
