"""What can be said about a regular expression without the engine that will run it.

Rules are run by Rust's regex crate (https://docs.rs/regex/#syntax). The rest of its syntax is
checked where rules are compiled.
"""

import re
import warnings

_TOKEN = re.compile(
    r"""(?P<back>\\[1-9]|\(\?P=)    # \1, (?P=name)
      | \\.
      | \[\^?\]?(?:\\.|[^\]\\])*\]  # a class, in which all of this is literal
      | (?P<look>\(\?<?[=!])
      | (?P<atomic>\(\?>)
      | (?P<conditional>\(\?\()
    """,
    re.VERBOSE | re.DOTALL,
)
_UNSUPPORTED = {
    "back": "back-references are not supported",
    "look": "look-ahead and look-behind are not supported",
    "atomic": "atomic groups are not supported",
    "conditional": "conditions are not supported",
}
_WRONG_EVERYWHERE = (
    "missing )",
    "unbalanced parenthesis",
    "unterminated character set",
    "bad escape (end of pattern)",
    "min repeat greater than max repeat",
    "nothing to repeat at position 0",
)
"""Errors of Python's engine that are errors in Rust's, too."""


def unsupported_syntax(pattern: str) -> str:
    """Why the pattern cannot work, or nothing."""
    for token in _TOKEN.finditer(pattern):
        if token.lastgroup:
            return _UNSUPPORTED[token.lastgroup]
    try:
        with warnings.catch_warnings(action="ignore"):
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error) if str(error).startswith(_WRONG_EVERYWHERE) else ""
    return ""
