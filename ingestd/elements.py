"""The bytes of BSON documents as pieces, column by column, and the join that interleaves them.

Neighbouring pieces of fixed width are written as fields of one structured array, whose items are
runs of bytes of the documents; what a null leaves out is cut from it by one mask. One Arrow
kernel then puts these runs and the strings between them together.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Values = npt.NDArray[Any]
"""One value per row, whose bytes are those that stand in the document."""
Lengths = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MAX_DOCUMENT_BYTES = 16 * 2**20
"""BSON documents larger than this are refused by MongoDB."""

DOCUMENT, ARRAY = 0x03, 0x04
"""Type bytes of embedded documents."""
NULL = 0x0A
"""The type byte of an element without value bytes."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Documents one after the other; ``ends[i]`` is where document ``i`` ends, in bytes."""

    octets: pa.Buffer
    ends: Lengths

    def __len__(self) -> int:
        return int(self.ends.size)

    def split(self, heights: Sequence[int]) -> Iterator[tuple[bytes, bytes]]:
        """The documents of every part, of so many rows each, and where they end in the part."""
        octets, first, begin = memoryview(self.octets), 0, 0
        for height in heights:
            ends = self.ends[first : first + height]
            end = int(ends[-1]) if ends.size else begin
            yield bytes(octets[begin:end]), (ends - begin).tobytes()
            first, begin = first + height, end


class UnencodableRows(Exception):
    """Rows that no BSON document can hold: frame index → (column, reason)."""

    def __init__(self, rows: dict[int, tuple[str | None, str]]) -> None:
        super().__init__(rows)
        self.rows = rows


@dataclass(frozen=True, slots=True)
class Constant:
    """The same bytes in every row."""

    octets: bytes

    @property
    def width_bytes(self) -> int:
        return len(self.octets)

    @property
    def template(self) -> bytes:
        return self.octets


@dataclass(frozen=True, slots=True)
class Fixed:
    """Bytes of one width per row; none in the rows where ``is_kept`` is false."""

    values: Values
    is_kept: Mask | None = None

    @property
    def width_bytes(self) -> int:
        return self.values.itemsize

    @property
    def template(self) -> bytes:
        """To be overwritten."""
        return bytes(self.values.itemsize)


Piece: TypeAlias = Constant | Fixed | pa.Array
"""An Arrow array holds bytes of differing length; a null in it has none."""


@dataclass(slots=True)
class Elements:
    """The elements of ``height`` documents, as pieces in the order of their bytes."""

    height: int
    pieces: list[Piece] = field(default_factory=list)
    _least_bytes: int = 0
    _more_bytes: "Lengths | int" = 0

    @property
    def lengths(self) -> Lengths:
        """Bytes of the elements of each document so far."""
        return np.broadcast_to(np.int64(self._least_bytes) + self._more_bytes, self.height)

    def constant(self, octets: bytes) -> None:
        """The same bytes in every row."""
        self.pieces.append(Constant(octets))
        self._least_bytes += len(octets)

    def rows(self, values: Values, is_kept: Mask | None = None) -> None:
        """Bytes of one width, row by row; none where they are not kept."""
        self.pieces.append(Fixed(values, is_kept))
        if is_kept is None:
            self._least_bytes += values.itemsize
        else:
            self._more_bytes = self._more_bytes + is_kept * np.int64(values.itemsize)

    def variable(self, values: pa.Array, lengths: Lengths) -> None:
        """Bytes of differing length; a null has none."""
        self.pieces.append(values)
        self._more_bytes = self._more_bytes + lengths

    def header(self, name: str, kind: int, is_valid: Mask | None = None) -> None:
        """Type byte and name."""
        if is_valid is None:
            self.constant(bytes([kind]) + name.encode() + b"\0")
        else:
            self.rows(np.where(is_valid, np.uint8(kind), np.uint8(NULL)))
            self.constant(name.encode() + b"\0")

    def fixed(self, name: str, kind: int, values: Values, is_valid: Mask | None = None) -> None:
        """An element whose value has the same width in every row."""
        self.header(name, kind, is_valid)
        self.rows(values, is_valid)

    def text(self, name: str, value: str) -> None:
        """The same string in every row."""
        octets = value.encode() + b"\0"
        self.header(name, 0x02)
        self.constant(len(octets).to_bytes(4, "little") + octets)

    def embed(self, name: str, inner: "Elements", kind: int = DOCUMENT) -> None:
        """An embedded document or array."""
        self.header(name, kind)
        self.append_document(inner)

    def append_document(self, inner: "Elements") -> None:
        """Length, elements and final NUL of a whole document."""
        self.rows((inner.lengths + 5).astype("<i4"))
        self.pieces += inner.pieces
        self._least_bytes += inner._least_bytes
        self._more_bytes = self._more_bytes + inner._more_bytes
        self.constant(b"\0")

    def join(self) -> Encoded:
        """The finished documents."""
        lengths = self.lengths + 5
        too_large = np.flatnonzero(lengths > MAX_DOCUMENT_BYTES)
        if too_large.size:
            reason = "the document would have {} bytes; MongoDB takes 16 MiB"
            raise UnencodableRows({int(i): (None, reason.format(lengths[i])) for i in too_large})
        whole = Elements(self.height)
        whole.append_document(self)
        return whole.join_bare()

    def join_bare(self) -> Encoded:
        """The elements of each row, without what makes them a document."""
        runs = list(_runs(self.pieces, self.height))
        joined = runs[0] if len(runs) == 1 else _interleave(runs)
        return Encoded(joined.buffers()[2], np.cumsum(self.lengths))


