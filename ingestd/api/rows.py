"""MongoDB's documents as items of a list, in JSON; made in threads, the loop goes on meanwhile."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import bson

from ingestd.api.context import Columns
from ingestd.api.cursors import Key
from ingestd.export.json_text import OPTIONS, row_shape, to_json
from ingestd.mongo import Document


class Item(NamedTuple):
    """One document of a list, rendered, with its place in the list."""

    key: Key
    text: bytes


Renderer = Callable[[bytes], list[Item]]
"""From concatenated BSON documents to their JSON."""


def row_renderer(columns: Columns, *, is_open: bool = False) -> Renderer:
    """Rows of a source: ``_id`` and the columns in order; ``is_open``: see ``row_shape``."""
    return renderer("processed_at", row_shape(columns, has_run=False, is_open=is_open))


def renderer(time_field: str, shape: Callable[[Document], object]) -> Renderer:
    """Documents that are listed by ``time_field``, each as ``shape`` makes it."""

    def render(batch: bytes) -> list[Item]:
        documents: Sequence[Document] = bson.decode_all(batch, OPTIONS)
        return [
            Item(Key(document[time_field], document["_id"]), to_json(shape(document)))
            for document in documents
        ]

    return render
