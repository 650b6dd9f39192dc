"""Cursors: where a walk over a list stands, as text that clients hand back and never read.

It is signed with a key that all daemons of a database share, for the query that it belongs to: a
value in it becomes part of a query without being read as a column's type. Even so it is no
capability: whatever it says, a reader sees committed rows only.
"""

import base64
import hmac
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

import bson
from bson.codec_options import CodecOptions
from bson.errors import BSONError

from ingestd.api.problems import RequestRefused, bad_parameter
from ingestd.visible import VisibleRuns

_DIGEST_BYTES = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OPTIONS: CodecOptions[dict[str, object]] = CodecOptions(tz_aware=True, tzinfo=UTC)

Identity = bson.ObjectId | str


@dataclass(frozen=True, slots=True)
class Key:
    """The place of one document in a list: its time, and its ``_id`` among equals; where the list
    is in order of columns, their values come first."""

    moment: datetime
    identity: Identity
    values: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last document seen, and for rows the runs that were visible when the walk began."""

    key: Key
    runs: VisibleRuns | None = None


@dataclass(frozen=True, slots=True)
class Seal:
    """What signs the cursors of one query."""

    secret: bytes
    scope: str

    def digest(self, body: bytes) -> bytes:
        """The signature of a cursor."""
        scope = blake2b(self.scope.encode("utf-8", "surrogateescape"), digest_size=32).digest()
        return blake2b(
            scope + body, digest_size=_DIGEST_BYTES, key=self.secret, person=b"ingestd cursor"
        ).digest()


def write_cursor(cursor: Cursor, seal: Seal) -> str:
    """The cursor as text for a query string."""
    key = cursor.key
    parts: dict[str, object] = {"t": key.moment, "i": key.identity, "v": list(key.values)}
    if cursor.runs is not None:
        # Files that came later are beyond the horizon, so the list does not grow with the walk.
        hidden = sorted(run for run in cursor.runs.hidden if run <= cursor.runs.horizon)
        parts |= {"h": cursor.runs.horizon, "x": _pack(hidden)}
    body = bson.encode(parts)
    return base64.urlsafe_b64encode(seal.digest(body) + body).decode().rstrip("=")


def read_cursor(text: str, seal: Seal) -> Cursor:
    """The cursor in that text.

    Raises:
        RequestRefused: 400: it was damaged, or belongs to another query.
    """
    try:
        whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        digest, body = whole[:_DIGEST_BYTES], whole[_DIGEST_BYTES:]
        if not hmac.compare_digest(digest, seal.digest(body)):
            raise ValueError("digest")
        return _read_parts(bson.decode(body, _OPTIONS))
    except (ValueError, KeyError, OverflowError, BSONError, struct.error) as error:
        raise _unusable() from error


def _read_parts(parts: dict[str, object]) -> Cursor:
    moment, identity, values = parts["t"], parts["i"], parts.get("v", [])
    if not isinstance(moment, datetime) or not isinstance(identity, bson.ObjectId | str):
        raise ValueError("key")
    if not isinstance(values, list) or any(isinstance(value, dict | list) for value in values):
        raise ValueError("values")
    key = Key(moment, identity, tuple(values))
    horizon, hidden = parts.get("h"), parts.get("x", b"")
    if horizon is None:
        return Cursor(key)
    if not isinstance(horizon, datetime) or not isinstance(hidden, bytes):
        raise ValueError("runs")
    return Cursor(key, VisibleRuns(horizon, frozenset(_unpack(hidden))))


def _pack(moments: list[datetime]) -> bytes:
    milliseconds = [(moment - _EPOCH) // timedelta(milliseconds=1) for moment in moments]
    return struct.pack(f"<{len(milliseconds)}q", *milliseconds)


def _unpack(packed: bytes) -> list[datetime]:
    milliseconds = struct.unpack(f"<{len(packed) // 8}q", packed)
    return [_EPOCH + timedelta(milliseconds=value) for value in milliseconds]


def _unusable() -> RequestRefused:
    return bad_parameter(
        "cursor",
        "the cursor is damaged or belongs to another query",
        "take it from the Link header, with all other parameters unchanged; or start without it",
    )
