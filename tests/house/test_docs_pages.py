"""The documentation holds together: links lead somewhere, code blocks are well formed, every page can be reached."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from pathlib import Path

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
FILE_NAMED = re.compile(r"`((?:src|tests|bench|docs|\.ci)/[\w./-]+)`")
LANGUAGES = {"sh", "bash", "python", "json", "toml", "text", "csv", "yaml", "ini", "sql", "http", "nginx"}


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return BLOCK.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ +(.+?) *$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[str]:
    return [link for link in LINK.findall(prose(page)) if "://" not in link and not link.startswith("mailto:")]


def target(page: Path, link: str) -> Path:
    name = link.partition("#")[0]
    return (page.parent / name).resolve() if name else page


def test_links_lead_somewhere(pages, root):
    broken = []
    for page in pages:
        for link in links(page):
            path, anchor = target(page, link), link.partition("#")[2]
            if not path.exists() or (anchor and anchor not in anchors(path)):
                broken.append(f"{page.relative_to(root)}: {link}")
    assert broken == []


def test_files_named_in_prose_exist(pages, root):
    named = {(page, name) for page in pages for name in FILE_NAMED.findall(prose(page)) if not name.startswith("bench/out")}
    assert sorted(f"{page.relative_to(root)}: {name}" for page, name in named if not (root / name).exists()) == []


def test_every_page_can_be_reached_from_the_readme(pages, root):
    seen, todo = set(), [root / "README.md"]
    while todo:
        page = todo.pop()
        if page not in seen:
            seen.add(page)
            todo += [path for link in links(page) if (path := target(page, link)).suffix == ".md" and path.exists()]
    assert sorted(str(page.relative_to(root)) for page in pages if page not in seen and page.parent != root) == []


def fault(language: str, code: str) -> str | None:
    """Why a code block cannot be what it says it is."""
    try:
        if language == "python":
            ast.parse(code)
        elif language == "json":
            json.loads(code)
        elif language == "toml":
            tomllib.loads(code)
        elif language in {"sh", "bash"}:
            return subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True, check=False).stderr or None
        elif language not in LANGUAGES:
            return f"not one of {sorted(LANGUAGES)}"
    except (SyntaxError, ValueError) as exc:
        return str(exc)
    return None


def test_code_blocks_are_what_they_say(pages, root):
    faults = []
    for page in pages:
        for indent, language, code in BLOCK.findall(page.read_text()):
            plain = re.sub(f"^{indent}", "", code, flags=re.MULTILINE)
            if reason := fault(language.strip(), plain):
                faults.append(f"{page.relative_to(root)}: {language!r}: {reason}")
    assert faults == []
