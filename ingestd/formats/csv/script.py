"""How a file is written that is not in the canonical dialect, and what it says in that.

Canonical is what the scanner and Polars read: UTF-8, LF or CRLF, a delimiter of one byte, doubled
quotes. Other marks are replaced by those, one kind after the other for a whole block. Where a
mark has no meaning (it is escaped, or is no mark here) a placeholder stands for it, until it is
put back in values. Lines stay lines, so that places in one text are found in the other by them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

SEPARATOR = "\x1f"
"""Canonical for delimiters of several bytes."""

# Unicode's noncharacters, "intended for process-internal uses" (core specification, 23.7)
_QUOTE, _DELIMITER, _END, _FEED, _RETURN, _UNIT, _MARK = map(chr, range(0xFDD0, 0xFDD7))
ESCAPED_END = _END
PLACEHOLDERS = frozenset((_QUOTE, _DELIMITER, _END, _FEED, _RETURN, _UNIT, _MARK))


def has_placeholders(text: str) -> bool:
    """Whether a file's own text holds what only stands for something else here."""
    return not text.isascii() and any(mark in text for mark in PLACEHOLDERS)


@dataclass(frozen=True)
class Script:
    """The marks of a dialect that is not canonical; an empty one is not used."""

    codec: str
    record_end: str
    """LF means CRLF, too."""
    delimiter: str
    quote: str
    escape: str

    @property
    def separator(self) -> str:
        """The canonical delimiter."""
        is_byte = len(self.delimiter) == 1 and self.delimiter.isascii()
        return self.delimiter if is_byte else SEPARATOR

    @cached_property
    def hidden(self) -> Mapping[str, str]:
        """What may stand in a canonical value for something else, and for what."""
        meanings = {_QUOTE: self.quote, _DELIMITER: self.delimiter, _END: self.record_end}
        if self.separator != self.delimiter:
            meanings |= {self.separator: self.delimiter, _UNIT: self.separator}
        if self.record_end != "\n":
            meanings |= {"\n": self.record_end, _FEED: "\n", _RETURN: "\r"}
        return meanings

    @property
    def placeholders(self) -> Iterator[str]:
        """What stands for something else wherever it is."""
        return filter(PLACEHOLDERS.__contains__, self.hidden)

    def rewrite(self, text: str) -> str:
        """Whole records, which hold no placeholders, in the canonical dialect."""
        if self.separator != self.delimiter:
            text = text.replace(self.separator, _UNIT)
        if self.escape:
            text = self._escaped.sub(lambda match: self._without_meaning[match[1]], text)
        if self.record_end != "\n":
            text = text.replace(self.record_end, _MARK).replace("\n", _FEED)
            text = text.replace("\r", _RETURN).replace(_MARK, "\n")
        return text.replace(self.delimiter, self.separator)

    def restore(self, value: str) -> str:
        """A canonical value as it stands in the file."""
        return "".join(self.hidden.get(letter, letter) for letter in value)

    @cached_property
    def _without_meaning(self) -> dict[str, str]:
        ends = {"\r\n": "\r" + _END, "\n": _END} if self.record_end == "\n" else {}
        return {
            **ends,
            self.record_end: _END,
            self.delimiter: _DELIMITER,
            self.escape: self.escape,
            **({self.quote: _QUOTE} if self.quote else {}),
        }

    @cached_property
    def _escaped(self) -> re.Pattern[str]:
        longest_first = sorted(self._without_meaning, key=len, reverse=True)
        return re.compile(f"{re.escape(self.escape)}({'|'.join(map(re.escape, longest_first))})")
