"""What must be in MongoDB and on disk when all is done, told from the files alone; and what is.

Rows have three columns: ``id``, ``amount``, ``note``. An amount below zero is refused.
"""

import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from csv import reader
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

COMMITTED = ("loaded", "archived", "undone")
HEADER = "id,amount,note\n"
Item = tuple[Any, ...]


def rows(count: int, refused_every: int = 10, first: int = 1, note: str = "note") -> bytes:
    """A file of so many rows; some are refused."""
    lines = [
        f"{n},{-1 if refused_every and n % refused_every == 0 else n / 4},{note} {n}\n"
        for n in range(first, first + count)
    ]
    return (HEADER + "".join(lines)).encode()


@dataclass(frozen=True)
class Ended:
    """One file of a source, and how it must have ended. ``errors``: of which rows, in which state;
    by default the refused ones are open. ``least``: the amount that is not refused any more."""

    name: str
    content: bytes
    state: str = "archived"
    source: str = "orders"
    errors: Mapping[int, str] | None = None
    least: int = 0
    has_rows: bool = True

    def records(self) -> Iterator[tuple[int, int, float, str]]:
        """Row number, id, amount and note of every row that can be read."""
        for number, record in enumerate(list(reader(io.StringIO(self.content.decode())))[1:], 1):
            yield number, int(record[0]), float(record[1]), record[2]

    @property
    def refused(self) -> list[int]:
        """The rows that the rules refuse."""
        return [number for number, _, amount, _ in self.records() if amount < 0]

    @property
    def stored(self) -> list[tuple[int, int, float, str]]:
        """The rows that must be seen, or were seen before they were undone."""
        if self.state not in COMMITTED:
            return []
        return [row for row in self.records() if row[2] >= self.least]

    @property
    def directory(self) -> str:
        """Where it lies in the end."""
        return "failed" if self.state in ("failed", "held") else "archive"


@dataclass
class World:
    """All that is durable, as sorted lists that can be compared."""

    files: list[Item] = field(default_factory=list)
    """Of each file that the ledger knows: source, name, state, counts, nothing left to do."""
    documents: list[Item] = field(default_factory=list)
    """Source, file, row, id, amount, note. Of upserts: source, id, amount, note."""
    errors: list[Item] = field(default_factory=list)
    """File, row, state, the record as it stands in the file."""
    disk: list[Item] = field(default_factory=list)
    """Directory, source, digest of the content (of reports: their names)."""
    strays: list[Item] = field(default_factory=list)
    """What contradicts itself, or belongs to nothing; always empty when all is well."""

    def differences(self, other: "World") -> list[str]:
        """What this one lacks (-) and has beyond the other (+); nothing, if they are the same."""
        return [
            f"{sign} {part.name}: {item}"
            for part in fields(World)
            for sign, items in _compared(getattr(self, part.name), getattr(other, part.name))
            for item in items
        ]


def _compared(ours: Sequence[Item], theirs: Sequence[Item]) -> Iterator[tuple[str, list[Item]]]:
    here, there = Counter(ours), Counter(theirs)
    yield "-", list((there - here).elements())[:3]
    yield "+", list((here - there).elements())[:3]


# what must be


def expected(
    ended: Sequence[Ended], upserted: Sequence[str] = (), kept: Sequence[tuple[str, bytes]] = ()
) -> World:
    """The world after these files, in order of arrival; ``kept``: what lies in archive/, too.

    ``upserted``: the sources of which the later row of an id wins.
    """
    world = World(disk=[("archive", source, _digest(content)) for source, content in kept])
    latest: dict[tuple[str, int], Item] = {}
    for file in ended:
        world.files.append(_entry(file))
        world.errors += _errors(file)
        world.disk += _lying(file)
        for row, identity, amount, note in file.stored if file.has_rows else ():
            if file.source in upserted:
                latest[file.source, identity] = (file.source, identity, amount, note)
            else:
                world.documents.append((file.source, file.name, row, identity, amount, note))
    world.documents += latest.values()
    return world


def _entry(file: Ended) -> Item:
    stored, is_held = len(file.stored), file.state == "held"
    total = len(list(file.records())) if is_held or file.state in COMMITTED else 0
    refused = len(file.refused) if is_held else total - stored
    return (file.source, file.name, file.state, total, stored, refused)


