"""The service unit and its snippets, judged by systemd's own tools."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from ingestd.config.settings import ServiceSettings
from ingestd.errors import ExitCode

UNITS = Path(__file__).parents[2] / "systemd"
UNIT = (UNITS / "ingestd.service").read_text(encoding="utf-8")
PROGRAM = "/opt/ingestd/bin/ingestd"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("systemd-sysusers") is None,
    reason="making users and giving files away takes root and systemd's tools",
)


def setting(name: str) -> str:
    (value,) = re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)
    return str(value)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_systemd
def test_verify_is_silent_where_the_program_is_installed(tmp_path: Path) -> None:
    program = tmp_path / "ingestd"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "ingestd.service"
    unit.write_text(UNIT.replace(PROGRAM, str(program)))
    verified = run("systemd-analyze", "verify", unit)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


@needs_systemd
def test_sandbox_scores_two_or_less() -> None:
    score = run("systemd-analyze", "security", "--offline=yes", UNITS / "ingestd.service").stdout
    found = re.search(r"Overall exposure level for ingestd\.service: ([\d.]+)", score)
    assert found, score
    assert float(found[1]) <= 2.0


def test_systemd_waits_longer_than_the_drain_and_the_private_mongod_take() -> None:
    assert int(setting("TimeoutStopSec")) >= ServiceSettings().drain_timeout + 20 + 5


def test_mistakes_in_configuration_or_command_are_not_tried_again() -> None:
    codes = {int(code) for code in setting("RestartPreventExitStatus").split()}
    assert codes == {ExitCode.CONFIG, ExitCode.USAGE}


def test_signals_go_to_the_daemon_alone_and_a_lost_worker_is_not_the_end() -> None:
    assert setting("KillMode") == "mixed"
    assert setting("OOMPolicy") == "continue"
    assert setting("Type") == "notify"
    assert int(setting("WatchdogSec")) > 0


@needs_root
def test_snippets_make_a_user_and_an_inbox_open_to_its_group(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for tool, snippet in (
        (("systemd-sysusers",), "ingestd.sysusers.conf"),
        (("systemd-tmpfiles", "--create"), "ingestd.tmpfiles.conf"),
    ):
        made = run(*tool, f"--root={tmp_path}", UNITS / snippet)
        assert made.returncode == 0, made.stderr
    (user,) = re.findall(
        r"^ingestd:x:(\d+):.*nologin$", (tmp_path / "etc/passwd").read_text(), re.M
    )
    inbox = (tmp_path / "var/lib/ingestd/inbox").stat()
    assert str(inbox.st_uid) == user
    assert stat.S_IMODE(inbox.st_mode) == 0o3770
    assert stat.S_IMODE((tmp_path / "etc/ingestd").stat().st_mode) == 0o750
