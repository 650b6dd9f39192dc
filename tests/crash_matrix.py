"""Kill the daemon, its workers or MongoDB at every step of every story, and write down the outcome.

    python tests/crash_matrix.py                    # all of it: tests/CRASH_MATRIX.md; half an hour
    python tests/crash_matrix.py --results FILE     # the same in several runs: goes on where FILE ends
    python tests/crash_matrix.py --story load --step "ledger: files are committed" --moment after
                                                    # some of it: tells, and writes nothing

Not collected by pytest: ``test_crash_matrix.py`` plays a few points of each kind.
"""  # noqa: E501

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crashes.points import Outcome, append, load, play, strikes_of
from crashes.report import as_markdown
from crashes.stage import IN_MEMORY, Stage
from crashes.stories import STORIES
from crashes.witness import Strike
from harness import Mongod

REPORT = Path(__file__).with_name("CRASH_MATRIX.md")


@contextmanager
def scratch_directory(prefix: str) -> Iterator[Path]:
    """A directory for a while; in memory if that can be."""
    memory = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix=prefix, dir=memory) as scratch:
        yield Path(scratch)


@contextmanager
def open_stage(*, keeps_collections: bool = False) -> Iterator[Stage]:
    """A stage in a scratch directory, with a mongod of its own."""
    with scratch_directory("crash-matrix-") as directory:
        mongod = Mongod(directory / "mongod").start()
        stage = Stage(directory, mongod, keeps_collections=keeps_collections)
        try:
            yield stage
        finally:
            stage.close()
            mongod.stop()


def points(stage: Stage, arguments: argparse.Namespace) -> Iterator[tuple[str, Strike]]:
    """What is to be played: all, or what the arguments leave."""
    for name in [arguments.story] if arguments.story else STORIES:
        for strike in strikes_of(name, stage.rehearse(STORIES[name])):
            wanted = (arguments.step, arguments.moment, arguments.nth, arguments.victim)
            actual = (strike.step, strike.moment, strike.nth, strike.victim)
            if all(w in (None, a) for w, a in zip(wanted, actual, strict=True)):
                yield name, strike


def run(arguments: argparse.Namespace, results: Path) -> list[Outcome]:
    """Play what is not played yet, until time is up."""
    outcomes = load(results)
    done = {outcome.key for outcome in outcomes}
    deadline = time.monotonic() + arguments.minutes * 60
    with open_stage() as stage:
        for name, strike in points(stage, arguments):
            if (name, strike) in done:
                continue
            outcome, played = play(stage, name, strike)
            outcomes.append(outcome)
            append(results, outcome)
            tell(outcome, played.log)
            if time.monotonic() > deadline:
                print("time is up")
                break
    return outcomes


def tell(outcome: Outcome, log: str) -> None:
    """A line for an outcome; all that is known of one that is wrong."""
    verdict = "WRONG" if outcome.wrong else "right" if outcome.fell else "right (not hit)"
    print(f"{outcome.story}: {outcome.strike}: {verdict}", flush=True)
    if outcome.wrong:
        print(*outcome.wrong, log, sep="\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--story", choices=STORIES)
    parser.add_argument("--step")
    parser.add_argument("--moment", choices=["before", "after"])
    parser.add_argument("--nth", type=int)
    parser.add_argument("--victim", choices=["daemon", "workers", "mongod"])
    parser.add_argument("--minutes", type=float, default=1e6, help="stop then")
    parser.add_argument("--results", type=Path, help="keep outcomes there, and go on from there")
    parser.add_argument("--kills", type=Path, help="what random_kills.py kept, for the report")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        results = arguments.results or Path(scratch) / "results"
        outcomes = run(arguments, results)
    is_all = not (arguments.story or arguments.step)
    if is_all:
        kept = arguments.kills.read_text().splitlines() if arguments.kills else ()
        page = as_markdown(outcomes, [json.loads(line) for line in kept])
        REPORT.write_text(page, encoding="utf-8")
    wrong = sum(bool(outcome.wrong) for outcome in outcomes)
    print(f"{len(outcomes) - wrong} of {len(outcomes)} right", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
