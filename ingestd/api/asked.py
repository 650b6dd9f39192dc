"""What can be asked of each endpoint, for ``openapi.py``: summaries, parameters, bodies."""

from collections.abc import Iterator, Mapping
from typing import Any

from ingestd.api.context import Columns
from ingestd.api.filters import operators_of
from ingestd.api.formats import LISTS, ROWS
from ingestd.api.options import OPTIONS
from ingestd.api.query import MAX_LIMIT
from ingestd.api.schemas import TYPES
from ingestd.api.summaries import WORDS
from ingestd.config.source import ColumnSpec, ColumnTypeName
from ingestd.ledger import Action
from ingestd.records import FileState

Object = dict[str, Any]

_FILE_ACTIONS = {
    Action.RETRY: "Bring a failed or held file back to its inbox",
    Action.UNDO: "Remove all rows of a loaded file",
    Action.FORGET: "Let the same content be loaded once more",
    Action.REPLAY: "Try refused rows once more, by the rules of today",
    Action.DISMISS: "Close refused rows of which nothing more is expected",
}
SUMMARIES = {
    "/": "What there is",
    "/data/{source_name}": "Rows of completely loaded files",
    "/data/{source_name}/count": "How many rows match",
    "/data/{source_name}/aggregate": "Groups of rows, counted and added up",
    "/data/{source_name}/schema": "What a row is, as JSON Schema",
    "/data/{source_name}/{row_id}": "One row, its file, and what was refused of it",
    "/errors/{source_name}": "Refused rows and files, with their reasons",
    "/errors/{source_name}/summary": "How many reasons by rule and column, with examples",
    "/files": "Files of all sources, newest first",
    "/files/{file_id}": "One file",
    "/files/{file_id}/receipt": "What the sender of a file may be told",
    "/files/{file_id}/audit": "Whether every row is stored as the original says",
    "/sources": "What is configured, and how it is doing",
    "/sources/{source_name}": "One source",
    "/sources/{source_name}/pause": "Let the files of a source wait",
    "/sources/{source_name}/resume": "Take the files of a source again",
    "/health": "Every dependency and source",
    "/health/live": "Whether work moves on",
    "/health/ready": "Whether requests make sense now",
    "/metrics": "Metrics for Prometheus",
    "/ingest/{source_name}/{file_name}": "Send a file into the inbox of its source",
    "/openapi.json": "This document",
    "/docs": "This document, for people",
    **{f"/files/{{file_id}}/{action}": text for action, text in _FILE_ACTIONS.items()},
}

_TEXT: Object = {"type": "string"}
_MOMENT: Object = {"type": "string", "examples": ["2026-01-31", "2026-01-31T08:00:00Z"]}
_LIST: dict[str, Object] = {
    "start_date": _MOMENT, "end_date": _MOMENT, "cursor": _TEXT,
    "limit": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
                        {"const": "all"}]},
}  # fmt: skip
_ERRORS: dict[str, Object] = {
    "type": _TEXT, "rule": _TEXT, "column": _TEXT, "file": _TEXT, "file_id": _TEXT,
    "state": {"enum": ["open", "replayed", "dismissed"]},
}  # fmt: skip
_MATCHING: dict[str, Object] = {"start_date": _MOMENT, "end_date": _MOMENT, "file_id": _TEXT}
_FLAG: Object = {"enum": ["true", "false", "1", "0"]}
FILTERED = tuple(f"/data/{{source_name}}{rest}" for rest in ("", "/count", "/aggregate"))
"""Where columns can be compared with values."""
_PARAMETERS: dict[str, dict[str, Object]] = {
    "/data/{source_name}": {
        **_LIST, "format": {"enum": list(ROWS)}, "fields": _TEXT, "file_id": _TEXT, "sort": _TEXT,
        **{name: {"enum": list(option.texts)} for name, option in OPTIONS.items()},
    },
    "/data/{source_name}/count": {**_MATCHING, "estimate": _FLAG},
    "/data/{source_name}/aggregate": {
        **_MATCHING, "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
        "group_by": _TEXT, "count": {"enum": [*_FLAG["enum"], ""]}, **dict.fromkeys(WORDS, _TEXT),
    },
    "/errors/{source_name}/summary": {"start_date": _MOMENT, "end_date": _MOMENT, **_ERRORS},
    "/errors/{source_name}": {**_LIST, "format": {"enum": list(LISTS)}, **_ERRORS},
    "/files": {
        **_LIST, "format": {"enum": list(LISTS)}, "source": _TEXT, "name": _TEXT,
        "state": {"type": "string", "examples": ["failed,held"],
                  "description": ", ".join(FileState)},
    },
    "/ingest/{source_name}/{file_name}": {
        "wait": {"type": "string", "examples": ["30s"], "description": "answer when it is loaded"},
        "replaces": {"type": "string", "description": "id of the file in whose place it is to be "
                     "seen; asks for the scope operate, too"},
    },
}  # fmt: skip
PARAMETERS_OF_ROWS = frozenset(name for template in FILTERED for name in _PARAMETERS[template])
"""A column of such a name is meant only with an operator behind it, ``limit__eq``."""
_COMPARED: Mapping[ColumnTypeName, Object] = {
    "bool": _FLAG, "datetime": _MOMENT,
    "time": {"type": "string", "examples": ["08:00:00"]},
}  # fmt: skip
"""Types of which a query takes more than a row shows."""
_OPTIONS: dict[str, Object] = {
    Action.RETRY: {"ignores_budget": {"type": "boolean"}},
    Action.DISMISS: {
        "reason": {"type": "string", "minLength": 1, "maxLength": 1000},
        "rows": {"type": "array", "items": {"type": "integer", "minimum": 0}},
    },
}


def parameters(template: str) -> list[Object]:
    """Those of the query string that every source has."""
    return [_in_query(name, schema) for name, schema in _PARAMETERS.get(template, {}).items()]


def filters(columns: Columns) -> Iterator[Object]:
    """One for each column; its other operators are told, ``amount__gte``."""
    for name, spec in columns.items():
        first, *rest = operators_of(spec)
        told = filter_name(name, spec)
        if told == name or told not in columns:
            schema = _COMPARED.get(spec.type, TYPES[spec.type]) if first == "eq" else _FLAG
            others = ", ".join(f"{name}__{operator}" for operator in rest)
            description = f"{spec.type}; also {others}" if others else spec.type
            yield _in_query(told, schema) | {"description": description}


def filter_name(name: str, spec: ColumnSpec) -> str:
    """The parameter by which values of a column are chosen: its name, where that is free."""
    operator = operators_of(spec)[0]
    is_free = operator == "eq" and name not in PARAMETERS_OF_ROWS
    return name if is_free else f"{name}__{operator}"


def _in_query(name: str, schema: Object) -> Object:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def body(template: str, method: str) -> Object | None:
    """What may be sent."""
    if method == "PUT":
        return {"required": False, "content": {"application/octet-stream": {"schema": {}}}}
    if method != "POST":
        return None
    action = template.rpartition("/")[2]
    schema: Object = {
        "type": "object", "properties": _OPTIONS.get(action, {}), "additionalProperties": False,
    }  # fmt: skip
    if action == Action.DISMISS:
        schema["required"] = ["reason"]
    return {"required": "required" in schema, "content": {"application/json": {"schema": schema}}}
