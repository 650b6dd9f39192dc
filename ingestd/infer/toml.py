"""Keys, values and comments as TOML 1.0 writes them."""

import json
import re
from collections.abc import Mapping
from datetime import date, time
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def toml_key(name: str) -> str:
    """A key as TOML writes it."""
    return name if _BARE_KEY.fullmatch(name) else toml_value(name)


def toml_value(value: Any) -> str:
    """A value as TOML writes it (TOML 1.0; its strings escape what JSON's do, and DEL)."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml_key(k)} = {toml_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, date | time):  # and date-times
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def as_comment(text: str) -> str:
    """A text on one line, without what a comment may not hold."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text)
