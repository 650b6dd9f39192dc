"""What several of these tests ask for."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    """A file of these bytes; each has another inode, size or time than the one before."""
    path = tmp_path / "cells.csv"

    def write_octets(octets: bytes) -> Path:
        path.write_bytes(octets)
        return path

    return write_octets


@pytest.fixture
def sample(tmp_path: Path) -> Callable[..., Path]:
    """A file of this text, for what looks at samples."""

    def write_text(text: str, name: str = "sample.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_text
