"""What bytes would say in each of the older encodings, and how likely that is.

A wrong encoding shows letters that its languages hardly use, symbols inside words, small letters
before capitals, two alphabets in one word. Each makes the reading less likely; being likelihoods of
the same bytes, those of all encodings can be compared.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ingestd.infer.alphabets import Family, families

_WORD = re.compile(r"[^\x00-@\[-`{-\x7f]*[^\x00-\x7f][^\x00-@\[-`{-\x7f]*")
"""Letters of ASCII and all else beyond it, with at least one of these."""
_MOST_WORDS = 300
_UNUSUAL = -14.0
"""A character that no language of the encoding uses."""
_BROKEN = -25.0
"""Bytes that are none of the encoding."""
_IN_WORDS = "’‘·\u00adªº"
_FINAL = "ςםןץףך"
"""Letters that only end words."""


@dataclass(frozen=True, slots=True)
class Wording:
    """Bytes read in one encoding. ``likelihood`` is a logarithm."""

    encoding: str
    text: str
    likelihood: float
    size: int
    """Characters beyond ASCII that were judged."""

    @property
    def first_word(self) -> str:
        """The first with a character beyond ASCII."""
        return next(iter(_WORD.findall(self.text)), "")

    def word_unlike(self, other: "Wording") -> str:
        """The first word that the other encoding reads otherwise; empty if none is."""
        for line, other_line in zip(self.text.split("\n"), other.text.split("\n"), strict=False):
            if line != other_line:
                others = _WORD.findall(other_line)
                return next((word for word in _WORD.findall(line) if word not in others), "")
        return ""


def wordings(octets: bytes) -> list[Wording]:
    """The bytes in all encodings, the likeliest first."""
    found = [
        _wording(octets.decode(encoding, "replace"), encoding, prior, family)
        for family in families()
        for encoding, prior in family.encodings.items()
    ]
    return sorted(found, key=lambda wording: -wording.likelihood)


def _wording(text: str, encoding: str, prior: float, family: Family) -> Wording:
    words = list(dict.fromkeys(_WORD.findall(text)))[:_MOST_WORDS]
    letters = Counter(letter for word in words for letter in word if letter > "\x7f")
    letters.pop("\ufffd", None)
    of_language = (
        language.prior
        + sum(n * language.likelihoods.get(letter, _UNUSUAL) for letter, n in letters.items())
        for language in family.languages
    )
    fit = sum(_fit(around, family) for word in words for around in _neighbours(word))
    broken = _BROKEN * text.count("\ufffd")
    return Wording(encoding, text, prior + max(of_language) + fit + broken, letters.total())


def _neighbours(word: str) -> Iterable[tuple[str, str, str]]:
    """Each character beyond ASCII with the one before and the one behind it."""
    padded = f" {word} "
    triples = zip(padded, padded[1:], padded[2:], strict=False)
    return (triple for triple in triples if triple[1] > "\x7f")


def _fit(around: tuple[str, str, str], family: Family) -> float:
    before, letter, after = around
    if unicodedata.category(letter) == "Mn":
        return 0.0 if before.isalpha() or unicodedata.category(before) == "Mn" else -6.0
    if not letter.isalpha():
        is_inside = before.isalpha() and after.isalpha() and letter not in _IN_WORDS
        return -4.0 if is_inside else 0.0
    return _fit_of_case(around) + _fit_of_script(around, family)


def _fit_of_case(around: tuple[str, str, str]) -> float:
    before, letter, after = around
    if letter in _FINAL and after.isalpha():
        return -5.0
    if letter == "σ" and not after.isalpha():
        return -3.0
    if letter.isupper():
        return -5.0 if before.islower() else -0.1 if before.isupper() or after.isupper() else -0.5
    return -5.0 if letter.islower() and after.isupper() else 0.0


def _fit_of_script(around: tuple[str, str, str], family: Family) -> float:
    """Latin letters beyond ASCII stand among others, all other letters beside their like."""
    before, _, after = around
    if family.is_latin and before.isalpha():
        return -1.5 if before > "\x7f" else 0.0
    if family.is_latin:
        return 0.0 if after.isalpha() else -2.0
    if any(other.isascii() and other.isalpha() for other in (before, after)):
        return -4.0
    return 0.0 if before.isalpha() or after.isalpha() else -1.5
