"""Which type each column gets, and the ``[csv]`` options that all columns together need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ingestd.config.source import ColumnTypeName
from ingestd.infer.evidence import Evidence
from ingestd.infer.kinds import NUMBER_STYLES, STRING, USUAL_NULLS, Kind, is_day_or_month_first

_LONGEST_CODE = 3
_STYLE = ("decimal", "thousands")
_USUAL_MARKS = (".", "")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the source to be: its type and what was seen of it."""

    evidence: Evidence
    kind: Kind
    doubts: tuple[str, ...] = ()
    """What a person should look at."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """How its numbers are written, where that is unlike the rest of the file."""
    null_values: tuple[str, ...] = ()
    """Texts that mean "no value" in this column alone."""
    nulls: int = 0
    """Rows with a text that means "no value"."""

    @property
    def name(self) -> str:
        return self.evidence.name

    @property
    def type(self) -> ColumnTypeName:
        return self.kind.spec.type

    @property
    def is_ambiguous(self) -> bool:
        """Whether its values can be read in another way just as well."""
        return any(doubt.startswith("AMBIGUOUS") for doubt in self.doubts)

    @property
    def is_text(self) -> bool:
        return self.type in ("string", "category")

    @property
    def description(self) -> dict[str, Any]:
        """The type with its options, as the schema says it."""
        options = self.kind.spec.model_dump(exclude_unset=True, exclude=set(_STYLE))
        nulls = {"null_values": self.null_values} if self.null_values else {}
        return options | dict(self.marks) | nulls

    @property
    def empty(self) -> int:
        """Rows in which the column is null."""
        return self.evidence.empty + self.nulls

    @property
    def is_unique(self) -> bool:
        evidence = self.evidence
        return self.empty == 0 and evidence.rows > 1 and evidence.distinct == evidence.rows

    @property
    def bounds(self) -> tuple[Any, Any]:
        """The least and the greatest value; of texts their least and greatest length."""
        return (None, None) if self.is_text else self.evidence.bounds(self.kind)


@dataclass(frozen=True, slots=True)
class Decision:
    """The columns in order, and the options of ``[csv]`` that their types need."""

    columns: tuple[Column, ...]
    csv: dict[str, Any]


def decide(gathered: Sequence[Evidence], delimiter: str = ",") -> Decision:
    """The narrowest types that all values fit, and what they have to be read with."""
    style = _number_style(gathered, delimiter)
    columns = _typed(gathered, style)
    csv: dict[str, Any] = {
        option: mark
        for option, mark, usual in zip(_STYLE, style.marks, _USUAL_MARKS, strict=True)
        if mark != usual
    }
    if any(column.evidence.has_blanks for column in columns if column.kind is not STRING):
        csv["trim"] = True
    return _with_nulls(columns, csv)


def typed_columns(gathered: Sequence[Evidence]) -> list[Column]:
    """The narrowest types that all values fit, where nothing else has to be said."""
    return _typed(gathered, _number_style(gathered, ","))


def _typed(gathered: Sequence[Evidence], style: "_Style") -> list[Column]:
    is_day_first = _is_day_first(gathered, style)
    return [_column(evidence, style, is_day_first) for evidence in gathered]


def _with_nulls(columns: Sequence[Column], csv: dict[str, Any]) -> Decision:
    """What means "no value": for the whole file where that takes no column a value, else for each.

    A text does in columns of other types than string; in strings too if it is a usual one, unless
    the column holds codes, of which ``NA`` may be one.
    """
    typed = [column for column in columns if column.kind is not STRING]
    found = dict.fromkeys(null for column in typed for null in column.evidence.null_spellings)
    columns = [_with_own_nulls(column, found) for column in columns]
    of_all = [
        null for null in found
        if all(null in c.null_values for c in columns if null in c.evidence.null_spellings)
    ]  # fmt: skip
    if of_all:
        csv["null_values"] = ["", *of_all]
    own = tuple(
        replace(c, null_values=tuple(null for null in c.null_values if null not in of_all))
        for c in columns
    )
    return Decision(own, csv)


def _with_own_nulls(column: Column, found: Mapping[str, object]) -> Column:
    spellings = column.evidence.null_spellings
    if column.kind is not STRING:
        return replace(column, null_values=tuple(spellings), nulls=spellings.total())
    if not column.evidence.filled or column.evidence.longest <= _LONGEST_CODE:
        return column
    nulls = tuple(null for null in spellings if null in found and null in USUAL_NULLS)
    return replace(column, null_values=nulls, nulls=sum(spellings[null] for null in nulls))


@dataclass(frozen=True, slots=True)
class _Style:
    """Decimal point and mark between thousands, and whether others may be meant."""

    marks: tuple[str, str]
    is_doubtful: bool


def _number_style(gathered: Sequence[Evidence], delimiter: str) -> _Style:
    """How most columns of numbers write them.

    Where ``1,234`` is all that is seen, it is taken for a thousand, not for one and a fraction, and
    ``1.234`` for one and a fraction. Between semicolons it is the other way round: whoever writes
    these needs the comma for fractions.
    """
    numbers = [kinds for evidence in gathered if (kinds := _numbers_in(evidence))]
    fits = [
        sum(any(kind.is_of_style(*style) for kind in kinds) for kinds in numbers)
        for style in NUMBER_STYLES
    ]
    equal = [style for style, fit in zip(NUMBER_STYLES, fits, strict=True) if fit == max(fits)]
    has_marks = any(all(kind.style for kind in kinds) for kinds in numbers)
    commas = [style for style in equal if style[0] == ","]
    best = commas[0] if commas and has_marks and delimiter == ";" else equal[0]
    is_doubtful = bool(commas) and len(commas) < len(equal) and has_marks
    return _Style(best, is_doubtful and (delimiter != "," or best == (".", ",")))


def _numbers_in(evidence: Evidence) -> list[Kind]:
    return [kind for kind in evidence.kinds if kind.is_number]


def _is_day_first(gathered: Sequence[Evidence], style: _Style) -> bool | None:
    """What a column says in which only one order is possible; None where none does."""
    for evidence in gathered:
        formats = [kind.format for kind in evidence.kinds]
        orders = {format_[:2] for format_ in formats if is_day_or_month_first(format_)}
        if len(orders) == 1:
            return orders == {"%d"}
    return True if style.marks[0] == "," else None


def _column(evidence: Evidence, style: _Style, is_day_first: bool | None) -> Column:
    kinds = sorted(evidence.kinds, key=lambda kind: not kind.is_of_style(*style.marks))
    if not kinds:
        return Column(evidence, STRING)
    kind = kinds[0]
    if is_day_or_month_first(kind.format):
        return _moment_column(evidence, kinds, is_day_first)
    own = {
        option: mark
        for option, mark, of_file in zip(_STYLE, kind.style or (), style.marks, strict=False)
        if not kind.is_of_style(*style.marks) and mark != of_file
    }
    has_other = len({other.style[0] for other in kinds if other.is_number and other.style}) > 1
    is_doubtful = style.is_doubtful and has_other and kind.is_of_style(*style.marks)
    doubts = (_doubt_about_marks(kind.style),) if is_doubtful and kind.style else ()
    return Column(evidence, kind, doubts, own)


def _doubt_about_marks(style: tuple[str, str]) -> str:
    taken, other = ("thousands", "fractions") if style[1] else ("fractions", "thousands")
    return f"AMBIGUOUS: taken for {taken}, not for {other}"


def _moment_column(
    evidence: Evidence, kinds: Sequence[Kind], is_day_first: bool | None
) -> Column:  # fmt: skip
    """A date whose day and month are told apart by the values, by other columns, or not at all."""
    first = {kind.format[1:2]: kind for kind in reversed(kinds)}
    if len({"d", "m"} & first.keys()) == 1:
        return Column(evidence, kinds[0])
    if is_day_first is not None:
        doubt = "day and month in the order of the other columns: no value of this one tells"
        return Column(evidence, first["d" if is_day_first else "m"], (doubt,))
    usual = "m" if "/" in kinds[0].format else "d"
    doubt = "AMBIGUOUS: no value tells the day from the month"
    return Column(evidence, first[usual], (doubt,))
