"""Which encoding a text is written in, told from its bytes, and how sure that is.

A byte order mark or valid UTF-8 settles it. What is neither was written by an older program: each
of the usual encodings is tried, and the one that gives the most letters that its languages really
use is taken.
"""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_LATIN = (
    ("cp1252", "éèêëàâäáãåæçíìîïñóòôöøœúùüß’“”–—…€°£©®«»·²³ªºÉÀÄÅÖÜØÓÁÍÇÑ"),
    ("cp1250", "ąćęłńóśźżáčďéěíňřšťúůýžäôľőűöüăâîşţđß„”–ŁŚŻŹĆĄĘČŘŠŽĐŐŰÁÉÍÓÖÜ"),
    ("cp1254", "ışğüöçİŞĞÜÖÇâî’“”"),
    ("cp850", "éèêàâäáåçíîñóôöúùûüßÉÄÖÜÇÑ"),
    ("mac-roman", "éèêëàâäáãåæçíìîïñóòôöõøœúùûüß’“”–—…ÉÀÄÅÖÜØ"),
)
_OTHER_SCRIPTS = (
    ("cp1251", "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэёіїє–—«»№ОЕАИНТСРВЛКМДПУЯГЗБЧХЖШЮЭ"),
    ("koi8-r", "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэёОЕАИНТСРВЛКМДПУЯГЗБЧХЖШЮЭ"),
    ("cp866", "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэё№ОЕАИНТСРВЛКМДПУЯГЗБЧХЖШЮЭ"),
    ("cp1253", "αεηιοσςτυνρλκμπδγθωβχφξζψάέήίόύώΑΕΗΙΟΣΤΥΝΡΛΚΜΠΔΓΘΩΒΧΦ"),
    ("cp1255", "אבגדהוזחטיכלמנסעפצקרשתםןףץך"),
    ("cp1256", "ابتثجحخدذرزسشصضطظعغفقكلمنهويىةءأإآؤئ،؟"),
    ("cp874", "".join(map(chr, range(0x0E01, 0x0E5B)))),
)
"""Encodings with one byte per character, and the letters beyond ASCII that their texts hold."""

_LEAST_SHARE = 0.6


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
        self._marked = _marked(head) or _wide(head)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_utf8 = True
        self._odd = bytearray()
        self._rest = b""

    def see(self, block: bytes) -> None:
        """Take the next block into account."""
        if self._marked:
            return
        if self._is_utf8:
            self._is_utf8 = _is_decodable(self._decoder, block)
        block = self._rest + block
        end = block.rfind(b"\n") + 1
        self._keep(block[:end])
        self._rest = block[end:]

    def _keep(self, lines: bytes) -> None:
        if not lines.isascii() and len(self._odd) < self._MOST_KEPT_BYTES:
            odd = b"".join(line for line in lines.splitlines(True) if not line.isascii())
            self._odd += odd[: self._MOST_KEPT_BYTES]

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
    """The likeliest of the older encodings for bytes that are not UTF-8."""
    if _is_mostly_utf8(octets):
        return Encoding("utf-8", False, "UTF-8 but for some damaged lines")
    for name, is_usual in _ASIAN.items():
        if _is_asian(octets, name, is_usual):
            return Encoding(name, False, "its usual characters were found")
    usual = _LATIN if _is_sprinkled(octets.decode("latin-1")) else _OTHER_SCRIPTS
    shares = {name: _share(octets, name, letters) for name, letters in usual}
    best = max(shares, key=lambda name: shares[name])
    if shares[best] < _LEAST_SHARE:
        name = "cp1252" if _decoded(octets, "cp1252") is not None else "iso8859-1"
        return Encoding(name, False, "nothing speaks for another one")
    return Encoding(best, False, f"{shares[best]:.0%} of its special characters are usual ones")


def _marked(head: bytes) -> Encoding | None:
    for mark, name in _BOMS:
        if head.startswith(mark):
            return Encoding(name, True, "byte order mark")
    return None


def _wide(head: bytes) -> Encoding | None:
    """UTF-16 without a mark: half of the bytes of plain text are NUL."""
    half = len(head) // 2 or 1
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if head[first::2].count(0) > 0.4 * half and head[1 - first :: 2].count(0) == 0:
            return Encoding(name, False, "every other byte is NUL")
    return None


def _is_decodable(decoder: codecs.IncrementalDecoder, block: bytes) -> bool:
    try:
        decoder.decode(block)
    except UnicodeDecodeError:
        return False
    return True


def _is_mostly_utf8(octets: bytes) -> bool:
    """Whether broken characters are few beside sound ones: another encoding would break these."""
    text = octets.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    sound = sum(character > "\x7f" for character in text) - broken
    return sound > 10 * broken


def _decoded(octets: bytes, name: str) -> str | None:
    try:
        return octets.decode(name)
    except UnicodeDecodeError:
        return None


def _share(octets: bytes, name: str, letters: str) -> float:
    """The share of characters beyond ASCII that are among the usual ones; less where case jumps."""
    text = _decoded(octets, name)
    if text is None:
        return 0.0
    special = [character for character in text if character > "\x7f"]
    usual = sum(character in letters for character in special)
    jumps = sum(b > "\x7f" and b.isupper() and a.islower() for a, b in pairwise(text))
    return (usual - jumps) / len(special)


def _is_asian(octets: bytes, name: str, is_usual: Callable[[str], bool]) -> bool:
    """Characters that are usual there, and stand beside each other as they do in such texts."""
    text = _decoded(octets, name)
    if text is None:
        return False
    special = [character for character in text if character > "\x7f"]
    usual = sum(map(is_usual, special))
    return usual >= 0.8 * len(special) and not _is_sprinkled(text)


def _is_sprinkled(text: str) -> bool:
    """Whether most characters beyond ASCII stand alone among others, as in Latin scripts."""
    runs = re.findall(r"[^\x00-\x7f]+", text)
    return sum(len(run) == 1 for run in runs) > 0.4 * len(runs)


def _lead(character: str, name: str) -> int:
    try:
        return character.encode(name)[0]
    except UnicodeEncodeError:
        return 0


def _is_usual_korean(character: str) -> bool:
    return 0xB0 <= _lead(character, "euc_kr") <= 0xC8


def _is_usual_japanese(character: str) -> bool:
    return 0x81 <= _lead(character, "shift_jis") <= 0x97


def _is_usual_chinese(character: str) -> bool:
    return 0xA1 <= _lead(character, "gb2312") <= 0xD7


def _is_usual_taiwanese(character: str) -> bool:
    return 0xA1 <= _lead(character, "big5") <= 0xC6


_ASIAN: dict[str, Callable[[str], bool]] = {
    "cp949": _is_usual_korean,  # its letters fill one corner of the codes that Chinese uses
    "euc_jp": _is_usual_japanese,
    "cp932": _is_usual_japanese,
    "gb18030": _is_usual_chinese,
    "big5": _is_usual_taiwanese,
}
"""Encodings with several bytes per character, the most telling first."""
