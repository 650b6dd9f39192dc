"""The step that hides personal data: hash.

HMAC-SHA256 (RFC 2104) in hexadecimal: equal values stay equal, across columns and sources
that share the key, and without the key nobody can try out values. The key never stands in
the configuration, which is logged, hashed and copied.
"""

import hmac
import os
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from ingestd.config.naming import choice, shown
from ingestd.config.source import ColumnSpec
from ingestd.transform.step import Step, StepContext, expression_step, read_columns
from ingestd.validate import Place

_SHORTEST_KEY_BYTES = 16
_ARGUMENTS = ("columns", "key_file", "key_env")


def bind_hash(arguments: Any, context: StepContext) -> Step:
    """``hash = { columns = ["email"], key_file = "hash.key" }``, or ``key_env = "HASH_KEY"``.

    A relative ``key_file`` lies in ``$CREDENTIALS_DIRECTORY``. Texts and whole numbers, by
    their digits, can be hashed; nulls stay null.
    """
    if not isinstance(arguments, dict):
        raise context.place.error(f"{shown(arguments)} is not a table", "columns and a key")
    for name in arguments.keys() - set(_ARGUMENTS):
        raise context.place.at(name).error("is not an argument", choice(name, _ARGUMENTS))
    where = StepContext(context.place.at("columns"), context.schema)
    names = read_columns(arguments.get("columns"), where, "text", "number")
    for name in names:
        if not _is_hashable(context.schema[name]):
            raise where.place.at(name).error("only texts and whole numbers can be hashed")
    digest = partial(_digests, key=_read_key(arguments, context.place))
    expressions = [
        pl.col(name).cast(pl.String).map_batches(digest, return_dtype=pl.String) for name in names
    ]
    schema = context.schema | dict.fromkeys(names, ColumnSpec(type="string"))
    return expression_step(schema, expressions)


def _is_hashable(spec: ColumnSpec) -> bool:
    return spec.type in ("string", "category") or "int" in spec.type


def _read_key(arguments: dict[str, Any], place: Place) -> bytes:
    if ("key_file" in arguments) == ("key_env" in arguments):
        raise place.error("needs a key", "give one of key_file and key_env")
    name = "key_file" if "key_file" in arguments else "key_env"
    place, value = place.at(name), arguments[name]
    if not isinstance(value, str) or not value:
        raise place.error(f"{shown(value)} is not a name")
    key = _key_from_file(value, place) if name == "key_file" else _key_from_env(value, place)
    if len(key) < _SHORTEST_KEY_BYTES:
        raise place.error(
            f"the key has {len(key)} bytes, fewer than {_SHORTEST_KEY_BYTES}",
            "make one with: openssl rand -hex 32",
        )
    return key


def _key_from_env(name: str, place: Place) -> bytes:
    if name not in os.environ:
        raise place.error(f"the environment has no {name}", "set it, or use key_file")
    return os.environ[name].strip().encode()


def _key_from_file(name: str, place: Place) -> bytes:
    path = Path(os.environ.get("CREDENTIALS_DIRECTORY", ""), name)
    try:
        return path.read_bytes().strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise place.error(f"the key cannot be read from {path}: {reason}") from error


def _digests(texts: pl.Series, key: bytes) -> pl.Series:
    return pl.Series(
        [
            None if text is None else hmac.digest(key, text.encode(), "sha256").hex()
            for text in texts
        ],
        dtype=pl.String,
    )