def _errors(file: Ended) -> Iterator[Item]:
    lines = [None, *file.content.decode().splitlines()[1:]]
    for row, state in (_usual_errors(file) if file.errors is None else file.errors).items():
        yield file.name, row, state, lines[row]


def _usual_errors(file: Ended) -> Mapping[int, str]:
    whole = {0: "open"} if file.state in ("failed", "held") else {}
    is_read = file.state in (*COMMITTED, "held")
    return whole | dict.fromkeys(file.refused if is_read else (), "open")


def _lying(file: Ended) -> Iterator[Item]:
    yield file.directory, file.source, _digest(file.content)
    if file.directory == "failed":
        yield "failed", file.source, f"{file.name.rpartition('/')[2]}.error.json"
    if file.state in COMMITTED and file.refused and file.has_rows:
        lines = file.content.splitlines(keepends=True)
        bad = b"".join(lines[row] for row in file.refused)
        yield "rejects", file.source, _digest(lines[0] + bad)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


# what is


@dataclass(frozen=True)
class Places:
    """Where a world is looked at: a database, and the daemon's directories."""

    store: Any
    root: Path
    archive: Path

    def files(self) -> list[Item]:
        """What the ledger says of each file."""
        return [_told(entry) for entry in self.store["files"].find()]

    def look(self, upserted: Sequence[str] = ()) -> World:
        """All of it."""
        world = World()
        entries = list(self.store["files"].find())
        named = {entry["_id"]: entry for entry in entries}
        for entry in entries:
            world.files.append(_told(entry))
            world.strays += _loose_ends(entry)
        for error in self.store["errors"].find():
            owner, row = _parts(error["_id"])
            name = named[owner]["name"] if owner in named else f"unknown {owner}"
            world.errors.append((name, row, error["state"], error["raw"]))
        for source in {entry["source_name"] for entry in entries}:
            self._add_documents(world, source, named, source in upserted)
        self._add_disk(world, entries)
        return world

    def _add_documents(
        self, world: World, source: str, named: Mapping[str, Any], is_upserted: bool
    ) -> None:
        for document in self.store[source].find():
            values = document["id"], document["amount"], document["note"]
            if is_upserted:
                world.documents.append((source, *values))
                continue
            owner, row = _parts(document["_id"])
            entry = named.get(owner, {"name": f"unknown {owner}", "processed_at": None})
            world.documents.append((source, entry["name"], row, *values))
            if document["processed_at"] != entry["processed_at"]:
                world.strays.append((source, entry["name"], row, "of another attempt"))

    def _add_disk(self, world: World, entries: Iterable[Mapping[str, Any]]) -> None:
        places = [
            place for one in entries for place in (one["archived_to"], one.get("rejects_file"))
        ]
        told = Counter(place for place in places if place)
        for path in self._files():
            area, source, *_ = path.relative_to(self._base_of(path)).parts
            if path.name.startswith(".") or area not in ("archive", "rejects", "failed"):
                world.strays.append((str(path),))
            is_report = path.name.endswith(".error.json")
            world.disk.append((area, source, path.name if is_report else digest_of(path)))
            told[str(path)] -= 1
        for path_text, times in told.items():
            if times > 0:
                world.strays.append((path_text, "told by the ledger, not there or told twice"))

    def _base_of(self, path: Path) -> Path:
        return self.archive.parent if path.is_relative_to(self.archive) else self.root

    def _files(self) -> Iterator[Path]:
        ours = ("ingestd.lock", "errors.log")
        elsewhere = [] if self.archive.is_relative_to(self.root) else [self.archive]
        for base in (self.root, *elsewhere):
            for directory, _, names in os.walk(base):
                yield from (Path(directory, name) for name in names if name not in ours)


def digest_of(path: Path) -> str:
    """Of a file's content."""
    return _digest(path.read_bytes())


def _told(entry: Mapping[str, Any]) -> Item:
    counts = [entry.get(f"{part}_count") for part in ("record", "success", "error")]
    return (entry["source_name"], entry["name"], entry["state"], *counts)


def _loose_ends(entry: Mapping[str, Any]) -> Iterator[Item]:
    if entry.get("doing"):
        yield entry["name"], "an action is under way"
    if not entry["is_put_away"]:
        yield entry["name"], "it is not put away"
    if entry.get("has_rows"):
        yield entry["name"], "its rows are to be removed"


def _parts(identity: Any) -> tuple[str, int]:
    octets: bytes = identity.binary
    return octets[:8].hex(), int.from_bytes(octets[8:], "big")
