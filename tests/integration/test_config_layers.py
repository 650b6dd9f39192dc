"""Where a setting comes from, and where a configuration is looked for."""

import os
from pathlib import Path

import pytest

from ingestd.config.reading import Reading, read, require
from ingestd.config.settings import MongoSettings, PathSettings, Settings
from ingestd.errors import ConfigError

SOURCE = 'name = "orders"\nfile_pattern = "orders/*.csv"\n[schema]\nid = "int64"\n'


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration directory with one source; no settings from outside."""
    for name in [name for name in os.environ if name.startswith("INGESTD_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (tmp_path / "config" / "sources").mkdir(parents=True)
    (tmp_path / "config" / "sources" / "orders.toml").write_text(SOURCE)
    return tmp_path / "config"


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "credentials"
    path.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path))
    return path


def write_main(directory: Path, text: str) -> None:
    (directory / "ingestd.toml").write_text(text)


def settings_of(reading: Reading) -> Settings:
    return require(reading)[0]


def uri_of(reading: Reading) -> str:
    uri = settings_of(reading).mongo.uri
    return uri.get_secret_value() if uri else ""


def test_the_environment_wins_over_credentials_over_the_file_over_defaults(
    directory: Path, credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert uri_of(read(directory)) == ""
    write_main(directory, '[mongo]\nuri = "mongodb://file"\ndatabase = "kept"\n')
    assert uri_of(read(directory)) == "mongodb://file"
    (credentials / "mongo__uri").write_text("mongodb://credential\n")
    assert uri_of(read(directory)) == "mongodb://credential"
    monkeypatch.setenv("INGESTD_MONGO__URI", "mongodb://environment")
    assert uri_of(read(directory)) == "mongodb://environment"
    assert settings_of(read(directory)).mongo.database == "kept"


def test_a_credential_may_be_named_with_a_dot(directory: Path, credentials: Path) -> None:
    (credentials / "mongo.uri").write_text("mongodb://credential")
    (credentials / "tls.pem").write_bytes(b"\xff not ours")
    assert uri_of(read(directory)) == "mongodb://credential"


def test_a_misspelt_credential_is_a_problem(directory: Path, credentials: Path) -> None:
    (credentials / "mongo__url").write_text("mongodb://me:secret@host")
    (problem,) = read(directory).problems
    assert str(problem) == (
        f'{credentials / "mongo__url"}: sets no setting (did you mean "mongo__uri"?)'
    )


def test_a_missing_credentials_directory_is_no_problem(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/does/not/exist")
    assert not read(directory).problems


@pytest.mark.parametrize(
    ("variable", "text", "told"),
    [
        ("INGESTD_MONGO__URL", "x", 'sets no setting (did you mean "INGESTD_MONGO__URI"?)'),
        ("INGESTD_XYZZY", "x", "sets no setting (config/ingestd.toml shows all settings)"),
        ("INGESTD_API__PORT", "http", 'found "http" (allowed: a whole number)'),
        ("INGESTD_LOAD__MEMORY", "1 potato", 'found "1 potato" (unknown unit "potato"; '
         "allowed: B, kB, KB, MB, GB, TB, KiB, MiB, GiB, TiB)"),
        ("INGESTD_WATCH__IGNORE", "*.tmp", "not valid JSON (lists are written as JSON: "
         """'["a", "b"]')"""),
        ("INGESTD_MONGO__URI", "http://me:secret@host",
         'found a value (allowed: "mongodb://…" or "mongodb+srv://…")'),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_told_by_its_name(
    directory: Path, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, told: str
) -> None:
    monkeypatch.setenv(variable, text)
    assert [str(problem) for problem in read(directory).problems] == [
        f"environment: {variable}: {told}"
    ]


def test_variables_of_tests_and_empty_variables_set_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGESTD_TEST_MONGO_URI", "mongodb://test")
    monkeypatch.setenv("INGESTD_MONGO__URI", "")
    assert uri_of(read(directory)) == ""


def test_lists_and_sections_in_variables_are_json(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGESTD_WATCH__IGNORE", '["*.wip"]')
    monkeypatch.setenv("INGESTD_API", '{"port": 9000, "host": "::1"}')
    monkeypatch.setenv("INGESTD_API__PORT", "9001")
    settings = settings_of(read(directory))
    assert settings.watch.ignore == ("*.wip",)
    assert (settings.api.host, settings.api.port) == ("::1", 9001)


def test_settings_built_by_hand_ignore_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGESTD_MONGO__URI", "mongodb://somebodys-data")
    assert Settings().mongo.uri is None


def test_a_secret_is_not_in_the_text_of_settings(directory: Path) -> None:
    write_main(directory, '[mongo]\nuri = "mongodb://me:hunter2@host"\n')
    reading = read(directory)
    assert "hunter2" not in repr(reading) + str(reading.settings)


def test_state_directory_is_the_root(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/srv/state:/srv/other")
    paths = settings_of(read(directory)).paths
    assert (paths.root, paths.inbox) == (Path("/srv/state"), Path("/srv/state/inbox"))


@pytest.mark.skipif(os.access("/var/lib", os.W_OK), reason="this user may write in /var/lib")
def test_without_rights_the_root_lies_in_the_home_of_the_user(
    directory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert settings_of(read(directory)).paths.root == tmp_path / "ingestd"


def test_a_relative_root_in_the_file_lies_beside_the_file(directory: Path) -> None:
    write_main(directory, '[paths]\nroot = "state"\narchive = "done"\n')
    settings = settings_of(read(directory))
    assert settings.paths.archive == directory / "state" / "done"
    assert settings.logs.error_file == directory / "state" / "errors.log"


def test_paths_outside_the_root_stay_where_they_are() -> None:
    paths = PathSettings(root=Path("/srv"), inbox=Path("/data/in"), allowed_roots=(Path("x"),))
    assert (paths.inbox, paths.failed) == (Path("/data/in"), Path("/srv/failed"))
    assert paths.allowed_roots == (Path("/srv/x"),)


def test_a_directory_of_sources_needs_no_main_file(directory: Path) -> None:
    reading = read(directory)
    assert reading.config_file is None
    assert [source.name for source in require(reading)[1]] == ["orders"]


def test_the_main_file_may_have_any_name_and_is_no_source(directory: Path) -> None:
    (directory / "other.toml").write_text('sources = "**/*.toml"\n')
    reading = read(directory / "other.toml")
    assert not reading.problems
    assert reading.source_files == {"orders": directory / "sources" / "orders.toml"}


def test_without_a_location_the_config_directory_here_is_read(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(directory.parent)
    write_main(directory, "[api]\nport = 9000\n")
    assert settings_of(read(None)).api.port == 9000


def test_no_configuration_names_what_was_looked_for(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(directory / "sources")
    monkeypatch.setattr("ingestd.config.documents.SYSTEM_DIRECTORY", Path("/no/where"))
    reading = read(None)
    assert reading.settings is not None
    assert [str(problem) for problem in reading.problems] == [
        "configuration: no configuration found "
        "(looked for config/ingestd.toml and /no/where/ingestd.toml)"
    ]
    with pytest.raises(ConfigError, match="no configuration found"):
        require(reading)


@pytest.mark.parametrize("name", ["missing.toml", "missing/"])
def test_a_location_that_is_not_there_is_a_problem(directory: Path, name: str) -> None:
    (problem,) = read(directory / name).problems
    assert problem.message == "cannot be read: No such file or directory"


def test_a_directory_and_a_pipe_named_like_sources_are_problems(directory: Path) -> None:
    (directory / "sources" / "a.toml").mkdir()
    os.mkfifo(directory / "sources" / "b.toml")
    (directory / "sources" / "c.toml").symlink_to("nowhere")
    reading = read(directory)
    assert [source.name for source in reading.sources] == ["orders"]
    assert [problem.message for problem in reading.problems] == [
        "not a regular file",
        "not a regular file",
        "cannot be read: No such file or directory",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_rights_is_a_problem(directory: Path) -> None:
    (directory / "sources" / "orders.toml").chmod(0)
    (problem,) = read(directory).problems
    assert str(os.geteuid()) in problem.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root enters everything")
def test_a_directory_without_rights_is_a_problem(directory: Path) -> None:
    write_main(directory, "")
    directory.chmod(0)
    try:
        told = [read(place).problems[0].message for place in (directory, directory / "x.toml")]
    finally:
        directory.chmod(0o700)
    assert told == ["cannot be read: Permission denied"] * 2


def test_a_mongo_uri_must_be_one() -> None:
    with pytest.raises(ValueError, match="mongodb"):
        MongoSettings(uri="localhost:27017")  # type: ignore[arg-type]
