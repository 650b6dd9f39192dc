"""Who listens on a port, as far as Linux tells this user (``proc(5)``)."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_LISTENING = "0A"
_PROC = Path("/proc")


def listener_on(port: int) -> str:
    """``" by nginx (pid 12)"``, or nothing where that cannot be known."""
    links = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for process in _PROC.glob("[0-9]*"):
        with suppress(OSError):  # another user's process, or one that has ended
            if not links.isdisjoint(_open_files(process)):
                name = (process / "comm").read_text(errors="replace").strip()
                return f" by {name} (pid {process.name})"
    return ""


def _open_files(process: Path) -> Iterator[str]:
    for link in (process / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            yield link.readlink().name


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            lines = (_PROC / "net" / table).read_text().splitlines()[1:]
            for _, local, _, state, *rest in (line.split() for line in lines):
                if state == _LISTENING and int(local.rpartition(":")[2], 16) == port:
                    yield rest[5]
