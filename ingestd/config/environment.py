"""Settings from outside the TOML file: environment variables and credential files.

``INGESTD_MONGO__URI`` in the environment, or a file ``mongo__uri`` (``mongo.uri``) in
``$CREDENTIALS_DIRECTORY``, sets ``mongo.uri``.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_settings import EnvSettingsSource, SettingsError

from ingestd.config.explain import keys_of
from ingestd.config.naming import closest
from ingestd.config.settings import Section, Settings
from ingestd.errors import Problem

PREFIX = "INGESTD_"
OTHER_VARIABLES = ("INGESTD_TEST_",)
"""Beginnings of variables that are ours and no settings."""
_ALL_SETTINGS = "config/ingestd.toml shows all settings"
_CERTAIN_TYPO = 0.85


@dataclass(frozen=True, slots=True)
class Override:
    """Values for settings from one variable or file; ``place`` and ``name`` say which."""

    place: str
    name: str
    values: Mapping[str, Any]


def setting_names() -> list[str]:
    """``["sources", "paths", "paths__root", …]``: all settings as variables write them."""
    names = []
    for section, field in Settings.model_fields.items():
        names.append(section)
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            names += [f"{section}__{key}" for key in keys_of(field.annotation)]
    return names


def read_environment(environ: Mapping[str, str]) -> Iterator[Override | Problem]:
    """What the variables set. An empty variable sets nothing, as in most container tools."""
    known = setting_names()
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable.startswith(OTHER_VARIABLES):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in known:
            guess = closest(name, known)
            hint = f'did you mean "{PREFIX}{guess.upper()}"?' if guess else _ALL_SETTINGS
            yield Problem("environment", variable, "sets no setting", hint)
        elif text.strip():
            yield _read_override("environment", variable, (name, text))


def read_credentials(directory: Path) -> Iterator[Override | Problem]:
    """What the files of a credentials directory set; files that name no setting are not ours."""
    try:
        paths = sorted(directory.iterdir()) if os.path.isdir(directory) else []
    except OSError as error:
        yield Problem(str(directory), "", "cannot be read", error.strerror or "")
        return
    for path in paths:
        found = _read_credential(path)
        if found is not None:
            yield found


def _read_credential(path: Path) -> Override | Problem | None:
    name, known = path.name.replace(".", "__").lower(), setting_names()
    if name not in known:
        guess = closest(name, known, _CERTAIN_TYPO)
        hint = f'did you mean "{guess}"?'
        return Problem(str(path), "", "sets no setting", hint) if guess else None
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        return Problem(str(path), "", "cannot be read", error.strerror or "")
    except UnicodeError:
        return Problem(str(path), "", "cannot be read", "not UTF-8")
    return _read_override(str(path), name.replace("__", "."), (name, text))


def _read_override(place: str, label: str, setting: tuple[str, str]) -> Override | Problem:
    name, text = setting
    source = EnvSettingsSource(Settings)
    source.env_vars = {PREFIX.lower() + name: text}
    try:
        return Override(place, label, source())
    except SettingsError:
        return Problem(
            place, label, "not valid JSON", """lists are written as JSON: '["a", "b"]'"""
        )


def merge(values: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` with those of ``override`` in their place, table by table."""
    merged = dict(values)
    for key, value in override.items():
        before = merged.get(key)
        is_table = isinstance(before, dict) and isinstance(value, dict)
        merged[key] = merge(before, value) if is_table and before is not None else value
    return merged
