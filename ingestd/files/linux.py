"""The two calls of Linux that Python lacks: renameat2(2) and fstatfs(2)."""

import ctypes
import errno
import os
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_STATFS_BYTES = 256
"""More than struct statfs has on any architecture; only its first field is read."""

_FILE_SYSTEMS_WITH_LEASES = frozenset({
    0xEF53,  # ext2, ext3, ext4
    0x58465342,  # xfs
    0x9123683E,  # btrfs
    0xF2F52010,  # f2fs
    0x2FC12FC1,  # zfs
    0x01021994,  # tmpfs
    0x794C7630,  # overlayfs
})  # fmt: skip
"""``f_type`` of file systems (``linux/magic.h``) whose every writer this kernel knows.

NFS and SMB refuse a lease for reasons of their own, FUSE and 9p do not see writers on the
other side: there a lease proves nothing.
"""


def rename_without_replacing(source: Path, target: Path) -> None:
    """renameat2(2) with ``RENAME_NOREPLACE``.

    Raises FileExistsError when the target is there, OSError with ``EINVAL`` or ``ENOSYS`` where
    the file system or kernel lacks the call.
    """
    renameat2 = getattr(_libc, "renameat2", None)  # glibc 2.28, musl 1.2.6
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(source), None, str(target))
    paths = os.fsencode(source), os.fsencode(target)
    if renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_NOREPLACE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(source), None, str(target))


def knows_writers(fd: int) -> bool:
    """Whether the file lies where a lease tells of every writer."""
    statfs = ctypes.create_string_buffer(_STATFS_BYTES)
    if _libc.fstatfs(fd, statfs) != 0:
        return False
    # f_type is a signed long nearly everywhere and 32 bits wide on s390x; the magic fits both.
    return ctypes.c_uint32.from_buffer(statfs).value in _FILE_SYSTEMS_WITH_LEASES
