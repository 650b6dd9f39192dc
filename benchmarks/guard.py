"""``make bench-check``: whether ingestd became slower than ``guard.toml`` says it is.

Only ratios within one round are judged: ingestd beside the ceiling, beside pandas, and beside a
fixed piece of work, so that another machine or a busy one changes little.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.rounds import Effort, run_rounds, tell
from benchmarks.scenarios import SCENARIOS
from benchmarks.summary import Summary, summarize
from ingestd.cli.screen import Column, show_table, stdout

_FILE = Path(__file__).parent / "guard.toml"
_COLUMNS = (
    Column("scenario"), Column("figure"), Column("expected", is_number=True),
    Column("allowed", is_number=True), Column("found", is_number=True), Column("verdict"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """One guarded figure."""

    scenario: str
    contestant: str
    figure: str
    expected: float
    limit: float
    found: float
    is_less_better: bool

    @property
    def is_fine(self) -> bool:
        return self.found <= self.limit if self.is_less_better else self.found >= self.limit

    @property
    def is_much_better(self) -> bool:
        """So much better that the guard should be tightened."""
        margin = abs(self.expected - self.limit)
        gain = self.expected - self.found if self.is_less_better else self.found - self.expected
        return gain > margin


def check(directory: Path) -> list[Verdict]:
    """Measure every guarded scenario, and judge its figures."""
    guard = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    effort = Effort(guard["rounds"], is_quick=False, row_part=guard["row_part"])
    verdicts: list[Verdict] = []
    for name, contestants in guard["scenarios"].items():
        tell(name)
        needed = [*contestants, *guard["beside"]]
        summary = summarize(run_rounds(SCENARIOS[name], effort, directory, needed))
        verdicts += judge(name, contestants, summary)
    return verdicts


def judge(scenario: str, contestants: Mapping[str, Any], summary: Summary) -> list[Verdict]:
    """Compare medians with what is expected, give or take the tolerance."""
    return [
        _verdict((scenario, contestant, figure), guarded, summary[contestant][figure].median)
        for contestant, figures in contestants.items()
        for figure, guarded in figures.items()
    ]


def _verdict(place: tuple[str, str, str], guarded: Mapping[str, Any], found: float) -> Verdict:
    is_less_better = guarded.get("less_is_better", False)
    sign = 1 if is_less_better else -1
    limit = guarded["expected"] * (1 + sign * guarded["tolerance"])
    return Verdict(*place, guarded["expected"], round(limit, 3), found, is_less_better)


def show_verdicts(verdicts: list[Verdict]) -> None:
    """A table, and what to do about what is worse."""
    console = stdout()
    show_table(console, _COLUMNS, [_row(verdict) for verdict in verdicts])
    for verdict in verdicts:
        if not verdict.is_fine:
            console.print(
                f"worse: {verdict.figure} of {verdict.contestant}, {verdict.scenario}: "
                f"{verdict.found:g}, expected {verdict.expected:g}. Measure again on a quiet "
                f"machine; then find the commit, or change benchmarks/guard.toml and say why"
            )


def _row(verdict: Verdict) -> list[str]:
    word = "worse" if not verdict.is_fine else "better" if verdict.is_much_better else "fine"
    at = "≤" if verdict.is_less_better else "≥"
    return [
        verdict.scenario, f"{verdict.contestant} {verdict.figure}", f"{verdict.expected:g}",
        f"{at} {verdict.limit:g}", f"{verdict.found:g}", word,
    ]  # fmt: skip
