"""Columns out of raw documents, one function per kind of value; what ``documents.py`` writes.

A column is read as what its type of the schema stands for in MongoDB: moments in milliseconds,
times as text. A value of another type, as left by an earlier schema or another program, makes its
row an odd one, which is read by itself.
"""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
import pyarrow as pa

from ingestd.config.source import ColumnSpec, ColumnTypeName
from ingestd.elements import NULL, slices
from ingestd.export.octets import Field, Mask, Octets, Values

IDENTITY, RUN = "_id", "processed_at"
"""Columns that every row has beside its own: of type ``objectid`` and ``datetime``."""

DECIMAL_DIGITS = 38
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999."""
_MS_PER_DAY = 86_400_000
_DECIMAL_BIAS = 6176

Column = tuple[pl.Series, Mask]
"""A value per row, and which rows are odd."""


def stored_dtype(column: ColumnSpec) -> pl.DataType:
    """The Polars type in which a column is read."""
    if column.type == "decimal":
        return pl.Decimal(DECIMAL_DIGITS, column.scale)
    return _READERS[column.type][0]


def read_columns(
    octets: Octets, fields: Mapping[str, Field], columns: Mapping[str, ColumnSpec], height: int
) -> tuple[pl.DataFrame, Mask]:
    """These columns of the documents; one that they lack is null. And which rows are odd."""
    series, is_odd = [], np.zeros(height, np.bool_)
    for name, column in columns.items():
        if name in fields:
            values, is_odd_here = _READERS[column.type][1](octets, fields[name], column)
            is_odd |= is_odd_here
        else:
            values = pl.repeat(None, height, dtype=stored_dtype(column), eager=True)
        series.append(values.alias(name))
    return pl.DataFrame(series), is_odd


def _with_nulls(values: Values, is_there: Mask) -> pl.Series:
    series = pl.Series(values)
    if is_there.all():
        return series
    return series.zip_with(pl.Series(is_there), pl.Series([None], dtype=series.dtype))


def _odd(field: Field, is_there: Mask) -> Mask:
    is_odd: Mask = ~is_there & (field.kinds != NULL)
    return is_odd


def _numbers(octets: Octets, field: Field) -> tuple[Values, Mask]:
    """Whole numbers of 32 or 64 bits; 0 where there is none."""
    is_short, is_long = field.kinds == 0x10, field.kinds == 0x12
    values = octets.read(field.places, "<i8")
    if not is_long.all():
        short = octets.read(field.places, "<i4")
        values = np.where(is_long, values, np.where(is_short, short, 0))
    return values, is_short | is_long


def _whole(numpy_dtype: str) -> Callable[..., Column]:
    limits = np.iinfo(numpy_dtype)

    def read(octets: Octets, field: Field, _: ColumnSpec) -> Column:
        values, is_there = _numbers(octets, field)
        is_there &= (values >= limits.min) & (values <= limits.max)
        return _with_nulls(values.astype(numpy_dtype), is_there), _odd(field, is_there)

    return read


def _float(numpy_dtype: str) -> Callable[..., Column]:
    def read(octets: Octets, field: Field, _: ColumnSpec) -> Column:
        is_there = field.kinds == 0x01
        exact = octets.read(field.places, "<f8")
        with np.errstate(over="ignore", invalid="ignore"):
            values = exact.astype(numpy_dtype)
            is_there &= (values == exact) | np.isnan(exact)
        return _with_nulls(values, is_there), _odd(field, is_there)

    return read


def _bool(octets: Octets, field: Field, _: ColumnSpec) -> Column:
    is_there = field.kinds == 0x08
    return _with_nulls(octets.read(field.places, "u1") != 0, is_there), _odd(field, is_there)


def _moments(octets: Octets, field: Field) -> tuple[Values, Mask]:
    """Milliseconds since 1970."""
    values = octets.read(field.places, "<i8")
    is_there = (field.kinds == 0x09) & (values >= _FIRST_MS) & (values <= _LAST_MS)
    return values, is_there


def _datetime(octets: Octets, field: Field, _: ColumnSpec) -> Column:
    values, is_there = _moments(octets, field)
    series = _with_nulls(values, is_there).cast(pl.Datetime("ms", "UTC"))
    return series, _odd(field, is_there)


def _date(octets: Octets, field: Field, _: ColumnSpec) -> Column:
    values, is_there = _moments(octets, field)
    days, rest = np.divmod(values, _MS_PER_DAY)
    is_there &= rest == 0
    days = np.where(is_there, days, 0).astype(np.int32)
    return _with_nulls(days, is_there).cast(pl.Date), _odd(field, is_there)


def _slices(octets: Octets, begins: Values, ends: Values, is_there: Mask) -> pl.Series:
    """The bytes between each two places: every other of the slices at these edges."""
    edges = np.stack((begins, ends), axis=1).reshape(-1)
    series = pl.Series(slices(octets.documents, edges), dtype=pl.Binary).gather_every(2)
    if is_there.all():
        return series
    return series.zip_with(pl.Series(is_there), pl.Series([None], dtype=pl.Binary))


def _text(octets: Octets, field: Field, _: ColumnSpec) -> Column:
    """How many bytes follow, the bytes, a NUL."""
    is_there = field.kinds == 0x02
    begins = field.places + 4 * is_there
    ends = begins + np.where(is_there, octets.read(field.places, "<i4") - 1, 0)
    texts = _as_utf8(_slices(octets, begins, ends, is_there))
    return texts, _odd(field, is_there) | (is_there & texts.is_null().to_numpy())


def _as_utf8(raw: pl.Series) -> pl.Series:
    """Null for what is not UTF-8, which MongoDB does not look into."""
    try:
        return raw.cast(pl.String)
    except pl.exceptions.ComputeError:  # it does not say where
        return pl.Series([_decoded(octets) for octets in raw], dtype=pl.String)


def _decoded(octets: bytes | None) -> str | None:
    try:
        return None if octets is None else octets.decode()
    except UnicodeDecodeError:
        return None


def _binary(octets: Octets, field: Field, _: ColumnSpec) -> Column:
    """How many bytes there are, the subtype 0, the bytes."""
    is_there = (field.kinds == 0x05) & (octets.read(field.places + 4, "u1") == 0)
    begins = field.places + 5 * is_there
    ends = begins + np.where(is_there, octets.read(field.places, "<i4"), 0)
    return _slices(octets, begins, ends, is_there), _odd(field, is_there)


def _objectid(octets: Octets, field: Field, _: ColumnSpec) -> Column:
    is_there = field.kinds == 0x07
    raw = _slices(octets, field.places, field.places + 12 * is_there, is_there)
    return raw.bin.encode("hex"), _odd(field, is_there)


def _decimal(octets: Octets, field: Field, column: ColumnSpec) -> Column:
    """Decimal128 with the exponent of the column's scale, as a whole number of 128 bits."""
    low, high = octets.read(field.places, "<u8"), octets.read(field.places + 8, "<u8")
    exponent = (high >> np.uint64(49)) & np.uint64(0x3FFF)
    is_there = (field.kinds == 0x13) & (exponent == _DECIMAL_BIAS - column.scale)
    is_negative = (high >> np.uint64(63)).astype(np.bool_)
    words = np.empty((low.size, 2), "<u8")
    words[:, 0], words[:, 1] = low, high & np.uint64(2**49 - 1)
    words[is_negative] = ~words[is_negative]
    words[is_negative, 0] += np.uint64(1)
    words[is_negative, 1] += (words[is_negative, 0] == 0).astype(np.uint64)
    dtype = pa.decimal128(DECIMAL_DIGITS, column.scale)
    values = pl.Series(pa.Array.from_buffers(dtype, low.size, [None, pa.py_buffer(words)]))
    nothing = pl.Series([None], dtype=values.dtype)
    return values.zip_with(pl.Series(is_there), nothing), _odd(field, is_there)


