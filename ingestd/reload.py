"""Reading the configuration again while the daemon runs: all of it is taken up, or nothing.

What the daemon is built on (paths, MongoDB, workers, HTTP) needs a restart; that is told.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ingestd.config.settings import Settings
from ingestd.config.source import SourceSpec

_TAKEN_UP = ("watch", "logs", "service")
"""Sections of the settings; the sources are taken up, too."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a daemon works by."""

    settings: Settings
    sources: tuple[SourceSpec, ...]

    def taking_up(self, new: "Configuration") -> "Configuration":
        """This one, with what can change of the new one."""
        changes = {name: getattr(new.settings, name) for name in _TAKEN_UP}
        return Configuration(self.settings.model_copy(update=changes), new.sources)

    def is_for_other_work(self, other: "Configuration") -> bool:
        """Whether files are found or loaded otherwise."""
        return (self.sources, self.settings.watch) != (other.sources, other.settings.watch)


Reread = Callable[[], Configuration]
"""Reads the configuration, and opens the log by it; raises ConfigError."""


def changed_sources(old: Sequence[SourceSpec], new: Sequence[SourceSpec]) -> list[str]:
    """The names of those that were added, changed or removed."""
    before, after = ({source.name: source for source in sources} for sources in (old, new))
    names = sorted({*before, *after})
    return [name for name in names if before.get(name) != after.get(name)]


def needs_restart(old: Settings, new: Settings) -> list[str]:
    """The settings that are others now and were not taken up: ``load.writers``, …"""
    return [name for name, value in _flat(new).items() if value != _flat(old)[name]]


def _flat(settings: Settings) -> Mapping[str, Any]:
    """Dotted name → value."""
    sections = {name: getattr(settings, name) for name in type(settings).model_fields}
    return {
        f"{section}.{key}": getattr(values, key)
        for section, values in sections.items()
        if section not in (*_TAKEN_UP, "sources")
        for key in type(values).model_fields
    }
