"""Rows that are no data by what they begin with: totals, and notes below a table."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ingestd.formats.csv.dialect import Dialect
from ingestd.formats.csv.lines import Lines

_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)*")
_BEFORE = " \t\ufeff\"'"
_LOOKED_AT_BYTES = 4096
"""Of a record: in front of a beginning there may be many empty cells."""


@dataclass(frozen=True, slots=True)
class _Beginnings:
    """How such rows begin.

    Each holds one of ``marks`` when ASCII letters are made small, trailing bytes of other scripts
    included; these are found a hundred times as fast as ``pattern`` is tried on every row.
    """

    pattern: re.Pattern[str]
    marks: frozenset[bytes]


def find_skipped(lines: Lines, texts: tuple[str, ...], dialect: Dialect) -> tuple[int, ...]:
    """Indexes, ascending, of the records that begin with one of ``texts``, in any case.

    Delimiters, quotes and blanks may stand before it, but it is not the beginning of a longer word.
    A number in a text stands for any number.
    """
    if not texts:
        return ()
    quote = "" if dialect.quote is None else chr(dialect.quote)
    beginnings = _compile(texts, chr(dialect.delimiter) + quote, dialect.codec)
    octets = lines.octets.lower()
    places = [place for mark in beginnings.marks for place in _places(octets, mark)]
    return tuple(
        index
        for index in lines.at(np.array(places, np.int64))
        if beginnings.pattern.match(_beginning_at(int(lines.starts[index]), lines, dialect.codec))
    )


def _beginning_at(start: int, lines: Lines, codec: str) -> str:
    return lines.octets[start : start + _LOOKED_AT_BYTES].decode(codec, "replace")


def _places(octets: bytes, mark: bytes) -> Iterator[int]:
    place = octets.find(mark)
    while place >= 0:
        yield place
        place = octets.find(mark, place + 1)


@lru_cache(maxsize=64)
def _compile(texts: tuple[str, ...], separators: str, codec: str) -> _Beginnings:
    before = re.escape(separators + _BEFORE)
    beginning = "|".join(map(_pattern, texts))
    return _Beginnings(
        re.compile(f"(?i)[{before}]*(?:{beginning})"),
        frozenset(mark for text in texts for mark in _marks(text, codec)),
    )


def _pattern(text: str) -> str:
    words = (_NUMBER.pattern.join(map(re.escape, _NUMBER.split(word))) for word in text.split())
    is_word = text.rstrip()[-1].isalnum()
    return r"[ \t]+".join(words) + (r"(?!\w)" if is_word else "")


def _marks(text: str, codec: str) -> Iterator[bytes]:
    """The longest part of a text that is neither number nor blank; none where it cannot be."""
    part = max(re.split(r"[\s0-9]+", text), key=len)
    for spelt in (part, part.lower(), part.upper(), part.title()):
        with suppress(UnicodeEncodeError):
            yield spelt.encode(codec).lower()
