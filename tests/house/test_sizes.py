"""Nothing is too long to be read at once, and nothing is named after nothing."""

from __future__ import annotations

import ast
import re
from pathlib import Path

FILE_LINES = 400
FUNCTION_LINES = 70
EMPTY_WORDS = {"util", "utils", "helper", "helpers", "common", "manager", "handler", "base", "misc"}
OTHERS_WORDS = {"src/penstock/infra/database.py: Base": "SQLAlchemy's own name for the class that tables descend from"}


def functions(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_files_are_short(modules, root):
    lengths = {str(path.relative_to(root)): len(path.read_text().splitlines()) for path in modules}
    assert {path: length for path, length in lengths.items() if length > FILE_LINES} == {}


def test_functions_are_short(modules, root):
    long = {
        f"{path.relative_to(root)}:{node.lineno} {node.name}": length
        for path in modules
        for node in functions(path)
        if (length := node.end_lineno - node.lineno + 1) > FUNCTION_LINES
    }
    assert long == {}


def test_no_file_or_folder_has_an_empty_name(modules, root):
    parts = {part for path in modules for part in path.relative_to(root / "src").with_suffix("").parts}
    assert {part for part in parts if EMPTY_WORDS & set(part.strip("_").split("_"))} == set()


def test_no_class_has_an_empty_name(modules, root):
    names = {
        f"{path.relative_to(root)}: {node.name}"
        for path in modules
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and EMPTY_WORDS & {word.lower() for word in re.findall(r"[A-Z][a-z]+", node.name)}
    }
    assert names - OTHERS_WORDS.keys() == set()
