"""Where in a refused record its refused values stand, and the record with carets below them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from ingestd.cli.screen import clean
from ingestd.config.source import SourceSpec

Span = tuple[int, int]
"""The first character of a value, and the first behind it."""


def spans_of(
    raw: str, violations: Sequence[Mapping[str, Any]], source: SourceSpec, columns: Sequence[str]
) -> Iterator[Span]:
    """Where the values stand, as far as that can be told; ``columns``: those of the file."""
    for violation in violations:
        value, column = violation["value"], violation["column"]
        if value and column in columns:
            start = _start_of(raw, value, column, source, columns)
            if start >= 0:
                yield start, start + len(value)


def _start_of(
    raw: str, value: str, column: str, source: SourceSpec, columns: Sequence[str]
) -> int:  # fmt: skip
    if source.format == "fixed":
        first, width = source.fixed.columns[column]
        return raw.find(value, first - 1, first - 1 + width)
    if source.format not in ("csv", "tsv"):
        return find_member(raw, value, (column, *source.columns[column].aliases))
    return find_field(raw, value, columns.index(column), source.csv.delimiter)


def find_field(raw: str, value: str, place: int, delimiter: str) -> int:
    """The value in its own field; one that occurs only once needs no counting of fields."""
    if raw.count(value) == 1:
        return raw.index(value)
    before = raw.split(delimiter)[:place]
    return raw.find(value, sum(map(len, before)) + len(before) * len(delimiter))


def find_member(raw: str, value: str, keys: Sequence[str]) -> int:
    """The value behind its key in a JSON object, where it is written as it is told."""
    names = "|".join(re.escape(json.dumps(key, ensure_ascii=False)) for key in keys)
    found = re.search(rf'[{{,]\s*(?:{names})\s*:\s*"?(?={re.escape(value)})', raw)
    return found.end() if found else -1


def underlined(raw: str, spans: Sequence[Span], width: int) -> Iterator[Text]:
    """The record, or the part of it where the first span is, and the carets below."""
    first = 0
    if spans and cell_len(clean(raw[: spans[0][1]])) > width:
        first = max(0, spans[0][0] - width // 2)
    shown = ("…" if first else "") + clean(raw[first:])
    yield Text(cut(shown, width), "default")
    carets = ""
    for start, end in sorted(set(spans)):
        if start >= first:
            margin = cell_len(clean(raw[first:start])) + bool(first)
            carets = carets.ljust(margin) + "^" * cell_len(clean(raw[start:end]))
    if carets:
        yield Text(carets[:width], "bold red")


def cut(text: str, width: int) -> str:
    """As much of a text as fits, with a sign where something is left out."""
    return text if cell_len(text) <= width else text[: width - 1] + "…"
