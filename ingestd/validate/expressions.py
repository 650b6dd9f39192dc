"""SQL expressions of the configuration: read, tried, and evaluated in bulk, row by row.

Polars' SQL dialect. Inside, whole numbers count in 64 bits, date-times are UTC, and ``1.5``
is a float64 unless a decimal column is involved. NULL is SQL's: what it touches is NULL.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from ingestd.config.naming import nearest
from ingestd.config.source import ColumnSpec, ColumnTypeName
from ingestd.records import ROW
from ingestd.validate import sql
from ingestd.validate.problems import Place

FAILURES = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What Polars raises for values that it cannot work with."""

_LONGEST_SHOWN = 200
_TYPE_NAMES: dict[type[pl.DataType], ColumnTypeName] = {
    pl.String: "string", pl.Boolean: "bool", pl.Int8: "int8", pl.Int16: "int16",
    pl.Int32: "int32", pl.Int64: "int64", pl.Int128: "int64", pl.UInt8: "uint8",
    pl.UInt16: "uint16", pl.UInt32: "uint32", pl.UInt64: "int64", pl.Float32: "float32",
    pl.Float64: "float64", pl.Date: "date", pl.Datetime: "datetime", pl.Time: "time",
    pl.Duration: "duration", pl.Binary: "binary",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Values in the order of the rows; null where evaluation failed, with the reason by row."""

    values: pl.Series
    failures: dict[int, str]


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression. ``columns`` are those it reads, ``dtype`` is what it gives."""

    text: str
    query: str
    columns: tuple[str, ...]
    dtype: pl.DataType

    def evaluate(self, frame: pl.DataFrame) -> Evaluated:
        """The value for every row. A row that cannot be evaluated does not stop the others."""
        parts = list(self._evaluate_parts(frame))
        failures: dict[int, str] = {}
        for part in parts:
            failures |= part.failures
        return Evaluated(pl.concat([part.values for part in parts], rechunk=True), failures)

    def _evaluate_parts(self, frame: pl.DataFrame) -> Iterator[Evaluated]:
        """Halve what fails until the rows at fault stand alone."""
        try:
            yield Evaluated(_run(self.query, frame, self.columns), {})
        except FAILURES as error:
            if frame.height <= 1:
                values = pl.Series(sql.VALUE, [None] * frame.height, self.dtype)
                yield Evaluated(values, dict.fromkeys(frame[ROW], reason_of(error)))
                return
            middle = frame.height // 2
            yield from self._evaluate_parts(frame.head(middle))
            yield from self._evaluate_parts(frame.tail(-middle))


def compile_expression(
    text: str, dtypes: dict[str, pl.DataType], place: Place, gives: pl.DataType | None = None
) -> Expression:
    """Read an expression over these columns and try it on no row and on a row of nulls.

    Raises ``ConfigError`` with the place, the expression and what is wrong with it.
    """
    mistake, hint = sql.mistake_in(text)
    if mistake:
        raise place.error(f"{_short(text)}: {mistake}", hint)
    columns = sql.columns_read(text, dtypes)
    read = {name: dtypes[name] for name in columns}
    is_exact = any(isinstance(dtype, pl.Decimal) for dtype in read.values())
    query = sql.query_for(text if is_exact else sql.with_float_literals(text))
    try:
        dtype = _try(query, read)
    except FAILURES as error:
        raise place.error(f"{_short(text)}: {reason_of(error)}", _advice(error, dtypes)) from error
    if gives is not None and dtype != gives:
        raise place.error(f"{_short(text)} gives {dtype}, it has to give {gives}")
    return Expression(text, query, columns, dtype)


def reason_of(error: BaseException) -> str:
    """The part of Polars' text that speaks of the mistake, without its inner plan."""
    return str(error).partition("\n\n")[0].partition("; valid columns:")[0].replace("\n", " ")


def spec_of(dtype: pl.DataType) -> ColumnSpec | None:
    """The column that holds what an expression gives, if there is one."""
    if isinstance(dtype, pl.Decimal):
        return ColumnSpec(type="decimal", scale=min(dtype.scale, 34))
    name = _TYPE_NAMES.get(type(dtype))
    return ColumnSpec(type=name) if name else None


def _try(query: str, read: dict[str, pl.DataType]) -> pl.DataType:
    """What the expression gives; raises what Polars raises."""
    nothing = pl.DataFrame(schema={ROW: pl.UInt32(), **read})
    _run(query, nothing, tuple(read))
    nulls = pl.DataFrame({ROW: [0], **{name: [None] for name in read}}, schema=nothing.schema)
    return _run(query, nulls, tuple(read)).dtype


def _run(query: str, frame: pl.DataFrame, columns: tuple[str, ...]) -> pl.Series:
    seen = frame.lazy().select(ROW, *(_as_seen(name, frame.schema[name]) for name in columns))
    return seen.sql(query).collect(engine="in-memory")[sql.VALUE]


def _as_seen(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column as expressions see it: small integers would wrap around, zones do not compare."""
    if dtype.is_integer():
        return pl.col(name).cast(pl.Int64)
    if isinstance(dtype, pl.Datetime):
        return pl.col(name).dt.replace_time_zone(None)
    return pl.col(name)


def _advice(error: BaseException, dtypes: dict[str, pl.DataType]) -> str:
    """The nearest column, where the mistake is a column that is not there."""
    missing = re.search(r'unable to find column "([^"]*)"', str(error))
    if not missing:
        return ""
    return nearest(missing[1], dtypes) or f"columns: {', '.join(dtypes)}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…")