def _nothing(_: Octets, field: Field, __: ColumnSpec) -> Column:
    """Nested values have no columns: all but a null are odd."""
    return pl.repeat(None, field.places.size, dtype=pl.String, eager=True), field.kinds != NULL


_READERS: Mapping[ColumnTypeName, tuple[pl.DataType, Callable[..., Column]]] = {
    "string": (pl.String(), _text),
    "category": (pl.String(), _text),
    "bool": (pl.Boolean(), _bool),
    "int8": (pl.Int8(), _whole("i1")),
    "int16": (pl.Int16(), _whole("i2")),
    "int32": (pl.Int32(), _whole("i4")),
    "int64": (pl.Int64(), _whole("i8")),
    "uint8": (pl.UInt8(), _whole("u1")),
    "uint16": (pl.UInt16(), _whole("u2")),
    "uint32": (pl.UInt32(), _whole("u4")),
    "float32": (pl.Float32(), _float("f4")),
    "float64": (pl.Float64(), _float("f8")),
    "decimal": (pl.Decimal(DECIMAL_DIGITS, 0), _decimal),
    "date": (pl.Date(), _date),
    "datetime": (pl.Datetime("ms", "UTC"), _datetime),
    "time": (pl.String(), _text),
    "duration": (pl.Int64(), _whole("i8")),
    "json": (pl.String(), _nothing),
    "binary": (pl.Binary(), _binary),
    "objectid": (pl.String(), _objectid),
}
"""By type: the Polars type of the column, and what reads it."""
