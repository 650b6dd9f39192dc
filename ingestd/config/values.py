"""What one value of the configuration may be, where a plain type does not say enough.

A validator's error text says what is allowed; ``explain.py`` puts in front what was found.
"""

import math
import re
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, SecretStr

from ingestd.config.encodings import canonical_encoding
from ingestd.config.naming import nearest, quoted

RESERVED_SOURCES = ("errors", "files")
EPOCHS = ("epoch_s", "epoch_ms")
"""Formats of date-times that are counts since 1970, in seconds or milliseconds."""
_TIME_DIRECTIVE = re.compile(r"%[-_.:#0-9]*[A-Za-z+]")
_LONGEST_PATTERN = 500
RESERVED_DATABASES = ("admin", "local", "config")


def _check(is_allowed: Callable[[str], object], allowed: str) -> AfterValidator:
    def check(text: str) -> str:
        if not is_allowed(text):
            raise ValueError(allowed)
        return text

    return AfterValidator(check)


def _check_each(is_allowed: Callable[[str], object], allowed: str) -> BeforeValidator:
    """Of one text, or of several."""

    def check(value: object) -> object:
        texts = value if isinstance(value, list | tuple) else [value]
        if not texts or not all(isinstance(text, str) and is_allowed(text) for text in texts):
            raise ValueError(allowed)
        return value

    return BeforeValidator(check)


def _check_bound(value: object) -> object:
    is_scalar = isinstance(value, bool | int | float | str | date | time)
    if not is_scalar or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("allowed: a finite number, a text, a date, a date-time, a time")
    return value


def _check_path(value: object) -> object:
    if isinstance(value, str) and (not value.strip() or "\0" in value):
        raise ValueError("allowed: a path, not empty, without NUL")
    return value


def _check_uri(uri: SecretStr) -> SecretStr:
    if not uri.get_secret_value().startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError('allowed: "mongodb://…" or "mongodb+srv://…"')
    return uri


def _is_time_format(text: str) -> bool:
    return text in EPOCHS or _TIME_DIRECTIVE.search(text) is not None


def _check_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        advice = 'allowed: an IANA name such as "Europe/Berlin"'
        raise ValueError(f"{nearest(name, available_timezones())} {advice}".strip()) from error
    return name


Bound = Annotated[bool | int | float | str | datetime | date | time, BeforeValidator(_check_bound)]
"""A limit or a choice in a rule; ``bool`` stands first so that ``true`` does not become 1."""
ConfiguredPath = Annotated[Path, BeforeValidator(_check_path)]
MongoUri = Annotated[SecretStr, AfterValidator(_check_uri)]
SocketMode = Annotated[
    str, _check(re.compile(r"0?[0-7]{3}").fullmatch, 'allowed: rights in octal, such as "0660"')
]
TimeZone = Annotated[str, AfterValidator(_check_timezone)]
Encoding = Annotated[str, AfterValidator(canonical_encoding)]
Database = Annotated[
    str,
    _check(re.compile(r"[A-Za-z0-9_-]{1,38}").fullmatch, "allowed: 1 to 38 of A-Z a-z 0-9 _ -"),
    _check(
        lambda name: name not in RESERVED_DATABASES,
        f"{quoted(RESERVED_DATABASES)} belong to MongoDB itself; choose another name",
    ),
]
Origin = Annotated[
    str,
    _check(
        re.compile(
            r"\*|https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?"
        ).fullmatch,
        'allowed: an origin as browsers tell it, "https://app.example.org", or "*" for all',
    ),
]
SourceName = Annotated[
    str,
    _check(
        re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}").fullmatch,
        "allowed: a letter, then up to 63 of A-Z a-z 0-9 _ -",
    ),
    _check(
        lambda name: name not in RESERVED_SOURCES,
        f"{quoted(RESERVED_SOURCES)} are collections of ingestd itself; choose another name",
    ),
]
CheckName = Annotated[
    str,
    _check(
        re.compile(r"[a-z][a-z0-9_]{0,63}").fullmatch,
        "allowed: a lower-case letter, then up to 63 of a-z 0-9 _",
    ),
]
TimeFormats = Annotated[
    str | tuple[str, ...],
    _check_each(_is_time_format, 'write it like "%Y-%m-%d" or "%H:%M:%S"'),
]
Delimiter = Annotated[
    str,
    _check(
        re.compile(r"[^\r\n]{1,16}").fullmatch,
        r'allowed: up to 16 characters, no line end, such as "," ";" "|" "\t" "||"',
    ),
]
Quote = Annotated[
    str,
    _check(
        re.compile(r"[\x21-\x7e]?").fullmatch,
        "allowed: one ASCII character that is not blank, or empty for none",
    ),
]
Thousands = Annotated[
    str,
    _check(
        re.compile(r"[^0-9A-Za-z+\-()%]?").fullmatch,
        'allowed: one character that is no letter, digit or sign, such as "," or " ", or empty',
    ),
]
Currencies = Annotated[
    str | tuple[str, ...],
    _check_each(
        re.compile(r"[^\s0-9+\-()%]{1,8}").fullmatch,
        'allowed: up to 8 characters without digits, blanks and signs, such as "€" or "EUR"',
    ),
]
Escape = Annotated[
    str,
    _check(
        re.compile(r"doubled|none|[\x21-\x7e]").fullmatch,
        r'allowed: "doubled", "none", or one ASCII character that is not blank, such as "\\"',
    ),
]
RecordEnd = Annotated[
    str,
    _check(
        re.compile(r"(?s).{1,16}").fullmatch,
        r'allowed: "auto", or up to 16 characters, such as "\n" "\r\n" "\r" "|\n"',
    ),
]
RowBeginning = Annotated[
    str,
    _check(
        re.compile(r"(?=.*[^\d\s])[^\r\n]{1,200}").fullmatch,
        'allowed: up to 200 characters with which rows begin, such as "TOTAL" "Source:"',
    ),
]
Comment = Annotated[
    str,
    _check(
        re.compile(r"[^\s\"]\S{0,15}|").fullmatch,
        'allowed: up to 16 characters without blanks, such as "#" or "//", or empty for none',
    ),
]
DoneMarker = Annotated[
    str,
    _check(re.compile(r"[^/\0]{1,64}").fullmatch, 'allowed: a suffix without "/", such as ".done"'),
]
FilePattern = Annotated[
    str,
    _check(lambda pattern: len(pattern) <= _LONGEST_PATTERN, f"at most {_LONGEST_PATTERN} long"),
    _check(
        re.compile(r"[^\0]*[^/\0\s]").fullmatch,
        'allowed: a pattern that ends in a file name, such as "orders/*.csv"',
    ),
    _check(
        lambda pattern: not {"..", "~"} & set(pattern.split("/")),
        'allowed: without ".." and "~"; relative to paths.inbox, or absolute under an allowed root',
    ),
]
