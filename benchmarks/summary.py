"""Many rounds as one: the median of each figure, and how far it spread."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.rounds import Round


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over all rounds."""

    median: float
    low: float
    high: float
    all: tuple[float, ...]

    def as_document(self) -> dict[str, object]:
        return asdict(self)


Summary = dict[str, dict[str, Spread]]
"""Contestant → figure → its values."""


def summarize(rounds: Sequence[Round]) -> Summary:
    """Medians and spread; ratios were taken within each round before."""
    return {
        name: {figure: spread([one[name][figure] for one in rounds]) for figure in rounds[0][name]}
        for name in rounds[0]
    }


def spread(values: Sequence[float]) -> Spread:
    rounded = tuple(float(f"{value:.4g}") for value in values)
    return Spread(float(f"{statistics.median(values):.4g}"), min(rounded), max(rounded), rounded)
