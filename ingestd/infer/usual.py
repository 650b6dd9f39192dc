"""What most rows of a table have in common, by which rows are told from what stands above them:
how many fields, which of them hold values, which are never empty.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ingestd.infer.cells import cell_of, filled_places, is_blank, is_value
from ingestd.infer.dialects import Record

_ENOUGH_RECORDS = 100
_USUAL = 0.8
"""Of all rows, so many show what a column holds."""
_DIGITS = re.compile(r"\d+")
_LETTERS = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class UsualRows:
    """What most rows have in common, by their places in a row."""

    width: int
    valued: frozenset[int]
    """Where they hold values."""
    filled: frozenset[int]
    """Where they are not empty."""
    seen: Mapping[int, frozenset[str]]
    """Elsewhere: texts that several of them have."""
    looks: Mapping[int, str]
    """Elsewhere: what all texts look like that have digits."""
    are_spaced: bool
    """Whether blanks stand behind their delimiters."""

    def have(self, record: Record) -> bool:
        """Whether the record is a row like most of them."""
        if len(record.cells) != self.width:
            return False
        if not self.valued:
            is_filled = all(cell_of(record, place) for place in self.filled)
            return is_filled and not self.is_prose(record)
        return self._are_values_in(record)

    def are_damaged_in(self, record: Record) -> bool:
        """Whether the record is a row that lacks some fields, or has some too many."""
        filled = filled_places(record, len(record.cells))
        is_shifted = len(filled) > 1 and all(is_value(record, place) for place in filled)
        is_cut_off = self.width < 2 * len(record.cells) and self._are_values_in(record)
        return len(record.cells) > 1 and (is_cut_off or is_shifted)

    def _are_values_in(self, record: Record) -> bool:
        told = [place for place in self.valued if not is_blank(record, place)]
        return 2 * sum(is_value(record, place) for place in told) > len(told)

    def are_named_by(self, record: Record) -> bool:
        """Whether the record may name their columns."""
        filled = filled_places(record, self.width)
        is_wide = len(record.cells) >= self.width - (self.width > 2)
        if not is_wide or len(filled) * 2 < self.width > 2:
            return False
        if any(is_blank(record, place) or is_value(record, place) for place in filled):
            return False
        is_other = not self.valued or not self.valued.isdisjoint(filled)
        return is_other and not self._are_like(record, filled)

    def _are_like(self, record: Record, filled: Sequence[int]) -> bool:
        """Whether the cells are texts, or have the look of one, that stand below them."""
        seen = sum(cell_of(record, place) in self.seen.get(place, ()) for place in filled)
        looks = ((_look_of(cell_of(record, place)), self.looks.get(place)) for place in filled)
        return 2 * seen > len(filled) or any(own and own == shared for own, shared in looks)

    def is_prose(self, record: Record) -> bool:
        """Whether blanks stand behind commas as in a sentence, and not in the rows."""
        return not self.are_spaced and is_spaced(record)

    def are_sure_of(self, names: Record) -> bool:
        """Whether no row could be written like this record, which may name the columns.

        One text where rows have values may be a row's.
        """
        return len(self.valued.intersection(filled_places(names, self.width))) > 1


def usual_rows(records: Sequence[Record], width: int) -> UsualRows:
    """What the lower half of the records has in common, where hardly any is above the rows."""
    wide = [record for record in records[(len(records) + 1) // 2 :] if len(record.cells) == width]
    wide = wide or [record for record in records if len(record.cells) == width]
    body = [*{record.key: record for record in wide}.values()][:_ENOUGH_RECORDS]
    places = range(width)
    valued = frozenset(place for place in places if _is_usually_valued(body, place))
    texts = {
        place: Counter(cell_of(record, place) for record in body if not is_blank(record, place))
        for place in places
        if place not in valued
    }
    least = _USUAL * len(body)
    filled = (p for p in places if sum(cell_of(record, p) != "" for record in body) >= least)
    looks = {place: _shared_look(cells) for place, cells in texts.items()}
    usual = {
        place: frozenset(text for text, count in cells.items() if count > 1)
        for place, cells in texts.items()
    }
    are_spaced = 2 * sum(map(is_spaced, body)) > len(body)
    return UsualRows(width, valued, frozenset(filled), usual, looks, are_spaced)


def _is_usually_valued(body: Sequence[Record], place: int) -> bool:
    told = [record for record in body if not is_blank(record, place)]
    return sum(is_value(record, place) for record in told) >= _USUAL * max(1, len(told))


def is_spaced(record: Record) -> bool:
    """Whether blanks stand behind delimiters, as behind commas in a sentence."""
    return any(cell[:1] == " " and cell.strip() for cell in record.cells[1:])


def _shared_look(cells: Collection[str]) -> str:
    looks = {*map(_look_of, cells)}
    return looks.pop() if len(looks) == 1 and len(cells) > 1 else ""


def _look_of(cell: str) -> str:
    """``A-17`` and ``B-4`` look alike; text without digits looks like nothing."""
    bare = _DIGITS.sub("0", cell)
    return _LETTERS.sub("a", bare) if "0" in bare else ""
