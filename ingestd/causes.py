"""What the operating system means when it says no, as hints for the person who can help."""

import errno

HINTS = {
    errno.ENOENT: "it was removed or renamed in the meantime",
    errno.ELOOP: "links are not followed; put the file itself there",
    errno.EISDIR: "a directory stands where a file is expected",
    errno.ENOTDIR: "a file stands where a directory is expected",
    errno.EIO: "the disk or its connection fails; see the kernel log (journalctl -k)",
    errno.ESTALE: "the network file system lost it; mount it again",
    errno.ETIMEDOUT: "the network file system does not answer",
    errno.EMFILE: "too many open files; raise LimitNOFILE of the service",
    errno.ENFILE: "too many open files on this machine; raise fs.file-max",
    errno.ENOSPC: "the disk is full; make room and it goes on by itself",
    errno.EDQUOT: "the disk quota is used up; raise it or make room",
    errno.EROFS: "the file system is read-only; mount it writable, or allow the directory in "
    "the service (ReadWritePaths=)",
    errno.ENAMETOOLONG: "the name is too long for the file system; shorten it",
    errno.EFBIG: "the file is larger than the file system or the service's limit allows",
}
