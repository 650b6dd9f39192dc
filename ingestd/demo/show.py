"""The demo on a screen: a table that grows on a terminal, a line per event elsewhere."""

import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from ingestd.cli.screen import Column, as_table, clean, is_live, short, show_table, state_text
from ingestd.demo.child import ChildDaemon
from ingestd.demo.story import Drop

_COLUMNS = (
    Column("file"), Column("what is in it"), Column("became"),
    Column("loaded", is_number=True), Column("refused", is_number=True),
    Column("queryable after", is_number=True),
)  # fmt: skip
_REASON_COLUMNS = (
    Column("line", is_number=True), Column("column"), Column("rule"), Column("why"),
)  # fmt: skip
_MOST_REASONS = 20
_MY_ORDER = (
    r"order_id,customer_id,created_at,amount,country,status,note\n"
    r"A-1,7,2026-02-01T10:00:00,12.5,DE,new,mine\n"
)


class Show(Protocol):
    """Something that shows how the demo gets on."""

    def tell(self, doing: str) -> None:
        """What is done now."""
        ...

    def draw(self, drops: Sequence[Drop]) -> None:
        """What became of the files so far."""
        ...


@contextmanager
def open_show(console: Console) -> Iterator[Show]:
    """The show that fits the console; what it drew last stays."""
    if not is_live(console):
        yield PlainShow(console)
        return
    with Live(console=console, refresh_per_second=12, transient=True) as live:
        yield LiveShow(live)


class LiveShow:
    """A table that is drawn over."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._spinner = Spinner("dots")
        self._drops: Sequence[Drop] = ()

    def tell(self, doing: str) -> None:
        """Beside a spinner, below the table."""
        self._spinner.update(text=Text(doing))
        self.draw(self._drops)

    def draw(self, drops: Sequence[Drop]) -> None:
        """All files."""
        self._drops = drops
        parts = [as_table(_COLUMNS, [_row(drop) for drop in drops])] if drops else []
        self._live.update(Group(*parts, self._spinner))


class PlainShow:
    """A line whenever a file ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = 0

    def tell(self, doing: str) -> None:
        """One line."""
        self._console.print(doing)

    def draw(self, drops: Sequence[Drop]) -> None:
        """Those that ended since the last time."""
        ended = [drop for drop in drops if drop.has_ended]
        for drop in ended[self._told :]:
            self._console.print(_as_line(drop))
        self._told = len(ended)


def show_files(console: Console, drops: Sequence[Drop]) -> None:
    """How all files ended."""
    show_table(console, _COLUMNS, [_row(drop) for drop in drops])


def _row(drop: Drop) -> list[Text | str]:
    loaded, refused = drop.file.get("success_count", 0), drop.file.get("error_count", 0)
    return [
        f"{clean(drop.source_name)}/{short(drop.name, 40)}", drop.what, state_text(drop.state),
        f"{loaded:,}" if loaded else "", f"{refused:,}" if refused else "", _delay(drop),
    ]  # fmt: skip


def _delay(drop: Drop) -> str:
    return "" if drop.queryable_s is None else f"{drop.queryable_s * 1000:.0f} ms"


def _as_line(drop: Drop) -> str:
    counts = f"{drop.file['success_count']:,} loaded, {drop.file['error_count']:,} refused"
    delay = f", queryable after {_delay(drop)}" if drop.queryable_s is not None else ""
    told = f": {clean(drop.reason)}" if drop.reason else f", {counts}{delay}"
    return f"{clean(drop.source_name)}/{clean(drop.name)} ({drop.what}) {drop.state}{told}"


def show_reasons(console: Console, daemon: ChildDaemon, drops: Sequence[Drop]) -> None:
    """Why rows and files were refused, as ``/errors`` and ``/files`` tell it."""
    for drop in drops:
        place = f"{clean(drop.source_name)}/{clean(drop.name)}"
        if drop.reason:
            console.print(Text(f"{place}: ", "bold").append(clean(drop.reason), "not bold"))
        elif 0 < drop.file.get("error_count", 0) <= _MOST_REASONS:
            path = f"/errors/{drop.source_name}?file_id={drop.file['file_id']}"
            console.print(
                Text(f"{place}: why {drop.file['error_count']} rows were refused", "bold")
            )
            show_table(console, _REASON_COLUMNS, _reasons(daemon.get(path)))


def _reasons(rejections: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [
        [str(one["line"]), clean(why["column"]), clean(why["rule"]), short(why["message"], 80)]
        for one in sorted(rejections, key=lambda one: int(one["row"]))
        for why in one["violations"]
    ]


def ways_on(daemon: ChildDaemon) -> list[str]:
    """Commands to try; each works as it is printed."""
    url = daemon.url
    return [
        f"curl '{url}/data/prices?limit=3'",
        f"curl '{url}/data/orders?country=DE&amount__gte=990&fields=order_id,amount,net&limit=3'",
        f"curl '{url}/data/sensors?format=ndjson&limit=2'",
        f"curl '{url}/errors/orders?rule=type'",
        f"curl '{url}/files?state=failed'",
        f"curl '{url}/health'",
        f"curl '{url}/metrics'",
        f"{_ingestd()} files --config {shlex.quote(str(daemon.configuration))}",
        f"{_ingestd()} errors --config {shlex.quote(str(daemon.configuration))}",
    ]


def _ingestd() -> str:
    """How to run ingestd from here."""
    beside = Path(sys.executable).with_name("ingestd")
    if not beside.exists():
        return f"{shlex.quote(sys.executable)} -m ingestd"
    on_path = shutil.which("ingestd")
    is_same = on_path is not None and Path(on_path).samefile(beside)
    return "ingestd" if is_same else shlex.quote(str(beside))


def show_ways_on(console: Console, daemon: ChildDaemon) -> None:
    """What to try while the daemon runs."""
    console.print(Text("Try it, in another terminal:", "bold"))
    for command in ways_on(daemon):
        console.print(f"  {command}", soft_wrap=True)
    console.print(Text("Drop files of your own, such as:", "bold"))
    inbox = shlex.quote(str(daemon.inbox("orders")))
    console.print(f"  printf '{_MY_ORDER}' > {inbox}/mine.csv", soft_wrap=True)
