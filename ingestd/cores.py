"""How many processors this process may use: by affinity, and by the quota of its cgroup."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath


def usable_cores(root: Path = Path("/")) -> int:
    """Processors by affinity and CPU quota, at least one. ``root``: where /proc and /sys are.

    A container's quota is time, not processors: on a machine of 64 with the time of two, a worker
    for each of the 64 would only make all of them wait.
    """
    return max(1, int(min([len(os.sched_getaffinity(0)), *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """Processors' worth of time that this process's cgroups allow (cgroups(7), both versions)."""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "cpu", "cpu,cpuacct"):
                top = root / "sys/fs/cgroup" / controllers
                # in a container the path may be that of the host, which is not mounted
                for part in (PurePosixPath(path), *PurePosixPath(path).parents):
                    yield from _quota(top / part.relative_to("/"))


def _quota(group: Path) -> Iterator[float]:
    """The quota of one cgroup, if it has one."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        with suppress(OSError):
            quota, period = " ".join((group / name).read_text().strip() for name in names).split()
            if quota not in ("max", "-1"):
                yield int(quota) / int(period)
