"""The demo, as a person runs it: everything ends as it should, and what it prints is true."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from ingestd.demo.child import running_daemon
from ingestd.demo.samples import make_samples

DEMO = [sys.executable, "-m", "ingestd", "demo"]


def clean_environment(tmp_path: Path) -> dict[str, str]:
    """Scratch directories go to ``tmp_path``; a foreign MongoDB must not matter."""
    return os.environ | {
        "TMPDIR": str(tmp_path), "INGESTD_MONGO__URI": "mongodb://127.0.0.1:1", "COLUMNS": "200",
    }  # fmt: skip


def test_once_ends_fine_with_every_file_as_expected(tmp_path: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--once", "--json"], env=clean_environment(tmp_path), capture_output=True,
        text=True, check=False, timeout=100,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert (done.returncode, told["surprises"]) == (0, [])
    samples = {sample.name: sample for sample in make_samples()}
    assert {file["name"] for file in told["files"]} == set(samples)
    for file in told["files"]:
        sample = samples[file["name"]]
        assert (file["state"], file["success_count"]) == (sample.state, sample.loaded)
        assert (file["queryable_s"] is not None) == bool(sample.loaded)
    assert list(tmp_path.iterdir()) == [], "the scratch directory is gone"


def test_staying_demo_prints_commands_that_work_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    with subprocess.Popen(
        DEMO, env=clean_environment(tmp_path), stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout
        lines: list[str] = []
        for line in demo.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C ends"):
                break
        curls = [line for line in lines if line.startswith("  curl ")]
        assert len(curls) >= 6
        for line in curls:
            _, url = shlex.split(line)
            with urllib.request.urlopen(url, timeout=30) as answer:
                assert answer.status == 200
        (drop,) = (line for line in lines if line.startswith("  printf "))
        subprocess.run(["bash", "-c", drop], check=True)
        assert "orders/mine.csv (yours) archived, 1 loaded" in demo.stdout.readline()
        for line in lines:
            if re.match(r"  .*\b(files|errors) --config ", line):
                subprocess.run(["bash", "-c", line], check=True, capture_output=True)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(timeout=60) == 0
    assert list(tmp_path.iterdir()) == []


def test_load_works_beside_a_daemon_on_its_private_mongodb(tmp_path: Path) -> None:
    sample = make_samples()[0]
    file = tmp_path / "by-hand.csv"
    file.write_bytes(sample.content)
    root = tmp_path / "root"
    root.mkdir()
    with running_daemon(root) as daemon:
        done = subprocess.run(
            [sys.executable, "-m", "ingestd", "load", str(file), "--source", "orders",
             "--config", str(daemon.configuration)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        (run,) = daemon.get("/data/orders?limit=1000")
        assert (run["file"], len(run["data"])) == ("by-hand.csv", sample.loaded)
