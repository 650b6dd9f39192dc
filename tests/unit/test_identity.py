"""A file's id, and names as text."""

import hashlib
import json
import os

from hypothesis import given
from hypothesis import strategies as st

from ingestd.files import displayable, file_id


def test_file_id_is_the_first_eight_bytes_of_the_digest_of_source_and_content() -> None:
    sha256 = hashlib.sha256(b"content").digest()
    expected = hashlib.sha256(b"orders\x00" + sha256).hexdigest()[:16]
    assert file_id("orders", sha256) == expected


def test_the_same_content_in_two_sources_has_two_ids() -> None:
    sha256 = hashlib.sha256(b"content").digest()
    assert file_id("orders", sha256) != file_id("customers", sha256)


def test_plain_names_are_shown_as_they_are() -> None:
    assert displayable("Bestellungen März 2024.csv") == "Bestellungen März 2024.csv"


def test_what_is_not_text_is_escaped() -> None:
    name = os.fsdecode(b"caf\xe9\n\x1b[31m.csv")
    assert displayable(name) == r"caf\xe9\n\x1b[31m.csv"
    assert displayable("gpj\u202efdp") == r"gpj\u202efdp"


@given(st.binary(max_size=60))
def test_every_name_is_shown_as_one_line_of_utf8(name: bytes) -> None:
    shown = displayable(os.fsdecode(name))
    assert shown.encode().decode() == shown
    assert shown.isprintable()
    assert json.loads(json.dumps(shown)) == shown
