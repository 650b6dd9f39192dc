"""``ingestd try`` of formats that are no text, and of fixed-width text."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import polars as pl
import pytest
from workbooks import number, sheet, text, workbook_of

from ingestd.cli.trial import TrialOptions, show_trial

SOURCE = """
name = "orders"
file_pattern = "orders/*"
format = "{form}"
{options}
[schema]
id = "string"
amount = "float64"
[validation_rules.amount]
min = 0
"""
ROWS = [{"id": "A", "amount": 1.5}, {"id": "-5", "amount": -5.0}, {"id": "C", "amount": 2.0}]
FIXED = "[fixed.columns]\nid = [1, 4]\namount = [5, 6]\n"


def parquet() -> bytes:
    stream = io.BytesIO()
    pl.DataFrame(ROWS).write_parquet(stream)
    return stream.getvalue()


def avro() -> bytes:
    stream = io.BytesIO()
    fields = [{"name": "id", "type": "string"}, {"name": "amount", "type": "double"}]
    fastavro.writer(stream, {"type": "record", "name": "order", "fields": fields}, ROWS)
    return stream.getvalue()


def excel() -> bytes:
    rows = [(text(row["id"]), number(row["amount"])) for row in ROWS]
    return workbook_of({"Orders": sheet((text("id"), text("amount")), *rows)})


def fixed() -> bytes:
    return "".join(f"{row['id']:4}{row['amount']:6}\n" for row in ROWS).encode()


FILES = {"parquet": parquet, "avro": avro, "excel": excel, "fixed": fixed}


@pytest.fixture(params=FILES)
def form(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A format, with a source and a file of it."""
    name: str = request.param
    options = FIXED if name == "fixed" else ""
    (tmp_path / "sources").mkdir()
    (tmp_path / "ingestd.toml").write_text("")
    source = SOURCE.format(form=name, options=options)
    (tmp_path / "sources" / "orders.toml").write_text(source)
    (tmp_path / "day").write_bytes(FILES[name]())
    return name


@pytest.fixture
def tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[bool], tuple[int, str]]:
    def run(as_json: bool) -> tuple[int, str]:
        code = show_trial(tmp_path, tmp_path / "day", TrialOptions("orders", 10, as_json))
        return code, capsys.readouterr().out

    return run


@pytest.mark.usefixtures("form")
def test_rows_of_every_format_are_counted(tried: Callable[[bool], tuple[int, str]]) -> None:
    code, out = tried(True)
    found: dict[str, Any] = json.loads(out)
    counts = [found[f"{name}_count"] for name in ("record", "success", "error", "filtered")]
    assert (code, counts, found["rules"]) == (65, [3, 2, 1, 0], {"min": 1})
    documents = [(document["id"], document["amount"]) for document in found["documents"]]
    assert documents == [("A", 1.5), ("C", 2.0)]
    assert not found["is_held"]


def test_a_caret_stands_under_the_refused_value_of_every_format(
    form: str, tried: Callable[[bool], tuple[int, str]]
) -> None:
    _, out = tried(False)
    lines = out.splitlines()
    at = next(n for n, line in enumerate(lines) if "is below min 0" in line)
    line = "line 2, " if form == "fixed" else ""
    assert lines[at].startswith(f"{line}row 2: amount: -5")
    raw, carets = lines[at + 1 : at + 3]
    first, end = carets.index("^"), len(carets)
    assert float(raw[first:end]) == -5
    assert first == raw.rindex("-5")
    assert '"A"' in out[out.index("the first document") :]
