"""What the readers of foreign formats raise, as one refusal."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ingestd.errors import FileRefused

_CAUSED_BY_FILES = (None, errno.EINVAL)
"""Readers raise OSError of their own, and seek to where the file says."""


@contextmanager
def refusing_damage(error_type: str, name: str) -> Iterator[None]:
    """Whatever goes wrong inside is the file's fault, but for what the operating system says.

    Raises:
        FileRefused: with the reader's words.
    """
    try:
        yield
    except FileRefused:
        raise
    except BaseException as error:
        if not _is_of_file(error):
            raise
        raise FileRefused(
            error_type, f"{name} cannot be read: {str(error) or type(error).__name__}",
            "was it complete when it was dropped? nothing of it is loaded; ask for it again",
        ) from error  # fmt: skip


def _is_of_file(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno not in _CAUSED_BY_FILES:
        return False
    # a defect in a library written in Rust, each with a class of its own; a file may well hit one
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
