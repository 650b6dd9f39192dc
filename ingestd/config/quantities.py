"""Durations and sizes as people write them: ``"5m"``, ``"250ms"``, ``"64MiB"``."""

import re
from typing import Annotated, TypeGuard

from pydantic import BeforeValidator

_DURATION_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE_BYTES = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def _quantity(text: str, units: dict[str, float] | dict[str, int], example: str) -> float:
    parts = _PART.findall(text)
    allowed = ", ".join(units)
    if not parts or _PART.sub("", text).strip():
        raise ValueError(f"{text!r} is not a quantity; write it like {example}")
    for _, unit in parts:
        if unit not in units:
            raise ValueError(f"unknown unit {unit!r} in {text!r}; allowed: {allowed}")
    return float(sum(float(number) * units[unit] for number, unit in parts))


def parse_duration(value: object) -> object:
    """Seconds from ``"1h30m"``, ``"250ms"`` or a plain number of seconds."""
    return _quantity(value.strip(), _DURATION_S, '"5m" or "250ms"') if _is_text(value) else value


def parse_size(value: object) -> object:
    """Bytes from ``"64MiB"`` or a plain number of bytes."""
    return int(_quantity(value.strip(), _SIZE_BYTES, '"64MiB"')) if _is_text(value) else value


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and not value.strip().replace(".", "", 1).isdigit()


Seconds = Annotated[float, BeforeValidator(parse_duration)]
Bytes = Annotated[int, BeforeValidator(parse_size)]
