"""Native: the modules of the hot path as machine code, where `make native` has compiled them from these very sources.

What is compiled is the same source, by mypyc. A compiled module is taken only while every source that was compiled is, byte for byte,
what it was then: after any change all of them are interpreted again, and nobody runs what he does not read.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from hashlib import sha256
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

SWITCH = "PENSTOCK_NATIVE"
"""In the environment: `0` has everything interpreted, with `1` nothing starts unless the compiled modules can be used."""
PACKAGE = "penstock_native"
"""Where the compiled modules are, beside the packages that Penstock needs; made by native/build.py."""
_SOURCES = Path(__file__).parent

COMPILED, STALE = "compiled", "compiled from other sources than these"
state = "not looked for"
"""What became of it, in words for people: `COMPILED`, or why not."""


def digest_of(names: Iterable[str]) -> str:
    """What identifies the sources of modules, given by their full names. Raises OSError where one is not there."""
    found = sha256()
    for name in names:
        found.update((_SOURCES / f"{name.partition('.')[2].replace('.', '/')}.py").read_bytes())
    return found.hexdigest()


class _Finder:
    """Finds the compiled modules before anybody looks for their sources."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The compiled module of that name, if it is one."""
        file = self._files.get(name)
        return None if file is None else spec_from_file_location(name, file, loader=ExtensionFileLoader(name, file))


def prefer() -> str:
    """Have the compiled modules imported where they are there and of these sources; the new `state`. Raises ImportError where it must."""
    switch = os.environ.get(SWITCH)
    if switch == "0":
        return f"switched off by {SWITCH}=0"
    became = _prefer()
    if switch == "1" and became != COMPILED:
        raise ImportError(f"the hot path is {became}, and {SWITCH}=1 insists that it is: make native")
    return became


def _prefer() -> str:
    try:
        found = importlib.import_module(PACKAGE)
    except ImportError:
        return "not compiled"
    try:
        fresh = digest_of(found.MODULES) == found.DIGEST
    except OSError:
        fresh = False
    if not fresh:
        return STALE
    folder = Path(str(found.__file__)).parent
    files = {name: str(folder / f"{name}{found.SUFFIX}") for name in (*found.MODULES, found.SHARED)}
    sys.meta_path.insert(0, _Finder(files))
    return COMPILED
