"""Reasons to refuse rows, as a frame: one row per reason, however many there are."""

from collections.abc import Collection, Iterable

import polars as pl

from ingestd.records import ROW, Violation

Violations = pl.DataFrame
"""``ROW`` and the fields of a ``Violation``; the reasons of one row stand in their order."""

LONGEST_MESSAGE = 1000
"""Characters that are kept of what Polars or MongoDB say of a row: they may repeat all of it."""

_SCHEMA = {ROW: pl.UInt32(), **dict.fromkeys(Violation._fields, pl.String())}


def violations_of(found: Iterable[tuple[int, Violation]]) -> Violations:
    """Reasons that were found one by one, each with its row's place in the chunk."""
    rows = [(row, *why[:-1], why.message[:LONGEST_MESSAGE]) for row, why in found]
    return pl.DataFrame(rows, _SCHEMA, orient="row") if rows else NO_VIOLATIONS


def same_violation(rows: pl.Series, why: Violation) -> Violations:
    """One reason that holds for many rows."""
    return rows.to_frame().with_columns(
        pl.lit(text, pl.String).alias(name) for name, text in why._asdict().items()
    )


def explain_missing(violations: Violations, columns: Collection[str]) -> Violations:
    """The same, but for a value that is required in a column which the file does not have."""
    if not columns:
        return violations
    is_missing = pl.col("column").is_in(list(columns)) & (pl.col("rule") == "not_null")
    told = pl.lit("the file has no such column, and a value is required")
    return violations.with_columns(
        message=pl.when(is_missing).then(told).otherwise(pl.col("message"))
    )


NO_VIOLATIONS = pl.DataFrame(schema=_SCHEMA)
