"""MongoDB's documents as JSON text, one by one.

Times are ISO 8601 in UTC, decimals are strings (a JSON number would round them), binary is
base64, durations are ISO 8601. NaN and the infinities, which JSON does not have, become null.
"""

import base64
import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from bson import Decimal128, ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion

from ingestd.config.source import ColumnSpec

Document = dict[str, Any]

# A value that some other writer put there must not make everything fail.
OPTIONS: CodecOptions[Document] = CodecOptions(
    tz_aware=True, tzinfo=UTC, unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)  # fmt: skip
"""How documents are decoded that are to be shown."""

OWN_FIELDS = frozenset({"_id", "processed_at", "source_name", "_version"})
"""Fields of a document that are no columns."""


def iso_moment(moment: datetime) -> str:
    """``2026-01-31T08:00:00.000Z``: UTC, always with milliseconds, which is what BSON holds.

    Without a zone it is UTC already.
    """
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"


def iso_duration(milliseconds: int) -> str:
    """ISO 8601 duration of whole days, hours, minutes and seconds: ``P1DT2H0.5S``, ``PT0S``."""
    seconds, rest_ms = divmod(abs(milliseconds), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    fraction = f".{rest_ms:03}".rstrip("0").rstrip(".")
    parts = [(hours, "H"), (minutes, "M")]
    clock = "".join(f"{amount}{unit}" for amount, unit in parts if amount)
    clock += f"{seconds}{fraction}S" if seconds or fraction else ""
    day = f"{days}D" if days else ""
    text = f"P{day}" + (f"T{clock}" if clock else "")
    return ("-" if milliseconds < 0 else "") + (text if text != "P" else "PT0S")


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


def row_shape(
    columns: Mapping[str, ColumnSpec], *, has_run: bool, is_open: bool = False
) -> Callable[[Document], Document]:
    """From a document to a row: ``_id``, the columns in order, ``processed_at`` if asked for.

    ``is_open``: also those that single files have added.
    """
    shapes = [(name, _SHAPES.get(spec.type)) for name, spec in columns.items()]

    def shape(document: Document) -> Document:
        row: Document = {"_id": document["_id"]}
        for name, convert in shapes:
            value = document.get(name)
            row[name] = value if convert is None or value is None else convert(value)
        if is_open:
            known = row.keys() | OWN_FIELDS
            row |= {name: value for name, value in document.items() if name not in known}
        if has_run:
            row["processed_at"] = document["processed_at"]
        return row

    return shape


def shown_value(value: Any, column: ColumnSpec) -> Any:
    """A value of a column, or a summary of such values, as a row would show it."""
    convert = _SHAPES.get(column.type)
    if column.type == "duration" and isinstance(value, float):
        value = round(value)
    return value if convert is None or value is None else convert(value)


def _date(value: Any) -> Any:
    return value.date().isoformat() if isinstance(value, datetime) else value


def _duration(value: Any) -> Any:
    return iso_duration(value) if isinstance(value, int) else value


_SHAPES: dict[str, Callable[[Any], Any]] = {"date": _date, "duration": _duration}
