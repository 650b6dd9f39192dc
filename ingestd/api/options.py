"""Parameters of single forms: ``formulas`` and ``bom`` of CSV, ``trailer`` of CSV and NDJSON."""

from collections.abc import Mapping
from dataclasses import dataclass

from ingestd.api.formats import CSV, NDJSON, Format
from ingestd.api.problems import bad_parameter, choices


@dataclass(frozen=True, slots=True)
class _Option:
    """A parameter that means something in some forms only. ``flag``: the field of ``Plan``."""

    flag: str
    texts: Mapping[str, bool]
    formats: tuple[Format, ...]


OPTIONS: Mapping[str, _Option] = {
    "formulas": _Option("keeps_formulas", {"keep": True, "guard": False}, (CSV,)),
    "bom": _Option("has_bom", {"true": True, "false": False}, (CSV,)),
    "trailer": _Option("has_trailer", {"count": True, "none": False}, (CSV, NDJSON)),
}


def take_options(parameters: dict[str, str], form: Format) -> dict[str, bool]:
    """Take the options out of the parameters, as fields of a ``Plan``.

    Raises:
        RequestRefused: 400: an option has no such value, or none in this form.
    """
    given = {name: parameters.pop(name) for name in OPTIONS if name in parameters}
    return {OPTIONS[name].flag: _read(name, text, form) for name, text in given.items()}


def _read(name: str, text: str, form: Format) -> bool:
    option = OPTIONS[name]
    if form not in option.formats:
        forms = " or ".join(f"format={wanted.name}" for wanted in option.formats)
        raise bad_parameter(name, f"it means nothing in {form.name}", f"use it with {forms}")
    if text not in option.texts:
        raise bad_parameter(name, "there is no such choice", more=choices(text, option.texts))
    return option.texts[text]
