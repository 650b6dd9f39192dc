"""A JSON file: one array of objects, or objects one after the other, over as many lines as may be.

Read as a stream, an element at a time. What follows a mistake cannot be trusted, so there one
mistake refuses the file; line-delimited JSON is the format in which it costs one row.
"""

import codecs
import io
import json
import re
from collections.abc import Iterator
from itertools import islice

from ingestd.config.source import SourceSpec
from ingestd.errors import FileRefused
from ingestd.formats.foreign import name_of

_BLOCK_BYTES = 2**18
_ELEMENTS_AT_ONCE = 500
_MAX_ELEMENT_CHARACTERS = 2**23
_BLANKS = re.compile(r"[ \t\r\n]*")
_LINE_BREAKS = str.maketrans("\r\n", "  ")  # inside of values JSON has none
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)


def json_lines(stream: io.BufferedReader, _: SourceSpec) -> Iterator[bytes]:
    """The elements as they stand in the file, one per line.

    Raises:
        FileRefused: it is not JSON, or neither an array nor objects.
    """
    lines = (element + "\n" for element in _elements(_Text(stream)))
    while some := "".join(islice(lines, _ELEMENTS_AT_ONCE)):
        yield some.encode(errors="surrogateescape")


def _elements(text: "_Text") -> Iterator[str]:
    first = text.next_character()
    if first not in ("[", "{", ""):
        raise _wrong_format(text.start)
    is_array = first == "["
    if is_array:
        text.take(1)
        if text.next_character() == "]":
            return
    number = 0
    while text.next_character():
        number += 1
        yield text.take_value(number).translate(_LINE_BREAKS)
        if not is_array:
            continue
        after = text.next_character()
        if after not in (",", "]"):
            raise _damaged(number, "neither a comma nor the end of the array follows")
        text.take(1)
        if after == "]":
            break
    if (is_array and text.next_character()) or (is_array and not number):
        raise _damaged(number, "something follows the array")


class _Text:
    """The text of a file, of which as much is held as the next value needs."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self.start = stream.peek(16)
        self._stream = stream
        # what is not UTF-8 passes through, and its row is refused where rows are read
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self._held, self._at = "", 0
        self._is_at_end = False

    def next_character(self) -> str:
        """The first that is no blank; it stays. Nothing at the end of the file."""
        while True:
            self._at = _BLANKS.match(self._held, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._held) or not self._read_on():
                return self._held[self._at : self._at + 1]

    def take(self, count: int) -> None:
        """Leave characters behind."""
        self._at += count

    def take_value(self, number: int) -> str:
        """The JSON value that begins here, as it is written."""
        while True:
            try:
                _, end = _DECODER.raw_decode(self._held, self._at)
            except (ValueError, RecursionError) as error:
                end, reason = len(self._held), getattr(error, "msg", "nested too deeply")
            else:
                reason = ""
            if end < len(self._held) or (self._is_at_end and not reason):
                value, self._at = self._held[self._at : end], end
                return value
            if self._is_at_end or end - self._at > _MAX_ELEMENT_CHARACTERS:
                raise _damaged(number, reason or "it is too long")
            self._read_on()

    def _read_on(self) -> bool:
        block = self._stream.read(_BLOCK_BYTES)
        self._held = self._held[self._at :] + self._decoder.decode(block, final=not block)
        self._at, self._is_at_end = 0, not block
        return bool(block)


def _wrong_format(start: bytes) -> FileRefused:
    found = name_of(start) or "something else"
    return FileRefused(
        "wrong_format", f"this is {found}, not JSON: neither an array nor an object",
        "is it a file of another source?",
    )  # fmt: skip


def _damaged(number: int, reason: str) -> FileRefused:
    return FileRefused(
        "damaged_json", f"the file is no JSON from element {number} on: {reason}",
        "ask for it again; as NDJSON, one bad row would not stop the file",
    )  # fmt: skip
