"""Private directories and files."""

from __future__ import annotations

from pathlib import Path

from penstock.infra.files import private_dir, private_file


def test_private_dir(tmp_path: Path) -> None:
    made = private_dir(tmp_path / "a" / "b" / "c")
    assert [folder.stat().st_mode & 0o777 for folder in (made, made.parent, made.parent.parent)] == [0o700] * 3


def test_an_existing_directory_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    assert private_dir(tmp_path / "open").stat().st_mode & 0o777 == 0o755


def test_private_file(tmp_path: Path) -> None:
    path = private_file(tmp_path / "made" / "file")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.write_text("kept")
    assert private_file(path).read_text() == "kept"
