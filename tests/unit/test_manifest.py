"""What the text of a manifest says of a file."""

import hashlib

import pytest

from ingestd.pipeline.manifest import Manifest, parse_manifest

SHA256 = hashlib.sha256(b"a").hexdigest()
MD5 = hashlib.md5(b"a", usedforsecurity=False).hexdigest()
OTHER = hashlib.sha256(b"b").hexdigest()


@pytest.mark.parametrize("text", ["12", " 12\r\n", '{"rows": 12}', '{"rows": 12, "sent_by": "x"}'])
def test_a_number_of_rows_is_read_bare_and_from_json(text: str) -> None:
    assert parse_manifest(text, "a.csv") == Manifest(12)


@pytest.mark.parametrize(
    "text",
    [
        SHA256, SHA256.upper(), f"{SHA256}  a.csv\n", f"{SHA256} *a.csv", f"{SHA256}\ta.csv",
        f"{SHA256}  /out/a.csv", f"SHA256 (a.csv) = {SHA256}", f"\\{SHA256}  a.csv",
        f"{SHA256}  sent-under-another-name.csv", f"{OTHER}  b.csv\n{SHA256}  a.csv\n",
        f"# made by a script\n{SHA256}  a.csv\n", f'{{"sha256": "{SHA256.upper()}"}}',
    ],
)  # fmt: skip
def test_a_checksum_is_read_as_the_usual_programs_write_it(text: str) -> None:
    assert parse_manifest(text, "a.csv") == Manifest(digests={"sha256": SHA256})


def test_the_length_of_a_checksum_tells_its_algorithm() -> None:
    assert parse_manifest(f"{MD5}  a.csv", "a.csv") == Manifest(digests={"md5": MD5})


def test_json_may_tell_rows_and_checksums() -> None:
    text = f'{{"rows": 3, "md5": "{MD5}", "sha256": "{SHA256}"}}'
    assert parse_manifest(text, "a.csv") == Manifest(3, {"md5": MD5, "sha256": SHA256})


@pytest.mark.parametrize(
    "text",
    [
        "", "ok", "12 rows", "-1", "1.5", "1e3", "9" * 30, "{", "[12]", "{}", '{"rows": "12"}',
        '{"rows": true}', '{"rows": 1.0}', '{"md5": 5}', '{"a":' * 5000, SHA256[:50],
        f"{OTHER}  b.csv\n{SHA256}  c.csv\n", "١٢",
    ],
)  # fmt: skip
def test_what_says_neither_rows_nor_a_checksum_is_no_manifest(text: str) -> None:
    assert parse_manifest(text, "a.csv") is None
