"""How things are spoken of: keys, values found, what is allowed or was probably meant, counts."""

import difflib
import json
import re
from collections.abc import Iterable, Sequence

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PASSWORD = re.compile(r"://[^@\s\"]*@")
_LONGEST_SHOWN = 60


def dotted(path: Sequence[str | int]) -> str:
    """``validation_rules.amount.min``, ``checks[0].name``: the key as TOML would write it."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." if text else ""
            text += part if _BARE_KEY.fullmatch(part) else json.dumps(part)
    return text


def shown(value: object) -> str:
    """A value found in the configuration, short, on one line and without passwords."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, str | bool | int | float | list | tuple):
        text = _PASSWORD.sub("://…@", json.dumps(value, ensure_ascii=False, default=str))
    else:
        text = str(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def quoted(names: Iterable[str]) -> str:
    """``"a", "b"``"""
    return ", ".join(json.dumps(name, ensure_ascii=False) for name in names)


def counted(count: int, noun: str) -> str:
    """``1 row``, ``2,000 rows``"""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def alike(name: str, known: Iterable[str], likeness: float = 0.65, most: int = 3) -> list[str]:
    """The known names that are most like ``name``, in any case; none where none is close."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=most, cutoff=likeness)
    return [by_lower[one] for one in found]


def closest(name: str, known: Iterable[str], likeness: float = 0.65) -> str | None:
    """The one that is most like it."""
    return next(iter(alike(name, known, likeness, most=1)), None)


def nearest(name: str, known: Iterable[str]) -> str:
    """``did you mean "amount"?``, or nothing where no known name is close."""
    found = closest(name, known)
    return f'did you mean "{found}"?' if found else ""


def choice(name: object, known: Iterable[str]) -> str:
    """The nearest of the known names, then all of them."""
    names = list(known)
    listed = ", ".join(name if _BARE_KEY.fullmatch(name) else json.dumps(name) for name in names)
    allowed = f"allowed: {listed or 'nothing'}"
    guess = nearest(name, names) if isinstance(name, str) else ""
    return f"{guess} {allowed}" if guess else allowed
