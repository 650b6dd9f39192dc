"""The text of a query parameter as a value of a column's type, just as MongoDB stores it."""

import base64
import math
import re
import struct
from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Any

from bson import Decimal128, Int64, ObjectId

from ingestd.config.source import ColumnSpec, ColumnTypeName

_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]"
    r"([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?) ?([Zz]|[+ -][0-9]{2}:?[0-9]{2})"
)
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?")
_DURATION = re.compile(
    r"([+-])?P(?=.)(?:([0-9]{1,9})W)?(?:([0-9]{1,12})D)?"
    r"(?:T(?=.)(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,12})(?:\.([0-9]{1,3}))?S)?)?"
)
_DURATION_MS = (604_800_000, 86_400_000, 3_600_000, 60_000, 1000)

EXAMPLES: dict[ColumnTypeName, str] = {
    "bool": "true or false", "decimal": "12.50", "date": "2026-01-31",
    "datetime": "2026-01-31T08:00:00Z", "time": "08:00:00", "duration": "PT1H30M",
    "binary": "base64", "objectid": "24 hex digits",
}  # fmt: skip
"""What a value of a type looks like, where its name does not say so."""


def parse_value(text: str, column: ColumnSpec) -> Any:
    """The value as it is stored in a column of that type.

    Raises:
        ValueError: the text is no value of that type.
    """
    return _PARSERS[column.type](text)


def parse_bool(text: str) -> bool:
    """``true`` and ``false``, or ``1`` and ``0``."""
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


def parse_date(text: str) -> datetime:
    """Midnight UTC of ``2026-01-31``."""
    if not _DATE.fullmatch(text):
        raise ValueError("not a date")
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def parse_moment(text: str) -> datetime:
    """A date-time with its zone, in UTC and whole milliseconds; a date is its midnight UTC.

    ``+`` is a space in a query string unless it is written ``%2B``; ``10:00 02:00`` can mean
    nothing else.
    """
    if _DATE.fullmatch(text):
        return parse_date(text)
    if not (match := _MOMENT.fullmatch(text)):
        raise ValueError("not a date-time with a zone")
    date, clock, zone = match.groups()
    moment = datetime.fromisoformat(f"{date}T{clock}{zone.upper().replace(' ', '+')}")
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _whole(bits: int, *, is_signed: bool = True) -> Callable[[str], int]:
    lowest = -(2 ** (bits - 1)) if is_signed else 0
    highest = 2 ** (bits - 1) - 1 if is_signed else 2**bits - 1

    def parse(text: str) -> int:
        if not _WHOLE.fullmatch(text) or not lowest <= (value := int(text)) <= highest:
            raise ValueError(f"not a whole number from {lowest} to {highest}")
        return Int64(value)

    return parse


def _float64(text: str) -> float:
    if not _NUMBER.fullmatch(text) or not math.isfinite(value := float(text)):
        raise ValueError("not a finite number")
    return value


def _float32(text: str) -> float:
    """Rounded to what a float32 column holds, else 0.1 would never equal 0.1."""
    try:
        rounded: float = struct.unpack("<f", struct.pack("<f", _float64(text)))[0]
    except OverflowError as error:
        raise ValueError("too large for a float32") from error
    return rounded


def _decimal(text: str) -> Decimal128:
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    return Decimal128(text)


def _time(text: str) -> str:
    if not _TIME.fullmatch(text):
        raise ValueError("not a time")
    return time.fromisoformat(text).isoformat()


def _duration(text: str) -> int:
    """ISO 8601 duration to milliseconds: weeks, days, hours, minutes, seconds."""
    if not (match := _DURATION.fullmatch(text)):
        raise ValueError("not an ISO 8601 duration")
    sign, *parts, fraction = match.groups()
    total = sum(int(part or 0) * ms for part, ms in zip(parts, _DURATION_MS, strict=True))
    total += int((fraction or "").ljust(3, "0"))
    signed = -total if sign == "-" else total
    if not -(2**63) <= signed < 2**63:
        raise ValueError("too long")
    return Int64(signed)


def _binary(text: str) -> bytes:
    """Base64, also its URL alphabet; a space was a ``+`` before the query string was read."""
    standard = text.replace(" ", "+").replace("-", "+").replace("_", "/")
    return base64.b64decode(standard, validate=True)


def _nothing(_: str) -> Any:
    raise ValueError("values of this type cannot be compared")


_PARSERS: dict[ColumnTypeName, Callable[[str], Any]] = {
    "string": str, "category": str, "bool": parse_bool,
    "int8": _whole(8), "int16": _whole(16), "int32": _whole(32), "int64": _whole(64),
    "uint8": _whole(8, is_signed=False), "uint16": _whole(16, is_signed=False),
    "uint32": _whole(32, is_signed=False), "float32": _float32, "float64": _float64,
    "decimal": _decimal, "date": parse_date, "datetime": parse_moment, "time": _time,
    "duration": _duration, "json": _nothing, "binary": _binary, "objectid": ObjectId,
}  # fmt: skip
