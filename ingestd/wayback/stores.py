"""What the actions work with."""

from collections.abc import Mapping
from dataclasses import dataclass

from ingestd.config.settings import PathSettings
from ingestd.config.source import SourceSpec
from ingestd.errors import ActionRefused
from ingestd.events import Events
from ingestd.ledger import Ledger
from ingestd.load import Loader
from ingestd.mongo import Document
from ingestd.rejects import Rejects


@dataclass(frozen=True, slots=True)
class Stores:
    """Where files, rows and rejections are kept, and what is configured."""

    sources: Mapping[str, SourceSpec]
    paths: PathSettings
    ledger: Ledger
    loader: Loader
    rejects: Rejects
    events: Events

    async def find(self, file: str) -> Document:
        """The ledger entry of a file, by its id or name; raises UnknownFile, ActionRefused."""
        return await self.ledger.actions.find(file, self.sources)

    def source_of(self, entry: Document) -> SourceSpec:
        """The source of a file.

        Raises:
            ActionRefused: it is not configured any more.
        """
        name = entry["source_name"]
        if name not in self.sources:
            raise ActionRefused(
                f"{entry['name']} belongs to source {name}, which is not configured",
                "put its file back among the sources",
            )
        return self.sources[name]
