"""Files on disk: what they are, whether they are complete, writing and moving them for good.

Everything here is synchronous and may block: callers run it in threads. What goes wrong
comes out as ``FileUnavailable`` with a hint. What is *in* a file belongs to ``formats``.
"""

from ingestd.files.identity import displayable, file_id
from ingestd.files.look import has_writer, look, stat_of
from ingestd.files.move import move
from ingestd.files.names import free_name
from ingestd.files.write import write_atomically

__all__ = [
    "displayable",
    "file_id",
    "free_name",
    "has_writer",
    "look",
    "move",
    "stat_of",
    "write_atomically",
]
