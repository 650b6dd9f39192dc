"""The kinds of values that a column may hold: a type, its options, and what its texts look like.

The daemon's own parsers decide whether a text can be read. The shape is narrower: it keeps out
texts that could be read, but not without loss (``007``, ``1e5``, a 20-digit number).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from ingestd.config.source import ColumnSpec
from ingestd.validate import TYPES

NULL_SPELLINGS = (
    "NA", "N/A", "n/a", "na", "N.A.", "#N/A", "#N/A N/A", "<NA>", "NaN", "nan", "NAN", "-NaN",
    "#NA", "NULL", "Null", "null", "(null)", "NONE", "None", "none", "nil", "\\N", "-", "--", "---",
    "\u2014", "\u2013", "?", ".", "..", "...", "*", "missing", "unknown",
    "#VALUE!", "#DIV/0!", "#REF!",
)  # fmt: skip
"""Texts that mean "no value" in columns whose other texts are not words."""
USUAL_NULLS = ("NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "Null", "null", "\\N")
"""Those that programs write for it, also between words."""

_WORDS = (
    ("true", "false"), ("t", "f"), ("yes", "no"), ("y", "n"), ("on", "off"),
    ("ja", "nein"), ("oui", "non"), ("sí", "no"), ("si", "no"), ("wahr", "falsch"),
    ("vrai", "faux"), ("verdadero", "falso"),
)  # fmt: skip

_INT = r"(?:-?(?:0|[1-9][0-9]{0,18})|\+[1-9][0-9]{0,5})"
_FLOAT = (
    r"(?:(?:-?(?:0|[1-9][0-9]{0,14})|\+(?:0|[1-9][0-9]{0,5}))(?:P[0-9]*)?|[+-]?P[0-9]+)"
    r"(?:[eE][+-][0-9]{1,3})?"
    r"|[+-]?[0-9]P[0-9]+[eE][0-9]{1,3}"
)
"""With ``P`` for the decimal point. An exponent has a sign, or the number a fraction."""
_GROUPED = r"-?(?:0|[1-9][0-9]{0,2}(?:T[0-9]{3}){0,5}|[1-9][0-9]{0,14})"
"""With ``T`` for what stands between thousands."""
NUMBER_STYLES = (
    (".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "'"),
)  # fmt: skip
"""Decimal points, and what stands between thousands; where several fit, the first is meant."""
_BLANKS = " \u00a0\u202f"
_MARKS = {" ": _BLANKS, "'": "'\u2019"}
"""Marks that are written in several ways."""

_D, _Y, _MONTH, _LONG_MONTH = "[0-9]{1,2}", "[0-9]{4}", "[A-Za-z]{3}", "[A-Za-z]{3,9}"
_DATES = (
    *((f"%Y{s}%m{s}%d", f"{_Y}{re.escape(s)}{_D}{re.escape(s)}{_D}") for s in "-/."),
    *(
        (f"{order[0]}{s}{order[1]}{s}{year}", f"{_D}{re.escape(s)}{_D}{re.escape(s)}{shape}")
        for s in "./-"
        for order in (("%d", "%m"), ("%m", "%d"))
        for year, shape in (("%Y", _Y), ("%y", "[0-9]{2}"))
    ),
    *(
        (f"%d{s}%b{s}{year}", f"{_D}{s}{_MONTH}{s}{shape}")
        for s in (" ", "-", "/", "")
        for year, shape in (("%Y", _Y), ("%y", "[0-9]{2}"))
    ),
    ("%b %d, %Y", f"{_MONTH} {_D}, {_Y}"),
    ("%b %d %Y", f"{_MONTH} {_D} {_Y}"),
    ("%B %d, %Y", f"{_LONG_MONTH} {_D}, {_Y}"),
    ("%d %B %Y", f"{_D} {_LONG_MONTH} {_Y}"),
    ("%d-%B-%Y", f"{_D}-{_LONG_MONTH}-{_Y}"),
    ("%a, %d %b %Y", f"{_MONTH}, {_D} {_MONTH} {_Y}"),
    ("%a %b %d %Y", f"{_MONTH} {_MONTH} {_D} {_Y}"),
    ("%A, %B %d, %Y", f"[A-Za-z]{{6,9}}, {_LONG_MONTH} {_D}, {_Y}"),
)
_TIMES = (
    ("%H:%M", "[0-9]{1,2}:[0-9]{2}"),
    ("%H:%M:%S", "[0-9]{1,2}:[0-9]{2}:[0-9]{2}"),
    ("%H:%M:%S.%f", r"[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"),
    ("%I:%M %p", "[0-9]{1,2}:[0-9]{2} [AaPp][Mm]"),
    ("%I:%M:%S %p", "[0-9]{1,2}:[0-9]{2}:[0-9]{2} [AaPp][Mm]"),
    ("%I:%M%p", "[0-9]{1,2}:[0-9]{2}[AaPp][Mm]"),
)
_ZONES = (("", ""), ("%z", "(?:Z|[+-][0-9]{2}:?[0-9]{2})"), (" %z", " [+-][0-9]{2}:?[0-9]{2}"))
_SEPARATORS = (" ", "T", ", ", "  ")
_COMPACT_DATE = "(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_CURRENCY = "[$\u20ac\u00a3\u00a5\u20b9]|USD|EUR|GBP|CHF|JPY"
_DATE_NAME = re.compile(r"(?i)(?:^|_|\b)(?:date|day|datum|fecha|data|dt)(?:$|_|\b)|date$")


@dataclass(frozen=True)
class Kind:
    """A column as the source would describe it."""

    spec: ColumnSpec
    shape: str

    @property
    def format(self) -> str:
        """How moments are written; empty for all else, and for ISO 8601."""
        return "".join(self.spec.formats)

    @property
    def style(self) -> tuple[str, str] | None:
        """Decimal point and mark between thousands; None where it does not matter."""
        if self.spec.decimal is None:
            return None
        return self.spec.decimal, self.spec.thousands or ""

    @property
    def is_number(self) -> bool:
        return self.spec.type in ("int64", "float64")

    def is_of_style(self, point: str, mark: str) -> bool:
        """Whether a file that writes its numbers so can write these values."""
        return self.style is None or self.style in ((point, mark), (point, ""))

    def includes(self, other: "Kind") -> bool:
        """Whether it reads all texts of the other kind, and as the same values."""
        if self.style is None or self.spec.percent or self.spec.currency:
            return False
        if other.spec.type == "int64" and other.style is None:
            return True
        return self.spec.type == other.spec.type == "float64" and other.style == (self.style[0], "")

    def read(self, texts: pl.Series) -> pl.Series | None:
        """The values of texts, which are not null; None where one is not of this kind."""
        if not texts.str.contains(f"^(?:{self.shape})$").all():
            return None
        values = self._values(texts)
        return None if values is None or values.null_count() else values

    def misfits(self, texts: pl.Series) -> pl.Series:
        """Those of the texts that are not of this kind; all of them where that cannot be told."""
        is_shaped = texts.str.contains(f"^(?:{self.shape})$")
        shaped = texts.filter(is_shaped)
        values = self._values(shaped)
        if values is None:
            return texts
        return texts.filter(~is_shaped).append(shaped.filter(values.is_null()))

    def _values(self, texts: pl.Series) -> pl.Series | None:
        try:
            value = TYPES[self.spec.type].read(pl.col("value"), self.spec)
            return texts.to_frame("value").select(value).to_series()
        except pl.exceptions.PolarsError:  # some formats fail as a whole on texts of another length
            return None


ANYTHING = "(?s:.*)"
"""A shape that leaves it to the parser."""

STRING = Kind(ColumnSpec(type="string"), ANYTHING)


def possible_kinds(text: str, name: str) -> list[Kind]:
    """The kinds that the first value of a column allows, the narrowest first."""
    kinds = [*_DATES_WITHOUT_MARKS] if _DATE_NAME.search(name) else []
    kinds += _PLAIN
    kinds += _signed_numbers(text)
    kinds += _IN_PARENTHESES if text.startswith("(") else ()
    kinds += _moments(text)
    kinds += _LAST
    kinds += _JSON if text[:1] in ("[", "{", '"') else ()
    return [kind for kind in kinds if re.fullmatch(kind.shape, text)]


def is_day_or_month_first(format_: str) -> bool:
    """Whether day and month are told apart by their order alone."""
    return re.match(r"%[dm]([./-])%[dm]\1", format_) is not None


def _kind(shape: str, type_: str, **options: Any) -> Kind:
    return Kind(ColumnSpec.model_validate({"type": type_, **options}), shape)


def _bool(true: str, false: str) -> Kind:
    kind = _kind(f"(?i:{true}|{false})", "bool")
    is_usual = true in kind.spec.true_values and false in kind.spec.false_values
    if is_usual:
        return kind
    return _kind(kind.shape, "bool", true_values=[true], false_values=[false])


def _numbers(point: str, mark: str) -> Iterator[Kind]:
    """Numbers of one style: with marks between thousands, or small enough to have none."""
    style = {"decimal": point, "thousands": mark}
    if not mark:
        yield _kind(_FLOAT.replace("P", re.escape(point)), "float64", decimal=point)
        return
    shape = _GROUPED.replace("T", f"[{_MARKS.get(mark, mark)}]")
    yield _kind(shape, "int64", **style)
    yield _kind(rf"{shape}(?:{re.escape(point)}[0-9]*)?", "float64", **style)


def _signed_numbers(text: str) -> Iterator[Kind]:
    """Numbers with a sign of currency or of percent, in every style."""
    found = re.search(_CURRENCY, text)
    for point, mark in NUMBER_STYLES if found or text.endswith("%") else ():
        style = {"decimal": point, "thousands": mark} if mark else {"decimal": point}
        digits = f"[0-9{_BLANKS}{point}{_MARKS.get(mark, mark)}]+"
        if found:
            # which of these are well written, the daemon's own parser knows
            shape = rf"[-+(]*(?:{re.escape(found[0])})?[-+({_BLANKS}]*{digits}[^0-9]*"
            yield _kind(shape, "float64", currency=found[0], **style)
            yield _kind(shape, "float64", currency=found[0], accounting=True, **style)
        else:
            yield _kind(f"[+-]?{digits}%", "float64", percent=True, **style)


def _in_parentheses(kind: Kind) -> Kind:
    """The numbers of that kind, in parentheses where they are negative."""
    shape = rf"{kind.shape}|\((?:{kind.shape})\)"
    return Kind(kind.spec.model_copy(update={"accounting": True}), shape)


def _moments(text: str) -> Iterator[Kind]:
    """Dates, and dates with times, in the formats that the text may be written in."""
    for date, shape in _DATES:
        found = re.match(shape, text)
        if found and found.end() == len(text):
            yield _kind(shape, "date", format=date)
        elif found:
            yield from _moments_of_day(date, shape, text[found.end() :])


def _moments_of_day(date: str, shape: str, rest: str) -> Iterator[Kind]:
    for separator in _SEPARATORS:
        for time, time_shape in _TIMES:
            for zone, zone_shape in _ZONES:
                if re.fullmatch(separator + time_shape + zone_shape, rest):
                    yield _kind(
                        shape + separator + time_shape + zone_shape, "datetime",
                        format=date + separator + time + zone,
                    )  # fmt: skip


_DATES_WITHOUT_MARKS = (_kind(_COMPACT_DATE, "date", format="%Y%m%d"),)
_NUMBERS = (
    _kind(_INT, "int64"),
    *(kind for style in NUMBER_STYLES for kind in _numbers(*style)),
)
_IN_PARENTHESES = tuple(map(_in_parentheses, _NUMBERS))
_PLAIN = (
    *(_bool(*pair) for pair in _WORDS),
    *_NUMBERS,
    _kind("[0-9]{4}-[0-9]{2}-[0-9]{2}", "date"),
    _kind("[0-9]{4}-[0-9]{2}-[0-9]{2}.*", "datetime"),
)
_LAST = (
    _kind("[0-9]{2}:.*", "time"),
    *(_kind(shape, "time", format=time) for time, shape in _TIMES),
    _kind("[+-]?P.*", "duration"),
)
_JSON = (_kind(r'(?s:[\[{"].*|-?[0-9][0-9.eE+-]*|true|false)', "json"),)
