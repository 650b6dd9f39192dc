"""Rows of Python values as lines of JSON, and what converters ask of a file."""

import base64
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any

from ingestd.config.source import ColumnSpec, SourceSpec
from ingestd.errors import FileRefused
from ingestd.formats.drift import check_drift, drift_of, named_columns, spellings
from ingestd.formats.foreign import name_of

Row = Mapping[str, Any]

_ROWS_AT_ONCE = 500
_MOST_DIGITS = 34


def require_start(stream: io.BufferedReader, magic: bytes, expected: str) -> None:
    """Raises FileRefused when the file does not begin so."""
    start = stream.peek(len(magic))
    if not start.startswith(magic):
        found = name_of(start)
        raise FileRefused(
            "wrong_format", f"this is {found}, not {expected}" if found else f"not {expected}",
            "convert it, or point a source of the right format at it",
        )  # fmt: skip


def require_seekable(stream: io.BufferedReader, expected: str) -> None:
    """Raises FileRefused for what can only be read from its end, and is packed once more."""
    if not stream.seekable():
        raise FileRefused(
            "wrong_format", f"the file is compressed, and should be {expected}",
            f"{expected} is compressed in itself: drop it as it is",
        )  # fmt: skip


def require_columns(found: Sequence[str], source: SourceSpec) -> None:
    """Raises FileDrifted when the source does not take a file with these columns."""
    named = named_columns(found, source)
    check_drift(drift_of(named, source), named, source)


def decimal_options(precision: int, scale: int) -> dict[str, Any]:
    """A column of decimals, as far as MongoDB has them: of 34 digits."""
    if not 0 <= scale <= _MOST_DIGITS:
        return {}
    return {"type": "decimal", "precision": min(precision, _MOST_DIGITS), "scale": scale}


def lines_of(rows: Iterable[Row], source: SourceSpec) -> Iterator[bytes]:
    """The rows as JSON, one per line, several lines at once."""
    in_hex = frozenset(
        key for key, name in spellings(source).items() if _is_in_hex(source.columns[name])
    )
    lines = (_line(_with_hex(row, in_hex) if in_hex else row) for row in rows)
    while some := b"".join(islice(lines, _ROWS_AT_ONCE)):
        yield some


def _is_in_hex(column: ColumnSpec) -> bool:
    return column.type == "objectid" or (column.type == "binary" and column.encoding == "hex")


def _with_hex(row: Row, names: frozenset[str]) -> Row:
    return {
        name: value.hex() if name in names and isinstance(value, bytes) else value
        for name, value in row.items()
    }


def _as_json(value: object) -> object:
    """What JSON has no word for: as ``schema`` reads it from a text."""
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _line(row: Row) -> bytes:
    try:
        text = _json(row, allow_nan=False)
    except ValueError:
        text = _json({name: _without_nan(value) for name, value in row.items()})
    return text.encode(errors="surrogatepass") + b"\n"


_json = partial(json.dumps, default=_as_json, ensure_ascii=False, separators=(",", ":"))


def _without_nan(value: object) -> object:
    """A text for what is no JSON number, so that the column can say what it means."""
    is_odd = isinstance(value, float) and not math.isfinite(value)
    return str(value) if is_odd else value


def duration_text(value: timedelta) -> str:
    """ISO 8601: ``PT1.5S``."""
    microseconds = value // timedelta(microseconds=1)
    sign, (seconds, fraction) = "-" * (microseconds < 0), divmod(abs(microseconds), 1_000_000)
    return f"{sign}PT{seconds}.{fraction:06}S"
