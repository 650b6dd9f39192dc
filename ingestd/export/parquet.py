"""Rows as a Parquet file: workers make Arrow batches, each becomes a row group."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestd.export.arrow import arrow_schema
from ingestd.export.plan import Assembler, Plan


class ParquetAssembler(Assembler):
    """A Parquet file ends with what describes it: cut off, no reader takes it."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._schema, self._outlet = arrow_schema(plan), _Outlet()
        self._writer = pq.ParquetWriter(self._outlet, self._schema, compression="zstd")

    def add(self, piece: bytes) -> bytes:
        """Row groups."""
        stream = pa.py_buffer(bytes(self._schema.serialize()) + piece)
        for batch in pa.ipc.open_stream(stream):
            self._writer.write_batch(batch)
        return self._outlet.take()

    def end(self, row_count: int) -> bytes:
        """The description."""
        self._writer.close()
        return self._outlet.take()


class _Outlet(io.RawIOBase):
    """A file of which everything that is written can be taken away at once."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._size_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, octets: Any) -> int:
        self._pieces.append(bytes(octets))
        self._size_bytes += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        """As if it were all still there."""
        return self._size_bytes

    def close(self) -> None:
        """What was written last has not been taken yet."""

    def take(self) -> bytes:
        octets, self._pieces = b"".join(self._pieces), []
        return octets
