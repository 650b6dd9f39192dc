"""A block of a file in the canonical dialect, and where its lines lie in the file itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ingestd.config.encodings import encode, unit_bytes
from ingestd.formats.csv.dialect import NEWLINE, Dialect
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


def transcribe(block: bytes, dialect: Dialect) -> Transcript:
    """All whole lines of ``block``, which begins with a record."""
    written = _rewrite(block, dialect.script) if dialect.script else Transcript(block)
    if dialect.padded is None:
        return written
    octets = written.octets[: written.octets.rfind(b"\n") + 1]
    bare = dialect.padded.sub(rb"\1\2", octets)
    if bare == octets:
        return replace(written, octets=octets)
    own_lines = _line_starts(octets) if written.own_lines is None else written.own_lines
    return Transcript(bare, _line_starts(bare), own_lines, written.undecodable)


def _rewrite(block: bytes, script: Script) -> Transcript:
    ends = ends_of(block, encode(script.record_end, script.codec), unit_bytes(script.codec))
    text, undecodable = _decode(block, ends, script)
    octets = script.rewrite(text).encode(errors="replace")
    own_lines = np.append(0, _unescaped(octets, ends))
    octets = octets[: octets.rfind(b"\n") + 1]
    return Transcript(octets, _line_starts(octets), own_lines, undecodable)


def _line_starts(octets: bytes) -> Positions:
    """Where lines begin, and where the last one ends."""
    return np.append(0, np.flatnonzero(np.frombuffer(octets, np.uint8) == NEWLINE) + 1)


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
