"""Which file, and which source, somebody means."""

from ingestd.config.source import SourceSpec
from ingestd.errors import ActionRefused
from ingestd.mongo import Document
from ingestd.pipeline.desk import Desk


async def find_file(desk: Desk, file: str) -> Document:
    """The ledger entry of a file, by its id, a name or a path.

    Raises:
        UnknownFile, ActionRefused: no file is called so, or not exactly one.
    """
    return await desk.ledger.actions.find(file)


def source_of(desk: Desk, entry: Document) -> SourceSpec:
    """The source of a file.

    Raises:
        ActionRefused: it is not configured any more.
    """
    name = entry["source_name"]
    if name not in desk.sources:
        raise ActionRefused(
            f"{entry['name']} belongs to source {name}, which is not configured",
            "put its file back among the sources",
        )
    return desk.sources[name]
