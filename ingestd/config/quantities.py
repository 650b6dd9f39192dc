"""Durations and sizes as people write them: ``"5m"``, ``"250ms"``, ``"64MiB"``."""

import re
from collections.abc import Mapping
from typing import Annotated

from annotated_types import Le
from pydantic import BeforeValidator

_DURATION_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE_BYTES = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")
_LONGEST_S = 10 * 365 * 86400
"""Ten years: more is a slip of the pen, and overflows timers."""


def _sum_parts(text: str, units: Mapping[str, float], example: str) -> float:
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text):
        raise ValueError(f"write it like {example}")
    unknown = [unit for _, unit in parts if unit not in units]
    if unknown:
        raise ValueError(f'unknown unit "{unknown[0]}"; allowed: {", ".join(units)}')
    return sum(float(number) * units[unit] for number, unit in parts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def parse_duration(value: object) -> object:
    """Seconds from ``"1h30m"``, ``"250ms"`` or a plain number of seconds."""
    if isinstance(value, bool):
        raise ValueError('write it like "5m" or "250ms"')
    if isinstance(value, str) and not _is_number(value):
        return _sum_parts(value.strip(), _DURATION_S, '"5m" or "250ms"')
    return value


def parse_size(value: object) -> object:
    """Bytes from ``"64MiB"`` or a plain number of bytes."""
    if isinstance(value, bool):
        raise ValueError('write it like "64MiB"')
    if isinstance(value, str) and not _is_number(value):
        return int(_sum_parts(value.strip(), _SIZE_BYTES, '"64MiB"'))
    return value


Seconds = Annotated[float, BeforeValidator(parse_duration), Le(_LONGEST_S)]
Bytes = Annotated[int, BeforeValidator(parse_size)]
