"""What the first bytes of a CSV file tell: that it is text, in which encoding, how records end."""

import re
from dataclasses import dataclass

from ingestd.config.encodings import without_bom
from ingestd.config.source import CsvSpec
from ingestd.formats.foreign import refuse_others

LOOK_BYTES = 2**16
"""So much of a file is looked at."""

_BOMS = {
    b"\xff\xfe\0\0": "utf-32-le",
    b"\0\0\xfe\xff": "utf-32-be",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
    b"\xef\xbb\xbf": "utf-8",
}
"""Byte order marks, those that begin with another one first."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen, and what the source says of the rest."""

    bom: bytes
    encoding: str
    record_end: str
    """What ends records; LF or CRLF, whichever comes first, where the source allows both."""


def look_at(beginning: bytes, spec: CsvSpec) -> Look:
    """Raises FileRefused when a file that begins so is empty, or no text."""
    bom = _bom(beginning, spec)
    if not bom:
        refuse_others(beginning, "CSV text")
    encoding = _BOMS[bom] if bom else _without_bom(spec.encoding, beginning)
    if spec.record_end not in ("auto", "\n"):
        return Look(bom, encoding, spec.record_end)
    text = beginning[:LOOK_BYTES].decode(encoding, "replace")
    return Look(bom, encoding, _record_end(text, spec))


def _bom(beginning: bytes, spec: CsvSpec) -> bytes:
    """The byte order mark; where it may be two, that of the declared encoding."""
    found = [bom for bom in _BOMS if beginning.startswith(bom)]
    declared = [bom for bom in found if _BOMS[bom].startswith(spec.encoding[:6])]
    return [*declared, *found, b""][0]


def _without_bom(encoding: str, beginning: bytes) -> str:
    """Byte order by the zeros of the first character, where nothing else tells it."""
    if encoding in ("utf-16", "utf-32") and beginning.startswith(b"\0"):
        return f"{encoding}-be"
    return without_bom(encoding)


def _record_end(text: str, spec: CsvSpec) -> str:
    """CR when none but CRs end lines outside quotes."""
    if spec.record_end == "auto" and re.search(r"\r[^\n]", text):
        outside = _outside_quotes(text, spec)
        if "\r" in outside and "\n" not in outside:
            return "\r"
    return "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"


def _outside_quotes(text: str, spec: CsvSpec) -> str:
    if spec.escape_character:
        text = re.sub(f"(?s){re.escape(spec.escape_character)}.", "", text)
    quote = re.escape(spec.quote)
    return re.sub(f"{quote}[^{quote}]*{quote}", "", text) if quote else text
