"""A source as far as it could be read, and what a check says about it."""

from dataclasses import dataclass
from pathlib import Path

from ingestd.config.explain import KeyPath
from ingestd.config.source import SourceSpec


@dataclass(frozen=True, slots=True)
class Draft:
    """A source that may hold placeholders: ``unread`` are the keys that could not be used."""

    file: Path
    spec: SourceSpec
    unread: frozenset[KeyPath] = frozenset()

    @property
    def column_names(self) -> tuple[str, ...]:
        """All columns of the schema, also those whose type could not be read."""
        unread = (str(key[1]) for key in self.unread if key[0] == "schema" and len(key) == 2)
        return (*self.spec.columns, *unread)

    def has_read(self, key: str) -> bool:
        """Whether the top-level key says what its author wrote, apart from single entries."""
        return (key,) not in self.unread


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement: at which key, what it is, what is allowed."""

    key: KeyPath
    message: str
    hint: str = ""
