"""``/data/{source_name}/schema``: what a row is, as JSON Schema (draft 2020-12)."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ingestd.api.answers import json_response
from ingestd.api.context import CONTEXT, Columns
from ingestd.api.query import refuse_parameters
from ingestd.api.sources import named_source
from ingestd.config.source import ColumnTypeName

Object = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_OBJECT_ID: Object = {"type": "string", "pattern": "^[0-9a-f]{24}$"}
_MOMENT: Object = {"type": "string", "format": "date-time"}


def _whole(bits: int, *, is_signed: bool = True) -> Object:
    lowest = -(2 ** (bits - 1)) if is_signed else 0
    return {"type": "integer", "minimum": lowest, "maximum": lowest + 2**bits - 1}


TYPES: Mapping[ColumnTypeName, Object] = {
    "string": {"type": "string"}, "category": {"type": "string"}, "bool": {"type": "boolean"},
    "int8": _whole(8), "int16": _whole(16), "int32": _whole(32), "int64": _whole(64),
    "uint8": _whole(8, is_signed=False), "uint16": _whole(16, is_signed=False),
    "uint32": _whole(32, is_signed=False), "float32": {"type": "number"},
    "float64": {"type": "number"},
    "decimal": {"type": "string", "pattern": r"^-?[0-9.]+(E[+-]?[0-9]+)?$"},
    "date": {"type": "string", "format": "date"}, "datetime": _MOMENT,
    "time": {"type": "string", "pattern": r"^[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?$"},
    "duration": {"type": "string", "format": "duration"}, "json": {},
    "binary": {"type": "string", "contentEncoding": "base64"}, "objectid": _OBJECT_ID,
}  # fmt: skip
"""What a value of a column of that type is in JSON, if it is not null."""


async def get_schema(request: web.Request) -> web.Response:
    """The rows of one source, as NDJSON has them."""
    refuse_parameters(request)
    context, name = request.app[CONTEXT], named_source(request)
    is_open = context.sources[name].load.on_new_column == "add"
    return json_response(row_schema(name, context.schemas[name], is_open=is_open))


def row_schema(name: str, columns: Columns, *, is_open: bool) -> Object:
    """The schema of a row. ``is_open``: files may add columns."""
    properties = {**row_properties(columns), "processed_at": _MOMENT}
    return {
        "$schema": _DIALECT, "title": name, "type": "object", "properties": properties,
        "required": list(properties), "additionalProperties": is_open,
    }  # fmt: skip


def row_properties(columns: Columns) -> Object:
    """What a row has; every column may be null."""
    values = {name: _nullable(TYPES[spec.type]) for name, spec in columns.items()}
    return {"_id": _OBJECT_ID, **values}


def _nullable(schema: Object) -> Object:
    return {**schema, "type": [schema["type"], "null"]} if "type" in schema else schema
