"""Steps: what each makes of a frame, which rows it refuses, and what cannot be asked."""

import hashlib
import hmac
import json
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import reasons_by_row

from ingestd.config.source import SourceSpec
from ingestd.errors import ConfigError, FileRefused
from ingestd.records import ROW, Violation
from ingestd.transform import Transformed, compile_transform
from ingestd.validate import compile_validator, dtypes_of

SCHEMA: dict[str, Any] = {
    "id": "string",
    "qty": "int8",
    "amount": "float64",
    "price": {"type": "decimal", "precision": 10, "scale": 2},
    "day": "date",
    "at": "datetime",
    "ok": "bool",
}
ROWS = [
    {"id": " Ab ", "qty": "100", "amount": "2.5", "price": "1.10", "day": "2024-01-31",
     "at": "2024-01-31T12:34:56.789", "ok": "true"},
    {"id": "x;y", "qty": "-3", "amount": "0", "price": "2.25", "day": "2024-02-29",
     "at": "2024-02-29", "ok": "false"},
    {},
]  # fmt: skip
KEY = "0123456789abcdef"

Module = Callable[[str, Any], str]


def source_of(*steps: dict[str, Any], **more: Any) -> SourceSpec:
    fields = {"name": "orders", "file_pattern": "orders/*.csv", "schema": SCHEMA}
    return SourceSpec.model_validate({**fields, "transform": list(steps), **more})


def apply(*steps: dict[str, Any]) -> Transformed:
    source = source_of(*steps)
    texts = pl.DataFrame(
        {name: [row.get(name) for row in ROWS] for name in SCHEMA} | {ROW: range(len(ROWS))},
        {**dict.fromkeys(SCHEMA, pl.String()), ROW: pl.UInt32()},
    )
    transform = compile_transform(source)
    transformed = transform.apply(compile_validator(source).check(texts).good)
    assert transformed.frame.schema == {**dtypes_of(transform.schema), ROW: pl.UInt32}
    return transformed


def column(name: str, *steps: dict[str, Any]) -> list[Any]:
    transformed = apply(*steps)
    assert transformed.rejected.is_empty()
    return transformed.frame[name].to_list()


