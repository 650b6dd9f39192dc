"""What an expression may say, decided on its words before Polars sees it.

Only functions of one row are known: no aggregates, windows, sub-selects, clocks or chance.
A row's fate must not depend on its neighbours in a chunk, and a retry of a file has to
write the same bytes.
"""

import re
from collections.abc import Collection

from ingestd.config.naming import nearest
from ingestd.records import ROW

VALUE = "__value__"
"""The column of a query's result."""

_FUNCTIONS = """
    ABS CBRT CEIL CEILING DEGREES DIV EXP FLOOR LN LOG LOG10 LOG1P LOG2 MOD PI POW POWER
    RADIANS ROUND SIGN SQRT COS SIN TAN ACOS ASIN ATAN ATAN2
    BIT_LENGTH CHAR_LENGTH CHARACTER_LENGTH CONCAT CONCAT_WS ENDS_WITH INITCAP LEFT LENGTH
    LOWER LPAD LTRIM OCTET_LENGTH REGEXP_LIKE REPLACE REVERSE RIGHT RPAD RTRIM SPLIT_PART
    STARTS_WITH STRPOS SUBSTR SUBSTRING TRIM UPPER
    DATE DATE_PART EXTRACT STRFTIME STRPTIME
    CAST TRY_CAST COALESCE GREATEST IF IFNULL LEAST NULLIF
"""
_KEYWORDS = """
    AND OR NOT IN BETWEEN CASE WHEN THEN ELSE IS LIKE ILIKE RLIKE REGEXP
    DECIMAL NUMERIC VARCHAR CHAR FLOAT
"""
ROW_FUNCTIONS = frozenset(_FUNCTIONS.split())
"""Functions whose value depends on the arguments of one row only."""
_BEFORE_PARENTHESIS = ROW_FUNCTIONS | frozenset(_KEYWORDS.split())

_LONGEST = 4000
"""Polars recurses over an expression; a very long one overflows the stack and kills the process."""

_SEES_OTHERS = "it would see other rows"
_CHANGES = "a retry of the file would give another value"
_REFUSED_WORDS = {
    "SELECT": _SEES_OTHERS,
    "OVER": _SEES_OTHERS,
    "NOW": _CHANGES,
    "CURRENT_DATE": _CHANGES,
    "CURRENT_TIME": _CHANGES,
    "CURRENT_TIMESTAMP": _CHANGES,
    "LOCALTIME": _CHANGES,
    "LOCALTIMESTAMP": _CHANGES,
}
_TOKEN = re.compile(
    r"""
    (?P<text>'(?:[^']|'')*')
  | (?P<quoted>"(?:[^"]|"")*"|`[^`]*`)
  | (?P<comment>--|/\*)
  | (?P<fraction>[0-9]*\.[0-9]+(?![0-9eE]))
  | (?P<word>\w+)
  | (?P<other>\S)
    """,
    re.VERBOSE,
)


def mistake_in(text: str) -> tuple[str, str]:
    """What is refused, with a hint; empty where nothing is."""
    if len(text) > _LONGEST:
        return f"longer than {_LONGEST} characters", "a python step has room for more"
    tokens = list(_TOKEN.finditer(text))
    following = [token[0] for token in tokens[1:]] + [""]
    depth = 0
    for token, after in zip(tokens, following, strict=True):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if depth < 0 or token[0] == ";":
            return f"unexpected {token[0]!r}", "write one expression"
        if token.lastgroup == "comment":
            return "comments are not allowed", ""
        if token.lastgroup == "word" and (refusal := _refusal(token[0], after == "(")):
            return refusal
    return ("a closing parenthesis is missing" if depth else ""), ""


def columns_read(text: str, known: Collection[str]) -> tuple[str, ...]:
    """The known columns that the expression names, in the order in which they are known."""
    tokens = list(_TOKEN.finditer(text))
    names = {token[0] for token in tokens if token.lastgroup == "word"}
    quoted = (token[0] for token in tokens if token.lastgroup == "quoted")
    names |= {name[1:-1].replace(name[0] * 2, name[0]) for name in quoted}
    return tuple(name for name in known if name in names)


def with_float_literals(text: str) -> str:
    """``1.5`` as ``1.5e0``: Polars makes a decimal of it otherwise, and 1 / 3.0 is 0.333333."""

    def as_float(token: re.Match[str]) -> str:
        return token[0] + "e0" if token.lastgroup == "fraction" else token[0]

    return _TOKEN.sub(as_float, text)


def query_for(text: str) -> str:
    """The query that gives ``ROW`` and the expression's ``VALUE`` for every row of ``self``."""
    # the text is the operator's own, checked above, and the query can only see one frame
    return f'SELECT "{ROW}", (\n{text}\n) AS "{VALUE}" FROM self'  # noqa: S608


def _refusal(word: str, is_call: bool) -> tuple[str, str] | None:
    upper = word.upper()
    if upper in _REFUSED_WORDS:
        quoting = f'if it is a column, write "{word}" in double quotes'
        return f"{upper} is not allowed: {_REFUSED_WORDS[upper]}", quoting
    if word == ROW:
        return f"{ROW} is not a column", ""
    if is_call and upper not in _BEFORE_PARENTHESIS:
        return f"{upper} is not one of the functions of one row", nearest(upper, ROW_FUNCTIONS)
    return None
