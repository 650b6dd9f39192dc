"""What works and what does not, in the daemon's own words; ``probes.py`` serves it.

The daemon makes the checks from memory, so that a probe costs nothing and is answered under any
load.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Check:
    """How one dependency or source is doing. ``name`` is ``mongodb``, ``source:orders``, …"""

    name: str
    is_ok: bool
    reason: str = ""
    hint: str = ""
    details: Mapping[str, object] = field(default_factory=dict)
    notices: Sequence[str] = ()
    """What somebody should look at, while everything works."""

    def as_document(self) -> dict[str, object]:
        """The check as ``/health`` shows it: reasons only where there are any."""
        document: dict[str, object] = {"name": self.name, "is_ok": self.is_ok}
        document |= {"reason": self.reason, "hint": self.hint, "details": dict(self.details)}
        document["notices"] = list(self.notices)
        return {key: value for key, value in document.items() if value not in ("", {}, [])}


@dataclass(frozen=True, slots=True)
class HealthReport:
    """All checks of one moment; one that is not ok makes the whole not ok."""

    checks: Sequence[Check]

    @property
    def is_ok(self) -> bool:
        return all(check.is_ok for check in self.checks)

    def as_document(self) -> dict[str, object]:
        """The body of ``/health``."""
        return {
            "status": "ok" if self.is_ok else "failing",
            "reasons": [
                f"{check.name}: {check.reason or 'failing'}"
                for check in self.checks
                if not check.is_ok
            ],
            "checks": [check.as_document() for check in self.checks],
        }
