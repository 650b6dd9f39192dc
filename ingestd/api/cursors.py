"""Cursors: where a walk over a list stands, as text that clients hand back and never read.

A cursor is no capability: whatever it says, a reader sees committed rows of its own query only.
The digest catches mistakes (another query's cursor, a truncated one), not attackers, so the
types of all parts are checked as well.
"""

import base64
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

import bson
from bson.codec_options import CodecOptions
from bson.errors import BSONError

from ingestd.api.problems import RequestRefused, bad_parameter
from ingestd.visible import VisibleRuns

_DIGEST_BYTES = 9
_MAX_CHARACTERS = 8000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OPTIONS: CodecOptions[dict[str, object]] = CodecOptions(tz_aware=True, tzinfo=UTC)

Identity = bson.ObjectId | str


@dataclass(frozen=True, slots=True)
class Key:
    """The place of one document in a list: its time, and its ``_id`` among equals."""

    moment: datetime
    identity: Identity


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last document seen, and for rows the runs that were visible when the walk began."""

    key: Key
    runs: VisibleRuns | None = None


def write_cursor(cursor: Cursor, scope: str) -> str:
    """The cursor as text for a query string."""
    parts: dict[str, object] = {"t": cursor.key.moment, "i": cursor.key.identity}
    if cursor.runs is not None:
        # Hidden runs before the key are passed already: the walk never comes back to them.
        ahead = sorted(run for run in cursor.runs.hidden if run >= cursor.key.moment)
        parts |= {"h": cursor.runs.horizon, "x": _pack(ahead)}
    body = bson.encode(parts)
    return base64.urlsafe_b64encode(_digest(body, scope) + body).decode().rstrip("=")


def read_cursor(text: str, scope: str) -> Cursor:
    """The cursor in that text.

    Raises:
        RequestRefused: 400: it was damaged, or belongs to another query.
    """
    try:
        if len(text) > _MAX_CHARACTERS:
            raise ValueError("too long")
        whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        digest, body = whole[:_DIGEST_BYTES], whole[_DIGEST_BYTES:]
        if digest != _digest(body, scope):
            raise ValueError("digest")
        return _read_parts(bson.decode(body, _OPTIONS))
    except (ValueError, KeyError, OverflowError, BSONError, struct.error) as error:
        raise _unusable() from error


def _read_parts(parts: dict[str, object]) -> Cursor:
    moment, identity = parts["t"], parts["i"]
    if not isinstance(moment, datetime) or not isinstance(identity, bson.ObjectId | str):
        raise ValueError("key")
    horizon, hidden = parts.get("h"), parts.get("x", b"")
    if horizon is None:
        return Cursor(Key(moment, identity))
    if not isinstance(horizon, datetime) or not isinstance(hidden, bytes):
        raise ValueError("runs")
    return Cursor(Key(moment, identity), VisibleRuns(horizon, frozenset(_unpack(hidden))))


def _pack(moments: list[datetime]) -> bytes:
    milliseconds = [(moment - _EPOCH) // timedelta(milliseconds=1) for moment in moments]
    return struct.pack(f"<{len(milliseconds)}q", *milliseconds)


def _unpack(packed: bytes) -> list[datetime]:
    milliseconds = struct.unpack(f"<{len(packed) // 8}q", packed)
    return [_EPOCH + timedelta(milliseconds=value) for value in milliseconds]


def _digest(body: bytes, scope: str) -> bytes:
    key = blake2b(scope.encode("utf-8", "surrogateescape"), digest_size=32).digest()
    return blake2b(body, digest_size=_DIGEST_BYTES, key=key, person=b"ingestd cursor").digest()


def _unusable() -> RequestRefused:
    return bad_parameter(
        "cursor",
        "the cursor is damaged or belongs to another query",
        "take it from the Link header, with all other parameters unchanged; or start without it",
    )
