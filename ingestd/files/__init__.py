"""Files on disk: what they are, whether they are complete, writing and moving them for good.

Everything here is synchronous and may block: callers run it in threads. What goes wrong
comes out as ``FileUnavailable`` with a hint. What is *in* a file belongs to ``formats``.
"""

from ingestd.files.digest import digest_of
from ingestd.files.identity import displayable, file_id
from ingestd.files.incoming import Incoming
from ingestd.files.look import has_writer, is_there, look, stat_of
from ingestd.files.mounts import Mounts
from ingestd.files.move import FILE_GONE, Move, move, move_all, move_beside
from ingestd.files.names import free_name, name_with, names_like
from ingestd.files.temporary import remove_abandoned, temporary_in
from ingestd.files.trouble import explaining
from ingestd.files.write import make_directory, rename_new, sync_directory, write_atomically

__all__ = [
    "FILE_GONE",
    "Incoming",
    "Mounts",
    "Move",
    "digest_of",
    "displayable",
    "explaining",
    "file_id",
    "free_name",
    "has_writer",
    "is_there",
    "look",
    "make_directory",
    "move",
    "move_all",
    "move_beside",
    "name_with",
    "names_like",
    "remove_abandoned",
    "rename_new",
    "stat_of",
    "sync_directory",
    "temporary_in",
    "write_atomically",
]
