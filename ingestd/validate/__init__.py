"""Validation: the texts of a file become typed values, and rows that break a rule are refused.

A new type is one function in ``types`` or ``moments`` and one line in ``TYPES``; a new
rule is one function in ``rules``, one line in ``RULES`` and one field of ``RuleSpec``.
"""

import polars as pl

from ingestd.config.naming import nearest
from ingestd.config.source import ColumnSpec, RuleSpec, SourceSpec
from ingestd.records import ROW
from ingestd.validate import rules
from ingestd.validate.durations import DURATION, parse_duration
from ingestd.validate.expressions import compile_expression
from ingestd.validate.iso import DATETIME
from ingestd.validate.moments import (
    parse_date,
    parse_datetime,
    parse_time,
    storable_date,
    storable_datetime,
)
from ingestd.validate.problems import Place, Problems
from ingestd.validate.rules import BoundRule, ColumnContext, Rule, bind_rule
from ingestd.validate.time_formats import format_mistake
from ingestd.validate.types import (
    ColumnType,
    Group,
    decimal_dtype,
    floating_number,
    parse_binary,
    parse_bool,
    parse_decimal,
    parse_json,
    parse_objectid,
    text_type,
    whole_number,
)
from ingestd.validate.validator import (
    BoundCheck,
    BoundColumn,
    Checked,
    Validator,
    spelled_nulls,
)
from ingestd.validate.violations import NO_VIOLATIONS, Violations, explain_missing, violations_of

__all__ = [
    "NO_VIOLATIONS", "RULES", "TYPES", "Checked", "Place", "Problems", "Schema", "Validator",
    "Violations", "check_spec", "compile_validator", "dtypes_of", "explain_missing", "read_text",
    "typed_values", "unique_columns", "violations_of",
]  # fmt: skip

Schema = dict[str, ColumnSpec]
"""The columns of a frame, in order."""

TYPES: dict[str, ColumnType] = {
    "string": text_type(),
    "category": text_type(),
    "bool": ColumnType("other", lambda _: pl.Boolean(), parse_bool),
    "int8": whole_number(pl.Int8()),
    "int16": whole_number(pl.Int16()),
    "int32": whole_number(pl.Int32()),
    "int64": whole_number(pl.Int64()),
    "uint8": whole_number(pl.UInt8()),
    "uint16": whole_number(pl.UInt16()),
    "uint32": whole_number(pl.UInt32()),
    "float32": floating_number(pl.Float32()),
    "float64": floating_number(pl.Float64()),
    "decimal": ColumnType("number", decimal_dtype, parse_decimal),
    "date": ColumnType("moment", lambda _: pl.Date(), parse_date, storable_date),
    "datetime": ColumnType("moment", lambda _: DATETIME, parse_datetime, storable_datetime),
    "time": ColumnType("moment", lambda _: pl.Time(), parse_time),
    "duration": ColumnType("moment", lambda _: DURATION, parse_duration),
    "json": ColumnType("other", lambda _: pl.String(), parse_json),
    "binary": ColumnType("other", lambda _: pl.Binary(), parse_binary),
    "objectid": ColumnType("other", lambda _: pl.Binary(), parse_objectid),
}

_ORDERED: tuple[Group, ...] = ("number", "moment")
_VALUED: tuple[Group, ...] = ("text", "number", "moment")
RULES: dict[str, Rule] = {
    "not_null": Rule(rules.is_missing, "a value is required", rules.as_it_is),
    "min": Rule(rules.is_below, "{value} is below min {limit}", rules.one_value, _ORDERED),
    "max": Rule(rules.is_above, "{value} is above max {limit}", rules.one_value, _ORDERED),
    "exclusive_min": Rule(
        rules.is_at_or_below, "{value} is not above {limit}", rules.one_value, _ORDERED
    ),
    "exclusive_max": Rule(
        rules.is_at_or_above, "{value} is not below {limit}", rules.one_value, _ORDERED
    ),
    "one_of": Rule(
        rules.is_none_of, "{value} is not one of {limit}", rules.many_values, _VALUED
    ),
    "not_one_of": Rule(
        rules.is_any_of, "{value} is one of {limit}", rules.many_values, _VALUED
    ),
    "matches": Rule(
        rules.is_unmatched, "{value} does not match {limit}", rules.pattern, ("text",)
    ),
    "min_length": Rule(
        rules.is_shorter, "{value} is shorter than {limit} characters", rules.as_it_is, ("text",)
    ),
    "max_length": Rule(
        rules.is_longer, "{value} is longer than {limit} characters", rules.as_it_is, ("text",)
    ),
}  # fmt: skip


