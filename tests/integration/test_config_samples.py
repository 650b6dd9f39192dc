"""Broken configurations, one per possible mistake, with the exact words beside it.

Each sample says in ``# expect:`` lines what is told about it, without the file's name.
"""

from pathlib import Path

import pytest

from ingestd.config.reading import Reading, read, require
from ingestd.errors import ConfigError

SAMPLES = Path(__file__).parent.parent / "data" / "config"
_MARK = "# expect: "


@pytest.fixture(autouse=True)
def own_settings_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv("INGESTD_MONGO__URI", raising=False)


def _samples(kind: str) -> list[object]:
    found = sorted((SAMPLES / kind).iterdir())
    assert found
    return [pytest.param(path, id=path.stem) for path in found]


def _expected(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [f"{path}: {line.removeprefix(_MARK)}" for line in lines if line.startswith(_MARK)]


def _told(reading: Reading) -> list[str]:
    return sorted(map(str, reading.problems))


@pytest.mark.parametrize("sample", _samples("settings"))
def test_a_mistake_in_the_settings_is_told_in_these_words(sample: Path) -> None:
    reading = read(sample)
    assert _told(reading) == sorted(_expected(sample))
    assert reading.problems


@pytest.mark.parametrize("sample", _samples("source"))
def test_a_mistake_in_a_source_is_told_in_these_words(sample: Path, tmp_path: Path) -> None:
    main_file = tmp_path / "ingestd.toml"
    main_file.write_text(f'sources = "{sample}"\n[paths]\nroot = "/srv/ingestd"\n')
    reading = read(main_file)
    assert _told(reading) == sorted(_expected(sample))
    assert reading.problems
    assert not reading.sources
    assert reading.settings is not None


@pytest.mark.parametrize("directory", _samples("several"))
def test_mistakes_across_files_are_all_told_at_once(directory: Path) -> None:
    reading = read(directory)
    expected = [line for path in sorted(directory.rglob("*.toml")) for line in _expected(path)]
    assert _told(reading) == sorted(expected)
    with pytest.raises(ConfigError) as caught:
        require(reading)
    assert caught.value.problems == reading.problems


def test_sources_without_a_mistake_are_read_beside_broken_ones() -> None:
    reading = read(SAMPLES / "several" / "same_name")
    assert [source.name for source in reading.sources] == ["orders"]
    assert reading.source_files["orders"].name == "a.toml"


def test_no_problem_shows_a_password() -> None:
    for sample in (SAMPLES / "settings").iterdir():
        assert not any("secret" in str(problem) for problem in read(sample).problems)
