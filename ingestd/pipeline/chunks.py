"""Chunks as workers need them: those of a compressed or converted file travel with their bytes."""

from collections.abc import AsyncIterator, Sequence

import anyio.to_thread

from ingestd.config.source import SourceSpec
from ingestd.formats.limits import Limits
from ingestd.formats.octets import fill
from ingestd.records import Chunk, FileLayout


async def ready_chunks(
    layout: FileLayout, chunks: Sequence[Chunk], source: SourceSpec, limits: Limits
) -> AsyncIterator[Chunk]:
    """These chunks of a file, in order; one after the other is unpacked as it is asked for.

    Raises:
        FileUnavailable: the file cannot be read, or changed since it was laid out.
    """
    if not layout.is_packed:
        for chunk in chunks:
            yield chunk
        return
    filled = fill(chunks, source, limits)
    while filled_chunk := await anyio.to_thread.run_sync(
        next, filled, None, abandon_on_cancel=True
    ):
        yield filled_chunk
