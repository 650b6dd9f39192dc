"""The points of a story at which something is killed, and what came of it."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crashes.stage import Played, Stage
from crashes.stories import STORIES
from crashes.witness import Moment, Strike
from crashes.worlds import World

START_UP = ("MongoDB: ", "files: make inbox")
"""Steps of every start; they are struck where starting is the story, and in the first one."""

THOROUGH = ("load", "start-up in mid-load")
"""Stories whose steps are struck at their last time, too."""

_IN_MONGODB = ("ledger: ", "rows: ", "rejections: ")
_MOMENTS: tuple[Moment, ...] = ("before", "after")


@dataclass(frozen=True)
class Outcome:
    """A story with a strike, played once."""

    story: str
    strike: Strike
    fell: bool
    """The strike hit; work done side by side may come to fewer steps of a kind this time."""
    found: str
    put_right_by: tuple[str, ...]
    wrong: tuple[str, ...]

    @property
    def key(self) -> tuple[str, Strike]:
        """What was played."""
        return self.story, self.strike


def strikes_of(name: str, journal: Sequence[str]) -> Iterator[Strike]:
    """Every strike of a story: each step's first time, before and after; in some its last, too.

    Where the daemon is told to stop, only what it does from then on is struck.
    """
    stop = next((n for n, line in enumerate(journal) if line.startswith("STRIKE")), 0)
    earlier = Counter(journal[:stop])
    for line, times in _by_step(journal):
        word, _, step = line.partition(" ")
        moment = _MOMENTS[word == "after"]
        if times == earlier[line] or not _is_point(name, step, moment):
            continue
        first = earlier[line] + 1
        yield Strike(step, first, moment)
        if step.startswith(_IN_MONGODB) and name in THOROUGH:
            yield from (Strike(step, nth, moment) for nth in {times} - {first})
        if step.startswith(_IN_MONGODB):
            besides = STORIES[name].besides
            yield from (Strike(step, (first + times) // 2, moment, victim) for victim in besides)


def _is_point(name: str, step: str, moment: Moment) -> bool:
    """Without those that differ in nothing from others.

    What the kernel was given survives a kill, so fsync changes nothing; between two changes of
    files nothing else happens, so after the one is before the other.
    """
    if step.startswith("files: "):
        return moment == "after" and not step.startswith("files: fsync") and step not in START_UP
    return name == "load" or not step.startswith(START_UP)


def _by_step(journal: Sequence[str]) -> list[tuple[str, int]]:
    """How often each moment of each step came; what belongs to one step stands together."""
    counted = Counter(line for line in journal if line.startswith(_MOMENTS))
    order = list(dict.fromkeys(line.partition(" ")[2] for line in counted))
    return sorted(counted.items(), key=lambda item: order.index(item[0].partition(" ")[2]))


def play(stage: Stage, name: str, strike: Strike) -> tuple[Outcome, Played]:
    """Play a story with one strike."""
    played = stage.play(STORIES[name], [strike])
    steps = tuple(step for step in played.put_right_by if step.startswith(_IN_MONGODB))
    outcome = Outcome(
        name, strike, strike in played.hits, describe(played.found), steps,
        tuple(played.wrong),
    )  # fmt: skip
    return outcome, played


def describe(world: World) -> str:
    """What a person would see: states, how many rows and rejections, where files lie."""
    states = Counter(f"{name} {state}" for _, name, state, *_ in world.files)
    files = ", ".join(_few(list(states))) or "nothing in the ledger"
    places = Counter(directory for directory, *_ in world.disk)
    disk = ", ".join(f"{count} in {place}" for place, count in sorted(places.items()))
    parts = (
        files, f"{len(world.documents)} rows", f"{len(world.errors)} rejections",
        disk or "nothing on disk",
    )  # fmt: skip
    return "; ".join(parts)


def _few(items: Sequence[str]) -> list[str]:
    return [*items[:3], *([f"{len(items) - 3} more"] if len(items) > 3 else [])]


# on disk


def append(path: Path, outcome: Outcome) -> None:
    """Keep an outcome."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(asdict(outcome), ensure_ascii=False) + "\n")


def load(path: Path) -> list[Outcome]:
    """Those that were kept."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [_outcome(json.loads(line)) for line in lines]


def _outcome(kept: dict[str, Any]) -> Outcome:
    lists = {name: tuple(kept[name]) for name in ("put_right_by", "wrong")}
    return Outcome(**{**kept, **lists, "strike": Strike(**kept["strike"])})
