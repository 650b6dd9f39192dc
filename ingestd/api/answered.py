"""What endpoints answer, for ``openapi.py``: the schemas of files, problems and lists."""

from typing import Any

from ingestd.api.formats import LISTS, ROWS, Formats
from ingestd.records import FileState

Object = dict[str, Any]

_TEXT: Object = {"type": "string"}
_COUNT: Object = {"type": ["integer", "null"]}
_MOMENT: Object = {"type": ["string", "null"], "format": "date-time"}

SCHEMAS: dict[str, Object] = {
    "problem": {
        "type": "object",
        "description": "RFC 9457",
        "properties": {
            "type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT,
            "hint": _TEXT, "request_id": _TEXT,
        },
        "required": ["type", "title", "status", "request_id"],
    },
    "file": {
        "type": "object",
        "properties": {
            "file_id": _TEXT, "source_name": _TEXT, "name": _TEXT,
            "state": {"enum": [state.value for state in FileState]},
            "processed_at": _MOMENT, "finished_at": _MOMENT, "discovered_at": _MOMENT,
            "record_count": _COUNT, "success_count": _COUNT, "error_count": _COUNT,
            "filtered_count": _COUNT,
        },
        "required": ["file_id", "state"],
    },
    "audit": {
        "type": "object",
        "properties": {
            "file_id": _TEXT, "file": _TEXT, "is_right": {"type": "boolean"},
            "difference": _TEXT, "has_new_rules": {"type": "boolean"},
        },
        "required": ["file_id", "is_right", "difference"],
    },
    "receipt": {
        "type": "object",
        "properties": {
            "file_id": _TEXT, "file": _TEXT, "state": _TEXT, "is_loaded": {"type": "boolean"},
            "rejections": {"type": "array", "items": {"type": "object"}},
        },
        "required": ["file_id", "is_loaded"],
    },
    "rejection": {
        "type": "object",
        "properties": {
            "_id": _TEXT, "error_type": _TEXT, "error_message": _TEXT, "file": _TEXT,
            "row": _COUNT, "line": _COUNT, "state": _TEXT,
        },
    },
}  # fmt: skip


def _ref(name: str) -> Object:
    return {"$ref": f"#/components/schemas/{name}"}


def _array(items: Object) -> Object:
    return {"type": "array", "items": items}


def _json(schema: Object) -> Object:
    return {"application/json": {"schema": schema}}


def _run(source_name: str) -> Object:
    """A file's part of an answer."""
    fields = {"source_name": _TEXT, "file": _TEXT, "processed_at": _MOMENT}
    return {
        "type": "object",
        "properties": {**fields, "data": _array(_ref(f"{source_name}_row"))},
        "required": ["source_name", "data"],
    }


_PROBLEM = {
    "description": "What is wrong, and what is allowed",
    "content": {"application/problem+json": {"schema": _ref("problem")}},
}
_OTHER_CONTENT = {
    "/files": _json(_array(_ref("file"))),
    "/files/{file_id}": _json(_ref("file")),
    "/files/{file_id}/receipt": _json(_ref("receipt")),
    "/files/{file_id}/audit": _json(_ref("audit")),
    "/errors/{source_name}": _json(_array(_ref("rejection"))),
    "/errors/{source_name}/summary": _json(_array({"type": "object"})),
    "/sources": _json(_array({"type": "object"})),
    "/metrics": {
        kind: {"schema": _TEXT} for kind in ("text/plain", "application/openmetrics-text")
    },
    "/docs": {"text/html": {}},
}


def responses(template: str, source_name: str | None) -> Object:
    """By status; all that is not fine is a problem document."""
    unchanged: Object = {}
    content = _OTHER_CONTENT.get(template, _json({"type": "object"}))
    if template == "/data/{source_name}" and source_name is not None:
        content = _json(_array(_run(source_name))) | _flat(ROWS)
        unchanged = {"304": {"description": "As it was when you got that ETag"}}
    elif template in ("/files", "/errors/{source_name}"):
        content = content | _flat(LISTS)
    found: Object = {"200": {"description": "As asked for", "content": content}}
    if template.startswith("/ingest/"):
        found["202"] = {"description": "It is stored, and not loaded yet", "content": content}
    if template.startswith("/health"):
        found["503"] = {"description": "Not well", "content": content}
    return found | unchanged | {"default": _PROBLEM}


def _flat(formats: Formats) -> Object:
    return {form.content_type: {} for name, form in formats.items() if name != "json"}
