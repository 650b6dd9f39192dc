"""What a side file says that a file holds, and whether it does. Synchronous: runs in a thread.

It says a number of rows; or JSON, ``{"rows": 1000, "sha256": "…"}``; or it is what ``sha256sum``,
``md5sum`` and their like write. Which of them it is, its content tells.
"""

import codecs
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from ingestd.config.naming import counted
from ingestd.errors import FileHeld, FileUnavailable
from ingestd.files import digest_of, displayable, explaining
from ingestd.records import FileLayout, FoundFile

_ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
"""By the number of hexadecimal digits."""

_ROWS = re.compile(r"[0-9]{1,18}")
_CHECKSUM = re.compile(r"\\?(?P<digest>[0-9A-Fa-f]{32,})(?:[ \t]+\*?(?P<name>.+))?")
_TAGGED = re.compile(r"[A-Z0-9]+ \((?P<name>.+)\) = (?P<digest>[0-9A-Fa-f]{32,})")

_MOST_BYTES = 2**20
_ALLOWED = 'allowed: a number of rows, {"rows": 1000}, or what sha256sum or md5sum write'


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is said of one file: its rows, and its digests in hexadecimal digits, by algorithm."""

    rows: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)


def broken_promise(found: FoundFile, layout: FileLayout | None) -> FileHeld | None:
    """In what the file is not as its manifest says; nothing if it is so, or has no manifest.

    ``layout`` is missing when the file cannot be read as its source says.

    Raises:
        FileUnavailable: one of the two cannot be read now, or the file changed.
    """
    if found.manifest is None:
        return None
    name = displayable(found.manifest.name)
    manifest = parse_manifest(_read(found.manifest), found.path.name)
    if manifest is None:
        return FileHeld("bad_manifest", f"{name} says neither rows nor a checksum", _ALLOWED)
    for algorithm, told in manifest.digests.items():
        if (actual := digest_of(found.path, found.stat, algorithm).hex()) != told:
            return _mismatch(f"{name} says {algorithm} {told}, the file has {actual}")
    rows = manifest.rows
    if layout is not None and rows is not None and rows != layout.data_row_count:
        has = f"{layout.data_row_count:,}"
        return _mismatch(f"{name} says {counted(rows, 'row')}, the file has {has}")
    return None


def _mismatch(message: str) -> FileHeld:
    hint = "is the file cut off, or the manifest of another one? Drop both again when they fit"
    return FileHeld("manifest_mismatch", message, hint)


def _read(path: Path) -> str:
    """Text in UTF-8, or in what Windows makes of a redirected output."""
    if not path.exists():
        message = f"{displayable(path.name)} is missing, which says what the file holds"
        raise FileUnavailable("missing_manifest", message, "put it beside the file")
    with explaining("unreadable_file", path), path.open("rb") as stream:
        octets = stream.read(_MOST_BYTES)
    is_utf16 = octets.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return octets.decode("utf-16" if is_utf16 else "utf-8-sig", "replace")


def parse_manifest(text: str, name: str) -> Manifest | None:
    """What it says of the file of that name, if it says anything."""
    text = text.strip()
    if _ROWS.fullmatch(text):
        return Manifest(int(text))
    return _parse_json(text) if text.startswith("{") else _parse_checksums(text, name)


def _parse_json(text: str) -> Manifest | None:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    rows = told.get("rows")
    digests = {name: told[name] for name in _ALGORITHMS.values() if told.get(name) is not None}
    is_sound = type(rows) in (int, type(None)) and all(isinstance(d, str) for d in digests.values())
    if not is_sound or (rows is None and not digests):
        return None
    return Manifest(rows, {name: digest.lower() for name, digest in digests.items()})


def _parse_checksums(text: str, name: str) -> Manifest | None:
    """Of several files the line with that name; a single one may know it under another."""
    lines = [line.strip() for line in text.splitlines()]
    found = [match for line in lines if (match := _match(line))]
    if len(found) > 1:
        found = [match for match in found if PurePath(match["name"] or "").name == name]
    digests = {
        _ALGORITHMS[len(match["digest"])]: match["digest"].lower()
        for match in found
        if len(match["digest"]) in _ALGORITHMS
    }
    return Manifest(digests=digests) if digests else None


def _match(line: str) -> re.Match[str] | None:
    return _CHECKSUM.fullmatch(line) or _TAGGED.fullmatch(line)
