"""``make bench-check``: whether ingestd became slower than ``guard.toml`` says it is.

Only what another machine, or a busy one, changes little is judged: ratios within one round
beside the ceiling, beside pandas and beside a fixed piece of work, and memory.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.rounds import Effort, run_rounds, tell
from benchmarks.scenarios import SCENARIOS
from benchmarks.summary import Summary, summarize
from ingestd.cli.screen import Column, show_table, stdout

_FILE = Path(__file__).parent / "guard.toml"
_GUARDED = "drop"
"""The contestant that is judged: a daemon has no start-up in its figures."""

_COLUMNS = (
    Column("scenario"), Column("figure"), Column("expected", is_number=True),
    Column("allowed", is_number=True), Column("found", is_number=True), Column("verdict"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """One guarded figure."""

    scenario: str
    figure: str
    expected: float
    tolerance: float
    """Part of ``expected`` by which it may be worse."""
    is_less_better: bool
    found: float

    @property
    def limit(self) -> float:
        sign = 1 if self.is_less_better else -1
        return float(f"{self.expected * (1 + sign * self.tolerance):.4g}")

    @property
    def word(self) -> str:
        """Worse; better, by so much that the guard should follow; or fine."""
        gain = self.found / self.expected - 1
        if self.is_less_better:
            gain = -gain
        return "worse" if gain < -self.tolerance else "better" if gain > self.tolerance else "fine"


def check(directory: Path) -> list[Verdict]:
    """Measure every guarded scenario, and judge its figures."""
    guard = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    verdicts: list[Verdict] = []
    for name, guarded in guard["scenarios"].items():
        tell(name)
        effort = Effort(guard["rounds"], row_part=guarded["row_part"])
        contestants = [_GUARDED, *guarded["beside"]]
        summary = summarize(run_rounds(SCENARIOS[name], effort, directory, contestants))
        verdicts += judge(name, guarded["figures"], summary)
    return verdicts


def judge(
    scenario: str, guarded: Mapping[str, Mapping[str, Any]], summary: Summary
) -> Iterator[Verdict]:
    """Compare medians with what is expected."""
    for figure, about in guarded.items():
        yield Verdict(
            scenario, figure, about["expected"], about["tolerance"],
            about.get("less_is_better", False), summary[_GUARDED][figure].median,
        )  # fmt: skip


def show_verdicts(verdicts: list[Verdict]) -> None:
    """A table, and what to do about what is worse."""
    console = stdout()
    show_table(console, _COLUMNS, [_row(verdict) for verdict in verdicts])
    for verdict in verdicts:
        if verdict.word == "worse":
            console.print(
                f"worse: {verdict.figure} of {verdict.scenario} is {verdict.found:g}, "
                f"{verdict.expected:g} was expected"
            )
    if any(verdict.word == "worse" for verdict in verdicts):
        console.print(
            "Repeat it once the machine is quiet; if it stays, find the commit that did it, or "
            "change benchmarks/guard.toml and say why."
        )


def _row(verdict: Verdict) -> list[str]:
    at = "≤" if verdict.is_less_better else "≥"
    return [
        verdict.scenario, verdict.figure, f"{verdict.expected:g}", f"{at} {verdict.limit:g}",
        f"{verdict.found:g}", verdict.word,
    ]  # fmt: skip
