"""A slow, plain reader of CSV records, byte by byte: the oracle for damaged files."""

from dataclasses import dataclass

NEWLINE, RETURN = ord("\n"), ord("\r")


@dataclass(frozen=True)
class Dialect:
    delimiter: int
    quote: int | None
    field_count: int
    max_record_bytes: int


@dataclass(frozen=True)
class SlowRecord:
    line: int
    raw: bytes
    rule: str
    """Why it cannot be read; "" if it can."""
    cells: tuple[bytes, ...]


def read_slowly(octets: bytes, dialect: Dialect, lines_before: int) -> list[SlowRecord]:
    """The records of what follows the header."""
    if not octets.endswith(b"\n"):
        octets += b"\n"
    records, start = [], 0
    while start < len(octets):
        line_end = octets.index(b"\n", start) + 1
        line = octets[start:line_end]
        content = line.removesuffix(b"\n").removesuffix(b"\r")
        if not content.strip(bytes([dialect.delimiter, *b" \t"])):
            start = line_end
            continue
        end, rule, cells = _next_record(octets, start, line_end, dialect)
        if b"\0" in octets[start:end]:
            rule, cells = "nul_byte", ()
        raw = octets[start:end].removesuffix(b"\n").removesuffix(b"\r")
        where = lines_before + octets.count(b"\n", 0, start) + 1
        records.append(SlowRecord(where, raw, rule, cells))
        start = end
    return records


def _next_record(
    octets: bytes, start: int, line_end: int, dialect: Dialect
) -> tuple[int, str, tuple[bytes, ...]]:
    if line_end - start > dialect.max_record_bytes:
        return line_end, "record_too_large", ()
    end, cells = parse(octets[start : start + dialect.max_record_bytes], dialect)
    end += start
    if cells is None:
        is_unclosed = parse(octets[start:line_end], dialect)[0] == -1
        return line_end, "unclosed_quote" if is_unclosed else "stray_quote", ()
    if len(cells) != dialect.field_count:
        rule = "too_few_fields" if len(cells) < dialect.field_count else "too_many_fields"
        return end, rule, ()
    return end, "", tuple(cells)


def parse(  # noqa: C901 - a state machine
    octets: bytes, dialect: Dialect
) -> tuple[int, list[bytes] | None]:
    """The end of the first record and its cells; else -1 for an open quote, -2 for a stray one.

    One byte at a time, as RFC 4180's grammar says.
    """
    cells, cell, state = [], bytearray(), "start"
    for place, byte in enumerate(octets):
        is_crlf = byte == RETURN and octets[place + 1 : place + 2] == b"\n"
        if state == "quoted":
            if byte == dialect.quote:
                state = "after quote"
            else:
                cell.append(byte)
        elif byte == NEWLINE:
            return place + 1, [*cells, _finished(cell, state)]
        elif byte == dialect.delimiter:
            cells.append(_finished(cell, state))
            cell, state = bytearray(), "start"
        elif byte == dialect.quote:
            if state == "plain":
                return -2, None
            if state == "after quote":
                cell.append(byte)
            state = "quoted"
        elif state == "after quote":
            if not is_crlf:
                return -2, None
        else:
            cell.append(byte)
            state = "plain"
    return -1 if state == "quoted" else -2, None


def _finished(cell: bytearray, state: str) -> bytes:
    """A cell's bytes; a CR at the end of a bare one is taken as part of the line end."""
    return bytes(cell).removesuffix(b"\r") if state == "plain" else bytes(cell)
