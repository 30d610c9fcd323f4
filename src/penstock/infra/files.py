"""Directories and files that only we may read."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def private_dir(path: Path) -> Path:
    """Make the directory and those of its parents that are missing, mode 0700; one that exists is left as it is."""
    if not path.parent.exists():  # mkdir would make parents as open as the umask lets it
        private_dir(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def private_file(path: Path) -> Path:
    """Make the file, empty and mode 0600, in a private directory; one that exists is left as it is."""
    private_dir(path.parent)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path
