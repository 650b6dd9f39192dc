"""How the columns of a file differ from those of its source, and what the source says to that.

Columns are matched by name; their order is no difference. A column without a name is none.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import count

from ingestd.config.source import RESERVED_COLUMNS, ColumnSpec, SourceSpec
from ingestd.errors import FileDrifted
from ingestd.records import NO_DRIFT, Drift

_LISTED = 50
"""Names of columns that an error shows."""
_COMPARED = 200
"""New columns among which one that was renamed is looked for."""
_MOST_NEW = 1000
"""Columns that a file may add; with more of them it is rather a file of another kind."""


def named_columns(found: Sequence[str], source: SourceSpec) -> tuple[str, ...]:
    """The file's columns, under the names of the schema where they are known there."""
    known = {_key(spelling, source): name for spelling, name in spellings(source).items()}
    return tuple(known.get(_key(name, source), name) for name in found)


def spellings(source: SourceSpec) -> Mapping[str, str]:
    """What a column may be called in a file: that name → the column."""
    return {
        spelling: name
        for name, column in source.columns.items()
        for spelling in (*column.aliases, name)
    }


def distinct_names(names: Sequence[str]) -> tuple[str, ...]:
    """A name of its own for each column: the second ``amount`` is ``amount_2``, and the fifth
    column, if it has none, ``column_5``. Names that the header gives itself come first.
    """
    taken, distinct = set(names), dict[str, None]()
    for place, name in enumerate(names, 1):
        wanted = name or f"column_{place}"
        numbered = (f"{wanted}_{number}" for number in count(2))
        own = wanted
        while own in distinct or (own != name and own in taken):
            own = next(numbered)
        distinct[own] = None
    return tuple(distinct)


def _key(name: str, source: SourceSpec) -> str:
    return name.casefold() if source.csv.ignore_case else name


def missing_columns(found: Sequence[str], source: SourceSpec) -> tuple[str, ...]:
    """The columns of the schema that a file does not have."""
    return tuple(name for name in source.file_columns if name not in found)


def drift_of(found: Sequence[str], source: SourceSpec) -> Drift:
    """The drift of a file with these columns, as ``named_columns`` names them."""
    wanted = frozenset(source.file_columns)
    if len(found) == len(wanted) and wanted.issuperset(found) and len(wanted) == len({*found}):
        return NO_DRIFT  # as nearly all of them
    new = tuple(dict.fromkeys(name for name in found if name and name not in wanted))
    missing = missing_columns(found, source)
    counts = Counter(_key(name, source) for name in found)
    duplicated = tuple(dict.fromkeys(n for n in found if n and counts[_key(n, source)] > 1))
    return Drift(new, missing, _renamed(missing, new), duplicated)


def _renamed(missing: Iterable[str], new: Sequence[str]) -> dict[str, str]:
    """Missing column → the new one that has nearly its name."""
    left = {name.casefold(): name for name in new[:_COMPARED]}
    renamed = {}
    for name in missing:
        if close := get_close_matches(name.casefold(), left, 1):
            renamed[name] = left.pop(close[0])
    return renamed


def check_drift(drift: Drift, found: Sequence[str], source: SourceSpec, hint: str = "") -> None:
    """Refuse a file of which the source does not take the drift; ``hint``: a cause to tell.

    Raises:
        FileDrifted: columns are missing, new or there twice, where they may not be.
    """
    policy = source.load
    is_foreign = len(drift.missing) == len(source.file_columns)  # nulls alone help nobody
    if drift.missing and (policy.on_missing_column == "fail" or is_foreign):
        message = f"the header lacks {_listed(drift.missing)}; it has {_listed(found)}"
        raise FileDrifted("missing_column", message, hint or _missing_hint(drift, source), drift)
    keeps_all = policy.on_new_column in ("add", "rescue")
    twice = [name for name in drift.duplicated if keeps_all or name in source.file_columns]
    if twice:
        message = f"the header has {_listed(twice)} more than once"
        raise FileDrifted("duplicate_column", message, "rename one of them in the file", drift)
    if drift.new and policy.on_new_column == "fail":
        message = f"the source does not have {_listed(drift.new)}"
        hint = 'add them to [schema], or set load.on_new_column to "ignore", "add" or "rescue"'
        raise FileDrifted("new_column", message, hint, drift)
    if len(drift.new) > _MOST_NEW and keeps_all:
        message = f"{len(drift.new)} columns are new; allowed: {_MOST_NEW}"
        raise FileDrifted("new_column", message, "is it a file of another source?", drift)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(repr, names[:_LISTED])) + more


def _missing_hint(drift: Drift, source: SourceSpec) -> str:
    has_ignore_case = source.format in ("csv", "tsv")
    for missing, new in drift.renamed.items():
        if has_ignore_case and missing.casefold() == new.casefold():
            return f"{new!r} differs in case only: set csv.ignore_case = true"
        return f'did {new!r} mean {missing!r}? If so, add aliases = ["{new}"] to the column'
    return "has the sender changed the file?"


def fitted(source: SourceSpec, drift: Drift) -> SourceSpec:
    """The source with the columns that a file adds; where it adds none, the source itself."""
    if source.load.on_new_column != "add" or not drift.new:
        return source
    taken = {*RESERVED_COLUMNS, "_version", *spellings(source), *_made_by_steps(source)}
    added = {
        safe: ColumnSpec(type="string", aliases=() if safe == name else (name,))
        for name, safe in safe_names(drift.new, taken).items()
    }
    return source.model_copy(update={"columns": {**source.columns, **added}})


def _made_by_steps(source: SourceSpec) -> Iterable[str]:
    for step in source.transform:
        for name, arguments in step.items():
            if isinstance(arguments, dict):
                yield from map(str, arguments.values() if name == "rename" else arguments)


def safe_names(names: Iterable[str], taken: Collection[str]) -> dict[str, str]:
    """Each name → one that MongoDB queries well and that is not taken.

    ``_`` stands for a dot, for NUL and for a leading ``$``, and behind what is taken.
    """
    safe_of: dict[str, str] = {}
    used = set(taken)
    for name in names:
        safe = name.encode(errors="replace").decode().replace(".", "_").replace("\0", "_")
        safe = "_" + safe[1:] if safe.startswith("$") else safe
        while safe in used:
            safe += "_"
        used.add(safe)
        safe_of[name] = safe
    return safe_of
