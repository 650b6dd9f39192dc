"""Why records cannot be read: their fields, their quotes, their bytes."""

import re

import numpy as np

from ingestd.config.naming import counted
from ingestd.formats.csv.dialect import Dialect
from ingestd.formats.csv.lines import Lines
from ingestd.formats.csv.quotes import count_fields
from ingestd.formats.text import Positions
from ingestd.records import Violation

Faults = dict[int, Violation]
"""By the record's index."""

_MESSAGES = {
    "stray_quote": "a quote stands where none may: quote the whole field and double quotes in it",
    "unclosed_quote": "a quote is opened and not closed on this line",
    "record_too_large": "the record is larger than refine.max_record_bytes",
    "nul_byte": "the record holds a NUL byte",
}


def structure_fault(rule: str) -> Violation:
    """What is told about a record that breaks one of the rules above."""
    return Violation(None, rule, None, _MESSAGES[rule])


def field_counts(lines: Lines, dialect: Dialect) -> Positions:
    """The number of fields of each record."""
    octets = np.frombuffer(lines.octets, np.uint8)
    return count_fields(octets, lines.starts, lines.ends, dialect)


def find_miscounted(counts: Positions, expected: int, ragged: str) -> Faults:
    """Records with missing or extra fields, unless the source says what becomes of those."""
    wrong = counts > expected if ragged == "pad" else counts != expected
    indexes = np.flatnonzero(wrong) if ragged != "rescue" else np.empty(0, np.int64)
    return {
        index: Violation(
            None,
            "too_few_fields" if count < expected else "too_many_fields",
            None,
            f"{counted(count, 'field')} instead of {expected}",
        )
        for index, count in zip(indexes.tolist(), counts[indexes].tolist(), strict=True)
    }


def find_doubled(lines: Lines, dialect: Dialect) -> Faults:
    """Records with two quotes in a row, where that is no way to write one."""
    if dialect.quote is None or dialect.is_doubling:
        return {}
    twice = re.compile(re.escape(bytes([dialect.quote]) * 2))
    places = np.array([match.start() for match in twice.finditer(lines.octets)], np.int64)
    return {
        index: structure_fault("stray_quote")
        for index in lines.at(places)
        if any(twice.search(cell[1:-1]) for cell, _ in dialect.field.findall(lines.record(index)))
    }


def find_nul(lines: Lines) -> Faults:
    if b"\0" not in lines.octets:
        return {}
    at = np.flatnonzero(np.frombuffer(lines.octets, np.uint8) == 0)
    return dict.fromkeys(lines.at(at), structure_fault("nul_byte"))


def find_undecodable(lines: Lines, dialect: Dialect) -> Faults:
    """Each record that holds bytes which are not the declared encoding."""
    if lines.octets.isascii() or _is_decodable(lines.octets, dialect):
        return {}
    faults = {}
    for index in range(lines.starts.size):
        try:
            lines.record(index).decode(dialect.codec)
        except UnicodeDecodeError as error:
            message = f"byte 0x{error.object[error.start]:02x} is not {dialect.codec}"
            faults[index] = Violation(None, "encoding", None, message)
    return faults


def _is_decodable(octets: bytes, dialect: Dialect) -> bool:
    try:
        octets.decode(dialect.codec)
    except UnicodeDecodeError:
        return False
    return True
