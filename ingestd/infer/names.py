"""Names for columns under which MongoDB can store them."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count

from ingestd.config.source import EXTRA, RESERVED_COLUMNS

_TAKEN = (*RESERVED_COLUMNS, EXTRA, "__broken__")
"""Names that ingestd uses itself, in documents or on the way to them."""


def storable_names(names: Sequence[str]) -> tuple[str, ...]:
    """A name for each column, as close as possible to its own; no two are the same."""
    taken = {name for name in names if name and storable_name(name) == name}
    given: dict[str, None] = {}
    numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(2))
    for place, name in enumerate(names):
        wanted = free = storable_name(name) or f"column_{place + 1}"
        while free in given or (free != name and free in taken):
            free = f"{wanted}_{next(numbers[wanted])}"
        given[free] = None
    return tuple(given)


def storable_name(name: str) -> str:
    """The name without what MongoDB refuses: dots, a leading ``$``, NUL, and our own fields."""
    name = re.sub(r"\s+", " ", name.replace("\0", "")).strip().replace(".", "_").lstrip("$# ")
    return f"{name.strip('_')}_in_file" if name in _TAKEN else name


def source_name(text: str) -> str:
    """A name for a source like the name of its file."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:60]
    if not name or not name[0].isalpha():
        name = f"source_{name}".rstrip("_")
    return f"{name}_source" if name in ("errors", "files") else name


def suffix_of(file: str) -> str:
    """What names of such files end with: ``.csv``, ``.csv.gz``."""
    found = re.search(r"(?i)(\.[a-z][a-z0-9]{0,7})?(\.(?:gz|bz2|xz|zst|zip))?$", file)
    return found[0] if found and found[0] else ".csv"
