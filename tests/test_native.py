"""Whether the compiled modules are taken: only while they are of these very sources."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from penstock import native

ROOT = Path(__file__).parent.parent
SAYS = "import penstock; print(penstock.native.state); import penstock.kit.ids as ids; print(ids.__file__)"


@pytest.fixture
def compiled(tmp_path):
    """Makes a package of compiled modules that has this digest, and starts a program that would take it."""

    def start(digest: str, switch: str | None = None, name: str = "penstock.kit.ids") -> subprocess.CompletedProcess[str]:
        package = tmp_path / "penstock_native"
        package.mkdir(exist_ok=True)
        about = {"MODULES": (name,), "SHARED": "penstock_native__mypyc", "SUFFIX": ".so", "DIGEST": digest}
        (package / "__init__.py").write_text("".join(f"{key} = {value!r}\n" for key, value in about.items()))
        (package / "penstock.kit.ids.so").write_bytes(b"not a library")
        environment = {key: value for key, value in os.environ.items() if key != native.SWITCH}
        environment |= {"PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}"} | ({native.SWITCH: switch} if switch is not None else {})
        return subprocess.run([sys.executable, "-c", SAYS], env=environment, capture_output=True, text=True, check=False)

    return start


def test_of_these_sources_they_are_taken(compiled):
    ended = compiled(native.digest_of(["penstock.kit.ids"]))
    assert "penstock.kit.ids.so" in ended.stderr and "ImportError" in ended.stderr, "it is no library, but it was it that was opened"


@pytest.mark.parametrize("name", ["penstock.kit.ids", "penstock.kit.gone"])
def test_of_other_sources_they_are_not(compiled, name):
    state, file = compiled("0" * 64, name=name).stdout.splitlines()
    assert state == native.STALE and file.endswith("ids.py")


def test_switched_off_they_are_not_looked_at(compiled):
    state, file = compiled(native.digest_of(["penstock.kit.ids"]), "0").stdout.splitlines()
    assert state == "switched off by PENSTOCK_NATIVE=0" and file.endswith("ids.py")


def test_who_insists_is_told_that_they_cannot_be_taken(compiled):
    ended = compiled("0" * 64, "1")
    assert ended.returncode and f"the hot path is {native.STALE}, and PENSTOCK_NATIVE=1 insists" in ended.stderr


def test_the_digest_is_of_every_byte_of_every_module():
    one, other = native.digest_of(["penstock.kit.ids"]), native.digest_of(["penstock.kit.walker"])
    assert one != other and native.digest_of(["penstock.kit.ids", "penstock.kit.walker"]) not in {one, other}
    with pytest.raises(OSError, match="gone"):
        native.digest_of(["penstock.kit.gone"])


def test_all_or_none_are_compiled():
    sys.path.insert(0, str(ROOT / "native"))
    try:
        names = importlib.import_module("build").MODULES
    finally:
        sys.path.remove(str(ROOT / "native"))
    files = [str(importlib.import_module(name).__file__) for name in names]
    assert len(set(names)) == len(names) > 40
    assert {file.endswith(tuple(EXTENSION_SUFFIXES)) for file in files} == {native.state == native.COMPILED}
