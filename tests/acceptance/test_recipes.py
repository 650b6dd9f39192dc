"""The recipes for other tools in README.md, run as they stand there."""

import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from api_requests import loaded_daemon, url_of
from harness import DaemonProcess
from orders import order_id, write_orders

README = Path(__file__).parents[2] / "README.md"


def recipes() -> list[tuple[str, str]]:
    """Language and text of each."""
    section = README.read_text(encoding="utf-8").split("\n### In other tools\n")[1]
    return re.findall(r"(?s)```(\w+)\n(.*?)```", section.split("\n## ")[0])


def recipe(part: str) -> str:
    """Of the one that has this in it, what runs it: ``sh`` or Python."""
    ((language, text),) = [one for one in recipes() if part in one[1]]
    return text if language == "sh" else f"{sys.executable} - <<'END'\n{text}\nEND\n"


@pytest.fixture(scope="module")
def place(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    directory = tmp_path_factory.mktemp("recipes")
    daemon = DaemonProcess(directory, mongo_uri, f"test_{uuid.uuid4().hex[:16]}")
    with loaded_daemon(daemon):
        yield daemon


@pytest.fixture(scope="module")
def good(place: DaemonProcess) -> list[str]:
    """The rows that were loaded from Germany, in order, and how many there are in all."""
    orders = write_orders(place.directory / "again.csv", 300, bad_rate=0.1)
    rows = [number for number, amount in enumerate(orders.amounts, 1) if amount is not None]
    return [str(len(rows)), *(order_id(number) for number in rows if number % 3 == 2)]


def run(place: DaemonProcess, text: str) -> str:
    """What it prints."""
    script = "set -eo pipefail\n" + text.replace("http://127.0.0.1:8080", url_of(place))
    done = subprocess.run(["bash", "-c", script], cwd=place.directory, timeout=60,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not shutil.which("jq"), reason="jq is not installed")
def test_curl_and_jq(place: DaemonProcess, good: list[str]) -> None:
    lines = run(place, recipe("curl")).splitlines()
    assert [line.split(",")[0].strip('"') for line in lines] == good[1:4]


@pytest.mark.skipif(not find_spec("pandas"), reason="pandas is not installed")
def test_pandas(place: DaemonProcess, good: list[str]) -> None:
    assert run(place, recipe("import pandas")).startswith(f"{good[0]} datetime64[")


def test_polars(place: DaemonProcess, good: list[str]) -> None:
    told = run(place, recipe("import polars"))
    assert told.startswith(f"{good[0]} {good[0]} Datetime(time_unit='ms', time_zone='UTC')")


@pytest.mark.skipif(not find_spec("duckdb"), reason="DuckDB is not installed")
def test_duckdb(place: DaemonProcess, good: list[str]) -> None:
    assert run(place, recipe("import duckdb")).strip() == f"[({good[0]}, 'DE')]"


@pytest.mark.skipif(
    not shutil.which("openapi-python-client"), reason="openapi-python-client is not installed"
)
def test_a_generated_client(place: DaemonProcess, good: list[str]) -> None:
    """Its requirements do not go together with ours: it lives beside the interpreter it needs."""
    python = Path(shutil.which("openapi-python-client") or "").with_name("python")
    run(place, recipe("openapi-python-client generate"))
    use = recipe("from ingestd_client").replace(sys.executable, str(python))
    assert run(place, use).strip() == str(good[1:4])
