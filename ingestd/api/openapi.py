"""``GET /openapi.json``: the API as OpenAPI 3.1, made of its routes and of the sources.

Clients are generated from it, so it says of answers only what always holds.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiohttp import hdrs, web

from ingestd import __version__
from ingestd.access import Kind
from ingestd.api import answered, asked
from ingestd.api.admission import DOOR, OPEN, PRINCIPAL, needed_for
from ingestd.api.answers import json_response
from ingestd.api.context import CONTEXT, Columns
from ingestd.api.query import refuse_parameters
from ingestd.api.schemas import row_properties

Object = dict[str, Any]

_IN_PATH = re.compile(r"{(\w+)}")
_SOURCE = "{source_name}"


async def get_openapi(request: web.Request) -> web.Response:
    """This API, with the sources that one may read."""
    refuse_parameters(request)
    context, principal = request.app[CONTEXT], request[PRINCIPAL]
    schemas = {
        name: columns
        for name, columns in context.schemas.items()
        if principal.may(Kind.READ, name)
    }  # fmt: skip
    routes = [
        (resource.canonical, route.method)
        for resource in request.app.router.resources()
        for route in resource
        if route.method in (hdrs.METH_GET, hdrs.METH_POST, hdrs.METH_PUT)
    ]
    document = describe(routes, schemas, needs_token=not request.app[DOOR].takes_anybody)
    return json_response(document)


def describe(
    routes: Iterable[tuple[str, str]], schemas: Mapping[str, Columns], *, needs_token: bool
) -> Object:
    """The whole document; ``routes``: templates with their methods."""
    paths: dict[str, Object] = {}
    for template, method in routes:
        for path, source_name in _paths(template, list(schemas)):
            operation = _operation(template, method, source_name, schemas)
            if needs_token and template not in OPEN:
                operation["security"] = [{"token": []}]
            paths.setdefault(path, {})[method.lower()] = operation
    rows = {
        f"{name}_row": {"type": "object", "properties": row_properties(columns)}
        for name, columns in schemas.items()
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "ingestd", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {**answered.SCHEMAS, **rows},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_ABOUT = "Rows that were loaded, what was refused and why, and files to be loaded."


def _paths(template: str, sources: Sequence[str]) -> list[tuple[str, str | None]]:
    """Rows have a path for each source, because each has other columns."""
    if not template.startswith("/data/"):
        return [(template, None)]
    return [(template.replace(_SOURCE, name), name) for name in sources]


def _operation(
    template: str, method: str, source_name: str | None, schemas: Mapping[str, Columns]
) -> Object:
    path = template if source_name is None else template.replace(_SOURCE, source_name)
    parameters = [_path_parameter(name, list(schemas)) for name in _IN_PATH.findall(path)]
    parameters += asked.parameters(template)
    if source_name is not None and template in asked.FILTERED:
        parameters += asked.filters(schemas[source_name])
    operation: Object = {
        "operationId": re.sub(r"\W+", "_", f"{method.lower()}{path}").strip("_"),
        "summary": asked.SUMMARIES.get(template, path.rpartition("/")[2]),
        "description": f"Scope: {_scopes(template, method)}.",
        "parameters": parameters,
        "responses": answered.responses(template, source_name),
    }
    if (body := asked.body(template, method)) is not None:
        operation["requestBody"] = body
    return operation


def _scopes(template: str, method: str) -> str:
    return "none" if template in OPEN else " or ".join(needed_for(template, method))


def _path_parameter(name: str, sources: list[str]) -> Object:
    schema: Object = {"type": "string", "minLength": 1}
    if name == "source_name":
        schema["enum"] = sources
    elif name == "row_id":
        schema["pattern"] = "^[0-9a-f]{24}$"
    elif name == "file_id":
        schema["pattern"] = "^[0-9a-f]{16}([-.][0-9]{1,9})?$"
    return {"name": name, "in": "path", "required": True, "schema": schema}
