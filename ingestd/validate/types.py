"""Column types: what a text becomes, and what BSON can hold of it.

``TYPES`` in the package names them all. Reading is strict: a text that does not stand for
one value of the type becomes null, which the validator tells from a null in the file. Only
floats are rounded, to the nearest that there is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from itertools import product
from typing import Any, Literal, TypeAlias

import polars as pl

from ingestd.config.source import ColumnSpec
from ingestd.validate.json_texts import is_storable_json
from ingestd.validate.numbers import as_literal, number_like, plain_number

Group = Literal["text", "number", "moment", "other"]
"""What may be asked of a type: lengths and patterns of texts, order of numbers and moments."""

Hint: TypeAlias = tuple[pl.Expr, str]
"""Which texts it is for, and a question or an advice about them."""

LONGEST_VALUE = 200
"""Characters of a refused value that are kept."""

_SHORT_WORD = 6
"""Letters of a word that has 64 spellings."""

_PLAIN = r"^[ -&(-\[\]-~]*$"
"""Printable ASCII without ``'`` and ``\\``: what ``repr`` puts into quotes and leaves alone."""


def _as_it_is(value: pl.Expr) -> pl.Expr:
    return value


@dataclass(frozen=True, slots=True)
class ColumnType:
    """One type: its Polars dtype, how its texts are parsed and what of it can be stored."""

    group: Group
    dtype: Callable[[ColumnSpec], pl.DataType]
    parse: Callable[[pl.Expr, ColumnSpec], pl.Expr]
    storable: Callable[[pl.Expr], pl.Expr] = _as_it_is

    def read(self, text: pl.Expr, spec: ColumnSpec) -> pl.Expr:
        """Typed values of a String expression; null where a text is not one of the type."""
        return self.storable(self.parse(text, spec))


def text_type() -> ColumnType:
    """Texts, kept as they stand."""
    return ColumnType("text", lambda _: pl.String(), lambda text, _: text)


def whole_number(dtype: pl.DataType) -> ColumnType:
    """Digits with an optional sign; ``42.0`` and ``1e5`` are not whole numbers here."""
    return ColumnType("number", lambda _: dtype, partial(_parse_number, dtype=dtype))


def floating_number(dtype: pl.DataType) -> ColumnType:
    """Finite numbers; ``nan`` and ``inf`` are none, nor is what overflows to them."""
    return ColumnType(
        "number",
        lambda _: dtype,
        partial(_parse_number, dtype=dtype),
        lambda value: pl.when(value.is_finite()).then(value),
    )


def decimal_dtype(spec: ColumnSpec) -> pl.DataType:
    """Exact numbers with ``precision`` digits, ``scale`` of them after the point."""
    return pl.Decimal(spec.precision, spec.scale)


def parse_decimal(text: pl.Expr, spec: ColumnSpec) -> pl.Expr:
    """Exact: more digits after the point than ``scale`` do not parse, unless they are zeros."""
    text = plain_number(text, spec)
    is_exact = text.str.contains(rf"^[+-]?[0-9]*(?:\.[0-9]{{0,{spec.scale}}}0*)?$")
    return pl.when(is_exact).then(text.cast(decimal_dtype(spec), strict=False))


def _parse_number(text: pl.Expr, spec: ColumnSpec, dtype: pl.DataType) -> pl.Expr:
    return plain_number(text, spec).cast(dtype, strict=False)


def parse_bool(text: pl.Expr, spec: ColumnSpec) -> pl.Expr:
    """One of the column's ``true_values`` or ``false_values``, in upper or lower case."""
    is_true, is_false = _is_word(text, spec.true_values), _is_word(text, spec.false_values)
    return pl.when(is_true).then(True).when(is_false).then(False)


def _is_word(text: pl.Expr, words: Sequence[str]) -> pl.Expr:
    """Looking a text up among all spellings of short words is faster than lowering its case."""
    if all(word.isascii() and len(word) <= _SHORT_WORD for word in words):
        return text.is_in([spelling for word in words for spelling in _spellings(word)])
    return text.str.to_lowercase().is_in([word.lower() for word in words])


def _spellings(word: str) -> list[str]:
    """``no``, ``nO``, ``No`` and ``NO``."""
    return ["".join(letters) for letters in product(*({c.lower(), c.upper()} for c in word))]


def parse_binary(text: pl.Expr, spec: ColumnSpec) -> pl.Expr:
    """Bytes, written in hexadecimal or base64 (RFC 4648, section 4, with padding)."""
    return text.str.decode(spec.encoding, strict=False)


def parse_objectid(text: pl.Expr, _: ColumnSpec) -> pl.Expr:
    """24 hexadecimal digits, as 12 bytes."""
    decoded = text.str.decode("hex", strict=False)
    return pl.when(decoded.bin.size() == 12).then(decoded)


def parse_json(text: pl.Expr, _: ColumnSpec) -> pl.Expr:
    """The text itself where it is JSON (RFC 8259) that BSON can hold."""
    return pl.when(text.map_batches(is_storable_json, return_dtype=pl.Boolean)).then(text)


def describe(spec: ColumnSpec) -> str:
    """What a value of the column has to be, for messages: ``an int64``."""
    if spec.type == "json":
        return "JSON"
    article = "an" if spec.type[0] in "io" else "a"
    details = {
        "decimal": f"({spec.precision}, {spec.scale})",
        "bool": f" ({', '.join((*spec.true_values, *spec.false_values))})",
        "binary": f" in {spec.encoding}",
        "objectid": " (24 hexadecimal digits)",
        # a time that its clocks skipped is the one mistake that cannot be seen
        "datetime": "" if spec.timezone == "UTC" else f" in {spec.timezone}",
    }
    like = f" like {' or '.join(spec.formats)}" if spec.formats else number_like(spec)
    return f"{article} {spec.type}{details.get(spec.type, '')}{like}"


def kept(text: str | None) -> str | None:
    """As much of a refused value as a violation keeps."""
    return None if text is None else text[:LONGEST_VALUE]


def shown(text: str | None) -> str:
    """A value in a message: short, on one line, and told from its surroundings."""
    if text is None:
        return "null"
    return repr(text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…")


def kept_texts(texts: pl.Series) -> pl.Series:
    """``kept`` of many."""
    return texts.str.head(LONGEST_VALUE)


def shown_texts(texts: pl.Series) -> pl.Series:
    """``shown`` of many; Python only looks at those that do not stand as they are in quotes."""
    is_plain = texts.str.contains(_PLAIN) & (texts.str.len_bytes() <= LONGEST_VALUE)
    odd = is_plain.not_().fill_null(True).arg_true()
    return ("'" + texts + "'").scatter(odd, [shown(text) for text in texts.gather(odd)])


def read_literal(value: object, spec: ColumnSpec, column_type: ColumnType) -> Any:
    """A value from the configuration as one of the column's type, or None if it is none.

    Numbers are written as such, moments as TOML's own or as ISO 8601 text.
    """
    if spec.type == "bool":
        return value if isinstance(value, bool) else None
    text = _literal_text(value, column_type.group)
    if text is None:
        return None
    return pl.select(column_type.read(pl.lit(text, pl.String), as_literal(spec))).item()


def _literal_text(value: object, group: Group) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _number_text(value) if group == "number" else None
    if isinstance(value, date | datetime | time):
        return value.isoformat() if group == "moment" else None
    return value if isinstance(value, str) else None


def _number_text(value: int | float) -> str:
    """All digits and no exponent, which decimals do not read."""
    return format(Decimal(repr(value)), "f")
