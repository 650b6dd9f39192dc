"""Excel workbooks, as small as they come."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_FORMATS = (0, 14, 22, 20, 9)
"""Numbers of Excel's own formats: general, a date, a date-time, a time, percent."""

DATE, DATETIME, TIME, PERCENT = (f's="{style}"' for style in range(1, 5))
"""Attributes of cells."""


def workbook(rows: Sequence[Sequence[str | None]]) -> bytes:
    """One sheet, in which every cell is a text."""
    return workbook_of({"Sheet1": sheet(*(map(text, row) for row in rows))})


def workbook_of(
    sheets: Mapping[str, str], *, hidden: Sequence[str] = (), is_from_1904: bool = False
) -> bytes:
    """Sheets by their names, as ``sheet`` makes them."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _members(sheets, hidden, is_from_1904).items():
            archive.writestr(name, content)
    return stream.getvalue()


def sheet(*rows: Sequence[str], merged: str = "") -> str:
    """The rows of cells; ``merged``: a range of cells, as A2:A4."""
    body = "".join(
        f'<row r="{number}">{"".join(_placed(cells, number))}</row>'
        for number, cells in enumerate(rows, 1)
    )
    merging = f'<mergeCells><mergeCell ref="{merged}"/></mergeCells>' if merged else ""
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{body}</sheetData>{merging}</worksheet>'


def text(content: str | None) -> str:
    """A cell with a text, or an empty one."""
    return "" if content is None else f't="inlineStr"><is><t>{escape(content)}</t></is>'


def number(content: float | str, style: str = "", formula: str = "") -> str:
    """A cell with a number, perhaps the result of a formula."""
    return f"{style}>{_formula(formula)}<v>{content}</v>"


def error(content: str, formula: str = "") -> str:
    """A cell with an error."""
    return f't="e">{_formula(formula)}<v>{content}</v>'


def uncalculated(formula: str) -> str:
    """A cell with a formula of which nobody knows the result."""
    return f">{_formula(formula)}"


def _formula(formula: str) -> str:
    return f"<f>{escape(formula)}</f>" if formula else ""


def _placed(cells: Sequence[str], number: int) -> list[str]:
    return [
        f'<c r="{chr(ord("A") + place)}{number}" {cell}</c>'
        for place, cell in enumerate(cells)
        if cell
    ]


def _members(
    sheets: Mapping[str, str], hidden: Sequence[str], is_from_1904: bool
) -> dict[str, str]:
    links = "".join(_link(n, "worksheet", f"worksheets/{n}.xml") for n in range(len(sheets)))
    listed = "".join(
        f'<sheet name="{name}" sheetId="{n + 1}" r:id="r{n}"'
        f"{' state=' + chr(34) + 'hidden' + chr(34) if name in hidden else ''}/>"
        for n, name in enumerate(sheets)
    )
    styles = "".join(f'<xf numFmtId="{one}" applyNumberFormat="1"/>' for one in _FORMATS)
    return {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"/>',
        "_rels/.rels": _links(_link(0, "officeDocument", "xl/workbook.xml")),
        "xl/_rels/workbook.xml.rels": _links(links + _link(99, "styles", "styles.xml")),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
        f'<workbookPr date1904="{int(is_from_1904)}"/><sheets>{listed}</sheets></workbook>',
        "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><cellXfs>{styles}</cellXfs></styleSheet>',
        **{f"xl/worksheets/{n}.xml": content for n, content in enumerate(sheets.values())},
    }


def _links(links: str) -> str:
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{links}</Relationships>'


def _link(number: int, kind: str, target: str) -> str:
    return f'<Relationship Id="r{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
