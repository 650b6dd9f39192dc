"""MongoDB's documents as items of a list: what is to be shown of each."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import bson

from ingestd.api.context import Columns
from ingestd.api.cursors import Key
from ingestd.export.json_text import OPTIONS, row_shape
from ingestd.mongo import Document

_WITHOUT_ZONE = OPTIONS.with_options(tz_aware=False, tzinfo=None)
"""The zone of every value takes five times as long as all else of a row."""


class Item(NamedTuple):
    """One document of a list as it is shown, with its place in the list."""

    key: Key
    shown: object


Renderer = Callable[[bytes], list[Item]]
"""From concatenated BSON documents to what is shown of them."""


def row_renderer(columns: Columns, *, is_open: bool = False) -> Renderer:
    """Rows of a source: ``_id`` and the columns in order; ``is_open``: see ``row_shape``."""
    return renderer("processed_at", row_shape(columns, has_run=False, is_open=is_open))


def renderer(time_field: str, shape: Callable[[Document], object]) -> Renderer:
    """Documents that are listed by ``time_field``, each as ``shape`` makes it."""

    def render(batch: bytes) -> list[Item]:
        documents: Sequence[Document] = bson.decode_all(batch, _WITHOUT_ZONE)
        return [
            Item(Key(_in_utc(document[time_field]), document["_id"]), shape(document))
            for document in documents
        ]

    return render


def _in_utc(moment: Any) -> Any:
    """Whatever else some other writer put there stays what it is."""
    return moment.replace(tzinfo=UTC) if isinstance(moment, datetime) else moment
