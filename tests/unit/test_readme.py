"""What README.md tells is there, and what is there README.md tells."""

import re
import tomllib
from pathlib import Path

import pytest

from ingestd.api.app import POSTS, PUTS, ROUTES
from ingestd.api.filters import OPERATORS
from ingestd.cli import app
from ingestd.config.settings import Section, Settings
from ingestd.config.source import SourceSpec
from ingestd.errors import ExitCode
from ingestd.metrics import Metrics
from ingestd.records import FileState
from ingestd.refine import check_source

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return re.split(r"(?m)^## ", README.split(f"\n## {title}\n", 1)[1])[0]


def first_cells(title: str) -> list[str]:
    """What stands in the first column of a section's tables."""
    return re.findall(r"(?m)^\| (.+?) \|", section(title))


def series_names() -> set[str]:
    suffix = {"counter": "_total"}
    families = Metrics().registry.collect()
    return {f.name + suffix.get(f.type, "") for f in families if not f.name.startswith("process_")}


def test_every_metric_is_in_the_table_and_no_other() -> None:
    told = {name.strip("`") for name in first_cells("Metrics") if name.startswith("`")}
    assert told == series_names()


def test_labels_in_the_table_are_those_of_the_metrics() -> None:
    told = dict(re.findall(r"(?m)^\| `(\w+)` \| ([^|]*?) ?\|", section("Metrics")))
    declared = {
        f"{metric._name}{'_total' if metric._type == 'counter' else ''}": metric._labelnames
        for metric in vars(Metrics()).values()
        if hasattr(metric, "_labelnames")
    }
    assert {name: ", ".join(labels) for name, labels in declared.items()} == told


def test_every_route_is_in_the_table_and_no_other() -> None:
    told = {route for cell in first_cells("HTTP API") for route in re.findall(r"`(/[^`]*)`", cell)}
    assert told == {*ROUTES, *POSTS, *PUTS}


def test_every_filter_operator_is_told() -> None:
    listed = re.search(r"`(eq [^`]*)`", section("Query"))
    assert listed
    assert set(listed[1].split()) == set(OPERATORS)


def test_every_command_is_in_the_table_and_no_other() -> None:
    cells = first_cells("Commands")
    told = {found[1] for cell in cells if (found := re.match(r"`ingestd (\w+)", cell))}
    commands = {command.name or command.callback.__name__
                for command in app.registered_commands if command.callback}  # fmt: skip
    assert told == commands | {group.name for group in app.registered_groups}


def test_every_exit_code_is_told() -> None:
    codes = {value for name, value in vars(ExitCode).items() if name.isupper()}
    assert codes <= {int(cell) for cell in first_cells("Commands") if cell.isdigit()}


def test_every_section_of_the_settings_is_told() -> None:
    sections = {
        f"[{name}]" if issubclass(field.annotation, Section) else name
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type)
    }
    told = {cell.strip("`") for cell in first_cells("Settings")}
    assert sections <= told


def test_every_setting_named_exists() -> None:
    for name in re.findall(r"`((?:paths|mongo|watch|refine|load|api|logs|service)\.\w+)`", README):
        part, key = name.split(".")
        assert hasattr(getattr(Settings(), part), key), name


def test_every_state_of_a_file_is_told() -> None:
    assert [state for state in FileState if f"`{state.value}`" not in README] == []


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_table_of_contents_names_sections() -> None:
    titles = re.findall(r"(?m)^## (.+)$", README)
    anchors = re.findall(r"\]\(#([^)]+)\)", README)
    assert anchors == [title.lower().replace("'", "").replace(" ", "-") for title in titles]


def test_the_first_source_has_no_mistakes() -> None:
    (text,) = re.findall(r"(?s)```toml\n(.*?)```", README)
    source = SourceSpec.model_validate(tomllib.loads(text))
    assert source.name == "people"
    assert check_source(source) == ()


def test_make_targets_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?m)^(\w+):", makefile))
    assert set(re.findall(r"(?m)^make (\w+)", README)) | {"bench"} <= targets


def test_the_lock_file_has_versions_and_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "//" not in lock
    entries = re.split(r"(?m)^(?=\S)", lock)[1:]
    assert entries
    assert [e for e in entries if not re.match(r"(?s)[\w.-]+==\S+ .*--hash=sha256:", e)] == []
