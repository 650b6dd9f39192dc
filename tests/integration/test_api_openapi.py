"""The document that the API gives of itself: valid, complete, and of one's own sources only."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from api_world import World, running, source
from openapi_spec_validator import OpenAPIV31SpecValidator

from ingestd.access import TokenFile, new_token, parse_scope
from ingestd.api import data
from ingestd.api.app import POSTS, PUTS, ROUTES
from ingestd.api.asked import FILTERED, PARAMETERS_OF_ROWS, SUMMARIES
from ingestd.config.settings import ApiSettings
from ingestd.config.source import ColumnTypeName

TYPES = [name for name in ColumnTypeName.__args__ if name != "category"]


@pytest.fixture
async def world(mongo_uri: str, database: str) -> AsyncIterator[World]:
    every = source("every", {f"a_{name}": name for name in TYPES})
    async with running(mongo_uri, database, (source(), every)) as made:
        yield made


async def told(world: World, **options: Any) -> dict[str, Any]:
    status, document, _ = await world.get("/openapi.json", **options)
    assert status == 200
    OpenAPIV31SpecValidator(document).validate()
    assert isinstance(document, dict)
    return document


async def test_every_route_is_in_the_document_and_has_a_summary(world: World) -> None:
    document = await told(world)
    for templates, method in ((ROUTES, "get"), (POSTS, "post"), (PUTS, "put"), (["/"], "get")):
        for template in templates:
            assert template in SUMMARIES
            names = ["orders", "every"] if template.startswith("/data/") else ["{source_name}"]
            for name in names:
                path = template.replace("{source_name}", name)
                assert method in document["paths"][path], path
    assert set(SUMMARIES) <= {"/", *ROUTES, *POSTS, *PUTS}


async def test_rows_have_the_columns_of_their_source(world: World) -> None:
    schemas = (await told(world))["components"]["schemas"]
    row = schemas["orders_row"]["properties"]
    assert list(row) == ["_id", "order_id", "amount", "country"]
    assert row["amount"] == {"type": ["number", "null"]}
    assert len(schemas["every_row"]["properties"]) == len(TYPES) + 1


async def test_operators_are_told_with_their_column(world: World) -> None:
    operation = (await told(world))["paths"]["/data/orders"]["get"]
    by_name = {parameter["name"]: parameter for parameter in operation["parameters"]}
    assert "amount__gte" in by_name["amount"]["description"]
    assert set(data._PARAMETERS) <= set(by_name)


async def test_a_column_named_like_a_parameter_is_told_with_its_operator(
    mongo_uri: str, database: str
) -> None:
    schema: dict[str, Any] = dict.fromkeys(PARAMETERS_OF_ROWS, "int64")
    schema |= {"x": "json", "x__isnull": "int64", "y": "json"}
    async with running(mongo_uri, database, (source(schema=schema),)) as world:
        await world.add_file([dict.fromkeys(schema, n) for n in range(3)])
        paths = (await told(world))["paths"]
        for template in FILTERED:
            path = template.replace("{source_name}", "orders")
            by_name = {one["name"]: one for one in paths[path]["get"]["parameters"]}
            assert "limit__gte" in by_name["limit__eq"]["description"]
            assert {f"{name}__eq" for name in PARAMETERS_OF_ROWS} | {"y__isnull"} <= set(by_name)
        query = "&".join(f"{name}__eq=1" for name in PARAMETERS_OF_ROWS)
        assert (await world.get(f"/data/orders/count?{query}"))[1]["count"] == 1


async def test_references_and_ids_are_whole(world: World) -> None:
    document = await told(world)
    ids = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"\w+", one) for one in ids)


async def test_only_what_may_be_read_is_told(mongo_uri: str, database: str, tmp_path: Path) -> None:
    token, text = new_token("ci", [parse_scope("read:orders")], None)
    TokenFile(tmp_path).add(token)
    settings, specs = ApiSettings(port=0, allow_anonymous=False), (source(), source("secret"))
    async with running(mongo_uri, database, specs, root=tmp_path, settings=settings) as world:
        assert (await world.get("/openapi.json"))[0] == 401
        document = await told(world, headers={"Authorization": f"Bearer {text}"})
    assert "secret" not in str(document["paths"])
    assert document["paths"]["/files"]["get"]["security"] == [{"token": []}]
    assert "security" not in document["paths"]["/health/live"]["get"]


async def test_the_page_runs_its_own_script_and_loads_nothing_else(world: World) -> None:
    async with world.http.get(world.url + "/docs") as response:
        page, policy = await response.text(), response.headers["Content-Security-Policy"]
    assert response.content_type == "text/html"
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(r"https?://|src=|href=|\son\w+=|innerHTML", page)
