"""The changelog's newest version is the program's."""

from __future__ import annotations

import re

import penstock


def test_the_top_version_of_the_changelog_is_ours(root):
    versions = re.findall(r"^## \[?(\d+\.\d+\.\d+)", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions
    assert versions[0] == penstock.__version__
