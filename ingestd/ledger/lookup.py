"""Which file somebody means: by its id, by a name that it has or had, or by a path to it.

Among all files are found ids, names (``a.zip/may.csv`` of a file that came in an archive), and
paths, or ends of them, of which the last part is the name, or what became of it where the name
was taken (``a-2.csv``). Everything else that a file is called leads to recent files only.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from ingestd.config.naming import alike
from ingestd.errors import ActionRefused, UnknownFile
from ingestd.files import displayable
from ingestd.ledger.entry import FILES
from ingestd.mongo import Document, Mongo

_MOST_NAMED = 10
"""Files that are told when several are called the same."""

_MOST_RECENT = 1000
_NEWEST_FIRST = [("processed_at", -1), ("_id", -1)]
_ABOVE = re.compile(r"(\.{0,2}/)+")
"""What a path may begin with that says nothing of its end."""

_NUMBER = re.compile(r"-\d+((\.[^.]*){0,2})$")
"""What a name gets where it is taken: see ``names_like``."""


async def find_file(mongo: Mongo, text: str) -> Document:
    """The entry of the only file that is called so.

    Raises:
        UnknownFile: there is none.
        ActionRefused: there are several.
    """
    found = await find_files(mongo, text)
    if len(found) > 1:
        count = len(found) if len(found) < _MOST_NAMED else f"{_MOST_NAMED} or more"
        told = ", ".join(map(_told, found))
        raise ActionRefused(f"{count} files are called {text}", f"say which one: {told}")
    return found[0]


async def find_files(mongo: Mongo, text: str) -> list[Document]:
    """The entries of files that are called so, newest first; of very many the newest.

    Duplicates, and files of which another has taken over the entry, count only where no other
    file has that name.

    Raises:
        UnknownFile: there is none.
    """
    name = displayable(text)
    for match in _matches(name):
        if found := await mongo.find(FILES, match, sort=_NEWEST_FIRST, limit=_MOST_NAMED):
            return found
    recent = await mongo.find(FILES, {}, sort=_NEWEST_FIRST, limit=_MOST_RECENT)
    if found := [entry for entry in recent if _is_called(entry, _end_of(name))]:
        return found[:_MOST_NAMED]
    raise _unknown(name, recent)


def _matches(name: str) -> Iterator[Document]:
    """The first that finds something counts."""
    yield {"_id": name}
    yield {"name": name, "duplicate_of": None}
    yield {"name": name}
    end = _end_of(name)
    last = PurePosixPath(end).name
    ends = {"$regex": f"(^|/){re.escape(end)}$"}
    names = [last, _NUMBER.sub(r"\1", last)]
    yield {"name": {"$in": names}, "$or": [{"path": ends}, {"archived_to": ends}]}


def _end_of(path: str) -> str:
    above = _ABOVE.match(path)
    return path[above.end() :] if above else path


def _is_called(entry: Document, end: str) -> bool:
    """Also by the name that it has in its archive."""
    names = (entry["name"], entry.get("path"), entry.get("archived_to"))
    return any(name is not None and f"/{name}".endswith(f"/{end}") for name in names)


def _told(entry: Document) -> str:
    arrived = f"{entry['discovered_at']:%Y-%m-%d %H:%M} UTC"
    return f"{entry['_id']} ({entry['state']}, {entry['source_name']}, {arrived})"


def _unknown(name: str, recent: Sequence[Document]) -> UnknownFile:
    hint = "see `ingestd files` for what there is"
    near = alike(PurePosixPath(name).name, dict.fromkeys(entry["name"] for entry in recent))
    if near:
        hint = f"did you mean {' or '.join(near)}? If not, {hint}"
    return UnknownFile(f"there is no file {name}", hint)
