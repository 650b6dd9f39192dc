"""The order of the modules, the one home of each outside library, and how large things may be."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "ingestd"

# In the order a row travels. A module imports from rows above its own, or from its own.
LEVELS = (
    ("__init__", "causes", "cores", "errors", "memory", "records"),
    ("config", "logs", "metrics", "events"),
    ("formats", "validate", "transform", "documents", "elements", "rejections",
     "refine", "infer", "export"),
    ("files", "watch", "handover", "workers", "mongo", "mongod", "mongod_home", "connection",
     "ledger", "visible", "load", "rejects", "access"),
    ("pipeline", "wayback", "clock", "retention", "engine"),
    ("api",),
    ("shift", "vitals", "reload", "systemd", "daemon", "cli", "demo", "__main__"),
)  # fmt: skip
LEVEL_OF = {name: level for level, names in enumerate(LEVELS) for name in names}

HOMES = {
    "motor": {"mongo"},
    "pymongo": {"mongo"},
    "dns": {"mongo"},
    "bson": {"mongo", "documents", "export", "api"},
    "polars": {
        "formats", "validate", "transform", "documents", "rejections", "refine", "infer",
        "export",
    },
    "backports": {"formats", "api"},
    "fastavro": {"formats"},
    "pyarrow": {"documents", "elements", "rejections", "formats", "export"},
    "python_calamine": {"formats"},
    "numpy": {
        "formats", "documents", "elements", "rejections", "refine", "export", "load", "pipeline",
    },
    "aiohttp": {"api"},
    "watchfiles": {"watch"},
    "prometheus_client": {"metrics", "api"},
    "structlog": {"logs", "events"},
    "pydantic": {"config", "transform", "access"},
    "pydantic_core": {"config"},
    "pydantic_settings": {"config"},
    "annotated_types": {"config"},
    "typer": {"cli"},
    "rich": {"cli", "demo"},
    "aiofiles": {"rejects"},
}  # fmt: skip
"""Outside library and the modules that may import it; anyio, the concurrency itself, is free."""

FREE = {"anyio"}
STANDARD_LIBRARY = sys.stdlib_module_names | {"compression"}  # from Python 3.14 on
LONGEST_FUNCTION = 60
LONGEST_MODULE = 400


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def short_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def part_of(path: Path) -> str:
    """The row's word for a file: the package directly below ``ingestd``, or the module."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Every module a file imports, wherever in it, with the line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            assert node.module
            if node.module == "ingestd":
                yield from ((f"ingestd.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield node.module, node.lineno


def imported_parts(path: Path) -> Iterator[tuple[str, int]]:
    """The rows' words of what a file imports from ``ingestd``."""
    for name, line in imported(path):
        top, *rest = name.split(".")
        if top == "ingestd":
            is_module = bool(rest) and rest[0] in LEVEL_OF
            yield rest[0] if is_module else "__init__", line


def outside_libraries(path: Path) -> Iterator[tuple[str, int]]:
    for name, line in imported(path):
        top = name.split(".")[0]
        if top != "ingestd" and top not in STANDARD_LIBRARY:
            yield top, line


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_every_module_has_a_level() -> None:
    found = {part_of(path) for path in modules()}
    assert found == set(LEVEL_OF)


def test_imports_come_from_the_same_level_or_above() -> None:
    wrong = [
        f"{short_name(path)}:{line} imports {part}"
        for path in modules()
        for part, line in imported_parts(path)
        if LEVEL_OF[part] > LEVEL_OF[part_of(path)]
    ]
    assert wrong == []


def test_outside_libraries_are_imported_at_home_only() -> None:
    wrong = [
        f"{short_name(path)}:{line} imports {library}"
        for path in modules()
        for library, line in outside_libraries(path)
        if library not in FREE and part_of(path) not in HOMES.get(library, ())
    ]
    assert wrong == []


def test_every_home_is_lived_in() -> None:
    seen = {
        (library, part_of(path)) for path in modules() for library, _ in outside_libraries(path)
    }
    named = {(library, part) for library, parts in HOMES.items() for part in parts}
    assert named - seen == set()


def test_no_module_is_long() -> None:
    lengths = {short_name(path): len(path.read_text("utf-8").splitlines()) for path in modules()}
    assert {name: n for name, n in lengths.items() if n > LONGEST_MODULE} == {}


def test_functions_are_short_and_most_are_very_short() -> None:
    lengths = {
        f"{short_name(path)}:{f.lineno} {f.name}": (f.end_lineno or 0) - f.lineno + 1
        for path in modules()
        for f in functions(path)
    }
    assert {name: n for name, n in lengths.items() if n > LONGEST_FUNCTION} == {}
    ordered = sorted(lengths.values())
    assert ordered[len(ordered) // 2] <= 8
    assert ordered[len(ordered) * 9 // 10] <= 25
