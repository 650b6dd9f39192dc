"""What is loaded: one line per scenario, with the source it belongs to and how large it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.generate import (
    Block,
    cut_file,
    gzip_file,
    numbers,
    orders,
    readings,
    texts,
    wide,
    write_file,
)

SOURCES = Path(__file__).parent / "sources"

_ALL = ("ceiling", "drop", "load", "pandas", "mongoimport")
_OURS = ("ceiling", "drop", "load")
_ROWS = 1_000_000
_ROWS_OF_5_GB = 55_000_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of file. ``rows`` of it are loaded, in files of ``rows_each`` if that is set."""

    what: str
    block: Block
    source: str = "orders"
    """Name of a file in ``sources``."""
    rows: int = _ROWS
    rows_each: int | None = None
    contestants: tuple[str, ...] = _OURS
    is_gzipped: bool = False
    is_default: bool = True
    """False for what takes so long that it must be asked for."""
    is_quick: bool = False
    """Whether it is part of a quick run."""

    @property
    def source_file(self) -> Path:
        return SOURCES / f"{self.source}.toml"


SCENARIOS: Mapping[str, Scenario] = {
    "orders": Scenario("ten columns, nine rules", orders(), contestants=_ALL, is_quick=True),
    "orders-1-bad": Scenario("1 % of the rows are bad", orders(bad_rate=0.01), contestants=_ALL),
    "orders-30-bad": Scenario(
        "30 % of the rows are bad", orders(bad_rate=0.3), contestants=_ALL, is_quick=True
    ),
    "orders-newlines": Scenario("1 % with a quoted newline", orders(newline_rate=0.01)),
    "indexed": Scenario("two indexes, built at the end", orders(), "indexed"),
    "upsert": Scenario(
        "by key, every fifth row a repeat", orders(repeat_every=5), "upsert", 200_000,
        contestants=_ALL,
    ),
    "narrow": Scenario("four columns", readings, "narrow", contestants=_ALL),
    "wide": Scenario(
        "a hundred columns, seven cells in ten empty", wide, "wide", 100_000,
        contestants=_ALL, is_quick=True,
    ),
    "numbers": Scenario("ten columns of numbers", numbers, "numbers", contestants=_ALL),
    "text": Scenario(
        "ten columns of text", texts, "text", 400_000, contestants=_ALL, is_quick=True
    ),
    "small-files": Scenario(
        "files of 100 rows", orders(), rows_each=100,
        contestants=("ceiling", "drop", "load", "pandas"), is_quick=True,
    ),
    "half-gigabyte": Scenario(
        "500 MB in one file", orders(), rows=_ROWS_OF_5_GB // 10, contestants=("drop",),
        is_default=False,
    ),
    "five-gigabytes": Scenario(
        "5 GB in one file", orders(), rows=_ROWS_OF_5_GB, contestants=("drop",),
        is_default=False,
    ),
    "gzip": Scenario("the orders as a gzip file", orders(), is_gzipped=True, contestants=("drop",)),
}  # fmt: skip


def write_files(scenario: Scenario, rows: int, directory: Path) -> tuple[Path, ...]:
    """Write a scenario's files."""
    directory.mkdir(parents=True)
    whole = directory / f"{scenario.source}.csv"
    write_file(whole, scenario.block, rows)
    if scenario.is_gzipped:
        gzip_file(whole)
    if scenario.rows_each is None:
        return (whole,)
    paths = cut_file(whole, directory, scenario.rows_each)
    whole.unlink()
    return tuple(paths)
