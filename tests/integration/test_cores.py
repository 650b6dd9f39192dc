"""Processors to use, by affinity and by the quota of a cgroup."""

import os
from pathlib import Path

import pytest

from ingestd.cores import usable_cores

AFFINITY = len(os.sched_getaffinity(0))


def machine(root: Path, membership: str, files: dict[str, str]) -> Path:
    """A directory with what the kernel would tell in /proc and /sys."""
    for name, content in {"proc/self/cgroup": membership, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return root


def test_without_cgroups_affinity_decides(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == AFFINITY


@pytest.mark.parametrize(
    ("membership", "files"),
    [
        ("0::/ingestd", {"ingestd/cpu.max": "150000 100000"}),
        ("0::/a/b", {"a/cpu.max": "100000 100000", "a/b/cpu.max": "max 100000"}),
        ("0::/of/the/host", {"cpu.max": "50000 100000"}),
        (
            "5:cpu,cpuacct:/ingestd",
            {
                "cpu,cpuacct/ingestd/cpu.cfs_quota_us": "100000",
                "cpu,cpuacct/ingestd/cpu.cfs_period_us": "100000",
            },
        ),
    ],
    ids=["own", "of a parent", "in a container", "version 1"],
)
def test_a_quota_of_less_than_two_processors_leaves_one(
    tmp_path: Path, membership: str, files: dict[str, str]
) -> None:
    in_place = {f"sys/fs/cgroup/{name}": content for name, content in files.items()}
    assert usable_cores(machine(tmp_path, membership, in_place)) == 1


@pytest.mark.parametrize(
    ("membership", "files"),
    [
        ("0::/ingestd", {"sys/fs/cgroup/ingestd/cpu.max": "max 100000"}),
        ("0::/ingestd", {"sys/fs/cgroup/ingestd/cpu.max": "99900000 100000"}),
        ("3:memory:/x", {"sys/fs/cgroup/memory/x/cpu.max": "100 100000"}),
        (
            "1:cpu:/",
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
        ),
    ],
    ids=["no quota", "more than there are", "another controller", "no quota, version 1"],
)
def test_no_quota_takes_nothing_away(
    tmp_path: Path, membership: str, files: dict[str, str]
) -> None:
    assert usable_cores(machine(tmp_path, membership, files)) == AFFINITY
