"""Refusals as problem documents (RFC 9457), each with a hint and the nearest thing that exists."""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemDocument:
    """One refusal. ``kind`` names it for machines; empty members are left out of the answer."""

    status: int
    kind: str
    title: str
    detail: str
    hint: str = ""
    members: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def as_response(self, request_id: str) -> web.Response:
        """The answer; ``type`` is a URN of ours, for nothing is to be fetched from it."""
        body: dict[str, object] = {
            "type": f"urn:ingestd:problem:{self.kind}", "title": self.title,
            "status": self.status, "detail": self.detail, "hint": self.hint, **self.members,
            "request_id": request_id,
        }  # fmt: skip
        body = {name: value for name, value in body.items() if value not in ("", None, [])}
        return web.Response(
            status=self.status, body=json.dumps(body).encode(), headers=self.headers,
            content_type=CONTENT_TYPE,
        )  # fmt: skip


class RequestRefused(Exception):
    """This request gets a problem document instead of an answer."""

    def __init__(self, problem: ProblemDocument) -> None:
        super().__init__(problem)
        self.problem = problem


def shown(text: str) -> str:
    """Text from a request as it may stand in an answer: valid Unicode, and not endless."""
    valid = text.encode("utf-8", "backslashreplace").decode()
    return valid if len(valid) <= 80 else valid[:80] + "…"


def choices(given: str, allowed: Iterable[str]) -> dict[str, object]:
    """The members ``allowed`` and ``nearest`` of a problem document."""
    names = list(allowed)
    near = difflib.get_close_matches(given[:80], names, n=1)
    return {"allowed": names, "nearest": near[0] if near else None}


def bad_parameter(
    name: str, detail: str, hint: str = "", more: Mapping[str, object] | None = None
) -> RequestRefused:
    """400: a query parameter cannot be used; ``more`` are members of the document."""
    members = {"parameter": shown(name), **(more or {})}
    return RequestRefused(
        ProblemDocument(400, "bad-parameter", "Bad query parameter", detail, hint, members)
    )


def bad_option(
    name: str, detail: str, more: Mapping[str, object] | None = None
) -> RequestRefused:  # fmt: skip
    """400: something in the body cannot be used; ``more`` are members of the document."""
    members = {"option": shown(name), **(more or {})}
    return RequestRefused(ProblemDocument(400, "bad-option", "Bad body", detail, "", members))


def unknown_parameter(name: str, allowed: Iterable[str], hint: str = "") -> RequestRefused:
    """400: there is no such query parameter."""
    detail = f"there is no parameter {shown(name)!r} here"
    return bad_parameter(name, detail, hint, choices(name, allowed))


def rows_changed(source_name: str) -> RequestRefused:
    """503: an answer would have some rows of a file, and not the others."""
    detail = f"rows of {source_name} were replaced, taken back or replayed while they were read"
    return RequestRefused(
        ProblemDocument(
            503, "rows-changed", "Rows changed", detail, "ask again", headers={"Retry-After": "1"}
        )
    )


def not_found(what: str, name: str, known: Iterable[str] = (), hint: str = "") -> RequestRefused:
    """404: there is no such thing."""
    return RequestRefused(
        ProblemDocument(
            404, f"unknown-{what}", f"Unknown {what}", f"there is no {what} {shown(name)!r}", hint,
            choices(name, known),
        )
    )  # fmt: skip
