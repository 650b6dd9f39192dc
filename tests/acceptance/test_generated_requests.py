"""Requests that are made from the OpenAPI document; ``api_requests.py`` makes many more."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from api_requests import answers, ask, loaded_daemon
from harness import DaemonProcess


@pytest.mark.skipif(find_spec("schemathesis") is None, reason="schemathesis is not installed")
def test_no_answer_is_outside_the_document_or_a_server_error(
    mongo_uri: str, database: str, tmp_path: Path
) -> None:
    with loaded_daemon(DaemonProcess(tmp_path, mongo_uri, database)) as daemon:
        before = answers(daemon)
        assert ask(daemon, None, "--max-examples=2", "--phases=fuzzing,stateful", "--seed=1")
        found = answers(daemon) - before
    assert found[200]
    assert found[400]
    assert max(found) < 500
