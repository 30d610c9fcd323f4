"""Every module has its test file at the same place under tests/."""

from __future__ import annotations

UNTESTED = {
    "telemetry/seen.py": "records without behaviour; every test of telemetry fills them",
    "upstream/wires/chat_fields.py": "shapes without behaviour; the test of chat reads them",
    "upstream/wires/fields.py": "a shape without behaviour; every wire's test reads it",
    "upstream/usage.py": "a record without behaviour; every wire's test fills it",
    "upstream/wires/wire.py": "what a wire is; no behaviour of its own",
}


def test_every_module_has_its_test_file(modules, root):
    source, tests = root / "src" / "penstock", root / "tests"
    names = [path.relative_to(source) for path in modules if path.name != "__init__.py" and "migrations" not in path.parts]
    missing = [str(name) for name in names if not (tests / name.parent / f"test_{name.name}").exists()]
    assert sorted(set(missing) - UNTESTED.keys()) == []


def test_the_list_of_exceptions_holds_nothing_else(root):
    source, tests = root / "src" / "penstock", root / "tests"
    stale = [name for name in UNTESTED if not (source / name).exists() or (tests / name).with_name(f"test_{name.split('/')[-1]}").exists()]
    assert stale == []
