"""The commands as people run them: what they print, and the code they end with."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from pymongo import MongoClient

from ingestd.access import TokenFile
from ingestd.cli.tokens import TokenWish, create_token

HEADER = "order_id,amount\n"
SOURCE = """
name = "orders"
file_pattern = "orders/*.csv"
[schema]
order_id = "string"
amount = "float64"
[validation_rules.amount]
min = 0
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    directory = tmp_path / "config"
    (directory / "sources").mkdir(parents=True)
    (directory / "ingestd.toml").write_text(
        '[refine]\nworkers = 1\nchunk_bytes = "16KiB"\n[load]\ncheckpoint_interval = "0s"\n'
    )
    (directory / "sources" / "orders.toml").write_text(SOURCE)
    return directory


@pytest.fixture
def environment(tmp_path: Path, mongo_uri: str, database: str) -> dict[str, str]:
    own = {key: value for key, value in os.environ.items() if not key.startswith("INGESTD_")}
    return own | {
        "INGESTD_MONGO__URI": mongo_uri,
        "INGESTD_MONGO__DATABASE": database,
        "INGESTD_PATHS__ROOT": str(tmp_path / "root"),
    }


@pytest.fixture
def ingestd(configuration: Path, environment: dict[str, str]) -> Run:
    def run(*arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(configuration, *arguments), env=environment | more, capture_output=True,
            text=True, errors="surrogateescape", check=False, timeout=60,
        )  # fmt: skip

    return run


def command(configuration: Path, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "ingestd", *map(str, arguments), "--config", str(configuration)]


def write(path: Path, *rows: str) -> Path:
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_help_imports_nothing_heavy() -> None:
    heavy = {"polars", "pyarrow", "motor", "pymongo", "aiohttp", "pydantic"}
    code = f"import sys, ingestd.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_load_counts_refused_rows_and_ends_with_65(ingestd: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "A-1,5", "A-2,-5", "A-3,x")
    done = ingestd("load", file, "--source", "orders", "--json")
    (told,) = json.loads(done.stdout)["files"]
    assert (done.returncode, told["state"]) == (65, "loaded")
    assert (told["record_count"], told["success_count"], told["error_count"]) == (3, 1, 2)
    assert Path(told["rejects_file"]).read_text() == HEADER + "A-2,-5\nA-3,x\n"
    assert file.exists(), "files stay where they are"


def test_load_shows_a_plain_table_where_there_is_no_terminal(ingestd: Run, tmp_path: Path) -> None:
    done = ingestd("load", write(tmp_path / "a.csv", "A-1,5"), "--source", "orders")
    heads, row, *rest = done.stdout.splitlines()
    assert (done.returncode, rest) == (0, []), done.stderr
    assert heads.split() == ["file", "state", "rows", "loaded", "refused", "filtered", "seconds",
                             "rows/s"]  # fmt: skip
    assert row.split()[:6] == ["a.csv", "loaded", "1", "1", "0", "0"]


def test_load_of_the_same_content_again_is_fine_and_does_nothing(
    ingestd: Run, tmp_path: Path
) -> None:
    ingestd("load", write(tmp_path / "a.csv", "A-1,5"), "--source", "orders")
    done = ingestd("load", write(tmp_path / "b.csv", "A-1,5"), "--source", "orders")
    assert done.returncode == 0
    assert "duplicate" in done.stdout
    assert "loaded before" in done.stderr


def test_load_of_two_files_with_the_same_content_loads_one(ingestd: Run, tmp_path: Path) -> None:
    files = [write(tmp_path / name, "A-1,5") for name in ("a.csv", "b.csv")]
    done = ingestd("load", *files, "--source", "orders", "--json")
    states = sorted(file["state"] for file in json.loads(done.stdout)["files"])
    assert (done.returncode, states) == (0, ["duplicate", "loaded"])


