"""A block of a file in the canonical dialect, and where its lines lie in the file itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ingestd.config.encodings import encode, unit_bytes
from ingestd.formats.csv.dialect import NEWLINE
from ingestd.formats.csv.script import ESCAPED_END, PLACEHOLDERS, Script, has_placeholders
from ingestd.formats.text import Positions, ends_of

_NO_CHARACTERS = {ord(mark): "\ufffd" for mark in PLACEHOLDERS}


@dataclass(frozen=True, slots=True)
class Transcript:
    """``octets`` are canonical; line for line they say what the file's own bytes say."""

    octets: bytes
    lines: Positions | None = None
    """Where each line of ``octets`` begins, then their end; ``None``: they are the file's own."""
    own_lines: Positions | None = None
    """The same in the file's own bytes."""
    undecodable: Mapping[int, str] = field(default_factory=dict)
    """Why lines cannot be decoded, by the place in the file's own bytes where they begin."""

    def own(self, places: Positions | int) -> Positions:
        """Places between lines, in the file's own bytes."""
        if self.lines is None or self.own_lines is None:
            return np.asarray(places)
        own: Positions = self.own_lines[np.searchsorted(self.lines, places)]
        return own


def transcribe(block: bytes, script: Script | None) -> Transcript:
    """All whole lines of ``block``, which begins with a record."""
    if script is None:
        return Transcript(block)
    ends = ends_of(block, encode(script.record_end, script.codec), unit_bytes(script.codec))
    text, undecodable = _decode(block, ends, script)
    octets = script.rewrite(text).encode(errors="replace")
    ends = _unescaped(octets, ends)
    octets = octets[: octets.rfind(b"\n") + 1]
    lines = np.flatnonzero(np.frombuffer(octets, np.uint8) == NEWLINE) + 1
    return Transcript(octets, _from_0(lines), _from_0(ends), undecodable)


def _from_0(places: Positions) -> Positions:
    return np.concatenate((np.zeros(1, np.int64), places))


def _decode(block: bytes, ends: Positions, script: Script) -> tuple[str, dict[int, str]]:
    """The text, line by line where not all of it can be decoded at once."""
    try:
        text = block[: ends[-1] if ends.size else 0].decode(script.codec)
    except UnicodeDecodeError:
        text = ""
    if text.count(script.record_end) == ends.size and not has_placeholders(text):
        return text, {}
    starts = np.concatenate(([0], ends[:-1])).tolist()
    lines = [_decode_line(block[a:b], script) for a, b in zip(starts, ends.tolist(), strict=True)]
    faults = {start: fault for start, (_, fault) in zip(starts, lines, strict=True) if fault}
    return "".join(line for line, _ in lines), faults


def _decode_line(line: bytes, script: Script) -> tuple[str, str]:
    """One line with its end, and what is wrong with it."""
    fault = ""
    try:
        text = line.decode(script.codec)
    except UnicodeDecodeError as error:
        fault = f"byte 0x{line[error.start]:02x} is not {script.codec}"
        text = line.decode(script.codec, "replace")
    text = text.removesuffix(script.record_end)
    if script.record_end in text or has_placeholders(text):
        fault = fault or "it holds what is no character"
        text = text.translate(_NO_CHARACTERS).replace(script.record_end, "\ufffd")
    return text + script.record_end, fault


def _unescaped(octets: bytes, ends: Positions) -> Positions:
    """Those of the file's line ends that still are some."""
    escaped = ESCAPED_END.encode()
    if escaped not in octets:
        return ends
    is_end = np.array([end == b"\n" for end in re.findall(b"\n|" + escaped, octets)], np.bool_)
    kept: Positions = ends[is_end]
    return kept
