"""What the rows say of one column: which kinds of values fit all of them, and facts about them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from ingestd.infer.kinds import NULL_SPELLINGS, Kind, possible_kinds

_MOST_DIGESTS = 100_000
_MOST_UNIQUE_DIGESTS = 5_000_000
_MOST_LISTED = 20
_BLANKS = " \t"
_MOST_OTHERS = 3
_TOLD = ("int64", "float64", "date", "datetime", "time")
"""Types of which a few exceptions are worth a word."""


@dataclass(slots=True)
class _Trial:
    """A kind that has fitted all values so far, and the least and the greatest of them."""

    kind: Kind
    low: Any = None
    high: Any = None

    def fits(self, texts: pl.Series) -> bool:
        values = self.kind.read(texts)
        if values is None:
            return False
        if self.kind.spec.type != "json":
            self.widen(values.min(), values.max())
        return True

    def widen(self, *values: Any) -> None:
        """Take more values into account."""
        known = [value for value in (*values, self.low, self.high) if value is not None]
        self.low, self.high = min(known), max(known)


@dataclass(frozen=True, slots=True)
class Nearly:
    """A kind that fits all values but these few, each given once."""

    kind: Kind
    others: tuple[str, ...]

    def after(self, texts: pl.Series) -> "Nearly | None":
        """The same when more texts are known; None where too many are of another kind."""
        misfits = self.kind.misfits(texts)
        others = tuple(dict.fromkeys((*self.others, *misfits.head(_MOST_OTHERS + 1))))
        return Nearly(self.kind, others) if len(others) <= _MOST_OTHERS else None


def _nearest(kinds: Sequence[Kind], texts: pl.Series) -> Nearly | None:
    found = (Nearly(kind, ()).after(texts) for kind in kinds if kind.spec.type in _TOLD)
    return min(filter(None, found), key=lambda nearly: len(nearly.others), default=None)


@dataclass(slots=True)
class Evidence:
    """Of one column, gathered chunk by chunk. Blanks around a value never count."""

    name: str
    propose: Callable[[str, str], Sequence[Kind]] = possible_kinds
    """The kinds worth trying for a column with this value and this name."""
    rows: int = 0
    empty: int = 0
    """Rows without a value."""
    null_spellings: Counter[str] = field(default_factory=Counter)
    """Rows with a text that may mean "no value"."""
    has_blanks: bool = False
    """Some value has blanks around it."""
    values: Counter[str] | None = field(default_factory=Counter)
    """How often each value occurs, while there are few of them."""
    longest: int = 0
    example: str | None = None
    nearly: Nearly | None = None
    """What fits all but a few values, where nothing fits all of them."""
    _trials: list[_Trial] | None = None
    _digests: list[pl.Series] = field(default_factory=list)
    _digest_count: int = 0
    _has_repeats: bool = False

    def see(self, texts: pl.Series) -> None:
        """Take the column's texts of one chunk into account; null where the file has nothing."""
        self.rows += texts.len()
        self.empty += texts.null_count()
        filled = texts.drop_nulls()
        bare = filled.str.strip_chars(_BLANKS).alias("text")
        self.has_blanks = (
            self.has_blanks or bare.str.len_bytes().sum() < filled.str.len_bytes().sum()
        )
        counts = bare.value_counts(sort=True)
        self.longest = max([self.longest, *counts["text"].str.len_chars().sort()[-1:]])
        is_null = counts["text"].is_in(["", *NULL_SPELLINGS])
        if is_null.any():
            self.null_spellings.update(dict(counts.filter(is_null).iter_rows()))
            self.empty += self.null_spellings.pop("", 0)
            counts = counts.filter(~is_null)
        if counts.height:
            self._see_values(counts)

    def _see_values(self, counts: pl.DataFrame) -> None:
        texts = counts["text"]
        if self._trials is None:
            self.example = min(texts.head(100))
            self._trials = [_Trial(kind) for kind in self.propose(self.example, self.name)]
        fitting = _fitting(self._trials, texts)
        if self._trials and not fitting:
            self.nearly = _nearest([trial.kind for trial in self._trials], texts)
        elif self.nearly:
            self.nearly = self.nearly.after(texts)
        self._trials = fitting
        self._count(counts)

    def _count(self, counts: pl.DataFrame) -> None:
        if self.values is not None:
            self.values.update(dict(counts.head(_MOST_LISTED + 1).iter_rows()))
            if len(self.values) > _MOST_LISTED:
                self.values = None
        self._has_repeats = self._has_repeats or counts["count"][0] > 1
        if not self._is_uncounted:
            self._digests.append(counts["text"].hash())
            self._digest_count += counts.height

    @property
    def _is_uncounted(self) -> bool:
        """Whether the different values are too many; as long as all differ, more are counted."""
        most = _MOST_DIGESTS if self._has_repeats else _MOST_UNIQUE_DIGESTS
        return self._digest_count > most

    @property
    def filled(self) -> int:
        """Rows with a value."""
        return self.rows - self.empty - self.null_spellings.total()

    @property
    def distinct(self) -> int | None:
        """Different values; None where there are too many to count."""
        if self._is_uncounted:
            return None
        return pl.concat(self._digests).n_unique() if self._digests else 0

    @property
    def kinds(self) -> Sequence[Kind]:
        """What fits all values, the narrowest first; nothing where there is no value."""
        trials = [trial.kind for trial in self._trials or ()]
        return [kind for kind in trials if self._is_credible(kind)]

    def bounds(self, kind: Kind) -> tuple[Any, Any]:
        """The least and the greatest value, as far as they are known."""
        trials = (trial for trial in self._trials or () if trial.kind is kind)
        return next(((trial.low, trial.high) for trial in trials), (None, None))

    def _is_credible(self, kind: Kind) -> bool:
        """One spelling alone may be a word: ``no`` for Norway, ``f`` for female, ``(1)``."""
        low, high = self.bounds(kind)
        if kind.spec.accounting and not kind.spec.currency:
            return high is not None and high >= 0
        if kind.spec.type != "bool" or self.example is None:
            return True
        return low is not high or self.example.lower() in ("true", "false")


def _fitting(trials: Sequence[_Trial], texts: pl.Series) -> list[_Trial]:
    """The trials that these texts pass, too; what a simpler kind reads is not read again."""
    fitting: list[_Trial] = []
    for trial in trials:
        simpler = next((one for one in fitting if trial.kind.includes(one.kind)), None)
        if simpler is not None:
            trial.widen(simpler.low, simpler.high)
        if simpler is not None or trial.fits(texts):
            fitting.append(trial)
    return fitting
