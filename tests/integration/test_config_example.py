"""The configuration that people copy is complete, true and without mistakes."""

import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest

from ingestd.config.explain import keys_of
from ingestd.config.reading import read
from ingestd.config.settings import Section, Settings
from ingestd.config.source import (
    CheckSpec,
    ColumnSpec,
    ColumnTypeName,
    CsvSpec,
    ErrorSpec,
    ExcelSpec,
    FixedSpec,
    LoadSpec,
    RuleSpec,
    SourceSpec,
)
from ingestd.refine import check_source
from ingestd.transform import STEPS

CONFIG = Path(__file__).parent.parent.parent / "config"
REFERENCE = (CONFIG / "sources" / "REFERENCE.md").read_text()
NO_DEFAULT = {
    ("mongo", "uri"), ("refine", "workers"), ("api", "socket"), ("api", "allow_anonymous"),
    ("api", "tls_certificate"), ("api", "tls_key"), ("api", "tls_client_ca"),
    ("retention", "archive"), ("retention", "rejects"), ("retention", "errors"),
    ("retention", "ledger"),
}  # fmt: skip
DEPENDS_ON_THE_MACHINE = {("paths", "root")}


@pytest.fixture(autouse=True)
def own_settings_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv("INGESTD_MONGO__URI", raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/ingestd")


def uncommented() -> dict[str, Any]:
    """The example with every setting that is commented out switched on."""
    text = (CONFIG / "ingestd.toml").read_text()
    return tomllib.loads(re.sub(r"(?m)^#(?=[a-z_]+ = )", "", text))


def setting_keys() -> Iterator[tuple[str, str]]:
    for section, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from ((section, name) for name in field.annotation.model_fields)


def test_the_example_has_no_problems() -> None:
    reading = read(CONFIG)
    assert reading.problems == ()
    assert {source.name for source in reading.sources} == {"orders", "sensors"}
    assert [check_source(source) for source in reading.sources] == [(), ()]


def test_the_example_shows_every_setting_and_no_other() -> None:
    example = uncommented()
    shown = {(section, key) for section, keys in example.items() if section != "sources"
             for key in keys}  # fmt: skip
    assert shown == set(setting_keys())
    assert example["sources"] == Settings().sources


def test_the_example_shows_the_true_defaults() -> None:
    example, default = Settings(**uncommented()), Settings()
    for section, key in set(setting_keys()) - NO_DEFAULT - DEPENDS_ON_THE_MACHINE:
        shown = getattr(getattr(example, section), key)
        assert shown == getattr(getattr(default, section), key), f"{section}.{key}"


def test_every_setting_of_the_example_has_a_reason_above_it() -> None:
    lines = (CONFIG / "ingestd.toml").read_text().splitlines()
    for above, line in pairwise(lines):
        if re.match(r"#[a-z_]+ = ", line):
            assert above.startswith("# "), line


@pytest.mark.parametrize(
    "section",
    [
        SourceSpec,
        ColumnSpec,
        RuleSpec,
        CheckSpec,
        CsvSpec,
        FixedSpec,
        ExcelSpec,
        LoadSpec,
        ErrorSpec,
    ],
)
def test_the_reference_tells_every_key_of_a_source(section: type[Section]) -> None:
    missing = [key for key in keys_of(section) if f"`{key}`" not in REFERENCE]
    assert missing == []


def test_the_reference_tells_every_type_and_step() -> None:
    names = (*get_args(ColumnTypeName), *STEPS)
    assert [name for name in names if f"`{name}`" not in REFERENCE] == []


def test_every_example_in_the_reference_is_read_without_problems(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    for number, text in enumerate(re.findall(r"(?s)```toml\n(.*?)```", REFERENCE)):
        (tmp_path / "sources" / f"{number}.toml").write_text(text)
    reading = read(tmp_path)
    assert reading.problems == ()
    assert reading.sources
    assert [check_source(source) for source in reading.sources] == [()] * len(reading.sources)
