"""The key of the hash step comes from a file that is not part of the configuration."""

import hashlib
import hmac
from pathlib import Path

import polars as pl
import pytest

from ingestd.config.source import SourceSpec
from ingestd.records import ROW
from ingestd.transform import compile_transform


def test_key_is_read_from_the_credentials_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hash.key").write_text("0123456789abcdef\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    source = SourceSpec.model_validate(
        {
            "name": "people",
            "file_pattern": "people/*.csv",
            "schema": {"email": "string"},
            "transform": [{"hash": {"columns": ["email"], "key_file": "hash.key"}}],
        }
    )
    frame = pl.DataFrame({"email": ["a@b.c"], ROW: [0]}, schema_overrides={ROW: pl.UInt32})
    expected = hmac.new(b"0123456789abcdef", b"a@b.c", hashlib.sha256).hexdigest()
    assert compile_transform(source).apply(frame).frame["email"].item() == expected
