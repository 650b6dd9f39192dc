"""SQL expressions: what they see, what is refused, and that one bad row stays alone."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestd.errors import ConfigError
from ingestd.records import ROW
from ingestd.validate.expressions import compile_expression, spec_of
from ingestd.validate.problems import Place
from ingestd.validate.sql import ROW_FUNCTIONS

PLACE = Place("source s", ("checks", 0, "expression"))
FRAME = pl.DataFrame(
    {
        "n": [127, None],
        "u": [1, 2],
        "f": [1.5, -2.0],
        "s": ["paid", None],
        "odd name": [1, 2],
        'a"b': [3, 4],
        "t": ["2024-01-02T03:04:05", None],
        "m": ["1.10", "2.20"],
        ROW: [4, 7],
    },
    schema_overrides={"n": pl.Int8, "u": pl.UInt32, ROW: pl.UInt32},
).with_columns(
    pl.col("t").str.to_datetime(time_unit="ms", time_zone="UTC"),
    pl.col("m").cast(pl.Decimal(10, 2)),
)
DTYPES = {name: dtype for name, dtype in FRAME.schema.items() if name != ROW}


def values(text: str) -> list[Any]:
    evaluated = compile_expression(text, DTYPES, PLACE).evaluate(FRAME)
    assert evaluated.failures == {}
    return evaluated.values.to_list()


def mistake(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        compile_expression(text, DTYPES, PLACE)
    (problem,) = caught.value.problems
    assert problem.key == "checks[0].expression"
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f / 1.2", [1.25, -2.0 / 1.2]),
        ("u / 3.0", [1 / 3, 2 / 3]),
        ("n + 1", [128, None]),
        ("u - 2", [-1, 0]),
        ("s <> 'paid' OR n IS NOT NULL", [True, None]),
        ("s IN ('paid', 'new')", [True, None]),
        ("CASE WHEN f > 0.5 THEN 'up' ELSE 'down' END", ["up", "down"]),
        ("COALESCE(s, 'it''s')", ["paid", "it's"]),
        ('"odd name" + 1', [2, 3]),
        ('"a""b" + 1', [4, 5]),
        ("t > '2024-01-01 12:00:00'", [True, None]),
        ("t > TIMESTAMP '2024-01-01 12:00:00'", [True, None]),
        ("EXTRACT(YEAR FROM t)", [2024, None]),
        ("CAST(f AS BIGINT)", [1, -2]),
        ("1.5", [1.5, 1.5]),
        ("'(' || s", ["(paid", None]),
    ],
)
def test_expression_gives(text: str, expected: list[Any]) -> None:
    assert values(text) == expected


def test_decimals_stay_exact() -> None:
    assert [str(value) for value in values("m * 1.1")] == ["1.210", "2.420"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zzz > 1", 'unable to find column "zzz" (columns: n, u, f, s, odd name, a"b, t, m)'),
        ("ff > 1", 'unable to find column "ff" (did you mean "f"?)'),
        ("SUM(n)", "SUM is not one of the functions of one row"),
        ("ROW_NUMBER() OVER (ORDER BY n)", "ROW_NUMBER is not one of the functions of one row"),
        ("RANDOM()", "RANDOM is not one of the functions of one row"),
        ("read_csv('/etc/passwd')", "READ_CSV is not one of the functions of one row"),
        ("RUOND(f, 1)", 'RUOND is not one of the functions of one row (did you mean "ROUND"?)'),
        (
            "n IN (SELECT n FROM self)",
            "SELECT is not allowed: it would see other rows "
            '(if it is a column, write "SELECT" in double quotes)',
        ),
        (
            "t < now()",
            "NOW is not allowed: a retry of the file would give another value "
            '(if it is a column, write "now" in double quotes)',
        ),
        ("n; u", "unexpected ';' (write one expression)"),
        ("n), (u", "unexpected ')' (write one expression)"),
        ("(n", "a closing parenthesis is missing"),
        ("n -- all", "comments are not allowed"),
        ("n" + "+n" * 30_000, "longer than 4000 characters (a python step has room for more)"),
        ("__row__ > 1", "__row__ is not a column"),
        ("s > 1", "cannot compare string with numeric type (i32)"),
    ],
)
def test_mistake_is_told(text: str, message: str) -> None:
    assert mistake(text).endswith(f": {message}")


@pytest.mark.parametrize("text", ["n >", "n u", "'open", "*", "n, u", "s ~ '('", "(" * 500])
def test_what_polars_refuses_is_one_short_mistake(text: str) -> None:
    assert len(mistake(text).splitlines()) == 1


def test_current_timestamp_is_refused_even_as_a_column() -> None:
    with pytest.raises(ConfigError, match="CURRENT_DATE is not allowed"):
        compile_expression("CURRENT_DATE", {"CURRENT_DATE": pl.String()}, PLACE)


def test_result_of_another_type_is_refused() -> None:
    with pytest.raises(ConfigError, match="'n \\+ 1' gives Int64, it has to give Boolean"):
        compile_expression("n + 1", DTYPES, PLACE, pl.Boolean())


CALLS = {
    **{name: f"{name}(f)" for name in (
        "ABS", "CBRT", "CEIL", "CEILING", "DEGREES", "EXP", "FLOOR", "LN", "LOG10", "LOG1P",
        "LOG2", "RADIANS", "ROUND", "SIGN", "SQRT", "COS", "SIN", "TAN", "ACOS", "ASIN", "ATAN",
    )},
    **{name: f"{name}(f, 2)" for name in ("ATAN2", "DIV", "LOG", "MOD", "POW", "POWER")},
    **{name: f"{name}(s)" for name in (
        "BIT_LENGTH", "CHAR_LENGTH", "CHARACTER_LENGTH", "INITCAP", "LENGTH", "LOWER", "LTRIM",
        "OCTET_LENGTH", "REVERSE", "RTRIM", "TRIM", "UPPER",
    )},
    **{name: f"{name}(s, 'p')" for name in (
        "CONCAT", "ENDS_WITH", "REGEXP_LIKE", "STARTS_WITH", "STRPOS",
    )},
    **{name: f"{name}(s, 2)" for name in ("LEFT", "RIGHT", "SUBSTR")},
    **{name: f"{name}(f, u)" for name in ("COALESCE", "GREATEST", "IFNULL", "LEAST", "NULLIF")},
    **{name: f"{name}(s, 9, '-')" for name in ("LPAD", "RPAD")},
    "CONCAT_WS": "CONCAT_WS('-', s, n)",
    "REPLACE": "REPLACE(s, 'a', 'b')",
    "SPLIT_PART": "SPLIT_PART(s, 'a', 1)",
    "SUBSTRING": "SUBSTRING(s FROM 2)",
    "PI": "PI()",
    "IF": "IF(f > 0, s, 'x')",
    "CAST": "CAST(f AS VARCHAR)",
    "TRY_CAST": "TRY_CAST(s AS INT)",
    "DATE": "DATE('2024-01-02', '%Y-%m-%d')",
    "DATE_PART": "DATE_PART('day', t)",
    "EXTRACT": "EXTRACT(DAY FROM t)",
    "STRFTIME": "STRFTIME(t, '%d')",
    "STRPTIME": "STRPTIME(STRFTIME(t, '%d.%m.%Y %H:%M'), '%d.%m.%Y %H:%M')",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(ROW_FUNCTIONS))
def test_allowed_function_depends_on_its_row_only(name: str) -> None:
    expression = compile_expression(CALLS[name], DTYPES, PLACE)
    together = expression.evaluate(FRAME).values.to_list()
    alone = [expression.evaluate(FRAME.slice(row, 1)).values.item() for row in range(2)]
    assert str(together) == str(alone)


@given(st.sets(st.integers(0, 40)), st.integers(1, 41))
def test_only_rows_at_fault_fail(bad: set[int], height: int) -> None:
    expression = compile_expression("DATE(s, '%Y')", {"s": pl.String()}, PLACE)
    texts = ["bad" if row in bad else None for row in range(height)]
    frame = pl.DataFrame({"s": texts, ROW: range(height)}, {"s": pl.String, ROW: pl.UInt32})
    evaluated = expression.evaluate(frame)
    assert evaluated.values.len() == height
    assert evaluated.failures.keys() == {row for row in bad if row < height}


@pytest.mark.parametrize("dtype", [pl.List(pl.Int64), pl.Struct({"a": pl.Int64}), pl.Null()])
def test_no_column_holds_nested_or_typeless_values(dtype: pl.DataType) -> None:
    assert spec_of(dtype) is None
