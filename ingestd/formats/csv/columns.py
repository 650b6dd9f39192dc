"""Which columns of a file are which columns of the schema, by their names."""

from difflib import get_close_matches

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused

_LISTED = 50
"""Names of a file's columns that an error shows."""


def named_columns(found: tuple[str, ...], source: SourceSpec) -> tuple[str, ...]:
    """The file's columns, under the names of the schema where they are known there."""
    known = {
        _key(spelling, source): name
        for name, column in source.columns.items()
        for spelling in (*column.aliases, name)
    }
    return tuple(known.get(_key(name, source), name) for name in found)


def _key(name: str, source: SourceSpec) -> str:
    return name.casefold() if source.csv.ignore_case else name


def missing_columns(found: tuple[str, ...], source: SourceSpec) -> tuple[str, ...]:
    """The columns of the schema that a file does not have."""
    return tuple(name for name in source.file_columns if name not in found)


def check_columns(found: tuple[str, ...], source: SourceSpec) -> None:
    """Raises FileRefused when a column of the schema is missing, or is there twice."""
    if missing := missing_columns(found, source):
        raise FileRefused(
            "missing_column",
            f"the header lacks {', '.join(map(repr, missing))}; it has "
            + ", ".join(map(repr, found[:_LISTED])),
            _missing_hint(missing[0], found, source),
        )
    twice = [name for name in source.file_columns if found.count(name) > 1]
    if twice:
        raise FileRefused(
            "duplicate_column", f"the header has {twice[0]!r} more than once",
            "rename one of them in the file",
        )  # fmt: skip


def _missing_hint(missing: str, found: tuple[str, ...], source: SourceSpec) -> str:
    if any("\0" in name for name in found):
        return 'there are zero bytes in it: is csv.encoding "utf-16"?'
    if len(found) == 1:
        return f"only one column was found: is {source.csv.delimiter!r} the delimiter?"
    by_lower = {name.casefold(): name for name in found}
    if other := by_lower.get(missing.casefold()):
        return f"{other!r} differs in case only: set csv.ignore_case = true"
    close = get_close_matches(missing.casefold(), by_lower, 1)
    if not close:
        return "has the sender changed the file?"
    close_name = by_lower[close[0]]
    return (
        f'did {close_name!r} mean {missing!r}? If so, add aliases = ["{close_name}"] to the column'
    )