def test_load_goes_on_after_a_bad_file_and_ends_with_1(ingestd: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("order_id\nA-1\n")
    empty = tmp_path / "empty.csv"
    empty.touch()
    good = write(tmp_path / "good.csv", "A-1,5")
    done = ingestd("load", bad, empty, good, "--source", "orders", "--json")
    told = {file["file"]: file for file in json.loads(done.stdout)["files"]}
    assert done.returncode == 1
    assert [told[name]["state"] for name in ("bad.csv", "empty.csv", "good.csv")] == [
        "failed", "failed", "loaded"
    ]  # fmt: skip
    assert "error: bad.csv: the header lacks 'amount'" in done.stderr
    assert "Traceback" not in done.stderr


def test_load_can_be_tried_again_at_once_after_a_failure(ingestd: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("order_id\nA-1\n")
    assert ingestd("load", file, "--source", "orders").returncode == 1
    assert ingestd("load", file, "--source", "orders").returncode == 1
    assert ingestd("load", write(file, "A-1,5"), "--source", "orders").returncode == 0


def test_load_with_archive_moves_files_as_the_daemon_does(ingestd: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "A-1,5")
    done = ingestd("load", file, "--source", "orders", "--archive", "--json")
    (told,) = json.loads(done.stdout)["files"]
    assert not file.exists()
    assert Path(told["moved_to"]).parent.is_relative_to(tmp_path / "root" / "archive" / "orders")
    assert Path(told["moved_to"]).read_text() == HEADER + "A-1,5\n"


def test_load_takes_an_archive_of_several_files(ingestd: Run, tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("may.csv", HEADER + "A,1\nB,-1\n")
        files.writestr("june.csv", HEADER + "C,1\n")
    done = ingestd("load", archive, "--source", "orders", "--json")
    assert done.returncode == 65, done.stderr
    (told,) = json.loads(done.stdout)["files"]
    assert (told["state"], told["record_count"], told["error_count"]) == ("loaded", 3, 1)
    listed = json.loads(ingestd("files", "--json").stdout)
    assert {file["name"] for file in listed} == {"a.zip/may.csv", "a.zip/june.csv"}
    assert archive.exists()
    assert not list((tmp_path / "root" / "unpacked").rglob("*.csv"))


def test_load_of_an_upsert_lets_the_later_file_win(
    ingestd: Run, configuration: Path, mongo_uri: str, database: str, tmp_path: Path
) -> None:
    source = SOURCE + "[validation_rules.order_id]\nnot_null = true\n"
    source += '[load]\nmode = "upsert"\nkey = ["order_id"]\n'
    (configuration / "sources" / "orders.toml").write_text(source)
    large = write(tmp_path / "1.csv", *(f"A-{n},1" for n in range(5000)))
    small = write(tmp_path / "2.csv", "A-7,2")
    assert ingestd("load", large, small, "--source", "orders").returncode == 0
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        found = client[database]["orders"].find_one({"order_id": "A-7"})
    assert found
    assert found["amount"] == 2


def test_load_refuses_a_source_that_is_not_there(ingestd: Run, tmp_path: Path) -> None:
    done = ingestd("load", write(tmp_path / "a.csv", "A-1,5"), "--source", "oders")
    assert done.returncode == 2
    assert 'did you mean "orders"?' in done.stderr


def test_load_refuses_a_file_that_is_not_there(ingestd: Run, tmp_path: Path) -> None:
    done = ingestd("load", tmp_path / "nothing.csv", "--source", "orders")
    assert done.returncode == 2
    assert "nothing.csv" in done.stderr


def test_load_gives_up_when_mongodb_is_away(ingestd: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "A-1,5")
    uri = f"mongodb://127.0.0.1:{free_port()}"
    done = ingestd("load", file, "--source", "orders", "--wait", "0.2", INGESTD_MONGO__URI=uri)
    assert done.returncode == 69
    assert done.stderr.startswith("error: MongoDB has not answered for 0.2 s\nhint:")


def test_files_and_errors_end_with_69_when_mongodb_is_away(ingestd: Run) -> None:
    away = {
        "INGESTD_MONGO__URI": f"mongodb://127.0.0.1:{free_port()}", "INGESTD_MONGO__TIMEOUT": "0.2s"
    }  # fmt: skip
    for name in ("files", "errors"):
        done = ingestd(name, **away)
        assert done.returncode == 69
        assert "MongoDB cannot be reached" in done.stderr
        assert "Traceback" not in done.stderr


def test_stopped_load_goes_on_where_it_was(
    ingestd: Run, configuration: Path, environment: dict[str, str], mongo_uri: str, database: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    file = write(tmp_path / "large.csv", *(f"A-{n},{n}" for n in range(100_000)))
    arguments = command(configuration, "load", file, "--source", "orders")
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        ledger, rows = client[database]["files"], client[database]["orders"]
        with subprocess.Popen(
            arguments, env=environment, stderr=subprocess.PIPE, text=True
        ) as load:
            wait_for(lambda: ledger.find_one({"rows_done": {"$gt": 0}}))
            load.send_signal(signal.SIGINT)
            _, told = load.communicate(timeout=30)
        stopped = ledger.find_one({})
        assert stopped
        assert load.returncode == 130
        assert 0 < stopped["rows_done"] < 100_000
        assert f"large.csv: not finished, {stopped['rows_done']:,} rows stored" in told
        done = ingestd("load", file, "--source", "orders", "--json")
        assert json.loads(done.stdout)["files"][0]["success_count"] == 100_000
        assert rows.count_documents({}) == 100_000


def wait_for(condition: Callable[[], object], limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_check_of_a_good_configuration_shows_its_sources(ingestd: Run) -> None:
    done = ingestd("check")
    assert (done.returncode, done.stderr) == (0, "")
    row = done.stdout.splitlines()[1].split()
    assert row == ["orders", "orders/*.csv", "2", "1", "0", "0", "insert", "sources/orders.toml"]


def test_check_names_columns_that_the_query_string_takes_for_parameters(
    ingestd: Run, configuration: Path
) -> None:
    source = configuration / "sources" / "orders.toml"
    source.write_text(SOURCE.replace("[schema]\n", '[schema]\nlimit = "int64"\n'))
    done = ingestd("check")
    assert done.returncode == 0
    assert "notice  source orders: column limit has the name of a query parameter" in done.stdout
    assert "limit__eq=value" in done.stdout
    told = json.loads(ingestd("check", "--json").stdout)
    assert (told["is_ok"], len(told["notices"])) == (True, 1)


def test_check_online_ends_as_the_daemon_would(ingestd: Run) -> None:
    nowhere = f"mongodb://127.0.0.1:{free_port()}/"
    options = {"INGESTD_MONGO__URI": nowhere, "INGESTD_MONGO__TIMEOUT": "200ms"}
    away = ingestd("check", "--online", "--json", **options)
    assert (away.returncode, away.stderr) == (69, "")
    told = json.loads(away.stdout)
    (failure,) = [one for one in told["tried"] if one["grade"] == "failure"]
    assert (told["is_ok"], told["problems"], failure["what"]) == (False, [], "MongoDB")


def test_check_compiles_what_is_sound_of_a_source_with_mistakes(
    ingestd: Run, configuration: Path
) -> None:
    """One reading tells all: a wrong key does not hide a wrong expression."""
    bad = SOURCE.replace('file_pattern = "', 'colour = "red"\nfile_pattern = "../')
    bad += '[[transform]]\nset = { net = "amout / 2" }\n'
    (configuration / "sources" / "orders.toml").write_text(bad)
    told = json.loads(ingestd("check", "--json").stdout)
    keys = sorted(problem["key"].split(".")[0] for problem in told["problems"])
    assert keys == ["colour", "file_pattern", "transform[0]"]


def test_check_tells_every_mistake_with_its_file(ingestd: Run, configuration: Path) -> None:
    (configuration / "ingestd.toml").write_text("[api]\nport = 70000\n")
    bad_step = '[[transform]]\nset = { net = "amout / 2" }\n'
    bad_check = '[[checks]]\nname = "c"\nexpression = "amount >"\n'
    (configuration / "sources" / "orders.toml").write_text(SOURCE + bad_step + bad_check)
    done = ingestd("check", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["is_ok"], told["sources"]) == (78, False, [])
    places = {(Path(p["file"]).name, p["key"].split(".")[0]) for p in told["problems"]}
    assert places == {
        ("ingestd.toml", "api"), ("orders.toml", "transform[0]"), ("orders.toml", "checks[0]")
    }  # fmt: skip
    for name in ("run", "load"):
        more = (configuration / "ingestd.toml", "--source", "orders") if name == "load" else ()
        other = ingestd(name, *more)
        assert (other.returncode, other.stdout) == (78, "")
        assert "3 mistakes in the configuration" in other.stderr


def test_files_and_errors_tell_what_happened(ingestd: Run, tmp_path: Path) -> None:
    ingestd("load", write(tmp_path / "a.csv", "A-1,5", "A-2,-5"), "--source", "orders")
    (file,) = json.loads(ingestd("files", "--json").stdout)
    assert (file["name"], file["state"], file["success_count"]) == ("a.csv", "loaded", 1)
    for called in (file["file_id"], "a.csv", file["path"]):
        assert json.loads(ingestd("files", called, "--json").stdout) == file
    assert json.loads(ingestd("files", "--state", "failed", "--json").stdout) == []
    for asked in ((), ("--file", "a.csv"), ("--file", file["file_id"]), ("--source", "orders")):
        (error,) = json.loads(ingestd("errors", *asked, "--json").stdout)
        assert (error["line"], error["violations"][0]["value"]) == (3, "-5")
    assert "-5 is below min 0" in ingestd("errors").stdout


def test_files_and_errors_know_what_does_not_exist(ingestd: Run) -> None:
    for asked in (("files", "b.csv"), ("errors", "--file", "b.csv")):
        done = ingestd(*asked)
        assert (done.returncode, done.stdout) == (1, "")
        assert "there is no file b.csv" in done.stderr
    for name in ("files", "errors"):
        done = ingestd(name, "--source", "oders")
        assert done.returncode == 2
        assert 'did you mean "orders"?' in done.stderr
        assert ingestd(name, "--source", "orders").returncode == 0


def test_a_loaded_file_can_be_undone_and_loaded_again(ingestd: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "A-1,5")
    ingestd("load", file, "--source", "orders")
    done = ingestd("undo", "a.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "a.csv is undone: none of its rows is left\n"
    (entry,) = json.loads(ingestd("files", "--json").stdout)
    assert (entry["state"], entry["actions"][0]["action"]) == ("undone", "undo")
    assert ingestd("load", file, "--source", "orders").returncode == 0
    told = json.loads(ingestd("forget", entry["file_id"], "--json").stdout)
    assert told["state"] == "loaded"
    done = ingestd("load", file, "--source", "orders", "--json")
    assert json.loads(done.stdout)["files"][0]["state"] == "loaded"


def test_a_failed_file_comes_back_to_its_inbox(ingestd: Run, tmp_path: Path) -> None:
    inbox = tmp_path / "root" / "inbox" / "orders"
    inbox.mkdir(parents=True)
    (inbox / "a.csv").write_text("order_id\nA-1\n")
    ingestd("load", inbox / "a.csv", "--source", "orders", "--archive")
    assert not (inbox / "a.csv").exists()
    done = ingestd("retry", "a.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"a.csv is back at {inbox / 'a.csv'}: the daemon loads it\n"
    assert (inbox / "a.csv").exists()


def test_refused_rows_are_dismissed_and_the_receipt_says_so(ingestd: Run, tmp_path: Path) -> None:
    ingestd("load", write(tmp_path / "a.csv", "A-1,5", "A-2,-5"), "--source", "orders")
    done = ingestd("dismiss", "a.csv", "--reason", "known", "--row", "2")
    assert (done.returncode, done.stdout) == (0, "rejections of a.csv are dismissed\n")
    told = json.loads(ingestd("receipt", "a.csv").stdout)
    (rejection,) = told["rejections"]
    assert (rejection["line"], rejection["state"]) == (3, "dismissed")


def test_replay_stores_rows_that_a_mended_rule_lets_pass(
    ingestd: Run, configuration: Path, tmp_path: Path
) -> None:
    ingestd("load", write(tmp_path / "a.csv", "A-1,5", "A-2,-5", "A-3,x"), "--source", "orders")
    assert ingestd("replay", "--source", "orders").returncode == 65
    lax = SOURCE.replace("min = 0", "min = -10")
    (configuration / "sources" / "orders.toml").write_text(lax)
    done = ingestd("replay", "a.csv")
    assert (done.returncode, done.stderr) == (65, "")
    assert done.stdout == "a.csv: 1 refused row stored by now, 1 still refused\n"
    assert ingestd("replay").returncode == 2
    assert ingestd("replay", "--source", "oders").returncode == 2


def test_a_file_is_replaced_and_audited(
    ingestd: Run, tmp_path: Path, mongo_uri: str, database: str
) -> None:
    ingestd("load", write(tmp_path / "a.csv", "A-1,5"), "--source", "orders")
    assert ingestd("replace", "a.csv", write(tmp_path / "b.csv", "A-1,6")).returncode == 0
    done = ingestd("audit", "b.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("b.csv: 1 row accounted for: 1 document, 0 rejections, 0 filtered\n")
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        client[database]["orders"].update_many({}, {"$set": {"amount": 7.0}})
    done = ingestd("audit", "b.csv")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: b.csv, row 1: amount is 7.0 and should be 6.0\n"
    assert json.loads(ingestd("audit", "b.csv", "--json").stdout)["is_right"] is False


def test_what_cannot_be_done_with_a_file_ends_with_1_and_a_hint(
    ingestd: Run, tmp_path: Path
) -> None:
    ingestd("load", write(tmp_path / "a.csv", "A-1,5"), "--source", "orders")
    for arguments in (("retry", "a.csv"), ("undo", "b.csv"), ("forget", "b.csv")):
        done = ingestd(*arguments)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert "hint: " in done.stderr


def test_hostile_names_and_values_are_shown_as_text(ingestd: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "[red]\x1b]0;owned\x07\n.csv", "A-1,[bold]\x1b[31mred[/nope]")
    loaded = ingestd("load", file, "--source", "orders", FORCE_COLOR="1", COLUMNS="300")
    assert loaded.returncode == 65
    for name in ("files", "errors"):
        done = ingestd(name, FORCE_COLOR="1", COLUMNS="300")
        assert "[red]\\x1b]0;owned\\x07\\n.csv" in done.stdout
        assert "\x1b]" not in done.stdout
        assert "\x1b[31mred" not in done.stdout
    assert "[bold]\\x1b[31mred[/nope]" in ingestd("errors").stdout


def test_tables_fit_the_narrowest_terminal(ingestd: Run, tmp_path: Path) -> None:
    ingestd("load", write(tmp_path / f"{'long' * 20}.csv", "A-1,-5"), "--source", "orders")
    for name in ("files", "errors", "check"):
        done = ingestd(name, FORCE_COLOR="1", NO_COLOR="1", COLUMNS="20")
        assert (done.returncode, done.stderr) == (0, "")


# tokens


def test_a_token_is_shown_once_listed_and_revoked(ingestd: Run) -> None:
    made = ingestd("token", "create", "--scope", "read:orders, metrics", "--name", "ci")
    assert made.returncode == 0, made.stderr
    assert "set api.allow_anonymous = false" in made.stderr
    secret = made.stdout.strip()
    assert secret.startswith("ingestd_")
    listed = ingestd("token", "list")
    assert "read:orders,metrics" in listed.stdout
    assert secret.split("_", 2)[2] not in listed.stdout
    assert ingestd("token", "revoke", "ci").returncode == 0
    assert json.loads(ingestd("token", "list", "--json").stdout) == []
    assert ingestd("token", "revoke", "ci").returncode == 2


@pytest.mark.parametrize(
    ("scopes", "expires", "told"),
    [
        ("raed", "1d", 'did you mean "read"'), ("read:ordres", "1d", 'did you mean "orders"'),
        ("", "1d", "no scope"), ("read,", "1d", "no scope"), ("read", "soon", "90d"),
        ("read", "-1", "future"), ("read", "1e300", "90d"), ("read", "nan", "90d"),
    ],
)  # fmt: skip
def test_a_token_that_makes_no_sense_is_a_wrong_use(
    configuration: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch,
    scopes: str, expires: str, told: str,
) -> None:  # fmt: skip
    for name in (name for name in environment if name.startswith("INGESTD_")):
        monkeypatch.setenv(name, environment[name])
    with pytest.raises(typer.BadParameter, match=told):
        create_token(configuration, TokenWish("ci", scopes, expires), as_json=False)
    assert TokenFile(Path(environment["INGESTD_PATHS__ROOT"])).read() == ()


def test_check_refuses_to_listen_to_others_without_a_token(
    ingestd: Run, configuration: Path
) -> None:
    with (configuration / "ingestd.toml").open("a") as stream:
        stream.write('[api]\nhost = "0.0.0.0"\n')
    checked = ingestd("check")
    assert checked.returncode == 78
    assert "ingestd token create" in checked.stdout
    assert ingestd("token", "create", "--scope", "read").returncode == 0
    assert ingestd("check").returncode == 0