def mistakes(*steps: dict[str, Any], **more: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compile_transform(source_of(*steps, **more))
    return [
        f"{p.key}: {p.message}{f' ({p.hint})' if p.hint else ''}" for p in caught.value.problems
    ]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Module:
    """Makes a function importable, as a user's own module would be."""

    def make(name: str, function: Any) -> str:
        made = ModuleType("their_steps")
        setattr(made, name, function)
        monkeypatch.setitem(sys.modules, "their_steps", made)
        return f"their_steps:{name}"

    return make


@pytest.mark.parametrize(
    ("name", "step", "expected"),
    [
        ("amount", {"round": {"amount": 0}}, [2.0, 0.0, None]),
        ("price", {"round": {"price": 1}}, [Decimal("1.1"), Decimal("2.2"), None]),
        ("id", {"trim": ["id"]}, ["Ab", "x;y", None]),
        ("id", {"lower": ["id"]}, [" ab ", "x;y", None]),
        ("id", {"upper": "id"}, [" AB ", "X;Y", None]),
        ("order", {"rename": {"id": "order"}}, [" Ab ", "x;y", None]),
        ("id", {"cast": {"id": "category"}}, [" Ab ", "x;y", None]),
        ("qty", {"cast": {"qty": "string"}}, ["100", "-3", None]),
        ("qty", {"cast": {"qty": "float32"}}, [100.0, -3.0, None]),
        ("ok", {"cast": {"ok": "int64"}}, [1, 0, None]),
        ("day", {"cast": {"day": "string"}}, ["2024-01-31", "2024-02-29", None]),
        (
            "at",
            {"cast": {"at": "string"}},
            ["2024-01-31T12:34:56.789Z", "2024-02-29T00:00:00.000Z", None],
        ),
        ("at", {"cast": {"at": "date"}}, [date(2024, 1, 31), date(2024, 2, 29), None]),
        (
            "day",
            {"cast": {"day": "datetime"}},
            [datetime(2024, 1, 31, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC), None],
        ),
        (
            "amount",
            {"cast": {"amount": {"type": "decimal", "scale": 1}}},
            [Decimal("2.5"), Decimal(0), None],
        ),
        ("net", {"set": {"net": "amount / 2"}}, [1.25, 0.0, None]),
        ("qty", {"set": {"qty": "qty * 2"}}, [200, -6, None]),
        ("gross", {"set": {"gross": "price * 1.2"}}, [Decimal("1.32"), Decimal("2.7"), None]),
        ("day", {"set": {"day": "CAST(at AS DATE)"}}, [date(2024, 1, 31), date(2024, 2, 29), None]),
        ("at", {"set": {"at": "at"}}, [
            datetime(2024, 1, 31, 12, 34, 56, 789_000, UTC), datetime(2024, 2, 29, tzinfo=UTC), None
        ]),
        ("kind", {"set": {"kind": "'EUR'"}}, ["EUR"] * 3),
        ("n", {"set": {"n": {"expression": "NULL", "type": "int64"}}}, [None] * 3),
        ("n", {"set": {"n": {"expression": "amount * 2", "type": "int32"}}}, [5, 0, None]),
        ("j", {"set": {"j": {"expression": "'[1]'", "type": "json"}}}, ["[1]"] * 3),
        ("qty", {"fill_null": {"qty": 7}}, [100, -3, 7]),
        ("price", {"fill_null": {"price": 0.5}}, [
            Decimal("1.1"), Decimal("2.25"), Decimal("0.5")
        ]),
        ("ok", {"fill_null": {"ok": False}}, [True, False, False]),
        ("day", {"fill_null": {"day": "1970-01-01"}}, [
            date(2024, 1, 31), date(2024, 2, 29), date(1970, 1, 1)
        ]),
        ("id", {"replace": {"id": {"x;y": "z"}}}, [" Ab ", "z", None]),
        ("qty", {"replace": {"qty": {"-3": 3, "100": 1}}}, [1, 3, None]),
        ("day", {"replace": {"day": {"2024-02-29": "2024-03-01"}}}, [
            date(2024, 1, 31), date(2024, 3, 1), None
        ]),
        ("id", {"split": {"id": ";"}}, ['[" Ab "]', '["x", "y"]', None]),
    ],
)  # fmt: skip
def test_step_gives(name: str, step: dict[str, Any], expected: list[Any]) -> None:
    assert column(name, step) == expected


def test_rounding_goes_to_the_even_neighbour() -> None:
    steps = {"set": {"half": "qty / 8"}}, {"round": {"half": 0}}
    assert column("half", *steps) == [12.0, -0.0, None]


def test_rounding_up_may_need_one_digit_more() -> None:
    source = source_of(
        {"round": {"p": 0}}, schema={"p": {"type": "decimal", "precision": 3, "scale": 1}}
    )
    frame = pl.DataFrame({"p": ["99.9"], ROW: [0]}, {"p": pl.String, ROW: pl.UInt32})
    good = compile_validator(source).check(frame).good
    assert compile_transform(source).apply(good).frame["p"].item() == 100


def test_steps_follow_one_another() -> None:
    transformed = apply(
        {"trim": ["id"]},
        {"rename": {"id": "order"}},
        {"set": {"size": 'LENGTH("order")'}},
        {"select": ["size", "order"]},
    )
    assert transformed.frame.columns == ["size", "order", ROW]
    assert transformed.frame["size"].to_list() == [2, 3, None]


def test_set_sees_the_columns_as_they_were() -> None:
    frame = apply({"set": {"qty": "amount", "amount": "qty"}}).frame
    assert frame["qty"].to_list() == [2.5, 0.0, None]
    assert frame["amount"].to_list() == [100, -3, None]


def test_columns_may_exchange_their_names() -> None:
    frame = apply({"rename": {"id": "day", "day": "id"}}).frame
    assert frame["day"].to_list() == [" Ab ", "x;y", None]


def test_drop_leaves_the_others_in_order() -> None:
    assert apply({"drop": ["qty", "at", "ok"]}).frame.columns == [
        "id", "amount", "price", "day", ROW,
    ]  # fmt: skip


def test_filter_keeps_what_is_true_and_refuses_nothing() -> None:
    transformed = apply({"filter": "qty > 0"})
    assert transformed.frame[ROW].to_list() == [0]
    assert transformed.rejected.is_empty()


@pytest.mark.parametrize(
    ("step", "row", "violation"),
    [
        (
            {"cast": {"amount": "int64"}},
            0,
            Violation("amount", "cast", "2.5", "'2.5' is not an int64"),
        ),
        (
            {"cast": {"amount": {"type": "bool", "true_values": ["1"], "false_values": ["0"]}}},
            0,
            Violation("amount", "cast", "2.5", "'2.5' is not a bool (1, 0)"),
        ),
        ({"cast": {"qty": "uint8"}}, 1, Violation("qty", "cast", "-3", "'-3' is not a uint8")),
        (
            {"set": {"r": "qty / amount"}},
            1,
            Violation("r", "set", "-inf", "'-inf' is not a float64, from qty / amount"),
        ),
        (
            {"set": {"r": {"expression": "qty * 10", "type": "int8"}}},
            0,
            Violation("r", "set", "1000", "'1000' is not an int8, from qty * 10"),
        ),
    ],
)
def test_value_without_counterpart_refuses_its_row(
    step: dict[str, Any], row: int, violation: Violation
) -> None:
    transformed = apply(step)
    assert reasons_by_row(transformed.rejected) == {row: (violation,)}
    assert transformed.frame[ROW].to_list() == [other for other in range(3) if other != row]


def test_text_that_is_not_json_refuses_its_row() -> None:
    transformed = apply({"parse_json": ["id"]})
    assert {row: found[0].rule for row, found in reasons_by_row(transformed.rejected).items()} == {
        0: "parse_json", 1: "parse_json",
    }  # fmt: skip
    assert transformed.frame["id"].to_list() == [None]


@pytest.mark.parametrize("name", ["filter", "set"])
def test_row_on_which_an_expression_fails_is_refused(name: str) -> None:
    expression = "CAST(id AS INT) > 0"
    step = {"set": {"n": expression}} if name == "set" else {"filter": expression}
    transformed = apply(step)
    rejected = reasons_by_row(transformed.rejected)
    assert rejected.keys() == {0, 1}
    (violation,) = rejected[0]
    assert violation.rule == name
    assert violation.message.startswith(f"{expression}: conversion from `str` to `i32` failed")


def test_hash_is_hmac_sha256_under_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASH_KEY", KEY)
    step = {"hash": {"columns": ["id", "qty"], "key_env": "HASH_KEY"}}
    expected = [
        hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest() for text in ("x;y", "-3")
    ]
    frame = apply(step).frame
    assert list(frame.select("id", "qty").row(1)) == expected
    assert frame.select("id", "qty").row(2) == (None, None)


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=9)))
def test_split_agrees_with_python(texts: list[str | None]) -> None:
    frame = pl.DataFrame({"t": texts, ROW: range(len(texts))}, {"t": pl.String, ROW: pl.UInt32})
    transform = compile_transform(source_of({"split": {"t": ","}}, schema={"t": "string"}))
    for text, array in zip(texts, transform.apply(frame).frame["t"], strict=True):
        if text is None:
            assert array is None
        else:
            assert json.loads(array) == (text.split(",") if text else [])


