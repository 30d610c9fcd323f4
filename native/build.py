"""Compile the hot path: the modules below as machine code, by mypyc, of the same sources that are otherwise interpreted.

    .venv/bin/python native/build.py

Puts a package `penstock_native` beside the installed packages; src/penstock/native.py says when it is used. Takes a minute or two, or
nothing where it was made of the same sources before. Needs a C compiler and Python's headers, and says so where they are missing: then it
ends with 3, and everything works interpreted.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import sysconfig
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))
os.environ.setdefault("PENSTOCK_NATIVE", "0")

from penstock.native import PACKAGE, digest_of  # noqa: E402

_RELAY = (
    "admit", "bodies", "bridged", "buckets", "call", "edge", "estimate", "events", "exchange", "facts", "faults", "frames", "guard",
    "headers", "known", "limits", "outcome", "paths", "permit", "phases", "plane", "request", "route", "ruling", "running", "splice",
    "tape", "turns", "walk",
)  # fmt: skip
MODULES = (
    *(f"penstock.billing.{name}" for name in ("books", "funds", "holds", "store_sqlite")),
    *(f"penstock.catalog.{name}" for name in ("door", "prices")),
    *(f"penstock.kit.{name}" for name in ("ids", "jsonfield", "pulse", "sse", "walker")),
    *(f"penstock.records.{name}" for name in ("redact", "segments")),
    *(f"penstock.relay.{name}" for name in _RELAY),
    *(f"penstock.upstream.{name}" for name in ("breaker", "channel", "lane")),
    *(f"penstock.upstream.client.{name}" for name in ("connection", "framing", "head", "pool")),
    *(f"penstock.upstream.wires.{name}" for name in ("answers", "asks", "chat", "estimate", "jsonwire", "openai_usage", "streams")),
)  # fmt: skip
"""What runs for each request. Not among them: what queries a database, and the shapes that msgspec decodes, whose annotations it must
find as they were written.
"""
WAY = "1"
"""Another one here has everything compiled anew."""
CANNOT = 3
"""What is lacking has been said."""


def main() -> int:
    """Compile, unless that is done; `CANNOT` where it cannot be."""
    os.chdir(ROOT)
    target = Path(sysconfig.get_path("platlib")) / PACKAGE
    digest = digest_of(MODULES)  # before they are read: what is changed meanwhile is not what was compiled
    made_of = f"{digest} {WAY} mypy {version('mypy')}"
    if (target / "made-of").is_file() and (target / "made-of").read_text() == made_of:
        return 0
    if lacking := _lacking():
        print(f"Not compiled, for lack of {lacking}; Penstock runs interpreted.", file=sys.stderr)
        return CANNOT
    print("Compiling the hot path, which takes a minute or two", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{PACKAGE}-") as work:
        fresh = Path(work) / PACKAGE
        fresh.mkdir()
        _compile(Path(work) / "made", fresh, digest)
        (fresh / "made-of").write_text(made_of)
        if target.exists():
            target.rename(Path(work) / "before")  # who has it loaded keeps it
        fresh.rename(target)
    return 0


def _lacking() -> str:
    """What is needed and not there; empty if nothing is."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"a C compiler ({compiler}; on Debian and Ubuntu: apt-get install gcc)"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "Python's headers (on Debian and Ubuntu: apt-get install python3-dev)"
    return ""


def _compile(work: Path, fresh: Path, digest: str) -> None:
    """Compile sources with this digest into `work`, and make of what comes the package `fresh`."""
    from mypyc.build import mypycify
    from setuptools import Distribution

    os.environ["MYPYPATH"] = "src"
    sources = [f"src/{name.replace('.', '/')}.py" for name in MODULES]
    options = ["--strict", "--follow-imports=silent", "--no-color-output", f"--cache-dir={work / 'cache'}"]
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            found = mypycify([*options, *sources], opt_level="2", debug_level="0", group_name=PACKAGE, target_dir=str(work / "c"))
    except BaseException:
        print(said.getvalue(), file=sys.stderr)  # of what can be compiled, its remarks say nothing to anybody
        raise
    distribution = Distribution({"name": PACKAGE, "ext_modules": found})
    command = distribution.get_command_obj("build_ext")
    command.build_lib, command.build_temp, command.debug = str(work / "lib"), str(work / "temp"), False
    distribution.run_command("build_ext")
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    for file in (work / "lib").rglob(f"*{suffix}"):
        name = str(file.relative_to(work / "lib"))[: -len(suffix)].replace("/", ".")
        shutil.copy(file, fresh / f"{name}{suffix}")
    shared = f"{PACKAGE}__mypyc"
    about = f'"""The hot path of Penstock, compiled. Made by native/build.py."""\n\nMODULES = {MODULES!r}\nSHARED = {shared!r}\n'
    (fresh / "__init__.py").write_text(f"{about}SUFFIX = {suffix!r}\nDIGEST = {digest!r}\n")


if __name__ == "__main__":
    sys.exit(main())
