"""What somebody may do: scopes such as ``read``, ``read:orders`` and ``metrics``."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ingestd.config.naming import choice


class Kind(StrEnum):
    """What a scope is about."""

    READ = "read"
    INGEST = "ingest"
    OPERATE = "operate"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class Scope:
    """A right; ``source`` is None for all sources."""

    kind: Kind
    source: str | None = None

    def __str__(self) -> str:
        return self.kind.value if self.source is None else f"{self.kind.value}:{self.source}"


def parse_scope(text: str) -> Scope:
    """A scope as people write it.

    Raises:
        ValueError: there is none like that; the text says which there are.
    """
    kind, colon, source = text.partition(":")
    kinds = [known.value for known in Kind]
    if kind not in kinds:
        raise ValueError(f"there is no scope {text!r}; {choice(kind, kinds)}")
    if not colon:
        return Scope(Kind(kind))
    if not source or kind == Kind.METRICS:
        raise ValueError(f"{text!r} is no scope; write {kind}, or such as read:orders")
    return Scope(Kind(kind), source)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who asks, and what they may do. Several tokens may have one name, none one id."""

    name: str
    scopes: tuple[Scope, ...]
    id: str = ""

    def may(self, kind: Kind, source: str | None = None) -> bool:
        """Whether a scope covers that; without a source: whether for any."""
        return any(
            scope.kind is kind and (source is None or scope.source in (None, source))
            for scope in self.scopes
        )

    def may_any(self, kinds: Iterable[Kind], source: str | None = None) -> bool:
        """Whether they may one of those."""
        return any(self.may(kind, source) for kind in kinds)

    def sources(self, kind: Kind) -> list[str] | None:
        """For which sources they may; None: for all, also those not configured any more."""
        if Scope(kind) in self.scopes:
            return None
        return [scope.source for scope in self.scopes if scope.kind is kind and scope.source]

    def knows(self, source: str) -> bool:
        """Whether they may anything with that source, so that its name is no news to them."""
        return self.may_any((Kind.READ, Kind.INGEST, Kind.OPERATE), source)


ANYBODY = Principal("", tuple(Scope(kind) for kind in Kind))
"""Who asks without a token where none is needed."""
