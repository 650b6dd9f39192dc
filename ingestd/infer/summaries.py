"""Rows that are no data: totals in or below a table, notes below it; told by how they begin."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ingestd.infer.cells import cell_of, has_text, is_blank, is_value
from ingestd.infer.dialects import Record
from ingestd.infer.usual import is_spaced

_MOST_FOOTER_RECORDS = 50
_USUAL_SHARE = 0.9
_LONGEST_BEGINNING = 40

_TOTAL = re.compile(
    r"(?i)(?:(?:sub|grand|all)[ -]?|zwischen|gesamt)?"
    r"(?:totals?|total[ei]s?|totaal|sum|summe|gesamt|insgesamt|somme|suma|soma|итого|всего)\b"
    r"|(?:average|mean|avg|durchschnitt|mittelwert|moyenne|promedio)\b"
    r"|合計|小計|総計"
)
_SENTENCE = re.compile(r":|\s\S+\s|\A[^\w\s]|\A\d[\d.,]*\s+[^\W\d]")
"""What hardly is a cut-off row, or a row of a single value."""
_BEGINNING = re.compile(r"[^:\r\n]{0,40}:|[^\r\n]*")
_BEFORE_NUMBER = re.compile(r"(\D*[^\W\d]\D*)\d.*")
_RULE = re.compile(r"[:+|]?[-=_]+[-=_+:|]*")
_UNTOLD = " \t([#-,;/\"'"
"""What a beginning need not end with."""


@dataclass(frozen=True, slots=True)
class _Table:
    """What is usual for the rows of a table."""

    width: int
    valued: frozenset[int]
    """Places of values, in most rows."""
    usual: frozenset[int]
    """Places that are hardly ever empty."""
    are_spaced: bool
    """Whether blanks stand behind their delimiters."""


def skipped_beginnings(
    records: Sequence[Record], width: int, *, is_cut_off: bool
) -> tuple[str, ...]:  # fmt: skip
    """With what those of the records begin that are totals, or notes at their end.

    None of the others begins so. A last record that is cut off is a row, unless it is a sentence.
    """
    rules = {_first_text(record)[:3] for record in records if is_rule(record)}
    records = [record for record in records if not is_rule(record)]
    table = _table(records, width)
    below = _footer(records, table, is_cut_off=is_cut_off)
    rows = records[: len(records) - len(below)]
    totals = [record for record in rows if _is_total(record, table)]
    texts = shortest([*sorted(rules), *filter(None, map(_beginning, (*totals, *below)))])
    others = [_first_text(record).casefold() for record in rows if record not in totals]
    return tuple(text for text in texts if not any(o.startswith(text.casefold()) for o in others))


def is_total(text: str) -> bool:
    """Whether it begins with a word for a sum or an average."""
    return _TOTAL.match(text) is not None


def is_rule(record: Record) -> bool:
    """Whether it is a line between a header and rows, drawn with dashes: ``|---|:---:|``."""
    filled = [cell.strip() for cell in record.cells if cell.strip()]
    return all(map(_RULE.fullmatch, filled)) and any(len(cell) > 2 for cell in filled)


def shortest(texts: Iterable[str]) -> tuple[str, ...]:
    """Each text once, and none that begins with another one, in whichever case."""
    kept: dict[str, str] = {}
    for text in sorted(dict.fromkeys(texts), key=len):
        if not text.casefold().startswith(tuple(kept)):
            kept[text.casefold()] = text
    return tuple(kept.values())


def _table(records: Sequence[Record], width: int) -> _Table:
    valued, usual = set(), set()
    records = [
        record for record in records
        if 2 * len(record.cells) > width and not _TOTAL.match(_first_text(record))
    ]  # fmt: skip
    for place in range(width):
        filled = [record for record in records if cell_of(record, place)]
        if 2 * sum(is_value(record, place) for record in filled) > len(filled):
            valued.add(place)
        if len(filled) >= _USUAL_SHARE * len(records):
            usual.add(place)
    are_spaced = 2 * sum(map(is_spaced, records)) > len(records)
    return _Table(width, frozenset(valued), frozenset(usual), are_spaced)


def _footer(records: Sequence[Record], table: _Table, *, is_cut_off: bool) -> Sequence[Record]:
    """The last records, as far as they are notes or totals.

    Blanks and control characters that happen to end a file are none.
    """
    count = 0
    for record in reversed(records[-_MOST_FOOTER_RECORDS:]):
        is_row = not _is_note(record, table) and not _is_total(record, table)
        is_cut = is_cut_off and not count and not _SENTENCE.search(_first_text(record))
        if is_row or (is_cut and not _TOTAL.match(_first_text(record))):
            break
        count += 1
    return records[len(records) - count :]


def _is_note(record: Record, table: _Table) -> bool:
    """Whether it is far too short, or says one thing where rows say several."""
    filled = [place for place in range(table.width) if cell_of(record, place)]
    if table.width == 1 or is_value(record, 0):
        return False
    is_sentence = _SENTENCE.search(cell_of(record, 0)) is not None
    is_telling = is_sentence or 0 in table.valued
    if len(record.cells) < (table.width if is_telling else max(table.width / 2, 2)):
        return True
    if _is_prose(record, table):
        return True
    is_single = len(filled) == 1 and not is_value(record, filled[0])
    is_misplaced = is_single and filled[0] in table.valued
    is_lone = is_single and len(table.usual) > 2 and filled[0] == 0
    return is_misplaced or (is_lone and is_sentence)


def _is_prose(record: Record, table: _Table) -> bool:
    """Whether it is a sentence with commas, and has words where rows have several values."""
    words = [
        place for place in table.valued
        if not is_blank(record, place) and not is_value(record, place)
    ]  # fmt: skip
    return is_spaced(record) and not table.are_spaced and len(words) == len(table.valued) > 1


def _is_total(record: Record, table: _Table) -> bool:
    """Whether a word for a sum stands where rows have values, or all alone in front of gaps."""
    first = next((n for n in range(table.width) if cell_of(record, n)), 0)
    word = _TOTAL.match(cell_of(record, first))
    if word is None:
        return False
    is_alone = word.end() >= len(cell_of(record, first).rstrip(":. "))
    return first in table.valued or (
        is_alone and any(not cell_of(record, place) for place in table.usual)
    )


def _beginning(record: Record) -> str:
    """As much of its first text as other files have, too: up to a colon or a number."""
    begun = _BEGINNING.match(_first_text(record))
    text = begun[0].lstrip("'\"").partition('"')[0] if begun else ""
    if number := _BEFORE_NUMBER.fullmatch(text):
        text = number[1].rstrip(_UNTOLD)
    if len(text) > _LONGEST_BEGINNING:
        text = text[:_LONGEST_BEGINNING].rpartition(" ")[0] or text[:_LONGEST_BEGINNING]
    text = text.strip()
    return text if re.search(r"[^\d\s]", text) else ""


def _first_text(record: Record) -> str:
    return next(_texts(record), "")


def _texts(record: Record) -> Iterator[str]:
    return (cell.strip() for cell in record.cells if cell.strip() and has_text(cell))
