"""Which encoding a text is written in, told from its bytes, and how sure that is.

A byte order mark or valid UTF-8 settles it. What is neither was written by an older program: it is
read in each of the usual encodings, and the likeliest reading is taken.
"""

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ingestd.infer.readings import Wording, wordings

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_ESCAPES_TO_JAPANESE = (b"\x1b$B", b"\x1b$@")
"""ISO 2022, which says in ASCII that other characters follow."""
_WIDE = {"utf-32-le": 4, "utf-32-be": 4, "utf-16-le": 2, "utf-16-be": 2}
"""Encodings with several bytes for each character, and how many."""
_JUDGED_BYTES = 2**16
_LEAST_LIKELY = -10.0
"""For each character; below it nothing speaks for any encoding."""
_IN_DOUBT = 4.0
"""So much less likely, as a logarithm, may another encoding be that is not ruled out."""
_MOST_DOUBTS = 2
_HARDLY_DAMAGED = 20
"""So many bytes of sound characters to one that is lost make UTF-8 certain, wherever they stand."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """A name for ``csv.encoding``, and what speaks for it."""

    name: str
    is_sure: bool
    why: str


class EncodingScan:
    """The encoding of a file that is shown block by block; only lines beyond ASCII are kept."""

    _MOST_KEPT_BYTES = 2**18

    def __init__(self, head: bytes) -> None:
        self._marked = _marked(head) or _wide(head) or _escaped(head)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_utf8 = True
        self._odd = bytearray()
        self._rest = b""

    def see(self, block: bytes) -> None:
        """Take the next block into account."""
        if self._marked:
            return
        if self._is_utf8:
            self._is_utf8 = _is_next_decodable(self._decoder, block)
        block = self._rest + block
        end = block.rfind(b"\n") + 1
        self._keep(block[:end])
        self._rest = block[end:]

    def _keep(self, lines: bytes) -> None:
        if not lines.isascii() and len(self._odd) < self._MOST_KEPT_BYTES:
            for line in lines.splitlines(keepends=True):
                if not line.isascii() and len(self._odd) < self._MOST_KEPT_BYTES:
                    self._odd += line

    def result(self) -> Encoding:
        """What the file is written in."""
        if self._marked:
            return self._marked
        self._keep(self._rest)
        if not self._odd:
            return Encoding("utf-8", True, "all ASCII")
        if self._is_utf8:
            return Encoding("utf-8", True, "valid UTF-8")
        return guess_encoding(bytes(self._odd))


def guess_encoding(octets: bytes) -> Encoding:
    """The likeliest of the older encodings for bytes that are not UTF-8, or not all of them."""
    damaged = "UTF-8 but for some damaged lines"
    if _utf8_soundness(octets) > _HARDLY_DAMAGED:
        return Encoding("utf-8", False, damaged)
    best, *others = wordings(octets[:_JUDGED_BYTES])
    if _has_mostly_utf8_lines(octets):
        return Encoding("utf-8", False, f"{damaged}; {_doubt(best, best.first_word)}")
    if best.likelihood < _LEAST_LIKELY * best.size:
        name = "cp1252" if _is_decodable(octets, "cp1252") else "iso8859-1"
        return Encoding(name, False, "nothing speaks for another one")
    return Encoding(best.encoding, False, "; ".join(_reasons(best, others)))


def _reasons(best: Wording, others: Iterable[Wording]) -> Iterator[str]:
    """What it says, and what else it may say: one example for each different reading."""
    likely = (one for one in others if one.likelihood > best.likelihood - _IN_DOUBT)
    doubts = {word: one for one in likely if (word := one.word_unlike(best))}
    unlike = next(iter(doubts.values()), None)
    yield f"it reads {(best.word_unlike(unlike) if unlike else best.first_word)!r}"
    for word, one in [*doubts.items()][:_MOST_DOUBTS]:
        yield _doubt(one, word)


def _doubt(other: Wording, word: str) -> str:
    return f"AMBIGUOUS: as {other.encoding} it would read {word!r}"


def _marked(head: bytes) -> Encoding | None:
    for mark, name in _BOMS:
        if head.startswith(mark):
            return Encoding(name, True, "byte order mark")
    return None


def _wide(head: bytes) -> Encoding | None:
    """UTF-16 or UTF-32 without a mark: what is ASCII in it, digits and delimiters, has zeros."""
    if head.count(0) * 100 < len(head):
        return None
    ascii_counts = {name: _count_ascii(head, name) for name in _WIDE}
    best = max(ascii_counts, key=lambda name: ascii_counts[name])
    if ascii_counts[best] * _WIDE[best] * 10 < len(head):
        return None
    return Encoding(best, False, "its zero bytes are those of that")


def _count_ascii(head: bytes, name: str) -> int:
    """Characters of ASCII, if line ends are among them and hardly any NUL."""
    text = head[: len(head) // _WIDE[name] * _WIDE[name]].decode(name, "replace")
    count = sum("\0" < character < "\x80" for character in text)
    is_text = text.count("\0") * 20 <= count and ("\n" in text or "\r" in text)
    return count if is_text else 0


def _escaped(head: bytes) -> Encoding | None:
    if head.isascii() and any(escape in head for escape in _ESCAPES_TO_JAPANESE):
        return Encoding("iso2022_jp", False, "its escape sequences are those of that")
    return None


def _is_next_decodable(decoder: codecs.IncrementalDecoder, block: bytes) -> bool:
    try:
        decoder.decode(block)
    except UnicodeDecodeError:
        return False
    return True


def _is_decodable(octets: bytes, name: str) -> bool:
    try:
        octets.decode(name)
    except UnicodeDecodeError:
        return False
    return True


def _utf8_soundness(octets: bytes) -> float:
    """Bytes of sound characters beyond ASCII, for each byte lost: by chance there are few."""
    kept = octets.decode("utf-8", "ignore").encode()
    return sum(octet > 0x7F for octet in kept) / max(1, len(octets) - len(kept))


def _has_mostly_utf8_lines(octets: bytes) -> bool:
    """Whether most lines beyond ASCII are sound: hardly any line of an older encoding is."""
    odd = [line for line in octets.splitlines() if not line.isascii()]
    return sum(_is_decodable(line, "utf-8") for line in odd) * 2 > len(odd)
