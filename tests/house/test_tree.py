"""Nothing in the tree belongs to one machine, one registry or one account."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

LIVE_KEYS = re.compile(r"\b(?:sk-|omg-oat-|ghp_|github_pat_|xox[abp]-|AKIA|AIza|whsec_|rk_live_|sk_live_)[A-Za-z0-9_-]{16,}")
PRIVATE_KEYS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE" + r" KEY-----")
REGISTRIES = re.compile(r"(?:^|[^\w.])(?:pypi|pythonhosted|npmjs|yarnpkg|crates)\.(?:org|com|io)", re.MULTILINE)


@pytest.fixture(scope="module")
def texts(tree):
    """Every text file and what it says."""
    texts: dict[Path, str] = {}
    for path in tree:
        try:
            texts[path] = path.read_text()
        except UnicodeDecodeError:
            continue
    return texts


def offenders(texts, root, found):
    return sorted(f"{path.relative_to(root)}: {match}" for path, text in texts.items() for match in found(text))


def test_no_path_of_this_machine(texts, root):
    places = [str(root), str(Path.home())]
    assert offenders(texts, root, lambda text: [place for place in places if re.search(rf"{re.escape(place)}(?![\w-])", text)]) == []


def test_no_registry_is_named(texts, root):
    assert offenders(texts, root, REGISTRIES.findall) == []


def test_no_key_looks_live(texts, root):
    """A placeholder has few different characters, or spells an alphabet: a live key has neither."""

    def live(text: str) -> list[str]:
        return [key for key in LIVE_KEYS.findall(text) if len(set(key)) > 14 and "abcdef" not in key and "1234" not in key]

    assert offenders(texts, root, live) == []


def test_no_private_key(texts, root):
    assert offenders(texts, root, PRIVATE_KEYS.findall) == []
