"""Rows that are no data by what they begin with: totals, and notes below a table."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ingestd.formats.csv.dialect import Dialect
from ingestd.formats.csv.lines import Lines

_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)*")
_BEFORE = " \t\ufeff\"'"
_LOWER = {letter: letter + 32 for letter in range(ord("A"), ord("Z") + 1)}
"""Of ASCII alone, as in ``bytes.lower``."""


@dataclass(frozen=True, slots=True)
class _Beginnings:
    """How such rows begin.

    Each holds one of ``marks``, which are found a hundred times as fast as ``pattern`` is tried on
    every row.
    """

    pattern: re.Pattern[bytes]
    marks: tuple[bytes, ...]


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
        if beginnings.pattern.match(lines.octets, int(lines.starts[index]))
    )


def _places(octets: bytes, mark: bytes) -> Iterator[int]:
    place = octets.find(mark)
    while place >= 0:
        yield place
        place = octets.find(mark, place + 1)


@lru_cache(maxsize=64)
def _compile(texts: tuple[str, ...], separators: str, codec: str) -> _Beginnings:
    before = "|".join(map(re.escape, separators + _BEFORE))
    beginning = "|".join(map(_pattern, texts))
    return _Beginnings(
        re.compile(f"(?i)(?:{before})*(?:{beginning})".encode(codec, "ignore")),
        tuple(_mark(text).encode(codec, "ignore") for text in texts),
    )


def _pattern(text: str) -> str:
    words = (_NUMBER.pattern.join(map(re.escape, _NUMBER.split(word))) for word in text.split())
    is_word = text.rstrip()[-1].isalnum()
    return r"[ \t]+".join(words) + (r"(?![0-9A-Za-z_\x80-\xff])" if is_word else "")


def _mark(text: str) -> str:
    """The longest part of a text that is neither number nor blank."""
    return max(re.split(r"[\s0-9]+", text), key=len).translate(_LOWER)
