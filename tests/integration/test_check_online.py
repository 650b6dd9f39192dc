"""``ingestd check --online``: each thing that would fail, or that somebody should know."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import free_port
from pipeline_world import source
from pymongo import MongoClient
from rich.console import Console

from ingestd.cli.online import Finding, Grade, exit_code_of, show_findings, try_out
from ingestd.config.settings import Settings

UPSERT = source(load={"mode": "upsert", "key": ["id"]})


@pytest.fixture
def settings(mongo_uri: str, database: str, tmp_path: Path) -> Settings:
    return configured(tmp_path, uri=mongo_uri, database=database)


def configured(root: Path, paths: dict[str, str] | None = None, **mongo: Any) -> Settings:
    return Settings.model_validate({"mongo": mongo, "paths": {"root": str(root), **(paths or {})}})


@pytest.fixture
def orders(mongo_uri: str, database: str) -> Iterator[Any]:
    """The collection of the source."""
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        yield client[database]["orders"]


def told(findings: list[Finding], what: str, grade: str) -> str:
    return "; ".join(
        f"{one.message} ({one.hint})"
        for one in findings
        if one.what == what and one.grade == grade
    )  # fmt: skip


async def test_where_nothing_is_wrong_nothing_is_made(settings: Settings, orders: Any) -> None:
    found = await try_out(settings, [UPSERT])
    assert exit_code_of(found) == 0
    assert {one.grade for one in found} == {"fine"}
    assert "lets us read and write" in told(found, "MongoDB", "fine")
    assert list(settings.paths.root.iterdir()) == []
    assert orders.database.list_collection_names() in ([], ["ingestd_selftest"])


async def test_documents_that_share_the_key_of_an_upsert_are_named(
    settings: Settings, orders: Any
) -> None:
    orders.insert_many([{"id": 1}, {"id": 7}, {"id": 7}])
    found = await try_out(settings, [UPSERT])
    assert exit_code_of(found) == 69
    assert "2 documents share their key: id 7" in told(found, "source orders", "failure")
    assert "over 3 documents" in told(found, "source orders", "notice")


async def test_an_index_in_the_way_of_a_unique_one_is_told(settings: Settings, orders: Any) -> None:
    orders.insert_one({"id": 1})
    orders.create_index("id")
    found = await try_out(settings, [UPSERT])
    assert "is not unique (drop it" in told(found, "source orders", "failure")


async def test_a_mongodb_that_is_away_is_told_with_its_hint(tmp_path: Path) -> None:
    uri = f"mongodb://127.0.0.1:{free_port()}/"
    found = await try_out(configured(tmp_path, uri=uri, timeout=0.2), [])
    assert exit_code_of(found) == 69
    assert "Connection refused (is mongod running" in told(found, "MongoDB", "failure")


async def test_directories_that_cannot_be_used_are_told(tmp_path: Path, mongo_uri: str) -> None:
    (tmp_path / "taken").write_text("no directory")
    paths = {"archive": "taken/archive", "failed": "/dev/shm/ingestd-failed"}
    settings = configured(tmp_path, paths, uri=mongo_uri, database="unused")
    absent = source(file_pattern=f"{tmp_path}/not-mounted/*.csv")
    found = await try_out(settings, [absent])
    assert exit_code_of(found) == 78
    assert "taken is no directory" in told(found, "paths.archive", "failure")
    assert "not-mounted is missing" in told(found, "source orders", "notice")
    if os.stat("/dev/shm").st_dev != os.stat(tmp_path).st_dev:
        assert "another file system" in told(found, "paths.failed", "notice")


def test_what_is_found_is_shown_with_its_hint_below() -> None:
    console = Console(width=100, no_color=True)
    with console.capture() as shown:
        show_findings(
            console, [Finding("MongoDB", Grade.FAILURE, "is [b]away[/b]\x1b", "start it")]
        )
    assert shown.get() == "failure MongoDB: is [b]away[/b]\\x1b\n        start it\n"
