"""MongoDB's documents as JSON text. It runs in threads: the loop goes on meanwhile.

Times are ISO 8601 in UTC, decimals are strings (a JSON number would round them), binary is
base64, durations are ISO 8601. NaN and the infinities, which JSON does not have, become null.
"""

import base64
import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import bson
from bson import Decimal128, ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion

from ingestd.api.context import Columns
from ingestd.api.cursors import Key
from ingestd.api.values import iso_duration
from ingestd.mongo import Document

# A value that some other writer put there must not make a whole page fail.
_OPTIONS: CodecOptions[Document] = CodecOptions(
    tz_aware=True, tzinfo=UTC, unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)  # fmt: skip


class Item(NamedTuple):
    """One document of a list, rendered, with its place in the list."""

    key: Key
    text: bytes


Renderer = Callable[[bytes], list[Item]]
"""From concatenated BSON documents to their JSON."""


def iso_moment(moment: datetime) -> str:
    """``2026-01-31T08:00:00.000Z``: UTC, always with milliseconds, which is what BSON holds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_json(value: object) -> object:
    """What JSON has for a value that it does not have itself."""
    match value:
        case datetime():
            return iso_moment(value)
        case ObjectId() | Decimal128():
            return str(value)
        case bytes():
            return base64.b64encode(value).decode()
        case _:
            return str(value)


_encoder = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=as_json
)


def to_json(value: object) -> bytes:
    """JSON text in UTF-8."""
    try:
        text = _encoder.encode(value)
    except ValueError:  # NaN or an infinity: rare, so it is looked for only now
        text = _encoder.encode(_without_nan(value))
    return text.encode("utf-8", "replace")


def _without_nan(value: object) -> object:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {name: _without_nan(item) for name, item in value.items()}
        case list():
            return [_without_nan(item) for item in value]
        case _:
            return value


def row_renderer(columns: Columns, *, has_run: bool, is_open: bool = False) -> Renderer:
    """Rows of a source: ``_id``, the columns in order, and ``processed_at`` where asked for.

    ``is_open``: also those that single files have added.
    """
    shapes = [(name, _SHAPES.get(spec.type)) for name, spec in columns.items()]

    def shape(document: Document) -> dict[str, Any]:
        row: dict[str, Any] = {"_id": document["_id"]}
        for name, convert in shapes:
            value = document.get(name)
            row[name] = value if convert is None or value is None else convert(value)
        if is_open:
            row |= {name: document[name] for name in document.keys() - row.keys() - _OWN_FIELDS}
        if has_run:
            row["processed_at"] = document["processed_at"]
        return row

    return renderer("processed_at", shape)


_OWN_FIELDS = frozenset({"processed_at", "source_name", "_version"})
"""Fields of a document that are no columns."""


def renderer(time_field: str, shape: Callable[[Document], object]) -> Renderer:
    """Documents that are listed by ``time_field``, each as ``shape`` makes it."""

    def render(batch: bytes) -> list[Item]:
        documents: Sequence[Document] = bson.decode_all(batch, _OPTIONS)
        return [
            Item(Key(document[time_field], document["_id"]), to_json(shape(document)))
            for document in documents
        ]

    return render


def _date(value: Any) -> Any:
    return value.date().isoformat() if isinstance(value, datetime) else value


def _duration(value: Any) -> Any:
    return iso_duration(value) if isinstance(value, int) else value


_SHAPES: dict[str, Callable[[Any], Any]] = {"date": _date, "duration": _duration}