def test_python_step_changes_columns_and_leaves_rows_out(module: Module) -> None:
    def double(frame: pl.DataFrame) -> pl.DataFrame:
        kept = frame.filter(pl.col("qty").is_not_null()).with_columns(twice=pl.col("amount") * 2)
        return kept.drop("at").reverse()

    transformed = apply({"python": module("double", double)})
    assert transformed.frame[ROW].to_list() == [0, 1]
    assert transformed.frame["twice"].to_list() == [5.0, 0.0]
    assert "at" not in transformed.frame.columns


def test_python_step_cannot_make_what_bson_refuses(module: Module) -> None:
    name = module("invert", lambda frame: frame.with_columns(amount=1 / pl.col("amount")))
    assert reasons_by_row(apply({"python": name}).rejected) == {
        1: (Violation("amount", "python", "inf", "'inf' is not a float64"),)
    }


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda frame: frame if frame.is_empty() else 1 / 0, "failed: ZeroDivisionError"),
        (lambda frame: frame if frame.is_empty() else None, "returned NoneType"),
        (lambda frame: frame if frame.is_empty() else frame.drop("id"), "on an empty frame it was"),
        (
            lambda frame: frame if frame.is_empty() else pl.concat([frame, frame]),
            "rows may be left out, not made",
        ),
        (
            lambda frame: frame.with_columns((pl.col(ROW) + 9).cast(pl.UInt32)),
            "rows may be left out, not made",
        ),
    ],
)
def test_python_step_that_breaks_its_word_refuses_the_file(
    module: Module, function: Any, message: str
) -> None:
    with pytest.raises(FileRefused, match=message) as caught:
        apply({"python": module("broken", function)})
    assert caught.value.error_type == "transform_failed"
    assert caught.value.message.startswith("their_steps:broken ")


