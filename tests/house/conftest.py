"""What the house rules look at: the files of this project, source modules and pages of documentation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_OURS = {".git", ".venv", "__pycache__", "node_modules", "data", "dist", "build"}


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in NOT_OURS and not name.endswith(("_cache", ".egg-info"))]
        if where == str(folder):
            folders[:] = [name for name in folders if name != ".hypothesis"]
        if where == str(folder / "bench"):
            folders[:] = [name for name in folders if name != "out"]
        yield from (Path(where, name) for name in names)


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the project."""
    return ROOT


@pytest.fixture(scope="session")
def tree() -> list[Path]:
    """Every file of the project: what would be, or is, under version control."""
    return sorted(_files(ROOT))


@pytest.fixture(scope="session")
def modules() -> list[Path]:
    """The source modules, migrations included."""
    return sorted((ROOT / "src" / "penstock").rglob("*.py"))


@pytest.fixture(scope="session")
def pages() -> list[Path]:
    """The documentation: the pages of docs/, the README and the changelog."""
    return [path for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))) if path.exists()]
