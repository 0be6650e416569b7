"""A CSV file, plain or gzipped, as a stream of rows with their line numbers.

Whatever is wrong with the file is told as a `MalformedRow` of the very line.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from elearning.errors import InvalidText, MalformedFile, MalformedRow

__all__ = ["MAX_LINE", "find_file", "read_rows"]

MAX_LINE = 10_000
"""Bytes; a file without line ends must not be read into memory as one line."""

_BOM = b"\xef\xbb\xbf"


def find_file(folder: Path, stem: str) -> Path:
    """Return the file of this name, plain rather than gzipped where both are there.

    Raises:
        InvalidText: the folder or the file is missing.
    """
    if not folder.is_dir():
        raise InvalidText(field="folder", problem=f"{folder} is not a folder")
    for name in (f"{stem}.csv", f"{stem}.csv.gz"):
        if (path := folder / name).is_file():
            return path
    raise InvalidText(field="folder", problem=f"{folder} has no {stem}.csv or {stem}.csv.gz")


def read_rows(path: Path, header: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield each row after the header, with the number of its line (the header is 1).

    Raises:
        MalformedFile: the file cannot be opened or read.
        MalformedRow: another header or another number of columns; text that is
            not UTF-8, has a NUL character or an open quote; a broken gzip file.
    """
    try:
        with path.open("rb") as plain:
            yield from _rows(path.name, _buffered(path, plain), list(header))
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
        raise MalformedFile(file=path, problem=problem) from None


def _buffered(path: Path, plain: BinaryIO) -> BinaryIO:
    if path.suffix != ".gz":
        return plain
    # GzipFile's own readline is Python code; a buffer over it reads lines in C.
    unzipped = cast("io.RawIOBase", gzip.GzipFile(fileobj=plain, mode="rb"))
    return io.BufferedReader(unzipped, 1 << 16)


def _rows(name: str, handle: BinaryIO, header: list[str]) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(_lines(name, handle), strict=True)
    line = 1
    try:
        for row in reader:
            if reader.line_num != line:
                # No field here has a line end in it: a row of two lines is an open quote.
                raise MalformedRow(file=name, line=line, problem="a quote is not closed")
            if line == 1:
                _check_header(name, row, header)
            elif len(row) != len(header):
                problem = f"has {len(row)} columns, expected {len(header)}"
                raise MalformedRow(file=name, line=line, problem=problem)
            else:
                yield line, row
            line += 1
    except csv.Error as error:
        raise MalformedRow(file=name, line=line, problem=f"is no CSV: {error}") from None
    if line == 1:
        raise MalformedRow(file=name, line=1, problem="is empty, expected a header")


def _check_header(name: str, row: list[str], header: list[str]) -> None:
    if row != header:
        found = ",".join(row)[:200]
        problem = f"the header is {found!r}, expected {','.join(header)!r}"
        raise MalformedRow(file=name, line=1, problem=problem)


def _lines(name: str, handle: BinaryIO) -> Iterator[str]:
    line = 0
    try:
        while True:
            line += 1
            raw = handle.readline(MAX_LINE + 1)
            if not raw:
                return
            if line == 1:
                raw = raw.removeprefix(_BOM)
            if len(raw) > MAX_LINE:
                raise MalformedRow(file=name, line=line, problem=f"is above {MAX_LINE} bytes")
            if b"\0" in raw:
                raise MalformedRow(file=name, line=line, problem="has a NUL character")
            # Line by line: a decoder of the whole file would fail somewhere in its buffer.
            yield raw.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedRow(file=name, line=line, problem="is not UTF-8") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        problem = f"the gzip file is broken: {error}"
        raise MalformedRow(file=name, line=line, problem=problem) from None