@pytest.mark.parametrize(
    ("function", "mistake"),
    [
        (lambda frame: frame.drop(ROW), "their_steps:f lost the column __row__"),
        (lambda _: None, "their_steps:f returned NoneType, it has to return a polars.DataFrame"),
        (
            lambda _: {}["x"],
            "their_steps:f failed on an empty frame: KeyError: 'x' (it has to accept one)",
        ),
        (
            lambda frame: frame.with_columns(pl.lit([1]).alias("l")),
            'column "l" is List(Int64), which cannot be stored',
        ),
        (3, "their_steps:f is not a function"),
    ],
)
def test_python_step_is_tried_before_the_first_row(
    module: Module, function: Any, mistake: str
) -> None:
    assert mistakes({"python": module("f", function)}) == [f"transform[0].python: {mistake}"]


ALL = "columns: id, qty, amount, price, day, at, ok"


@pytest.mark.parametrize(
    ("step", "mistake"),
    [
        ({"round": {"amuont": 2}}, 'round.amuont: there is no column "amuont" at this step '
         '(did you mean "amount"?)'),
        ({"trim": ["zzz"]}, f'trim.zzz: there is no column "zzz" at this step ({ALL})'),
        ({"round": {"amount": -1}}, "round.amount: -1 is not a number of digits "
         "(allowed: 0 to 34)"),
        ({"round": {"amount": True}}, "round.amount: true is not a number of digits "
         "(allowed: 0 to 34)"),
        ({"round": {"qty": 1}}, "round.qty: round has no meaning for an int8"),
        ({"round": ["amount"]}, 'round: ["amount"] is not a table of columns'),
        ({"trim": {"id": 1}}, "trim: a table is not a list of columns"),
        ({"trim": []}, "trim: [] is not a list of columns"),
        ({"trim": [1]}, "trim: 1 is not the name of a column"),
        ({"lower": ["qty"]}, "lower.qty: lower has no meaning for an int8"),
        ({"rename": {"id": "qty"}}, 'rename: there would be 2 columns named "qty"'),
        ({"rename": {"id": 1}}, "rename.id: 1 cannot be the name of a column"),
        ({"rename": {"id": ROW}}, 'rename.id: "__row__" cannot be the name of a column'),
        ({"drop": list(SCHEMA)}, "drop: no column would be left"),
        ({"select": ["id", "id"]}, "select: a column is named twice"),
        ({"cast": {"day": "int64"}}, "cast.day: a date cannot become an int64"),
        ({"cast": {"id": {"type": "date", "format": "%Y %f"}}},
         "cast.id.format: %f must follow a dot: .%f"),
        ({"cast": {"id": {"type": "date", "colour": 1}}},
         "cast.id.colour: Extra inputs are not permitted"),
        ({"set": {"n": 1}}, "set.n: 1 is not an expression (write it in quotes)"),
        ({"set": {"n": {"type": "int64"}}},
         "set.n: None is not an expression (write it in quotes)"),
        ({"set": "n = 1"}, 'set: "n = 1" is not a table of expressions'),
        ({"set": {"n": "NULL"}}, "set.n: 'NULL' gives Null, which no column can hold "
         '(say which type it has: { expression = "…", type = "…" })'),
        ({"set": {ROW: "1"}}, "set.__row__: __row__ cannot be the name of a column"),
        ({"set": {"n": "amuont"}}, "set.n: 'amuont': unable to find column \"amuont\" "
         '(did you mean "amount"?)'),
        ({"filter": "qty"}, "filter: 'qty' gives Int64, it has to give Boolean"),
        ({"filter": ""}, 'filter: "" is not an expression (write it in quotes)'),
        ({"fill_null": {"qty": 200}}, "fill_null.qty: 200 is not an int8"),
        ({"fill_null": {"ok": "true"}},
         'fill_null.ok: "true" is not a bool (true, t, yes, y, 1, false, f, no, n, 0)'),
        ({"replace": {"id": "x"}}, 'replace.id: "x" is not a table of values ({ "old" = "new" })'),
        ({"replace": {"qty": {"x": 1}}}, 'replace.qty: "x" is not an int8'),
        ({"replace": {"qty": {"1": "x"}}}, 'replace.qty: "x" is not an int8'),
        ({"split": {"id": ""}}, 'split.id: "" is not a separator'),
        ({"parse_json": ["qty"]}, "parse_json.qty: parse_json has no meaning for an int8"),
        ({"hash": ["id"]}, 'hash: ["id"] is not a table (columns and a key)'),
        ({"hash": {"columns": ["id"], "salt": "x"}},
         "hash.salt: is not an argument (allowed: columns, key_file, key_env)"),
        ({"hash": {"columns": ["id"]}}, "hash: needs a key (give one of key_file and key_env)"),
        ({"hash": {"columns": ["id"], "key_env": "NO_SUCH_KEY"}},
         "hash.key_env: the environment has no NO_SUCH_KEY (set it, or use key_file)"),
        ({"hash": {"columns": ["id"], "key_file": "/no/such/key"}},
         "hash.key_file: the key cannot be read from /no/such/key: No such file or directory"),
        ({"hash": {"columns": ["amount"], "key_env": "X"}},
         "hash.columns.amount: only texts and whole numbers can be hashed"),
        ({"python": "nothing"},
         'python: "nothing" is not a function (write "package.module:function")'),
        ({"python": "no_such_module:f"}, "python: no_such_module:f cannot be imported: "
         "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)  # fmt: skip
def test_mistake_names_the_key_and_what_was_meant(step: dict[str, Any], mistake: str) -> None:
    assert mistakes(step) == [f"transform[0].{mistake}"]


def test_unknown_step_is_a_mistake() -> None:
    (mistake,) = mistakes({"drop": ["id"]}, {"rond": {"amount": 2}})
    assert mistake.startswith('transform[1]: "rond" is not a step (did you mean "round"? allowed:')


def test_unknown_type_is_a_mistake() -> None:
    (mistake,) = mistakes({"cast": {"id": "strng"}})
    assert mistake.startswith('transform[0].cast.id: "strng" is not a type (did you mean "string"?')


def test_short_key_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASH_KEY", "secret\n")
    assert mistakes({"hash": {"columns": ["id"], "key_env": "HASH_KEY"}}) == [
        "transform[0].hash.key_env: the key has 6 bytes, fewer than 16 "
        "(make one with: openssl rand -hex 32)"
    ]


def test_one_step_tells_all_its_mistakes() -> None:
    assert len(mistakes({"set": {"a": "SUM(qty)", "b": "zzz", "c": "NOW()"}})) == 3


@pytest.mark.parametrize("name", ["_id", "processed_at", "source_name", "$a", "a.b", "", "a\0b"])
def test_name_that_mongodb_or_ingestd_needs_has_to_be_renamed(name: str) -> None:
    assert len(mistakes({"rename": {"id": name}})) == 1
    assert len(mistakes(schema={name: "string"})) == 1
    source = source_of({"rename": {name: "fine"}}, schema={name: "string"})
    assert list(compile_transform(source).schema) == ["fine"]


def test_key_and_indexes_are_looked_for_after_the_transform() -> None:
    load = {"mode": "upsert", "key": ["id"], "indexes": [["order"], ["processed_at"], ["qyt"]]}
    after = "columns: order, qty, amount, price, day, at, ok"
    assert mistakes({"rename": {"id": "order"}}, load=load) == [
        f'load.key: there is no column "id" after the transform ({after})',
        'load.indexes[2]: there is no column "qyt" after the transform (did you mean "qty"?)',
    ]


def test_python_is_the_last_word_on_order_not_the_function(module: Module) -> None:
    name = module("shuffle", lambda frame: frame.sample(fraction=1, shuffle=True, seed=3))
    assert column(ROW, {"python": name}) == [0, 1, 2]


def test_nothing_is_done_without_steps() -> None:
    transformed = apply()
    assert transformed.frame.columns == [*SCHEMA, ROW]
    assert transformed.rejected.is_empty()
