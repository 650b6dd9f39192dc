"""Who may do what over HTTP: scopes, bearer tokens, and whether anybody needs one at all.

Tokens lie in a file below ``paths.root``, not in MongoDB: health and metrics are asked for just
when MongoDB is away. What a request needs, and what it is told without, is left to ``api``.
"""

from ingestd.access.rules import access_problems, is_local, takes_anybody
from ingestd.access.scopes import ANYBODY, Kind, Principal, Scope, parse_scope
from ingestd.access.store import TokenBook, TokenFile
from ingestd.access.tls import Certificate, read_certificate
from ingestd.access.tokens import Token, new_token

__all__ = [
    "ANYBODY",
    "Certificate",
    "Kind",
    "Principal",
    "Scope",
    "Token",
    "TokenBook",
    "TokenFile",
    "access_problems",
    "is_local",
    "new_token",
    "parse_scope",
    "read_certificate",
    "takes_anybody",
]
