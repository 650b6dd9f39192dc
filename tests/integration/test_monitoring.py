"""Rules and dashboard: judged by promtool, held against our metrics, asked of a real Prometheus."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from ingestd.metrics import Metrics

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "config" / "prometheus"
RULES = (PROMETHEUS / "rules" / "ingestd.yml").read_text(encoding="utf-8")
RULES_TEST = ROOT / "tests" / "data" / "prometheus" / "ingestd.test.yml"
DASHBOARD = json.loads((ROOT / "config" / "grafana" / "ingestd.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
TARGETS: list[dict[str, Any]] = [t for panel in PANELS for t in panel.get("targets", ())]

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed"
)
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not installed"
)


def alerts() -> dict[str, str]:
    """The rules file, alert by alert."""
    texts = re.split(r"^      - alert: ", RULES, flags=re.MULTILINE)[1:]
    return {text.split("\n", 1)[0]: text for text in texts}


def alert_expression(text: str) -> str:
    found = re.search(r"^        expr: (?:>-\n)?(.*?)^        \w+:", text, re.DOTALL | re.MULTILINE)
    assert found, text
    return " ".join(found[1].split())


def expressions() -> list[str]:
    """All that is asked of Prometheus; comparisons give 0 or 1 instead of filtering."""
    annotations = [entry["expr"] for entry in DASHBOARD["annotations"]["list"]]
    asked = [alert_expression(text) for text in alerts().values()] + annotations
    unfiltered = [re.sub(r" (>|<|==) ", r" \1 bool ", expression) for expression in asked]
    return unfiltered + [target["expr"] for target in TARGETS]


def metric_names(expression: str) -> set[str]:
    without_labels = re.sub(r"\{[^}]*\}|\[[^]]*\]|\"[^\"]*\"", "", expression)
    without_clauses = re.sub(r"\b(by|on|group_left) ?\([^)]*\)", "", without_labels)
    words = re.findall(r"\b[a-z_]\w*\b(?! *\()", without_clauses)
    return set(words) - {"and", "or", "bool"}


def known_names() -> set[str]:
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    families = Metrics().registry.collect()
    return {f.name + suffix for f in families for suffix in suffixes.get(f.type, ("",))} | {"up"}


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_prometheus_accepts_configuration_and_rules() -> None:
    promtool("check", "config", PROMETHEUS / "prometheus.yml")
    promtool("check", "rules", "--lint-fatal", PROMETHEUS / "rules" / "ingestd.yml")


@needs_promtool
def test_each_alert_fires_when_it_should() -> None:
    promtool("test", "rules", RULES_TEST)
    tested = RULES_TEST.read_text(encoding="utf-8")
    assert [name for name in alerts() if name not in tested] == []


@pytest.mark.parametrize("name", alerts())
def test_each_alert_says_what_happened_and_what_to_do(name: str) -> None:
    assert re.search(r"severity: (critical|warning)\n", alerts()[name])
    for annotation in ("summary", "description", "action"):
        assert f"          {annotation}: " in alerts()[name]


def test_every_metric_asked_for_exists() -> None:
    asked = {expression: metric_names(expression) for expression in expressions()}
    assert all(asked.values())
    assert {e: names - known_names() for e, names in asked.items() if names - known_names()} == {}


@pytest.mark.parametrize("metric", ["processed_records_total", "processing_errors_total"])
def test_dashboard_shows_processing_and_error_rate_per_source(metric: str) -> None:
    legends = [t["legendFormat"] for t in TARGETS if t["expr"] == f"rate({metric}[5m])"]
    assert legends == ["{{source_name}}"]


def test_dashboard_can_be_imported_anywhere() -> None:
    assert (DASHBOARD["id"], DASHBOARD["uid"]) == (None, "ingestd")
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    source = {"type": "prometheus", "uid": f"${{{variable['name']}}}"}
    drawn = [panel for panel in PANELS if panel["type"] != "row"]
    assert [part for part in drawn + TARGETS if part["datasource"] != source] == []


def test_panels_have_names_of_their_own_and_lie_beside_each_other() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    assert {panel["type"] for panel in PANELS} == {"row", "stat", "timeseries"}
    places = [panel["gridPos"] for panel in PANELS]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert [pair for pair in combinations(places, 2) if overlap(*pair)] == []


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )


SOURCE = """
name = "orders"
file_pattern = "orders/*.csv"
overdue_after = "1d"
[schema]
amount = "float64"
[validation_rules.amount]
min = 0
"""


@pytest.fixture
def daemon_port(mongo_uri: str, database: str, tmp_path: Path) -> Iterator[int]:
    """A daemon that finds one file, with a row it refuses."""
    (tmp_path / "config" / "sources").mkdir(parents=True)
    (tmp_path / "config" / "ingestd.toml").touch()
    (tmp_path / "config" / "sources" / "orders.toml").write_text(SOURCE)
    (tmp_path / "root" / "inbox" / "orders").mkdir(parents=True)
    (tmp_path / "root" / "inbox" / "orders" / "a.csv").write_text("amount\n1\n-1\n2\n")
    port = free_port()
    settings = {
        "INGESTD_PATHS__ROOT": str(tmp_path / "root"),
        "INGESTD_MONGO__URI": mongo_uri,
        "INGESTD_MONGO__DATABASE": database,
        "INGESTD_REFINE__WORKERS": "1",
        "INGESTD_API__PORT": str(port),
    }
    command = [sys.executable, "-m", "ingestd", "run", "--config", str(tmp_path / "config")]
    with (tmp_path / "ingestd.log").open("wb") as log:
        daemon = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log)
        yield port
        daemon.terminate()
        assert daemon.wait(30) == 0, (tmp_path / "ingestd.log").read_text()


@pytest.fixture
def prometheus_url(daemon_port: int, tmp_path: Path) -> Iterator[str]:
    """A real Prometheus with our configuration, only faster."""
    text = (PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8")
    for shipped, used in (
        ("127.0.0.1:8080", f"127.0.0.1:{daemon_port}"),
        ("15s", "200ms"),
        ("rules/", f"{PROMETHEUS}/rules/"),
    ):
        assert shipped in text
        text = text.replace(shipped, used)
    (tmp_path / "prometheus.yml").write_text(text, encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        "prometheus", f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/tsdb", f"--web.listen-address={address}",
    ]  # fmt: skip
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as server:
        yield f"http://{address}"
        server.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def has_data(url: str, expression: str) -> bool:
    query = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=10) as answer:
            return bool(json.load(answer)["data"]["result"])
    except urllib.error.HTTPError as error:
        if error.code == 503:  # still starting
            return False
        raise AssertionError(f"{expression}: {error.read().decode()}") from error
    except OSError:
        return False


@needs_prometheus
def test_real_prometheus_has_data_for_every_expression(prometheus_url: str) -> None:
    deadline = time.monotonic() + 60
    missing = expressions()
    while missing and time.monotonic() < deadline:
        missing = [expression for expression in missing if not has_data(prometheus_url, expression)]
        time.sleep(0.1)
    assert missing == []
