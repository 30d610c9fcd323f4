"""Archives: what was written is read again, and nothing else passes for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as some

from penstock.infra.archive import DamagedError, read, written

VALUES = [{"table": "key"}, ["a", 1, None, True, -(2**63), 2**63 - 1], ["\0\n\u2028", {"x": [1]}], b"\0\xff", "end", []]


def write(path: Path, values: list[Any]) -> Path:
    with written(path) as archive:
        archive.add(*values)
    return path


def write_raw(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    values = list(read(write(tmp_path / "a", VALUES)))
    assert values == [*VALUES[:3], "AP8=", *VALUES[4:]]
    assert list(read(write(tmp_path / "empty", []))) == []


def test_it_is_private_and_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write(tmp_path / "a", VALUES)
    finally:
        os.umask(before)
    (found,) = tmp_path.iterdir()
    assert (found.name, found.stat().st_mode & 0o777) == ("a", 0o600)


def test_no_file_is_replaced(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "a", b"precious")
    with pytest.raises(FileExistsError, match="exists already"), written(path):
        pass
    assert path.read_bytes() == b"precious"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="nowhere"), written(tmp_path / "nowhere" / "a"):
        pass


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), written(tmp_path / "a") as archive:
        archive.add(*(1 // (10 - number) for number in range(20)))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of an archive."""
    return write(tmp_path_factory.mktemp("whole") / "a", [*VALUES, "x" * 1000]).read_bytes()


@given(data=some.data())
def test_one_that_is_cut_short_is_refused(whole, tmp_path_factory, data) -> None:
    path = write_raw(tmp_path_factory.mktemp("cut") / "a", whole[: data.draw(some.integers(0, len(whole) - 1))])
    # Of its last bytes, the compression's own checksum is not missed: what came before them is whole and proved.
    try:
        assert len(list(read(path))) == len(VALUES) + 1
    except DamagedError:
        pass
    else:
        assert len(whole) - path.stat().st_size <= 8


@given(data=some.data())
def test_one_in_which_a_bit_is_another_is_refused(whole, tmp_path_factory, data) -> None:
    place = data.draw(some.integers(0, len(whole) * 8 - 1))
    damaged = bytearray(whole)
    damaged[place // 8] ^= 1 << place % 8
    path = write_raw(tmp_path_factory.mktemp("damaged") / "a", bytes(damaged))
    try:
        values = list(read(path))
    except DamagedError:
        return
    assert len(values) == len(VALUES) + 1  # a flag of the frame that changes nothing


@pytest.mark.parametrize(
    "data", [b"", b"hello\n", b"PK\3\4", zstandard.compress(b""), zstandard.compress(b"hello\n"), zstandard.compress(b"\xff\n")]
)
def test_something_else_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DamagedError, match=str(tmp_path)):
        list(read(write_raw(tmp_path / "a", data)))


def test_one_whose_lines_were_changed_is_refused(tmp_path: Path, whole: bytes) -> None:
    lines = zstandard.ZstdDecompressor().decompressobj().decompress(whole)
    path = write_raw(tmp_path / "a", zstandard.compress(lines.replace(b'"key"', b'"kex"')))
    with pytest.raises(DamagedError, match="checksum"):
        list(read(path))
