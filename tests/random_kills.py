"""Kill the daemon, its workers or MongoDB at random, again and again, and compare everything.

    python tests/random_kills.py --rounds 500 --seed 1
    python tests/random_kills.py --rounds 1 --seed 17 --rows 1000000

A round plays a story: mostly the one in which all kinds of sources load at once, else one of the
crash matrix. In each start the daemon is struck at a random step, or at a random moment, and
perhaps its workers or MongoDB before; then comes the next start, as long as there is something to
do. A seed is a round: the same seed plays the same story
with the same kills. ``crash_matrix.py --kills FILE`` publishes what was kept with ``--results``.
Not collected by pytest: ``test_kills.py`` has the same in small.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from crash_matrix import open_stage
from crashes.everything import everything
from crashes.stage import Stage
from crashes.stories import STORIES, Story
from crashes.witness import Strike, Victim

_MOMENTS_S = (0.05, 0.8)
"""Of kills that wait for no step, after the start."""

_LATEST = 800
"""So many moments of steps the largest story has, about."""

_STARTS = (4, 16)
"""In a round, before the last one, which is not struck; of commands one or two."""

_OTHERS = 0.3
"""How often a story of the crash matrix is played."""

_BESIDES: Sequence[Victim | None] = (None, None, "workers", "mongod")
"""Who is struck besides the daemon."""


@dataclass(frozen=True)
class Round:
    """What a seed stands for."""

    name: str
    story: Story
    starts: Sequence[Sequence[Strike]]

    def __str__(self) -> str:
        """As a person says it."""
        kills = "; ".join(str(strike) for strikes in self.starts for strike in strikes)
        return f"{self.name}: {kills}"


def round_of(seed: int, rows: int) -> Round:
    """``rows``: of the largest file."""
    chance = Random(seed)
    is_other = chance.random() < _OTHERS
    name = chance.choice(list(STORIES)) if is_other else "everything"
    story = STORIES[name] if is_other else everything(rows)
    starts = chance.randint(*((1, 2) if story.command else _STARTS))
    besides = (None,) if story.command else _BESIDES
    latest = _LATEST // 8 if is_other else _LATEST
    return Round(name, story, [_strikes(chance, besides, latest) for _ in range(starts)])


def _strikes(chance: Random, besides: Sequence[Victim | None], latest: int) -> list[Strike]:
    """Those of one start."""
    beside = chance.choice(besides)
    return [_strike(chance, victim, latest) for victim in (beside, "daemon") if victim]


def _strike(chance: Random, victim: Victim, latest: int) -> Strike:
    """At early steps as often as at late ones: the later a start, the less it has to do."""
    if chance.random() < 0.5:
        return Strike(None, int(latest ** chance.random()), "before", victim)
    return Strike(None, 0, "before", victim, round(chance.uniform(*_MOMENTS_S), 3))


def play_rounds(stage: Stage, seeds: Sequence[int], arguments: argparse.Namespace) -> int:
    """Play them until time is up; how many went wrong."""
    deadline = time.monotonic() + arguments.minutes * 60
    wrong = 0
    for seed in seeds:
        one = round_of(seed, arguments.rows)
        started = time.monotonic()
        played = stage.play(one.story, *one.starts)
        seconds = time.monotonic() - started
        verdict = "WRONG" if played.wrong else "right"
        print(f"{seed}: {one}: {len(played.hits)} fell; {verdict}; {seconds:.1f} s", flush=True)
        if played.wrong:
            wrong += 1
            print(*played.wrong, played.log, sep="\n", flush=True)
        if arguments.results:
            _keep(arguments.results, seed, one, played.hits, bool(played.wrong))
        if time.monotonic() > deadline:
            break
    return wrong


def _keep(path: Path, seed: int, one: Round, hits: Sequence[Strike], is_wrong: bool) -> None:
    victims = Counter(strike.victim for strike in hits)
    kept = {"seed": seed, "story": one.name, "kills": victims, "wrong": is_wrong}
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(kept) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--rows", type=int, default=5_000, help="of the largest file")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop then")
    parser.add_argument("--results", type=Path, help="add the outcomes to this file")
    arguments = parser.parse_args()
    seeds = range(arguments.seed, arguments.seed + arguments.rounds)
    with open_stage(keeps_collections=True) as stage:
        wrong = play_rounds(stage, seeds, arguments)
    print(f"{wrong} rounds went wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
