"""The files that are loaded: the same bytes for the same arguments, however they are cut.

Every cell follows from its row's number, so a file of any size is written block by block.
"""

import gzip
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl

Block = Callable[[int, int], pl.DataFrame]
"""Of a first row number and a count: that many rows, all columns as they are to be written."""

_BLOCK_ROWS = 250_000
_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""Constants of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators)."""

_SECONDS_PER_YEAR = 365 * 86_400


def write_file(path: Path, block: Block, rows: int) -> None:
    """Write ``rows`` rows with a header."""
    with path.open("wb") as stream:
        for first in range(0, rows, _BLOCK_ROWS):
            frame = block(first, min(_BLOCK_ROWS, rows - first))
            frame.write_csv(stream, include_header=first == 0)


def cut_file(path: Path, directory: Path, rows_each: int) -> list[Path]:
    """The rows of a file without quoted newlines as files of ``rows_each`` rows, with headers."""
    header, *lines = path.read_bytes().splitlines(keepends=True)
    paths = []
    for n, first in enumerate(range(0, len(lines), rows_each)):
        paths.append(directory / f"{path.stem}-{n:06d}.csv")
        paths[-1].write_bytes(header + b"".join(lines[first : first + rows_each]))
    return paths


def gzip_file(path: Path) -> None:
    """Compress a file under its own name: ingestd looks at the content."""
    with path.open("rb") as plain, gzip.open(whole := path.with_suffix(".gz"), "wb", 6) as packed:
        shutil.copyfileobj(plain, packed)
    whole.replace(path)


def orders(
    bad_rate: float = 0.0, newline_rate: float = 0.0, repeat_every: int = 0, first_order: int = 0
) -> Block:
    """Orders. Of ``bad_rate`` of the rows one cell is bad, in one of five ways.

    Of every ``repeat_every`` rows one repeats an ``order_id`` from earlier in the file.
    """

    def block(first: int, rows: int) -> pl.DataFrame:
        n = pl.int_range(first, first + rows, dtype=pl.Int64)
        number = n
        if repeat_every:
            earlier = n // 2 // repeat_every * repeat_every
            number = pl.when(n % repeat_every == repeat_every - 1).then(earlier).otherwise(n)
        columns = _order_columns(n, pl.lit("ORD-") + (number + first_order).cast(pl.String))
        if newline_rate:
            note = pl.when(_is_chosen(n, newline_rate)).then(pl.lit("left\nat the door"))
            columns["note"] = note.otherwise(columns["note"])
        if bad_rate:
            columns = _spoilt(columns, n, _is_chosen(n, bad_rate))
        return pl.select([cells.alias(name) for name, cells in columns.items()])

    return block


def _order_columns(n: pl.Expr, order_id: pl.Expr) -> dict[str, pl.Expr]:
    return {
        "order_id": order_id,
        "customer_id": _spread(n, 1, 100_000),
        "created_at": _moment(n),
        "amount": (_spread(n, 2, 1_000_000) / 100).round(2),
        "country": _one_of(_spread(n, 3, 6), ("US", "GB", "DE", "FR", "NL", "JP")),
        "status": _one_of(_spread(n, 4, 4), ("new", "paid", "shipped", "returned")),
        "quantity": _spread(n, 5, 9) + 1,
        "note": pl.lit("customer ") + _spread(n, 6, 100_000).cast(pl.String) + " street",
        "is_gift": _spread(n, 7, 2) == 0,
        "discount": (_spread(n, 8, 100) / 100).round(2),
    }


def _spoilt(columns: dict[str, pl.Expr], n: pl.Expr, is_bad: pl.Expr) -> dict[str, pl.Expr]:
    kind = _spread(n, 9, 5)
    bad = {
        "amount": "-1.5", "country": "XX", "customer_id": "forty-two", "order_id": "",
        "created_at": "yesterday",
    }  # fmt: skip
    return columns | {
        name: pl.when(is_bad & (kind == index)).then(pl.lit(value))
        .otherwise(columns[name].cast(pl.String))
        for index, (name, value) in enumerate(bad.items())
    }  # fmt: skip


def readings(first: int, rows: int) -> pl.DataFrame:
    """Four columns."""
    n = pl.int_range(first, first + rows, dtype=pl.Int64)
    return pl.select(
        sensor=pl.lit("S-") + _spread(n, 1, 500).cast(pl.String),
        at=_moment(n),
        celsius=((_spread(n, 2, 800) - 200) / 10).round(1),
        is_ok=_spread(n, 3, 50) > 0,
    )


def numbers(first: int, rows: int) -> pl.DataFrame:
    """Ten columns of numbers."""
    n = pl.int_range(first, first + rows, dtype=pl.Int64)
    whole = {f"n{i}": n if i == 0 else _spread(n, i, 10 ** (10 - i)) for i in range(5)}
    broken = {f"x{i}": (_spread(n, 5 + i, 10 ** (9 - i)) / 1000).round(3) for i in range(5)}
    return pl.select([cells.alias(name) for name, cells in (whole | broken).items()])


def texts(first: int, rows: int) -> pl.DataFrame:
    """Ten columns of text."""
    n = pl.int_range(first, first + rows, dtype=pl.Int64)
    words = (
        "red", "Grün", "blau-weiß", "shipped by sea", "to be called before delivery", "Ōsaka",
        "care of the neighbours on the second floor, left", "1600 Amphitheatre Parkway, 94043",
    )  # fmt: skip
    columns = {
        f"t{i}": _one_of(_spread(n, i, len(words)), words) + " " + n.cast(pl.String)
        for i in range(10)
    }
    return pl.select([cells.alias(name) for name, cells in columns.items()])


def wide(first: int, rows: int) -> pl.DataFrame:
    """A hundred columns; all but the first are empty in seven rows of ten."""
    n = pl.int_range(first, first + rows, dtype=pl.Int64)
    kinds = (
        lambda i: _spread(n, i, 10**9),
        lambda i: (_spread(n, i, 10**8) / 1000).round(3),
        lambda i: pl.lit("value ") + _spread(n, i, 10**6).cast(pl.String),
        lambda i: _spread(n, i, 1000),
        lambda i: _spread(n, i, 2) == 0,
    )
    columns: dict[str, pl.Expr] = {"c00": n}
    for i in range(1, 100):
        columns[f"c{i:02d}"] = pl.when(_spread(n, 1000 + i, 10) >= 7).then(kinds[i % 5](i))
    return pl.select([cells.alias(name) for name, cells in columns.items()])


def _spread(n: pl.Expr, salt: int, count: int) -> pl.Expr:
    """A whole number from 0 up to ``count``, as good as chance and always the same."""
    golden, first, second = (pl.lit(factor, pl.UInt64) for factor in _MIX)
    mixed = (n.cast(pl.UInt64) + salt * 10**12) * golden
    mixed = (mixed ^ (mixed // 2**30)) * first
    mixed = (mixed ^ (mixed // 2**27)) * second
    return (mixed // 2**31 % count).cast(pl.Int64)


def _is_chosen(n: pl.Expr, rate: float) -> pl.Expr:
    return _spread(n, 99, 10_000) < round(rate * 10_000)


def _one_of(index: pl.Expr, values: Iterable[str]) -> pl.Expr:
    values = tuple(values)
    return index.replace_strict(list(range(len(values))), list(values), return_dtype=pl.String)


def _moment(n: pl.Expr) -> pl.Expr:
    start = pl.datetime(2025, 1, 1, time_unit="ms")
    return (start + pl.duration(seconds=n * 37 % _SECONDS_PER_YEAR)).dt.strftime(
        "%Y-%m-%dT%H:%M:%S"
    )
