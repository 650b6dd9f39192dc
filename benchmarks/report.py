"""Results for people: a table per scenario."""

from collections.abc import Mapping, Sequence

from rich.console import Console

from benchmarks.scenarios import SCENARIOS
from benchmarks.summary import Spread, Summary
from ingestd.cli.screen import Column, show_table

NAMES = {
    "ceiling": "ceiling (ready-made BSON)",
    "drop": "ingestd run (drop)",
    "load": "ingestd load",
    "pandas": "pandas + insert_many",
    "mongoimport": "mongoimport",
}
_COLUMNS = (
    Column("loaded by"), Column("rows/s", is_number=True), Column("from", is_number=True),
    Column("to", is_number=True), Column("of ceiling", is_number=True),
    Column("in CPU", is_number=True), Column("of pandas", is_number=True),
    Column("CPU µs/row main", is_number=True),
    Column("workers", is_number=True), Column("mongod", is_number=True),
    Column("ns/byte", is_number=True), Column("peak RSS MB", is_number=True),
    Column("PSS", is_number=True), Column("mongod RSS", is_number=True),
)  # fmt: skip
_FIGURES = (
    ("of_ceiling", ".2f"), ("cpu_of_ceiling", ".2f"), ("of_pandas", ".1f"),
    ("main_cpu_us_per_row", ".2f"), ("workers_cpu_us_per_row", ".2f"),
    ("mongod_cpu_us_per_row", ".2f"), ("client_cpu_ns_per_byte", ".1f"),
    ("peak_rss_mb", ",.0f"), ("peak_pss_mb", ",.0f"), ("mongod_peak_rss_mb", ",.0f"),
)  # fmt: skip


def show_scenario(console: Console, name: str, rows: int, summary: Summary) -> None:
    """One line per contestant; its figures are medians."""
    console.print(f"\n{name}: {SCENARIOS[name].what}, {rows:,} rows")
    show_table(console, _COLUMNS, [_row(key, figures) for key, figures in summary.items()])
    for line in _remarks(summary):
        console.print(line)


def _row(contestant: str, figures: Mapping[str, Spread]) -> list[str]:
    speed = figures["rows_per_s"]
    return [
        NAMES[contestant], f"{speed.median:,.0f}", f"{speed.low:,.0f}", f"{speed.high:,.0f}",
        *(format(figures[key].median, form) if key in figures else "" for key, form in _FIGURES),
    ]  # fmt: skip


def _remarks(summary: Summary) -> Sequence[str]:
    drop = summary.get("drop", {})
    remarks = []
    if "queryable_of_ceiling" in drop:
        ratio = drop["queryable_of_ceiling"].median
        remarks.append(f"until rows can be queried, without indexes: {ratio:.2f} of the ceiling")
    if drop and drop["files_per_s"].median > 10:
        remarks.append(f"files: {drop['files_per_s'].median:,.0f}/s")
    return remarks


def show_probe(console: Console, name: str, figures: Mapping[str, Spread | float]) -> None:
    """One line per figure."""
    console.print(f"\n{name}")
    for figure, value in figures.items():
        console.print(f"  {figure}: {_as_text(value)}")


def _as_text(value: Spread | float) -> str:
    if isinstance(value, Spread):
        return f"{value.median:,.4g} (from {value.low:,.4g} to {value.high:,.4g})"
    return f"{value:,.4g}"
