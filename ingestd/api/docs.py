"""``GET /docs``: ``/openapi.json`` as a page. It loads nothing from anywhere else."""

import base64
import hashlib
import re
from importlib.resources import files

from aiohttp import web

from ingestd.api.query import refuse_parameters

_PAGE = (files("ingestd.api") / "docs.html").read_text(encoding="utf-8")


def _allowed(tag: str) -> str:
    """The page's own script or style by its hash (CSP 3), so that no other one runs."""
    inline = re.findall(f"(?s)<{tag}>(.*?)</{tag}>", _PAGE)
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inline)
    return f"{tag}-src " + " ".join(f"'sha256-{digest}'" for digest in hashes)


_POLICY = "; ".join(
    ("default-src 'none'", _allowed("script"), _allowed("style"), "connect-src 'self'",
     "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'")
)  # fmt: skip


async def get_docs(request: web.Request) -> web.Response:
    """The page; it asks for a token where one is needed."""
    refuse_parameters(request)
    headers = {"Content-Security-Policy": _POLICY}
    return web.Response(text=_PAGE, content_type="text/html", headers=headers)
