"""``sort=``: the orders that an index can give, and no others."""

from collections.abc import Iterable
from dataclasses import dataclass

from ingestd.api.context import Columns
from ingestd.api.problems import bad_parameter, choices
from ingestd.config.source import SourceSpec

_ARRIVAL = "processed_at"


@dataclass(frozen=True, slots=True)
class Sort:
    """Columns that go before the order of arrival, if any do; all of them up, or all down."""

    columns: tuple[str, ...] = ()
    is_descending: bool = False
    is_by_arrival: bool = False
    """That is asked for, and not just where nothing is."""


ARRIVING = Sort()
"""Nothing goes before the order of arrival."""


def read_sort(text: str | None, source: SourceSpec, columns: Columns) -> Sort:
    """The order of ``sort=customer_id``, or ``sort=-customer_id`` from the greatest down.

    Raises:
        RequestRefused: 400 naming the orders there are.
    """
    if text is None:
        return ARRIVING
    is_descending = text.startswith("-")
    order = text.removeprefix("-")
    orders = {",".join(index): index for index in _sortable(source, columns)}
    if order != _ARRIVAL and order not in orders:
        raise bad_parameter(
            "sort", "rows can only be had in the order of an index of the source",
            'a "-" before it turns it round; load.indexes of the source makes more of them',
            choices(order, [_ARRIVAL, *orders]),
        )  # fmt: skip
    return Sort(orders.get(order, ()), is_descending, order == _ARRIVAL)


def _sortable(source: SourceSpec, columns: Columns) -> Iterable[tuple[str, ...]]:
    """Nested values have no place in an order: MongoDB enters each item of a list by itself."""
    for index in source.load.indexes:
        if all(name in columns and columns[name].type != "json" for name in index):
            yield index