def slices(octets: Any, edges: Lengths) -> pa.Array:
    """The bytes between each two edges as one value of an Arrow array that shares their memory."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(edges)), pa.py_buffer(octets)]
    return pa.Array.from_buffers(pa.large_binary(), edges.size - 1, buffers)


def _interleave(runs: Sequence[pa.Array]) -> pa.Array:
    return pc.binary_join_element_wise(
        *runs, _NOTHING, null_handling="replace", null_replacement=""
    )  # fmt: skip


def _runs(pieces: Sequence[Piece], height: int) -> Iterator[pa.Array]:
    """The pieces as Arrow arrays: neighbours of fixed width become one."""
    for is_variable, group in itertools.groupby(pieces, lambda piece: isinstance(piece, pa.Array)):
        if is_variable:
            yield from group
        else:
            yield _side_by_side(list(group), height)


def _side_by_side(pieces: Sequence[Constant | Fixed], height: int) -> pa.Array:
    """Pieces of fixed width, without what is not kept."""
    fixed = {str(at): piece for at, piece in enumerate(pieces) if isinstance(piece, Fixed)}
    item = _item_type(pieces)
    octets = _repeated(b"".join(piece.template for piece in pieces), item, height)
    for name, piece in fixed.items():
        octets[name] = piece.values.view(item[name])
    masks = {name: piece.is_kept for name, piece in fixed.items() if piece.is_kept is not None}
    if not masks:
        return _as_binary(octets.view(np.uint8), np.full(height, item.itemsize))
    is_kept = _repeated(b"\1" * item.itemsize, item, height)
    lengths = np.full(height, item.itemsize)
    for name, mask in masks.items():
        width_bytes = item[name].itemsize
        is_kept[name] = np.frombuffer(bytes(width_bytes) + b"\1" * width_bytes, item[name])[
            mask.view(np.uint8)
        ]
        lengths -= ~mask * width_bytes
    return _as_binary(_kept(octets.view(np.uint8), is_kept.view(np.uint8)), lengths)


def _kept(octets: npt.NDArray[np.uint8], is_kept: npt.NDArray[np.uint8]) -> pa.Buffer:
    """Arrow copies what stands together at once; numpy goes byte by byte."""
    bits = np.packbits(is_kept, bitorder="little")
    mask = pa.Array.from_buffers(pa.bool_(), octets.size, [None, pa.py_buffer(bits)])
    values = pa.Array.from_buffers(pa.uint8(), octets.size, [None, pa.py_buffer(octets)])
    return pc.filter(values, mask).buffers()[1]


def _item_type(pieces: Sequence[Constant | Fixed]) -> np.dtype[np.void]:
    """All pieces of one row; those of type ``Fixed`` are fields, called by their place."""
    names, units, offsets, end = [], [], [], 0
    for place, piece in enumerate(pieces):
        if isinstance(piece, Fixed):
            names.append(str(place))
            units.append(_UNITS.get(piece.width_bytes, f"V{piece.width_bytes}"))
            offsets.append(end)
        end += piece.width_bytes
    return np.dtype({"names": names, "formats": units, "offsets": offsets, "itemsize": end})


def _repeated(octets: bytes, item: np.dtype[np.void], height: int) -> npt.NDArray[np.void]:
    # as plain bytes: numpy copies fields one by one, and leaves out what lies between them
    return np.repeat(np.frombuffer(octets, f"V{len(octets)}"), height).view(item)


def _as_binary(octets: npt.NDArray[np.uint8] | pa.Buffer, lengths: Lengths) -> pa.Array:
    """Runs of bytes as an Arrow array that shares their memory."""
    return slices(octets, np.append(0, np.cumsum(lengths)))


_UNITS = {1: "u1", 2: "u2", 4: "u4", 8: "u8"}
"""Types that numpy copies in one step; others are copied byte by byte."""

# Not pa.scalar, nor pa.array above: they import pandas wherever it is installed, 0.1 s and 35 MB
# in every worker.
_NOTHING = _as_binary(np.empty(0, np.uint8), np.zeros(1, np.int64))[0]
