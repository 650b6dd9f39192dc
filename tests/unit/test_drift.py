"""What is different about the columns of a file, and names that can be stored."""

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestd.config.source import SourceSpec
from ingestd.errors import FileDrifted
from ingestd.formats.drift import (
    check_drift,
    distinct_names,
    drift_of,
    fitted,
    named_columns,
    safe_names,
)
from ingestd.records import Drift


def source(**changes: Any) -> SourceSpec:
    columns = {"id": "int64", "amount": "float64", "customer_id": "string"}
    spec = {"name": "orders", "file_pattern": "*.csv", "schema": columns, **changes}
    return SourceSpec.model_validate(spec)


def test_the_columns_in_any_order_are_no_drift() -> None:
    assert drift_of(("customer_id", "id", "amount"), source()) == Drift()
    assert Drift().summary == {}


def test_a_missing_column_was_renamed_to_a_new_one_with_nearly_its_name_once() -> None:
    drift = drift_of(("id", "Amount", "custmer_id", "cstmer"), source())
    assert drift.renamed == {"amount": "Amount", "customer_id": "custmer_id"}
    assert drift_of(("id", "amount", "sku"), source()).renamed == {}


def test_columns_that_differ_in_case_only_are_one_where_case_is_ignored() -> None:
    found = ("id", "amount", "customer_id", "Tag", "TAG")
    assert drift_of(found, source()).duplicated == ()
    assert drift_of(found, source(csv={"ignore_case": True})).duplicated == ("Tag", "TAG")


@pytest.mark.parametrize(
    ("form", "option"), [("csv", "csv.ignore_case = true"), ("parquet", 'aliases = ["ID"]')]
)
def test_a_column_in_another_case_is_met_by_what_the_format_has(form: str, option: str) -> None:
    spec, found = source(format=form), ("ID", "amount", "customer_id")
    with pytest.raises(FileDrifted) as caught:
        check_drift(drift_of(found, spec), found, spec)
    assert option in caught.value.hint


def test_a_refusal_for_drift_survives_the_way_from_a_worker() -> None:
    found = ("id", "amount")
    with pytest.raises(FileDrifted) as caught:
        check_drift(drift_of(found, source()), found, source())
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.drift) == (str(caught.value), Drift(missing=("customer_id",)))


@given(st.lists(st.text(), unique=True, max_size=20))
def test_safe_names_are_different_and_can_be_stored(names: list[str]) -> None:
    taken = {"id", "_"}
    safe = safe_names(names, taken)
    assert list(safe) == names
    assert len({*safe.values(), *taken}) == len(names) + len(taken)
    for name in filter(None, safe.values()):
        assert not name.startswith("$")
        assert not {".", "\0"} & set(name)
        name.encode()


@given(st.lists(st.text(min_size=1), unique=True, max_size=10))
def test_a_file_is_read_by_the_source_that_was_fitted_to_it(names: list[str]) -> None:
    spec = source(load={"on_new_column": "add"})
    found = ("id", "amount", "customer_id", *names)
    drift = drift_of(found, spec)
    own = fitted(spec, drift)
    again = drift_of(named_columns(found, own), own)
    assert (again.new, again.missing) == ((), ())


def test_a_source_that_adds_nothing_is_fitted_as_it_is() -> None:
    spec = source()
    assert fitted(spec, Drift(new=("x",))) is spec


@given(st.lists(st.sampled_from(["", "a", "b", "a_2", "column_1", "column_2"])))
def test_each_column_has_a_name_of_its_own_and_one_that_stands_alone_keeps_it(
    names: list[str],
) -> None:
    distinct = distinct_names(names)
    assert len({*distinct}) == len(distinct) == len(names)
    once = [name for name in names if name and names.count(name) == 1]
    assert {*once} <= {*distinct}


def test_the_second_of_two_columns_has_a_number_and_a_nameless_one_its_place() -> None:
    assert distinct_names(["amount", "", "amount"]) == ("amount", "column_2", "amount_2")
