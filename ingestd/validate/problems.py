"""Mistakes found while a source is compiled: where each stands, and all of them at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ingestd.config.naming import dotted
from ingestd.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a source's configuration, such as ``transform[2].round.amount``."""

    file: str
    path: tuple[str | int, ...] = ()

    def at(self, *parts: str | int) -> "Place":
        """The place further down."""
        return Place(self.file, self.path + parts)

    def error(self, message: str, hint: str = "") -> ConfigError:
        """The mistake found here, to be raised."""
        return ConfigError((Problem(self.file, dotted(self.path), message, hint),))


class Problems:
    """Gathers mistakes, so that one look at the configuration reports all of them."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Keep the mistakes raised inside for ``raise_any`` and go on."""
        try:
            yield
        except ConfigError as error:
            self._found.extend(error.problems)

    def raise_any(self) -> None:
        """Raise one ``ConfigError`` with everything that was found, if anything was."""
        if self._found:
            raise ConfigError(tuple(self._found))