def compile_validator(source: SourceSpec) -> Validator:
    """The source's types, rules and checks; raises ``ConfigError`` with every mistake."""
    problems, place = Problems(), Place(f"source {source.name}")
    for name in source.validation_rules.keys() - source.columns.keys():
        with problems.gathered():
            hint = nearest(name, source.columns)
            raise place.at("validation_rules", name).error("is not a column of the schema", hint)
    columns, checks = [], []
    for name in source.columns:
        with problems.gathered():
            columns.append(_bind_column(name, source, place))
    dtypes = dtypes_of(source.columns)
    for index, check in enumerate(source.checks):
        with problems.gathered():
            key = place.at("checks", index, "expression")
            expression = compile_expression(check.expression, dtypes, key, pl.Boolean())
            message = check.message or f"{check.expression} is false"
            checks.append(BoundCheck(f"check:{check.name}", expression, message))
    problems.raise_any()
    return Validator(tuple(columns), tuple(checks))


def unique_columns(source: SourceSpec) -> tuple[str, ...]:
    """The columns of which no two rows of one file may share a value."""
    return tuple(name for name, rule in source.validation_rules.items() if rule.unique)


def typed_values(source: SourceSpec, frame: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
    """The parsed values of some columns and ``ROW``; null for nulls and what does not parse."""
    values = [read_text(name, source) for name in columns]
    texts = frame.lazy().with_columns(spelled_nulls({c: source.columns[c] for c in columns}))
    return texts.select(*values, ROW).collect(engine="in-memory")


def dtypes_of(schema: Schema) -> dict[str, pl.DataType]:
    """The Polars type of every column."""
    return {name: TYPES[spec.type].dtype(spec) for name, spec in schema.items()}


def read_text(name: str, source: SourceSpec) -> pl.Expr:
    """The values of a column of texts."""
    spec = source.as_written(name)
    return TYPES[spec.type].read(pl.col(name), spec).alias(name)


def check_spec(spec: ColumnSpec, place: Place) -> None:
    """Refuse a column whose options contradict each other."""
    if spec.formats and spec.type not in ("date", "time", "datetime"):
        raise place.at("format").error(f"format has no meaning for {spec.type}")
    if mistake := format_mistake(spec, TYPES[spec.type].parse):
        raise place.at("format").error(mistake)
    if spec.type == "decimal" and spec.scale > spec.precision:
        raise place.at("scale").error(f"{spec.scale} is more than precision {spec.precision}")
    both = {word.lower() for word in spec.true_values} & {
        word.lower() for word in spec.false_values
    }
    if both:
        raise place.at("true_values").error(f"{', '.join(sorted(both))} is also in false_values")


def _bind_column(name: str, source: SourceSpec, place: Place) -> BoundColumn:
    spec = source.as_written(name)
    check_spec(spec, place.at("schema", name))
    type_ = TYPES[spec.type]
    context = ColumnContext(name, spec, type_, place.at("validation_rules", name))
    limits = source.validation_rules.get(name, RuleSpec())
    return BoundColumn(name, spec, type_, read_text(name, source), _bind_rules(context, limits))


def _bind_rules(column: ColumnContext, limits: RuleSpec) -> tuple[BoundRule, ...]:
    problems, bound = Problems(), []
    for name, rule in RULES.items():
        limit = getattr(limits, name)
        if limit is not None and limit is not False:
            with problems.gathered():
                bound.append(bind_rule(name, rule, limit, column))
    problems.raise_any()
    return tuple(bound)
