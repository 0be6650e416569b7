"""Rows with the numbers of their lines; whatever is wrong is told as a malformed row."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elearning.errors import MalformedFile, MalformedRow
from elearning.importing.csvfile import MAX_LINE, find_file, read_rows

HEADER = ["a", "b"]
IN_ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=20)


def read(folder: Path, content: bytes, name: str = "t.csv") -> list[tuple[int, list[str]]]:
    path = folder / name
    path.write_bytes(content)
    return list(read_rows(path, HEADER))


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2\n3,4\n",
        b"a,b\r\n1,2\r\n3,4\r\n",
        b"a,b\n1,2\n3,4",
        b"\xef\xbb\xbfa,b\n1,2\n3,4\n",
        b'"a","b"\n"1","2"\n"3","4"\n',
    ],
)
def test_rows_come_with_their_lines(tmp_path: Path, content: bytes) -> None:
    expected = [(2, ["1", "2"]), (3, ["3", "4"])]
    assert read(tmp_path, content) == expected
    assert read(tmp_path, gzip.compress(content), "t.csv.gz") == expected


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        (b"", 1, "is empty, expected a header"),
        (b"a,c\n1,2\n", 1, "the header is 'a,c', expected 'a,b'"),
        (b"a,b\n1,2\n1\n", 3, "has 1 columns, expected 2"),
        (b"a,b\n1,2\n\n1,2\n", 3, "has 0 columns, expected 2"),
        (b"a,b\n1,2\n1,\xff\n", 3, "is not UTF-8"),
        (b"a,b\n1,2\n1,\0\n", 3, "has a NUL character"),
        (b'a,b\n1,2\n1,"2\n3,4\n', 3, "is no CSV: unexpected end of data"),
        (b'a,b\n1,2\n1,"2\n3",4\n', 3, "a quote is not closed"),
        (b'a,b\n1,2\n1,"2"x\n', 3, "is no CSV: ',' expected after '\"'"),
        (b"a,b\n1,2\n1," + b"2" * MAX_LINE + b"\n", 3, f"is above {MAX_LINE} bytes"),
        (b'a,b\n1,"2\n' + b"3,4\n" * 50_000, 2, "is no CSV: field larger than field limit"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_malformed(tmp_path: Path, content: bytes, line: int, problem: str) -> None:
    for name, stored in (("t.csv", content), ("t.csv.gz", gzip.compress(content))):
        with pytest.raises(MalformedRow) as caught:
            read(tmp_path, stored, name)
        values = caught.value.values
        assert (values["file"], values["line"]) == (name, line)
        assert str(values["problem"]).startswith(problem)


def test_rows_before_a_malformed_one_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n1,2\n\xff\n")
    rows = read_rows(path, HEADER)
    assert next(rows) == (2, ["1", "2"])
    with pytest.raises(MalformedRow):
        next(rows)


def test_not_gzip(tmp_path: Path) -> None:
    with pytest.raises(MalformedRow, match=r"^t\.csv\.gz, line 1: the gzip file is broken: Not a"):
        read(tmp_path, b"a,b\n1,2\n", "t.csv.gz")


def test_gzip_file_that_ends_early(tmp_path: Path) -> None:
    content = b"a,b\n" + b"".join(b"%d,2\n" % number for number in range(100_000))
    packed = gzip.compress(content)
    with pytest.raises(MalformedRow, match="the gzip file is broken") as caught:
        read(tmp_path, packed[: len(packed) // 2], "t.csv.gz")
    line = caught.value.values["line"]
    assert isinstance(line, int)
    assert 1_000 < line < 100_000


def test_gzip_file_with_a_damaged_block(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b"a,b\n1,2\n", mtime=0))
    packed[10] |= 0b110  # a block type that does not exist
    with pytest.raises(MalformedRow, match=r"line 1: the gzip file is broken: .* invalid block"):
        read(tmp_path, bytes(packed), "t.csv.gz")


def test_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(MalformedFile, match=r"t\.csv: cannot be read: No such file"):
        list(read_rows(tmp_path / "t.csv", HEADER))


def test_plain_file_comes_before_a_gzipped_one(tmp_path: Path) -> None:
    (tmp_path / "t.csv.gz").touch()
    assert find_file(tmp_path, "t").name == "t.csv.gz"
    (tmp_path / "t.csv").touch()
    assert find_file(tmp_path, "t").name == "t.csv"


@IN_ONE_FOLDER
@given(st.lists(st.tuples(texts, texts)))
def test_what_csv_writes_is_read_back(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    written = io.StringIO(newline="")
    csv.writer(written).writerows([HEADER, *rows])
    found = read(tmp_path, written.getvalue().encode())
    assert found == [(line, list(row)) for line, row in enumerate(rows, start=2)]


@IN_ONE_FOLDER
@given(st.binary(), st.booleans())
def test_any_bytes_are_rows_or_malformed(tmp_path: Path, content: bytes, packed: bool) -> None:
    try:
        rows = read(tmp_path, b"a,b\n" + content if not packed else content, "t.csv")
    except MalformedRow as error:
        line = error.values["line"]
        assert isinstance(line, int)
        assert 1 <= line <= content.count(b"\n") + 2
    else:
        assert all(len(row) == 2 for _, row in rows)
