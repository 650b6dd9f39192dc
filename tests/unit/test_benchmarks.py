"""What benchmarks compute from what they measure."""

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import generate
from benchmarks.documents import batch_ends
from benchmarks.guard import judge
from benchmarks.rounds import with_ratios
from benchmarks.scenarios import SCENARIOS
from benchmarks.summary import spread, summarize
from ingestd.config.settings import LoadSettings


def _round(drop: float, ceiling: float) -> dict[str, dict[str, float]]:
    return with_ratios(
        {
            "drop": {"rows_per_s": drop, "total_cpu_us_per_row": 4.0},
            "ceiling": {"rows_per_s": ceiling, "total_cpu_us_per_row": 3.0},
        }
    )


def test_ratios_are_taken_within_a_round() -> None:
    busy_and_quiet = [_round(40, 50), _round(80, 100), _round(10, 20)]
    ratio = summarize(busy_and_quiet)["drop"]["of_ceiling"]
    assert ratio.all == (0.8, 0.8, 0.5)
    assert ratio.median == 0.8


def test_less_processor_time_is_a_higher_ratio() -> None:
    assert _round(1, 1)["drop"]["cpu_of_ceiling"] == 0.75


def test_spread_tells_the_extremes() -> None:
    found = spread([3.0, 1.0, 2.0, 10.0])
    assert (found.low, found.median, found.high) == (1.0, 2.5, 10.0)


@pytest.mark.parametrize(
    ("found", "is_less_better", "word"),
    [
        (0.65, False, "fine"), (0.63, False, "worse"), (0.97, False, "better"),
        (0.95, True, "fine"), (0.97, True, "worse"), (0.63, True, "better"),
    ],
)  # fmt: skip
def test_the_guard_judges_by_the_tolerance(
    found: float, is_less_better: bool, word: str
) -> None:  # fmt: skip
    about = {"expected": 0.8, "tolerance": 0.2, "less_is_better": is_less_better}
    summary = {"drop": {"of_ceiling": spread([found])}}
    (verdict,) = judge("orders", {"of_ceiling": about}, summary)
    assert verdict.word == word


@given(st.lists(st.integers(5, 3 * 2**16), max_size=40), st.integers(1, 5))
def test_batches_hold_whole_documents_within_the_limits(lengths: list[int], rows: int) -> None:
    limits = LoadSettings(batch_bytes=2**16, batch_rows=rows)
    ends = np.cumsum(np.array(lengths, np.int64))
    places = [0, *ends.tolist()]
    cuts = [0, *batch_ends(ends, limits)]
    assert set(cuts) <= set(places)
    assert cuts[-1] == places[-1]
    for begin, end in itertools.pairwise(cuts):
        count = places.index(end) - places.index(begin)
        assert count == 1 or (count <= rows and end - begin <= 2**16)


@pytest.mark.parametrize("name", SCENARIOS)
def test_files_do_not_depend_on_how_they_are_cut(name: str) -> None:
    block = SCENARIOS[name].block
    assert block(0, 50).equals(pl.concat([block(0, 20), block(20, 30)]))


def test_as_many_rows_are_bad_as_asked_for() -> None:
    good, bad = (generate.orders(bad_rate=rate)(0, 20_000) for rate in (0.0, 0.3))
    texts = [frame.select(pl.all().cast(pl.String)) for frame in (good, bad)]
    changed = pl.any_horizontal(*(texts[0][name] != texts[1][name] for name in good.columns))
    assert pl.select(changed).to_series().mean() == pytest.approx(0.3, abs=0.02)


def test_repeats_are_keys_from_earlier_in_the_file() -> None:
    keys = generate.orders(repeat_every=5)(0, 1000)["order_id"]
    assert keys.n_unique() == 800
