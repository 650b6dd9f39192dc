"""``ingestd demo``: a real daemon, sample files of many kinds, and what becomes of each."""

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ingestd.cli.endings import show_error
from ingestd.cli.screen import show_json, stderr, stdout
from ingestd.demo.child import ChildDaemon, running_daemon
from ingestd.demo.samples import make_samples
from ingestd.demo.show import open_show, show_files, show_reasons, show_ways_on
from ingestd.demo.story import OtherDrops, Story
from ingestd.errors import ExitCode

_LOOK_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asked for."""

    is_once: bool
    keeps: bool
    as_json: bool


def run_demo(options: DemoOptions) -> int:
    """Show everything; fine only if every file ended as it should have."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with _scratch_directory(keeps=options.keeps) as root:
        return _show_all(root, options)


def _show_all(root: Path, options: DemoOptions) -> int:
    # Whoever asks for JSON gets nothing else on stdout.
    console = stderr() if options.as_json else stdout()
    began = time.monotonic()
    with _daemon(root, console) as daemon:
        story = _drop_samples(daemon, console)
        surprises, seconds = story.surprises(), time.monotonic() - began
        show_files(console, story.drops)
        show_reasons(console, daemon, story.drops)
        if options.as_json:
            show_json(_as_document(story, surprises))
        _show_verdict(console, surprises, seconds)
        if not options.is_once:
            _stay(daemon, console)
    return ExitCode.FAILED if surprises else ExitCode.OK


@contextmanager
def _scratch_directory(*, keeps: bool) -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="ingestd-demo-"))
    try:
        yield root
    finally:
        if keeps:
            stderr().print(f"kept: {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)


@contextmanager
def _daemon(root: Path, console: Console) -> Iterator[ChildDaemon]:
    with ExitStack() as stack:
        with open_show(console) as show:
            show.tell("starting a daemon and a private MongoDB …")
            daemon = stack.enter_context(running_daemon(root))
        console.print(f"ingestd listens on {daemon.url}, and watches {root / 'inbox'}")
        yield daemon


def _drop_samples(daemon: ChildDaemon, console: Console) -> Story:
    with open_show(console) as show:
        story = Story(daemon, show.draw)
        show.tell("dropping files, one after the other …")
        story.drop_all(make_samples())
    return story


def _show_verdict(console: Console, surprises: Sequence[str], seconds: float) -> None:
    if not surprises:
        told = f"every file ended as it should; {seconds:.1f} s from nothing to here"
        console.print(Text(told, "bold green"))
    for surprise in surprises:
        show_error(stderr(), surprise, "keep the log of the daemon with --keep, and report this")


def _stay(daemon: ChildDaemon, console: Console) -> None:
    """Until Ctrl-C, show what becomes of files that somebody drops."""
    show_ways_on(console, daemon)
    with suppress(KeyboardInterrupt), open_show(console) as show:
        show.tell("Ctrl-C ends the demo and removes everything it made")
        others = OtherDrops(daemon)
        while True:
            show.draw(others.look())
            time.sleep(_LOOK_EVERY_S)


def _as_document(story: Story, surprises: Sequence[str]) -> dict[str, object]:
    return {
        "url": story.daemon.url,
        "files": [
            {
                "source_name": drop.source_name, "name": drop.name, "what": drop.what,
                "state": drop.state, "success_count": drop.file.get("success_count"),
                "error_count": drop.file.get("error_count"), "message": drop.reason,
                "queryable_s": drop.queryable_s,
            }
            for drop in story.drops
        ],
        "surprises": list(surprises),
    }  # fmt: skip
