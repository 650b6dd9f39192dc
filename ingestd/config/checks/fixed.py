"""Places of fixed-width columns."""

from collections.abc import Iterator

from ingestd.config.checks.draft import Draft, Finding
from ingestd.config.naming import choice, quoted


def check_fixed(draft: Draft) -> Iterator[Finding]:
    """Every column of the schema has a place, where the format asks for one."""
    if draft.spec.format != "fixed" or not draft.has_read("schema"):
        return
    places = draft.spec.fixed.columns
    missing = [name for name in draft.column_names if name not in places]
    if missing:
        hint = f"add {missing[0]} = [1, 10]: its first character, from 1, and its width"
        yield Finding(("fixed", "columns"), f"{quoted(missing)} missing", hint)
    for name in sorted(set(places) - set(draft.column_names)):
        message = "is not in the schema"
        yield Finding(("fixed", "columns", name), message, choice(name, draft.column_names))
