"""Lengths of time: from the text in a file to Polars' own type.

Fractions finer than milliseconds are cut off.
"""

import polars as pl

from ingestd.config.source import ColumnSpec

DURATION = pl.Duration("ms")

_ISO_DURATION = (
    r"^(?P<sign>[+-])?P(?:(?P<weeks>[0-9]{1,6})W)?(?:(?P<days>[0-9]{1,6})D)?"
    r"(?:T(?:(?P<hours>[0-9]{1,9})H)?(?:(?P<minutes>[0-9]{1,9})M)?"
    r"(?:(?P<seconds>[0-9]{1,9})(?:[.,](?P<fraction>[0-9]{1,9}))?S)?)?$"
)
_CLOCK_DURATION = (
    r"^(?P<sign>[+-])?(?P<hours>[0-9]{1,9}):(?P<minutes>[0-5][0-9])"
    r"(?::(?P<seconds>[0-5][0-9])(?:\.(?P<fraction>[0-9]{1,9}))?)?$"
)
_UNIT_MS = {
    "weeks": 604_800_000, "days": 86_400_000, "hours": 3_600_000, "minutes": 60_000,
    "seconds": 1000,
}  # fmt: skip


def parse_duration(text: pl.Expr, _: ColumnSpec) -> pl.Expr:
    """``PT1H2M`` (ISO 8601, without months and years, which have no length) or ``1:02:00``."""
    is_complete = text.str.contains("[0-9]") & ~text.str.ends_with("T")
    iso = milliseconds(text.str.extract_groups(_ISO_DURATION), tuple(_UNIT_MS))
    clock = milliseconds(text.str.extract_groups(_CLOCK_DURATION), ("hours", "minutes", "seconds"))
    is_clock = text.str.contains(_CLOCK_DURATION)
    is_iso = text.str.contains(_ISO_DURATION) & is_complete
    return pl.when(is_clock).then(clock).when(is_iso).then(iso).cast(DURATION)


def milliseconds(groups: pl.Expr, units: tuple[str, ...]) -> pl.Expr:
    """The sum of the groups of a pattern: those named like ``units``, ``fraction`` and ``sign``."""
    part = groups.struct.field
    total = part("fraction").str.pad_end(3, "0").str.head(3).cast(pl.Int64).fill_null(0)
    for unit in units:
        total = total + part(unit).cast(pl.Int64).fill_null(0) * _UNIT_MS[unit]
    return pl.when(part("sign") == "-").then(-total).otherwise(total)
