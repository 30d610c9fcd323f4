"""docs/errors.md lists every error code, as it is."""

from __future__ import annotations

import re

from penstock.kit.errors import CODES

ROW = re.compile(r"^\| `(\w+)` \| (\d{3}) \| ([^|]+?) \| ([^|]+?) \|$", re.MULTILINE)


def test_every_error_code_is_documented_and_no_other(root):
    rows = ROW.findall((root / "docs" / "errors.md").read_text())
    assert [(code, int(status), meaning) for code, status, meaning, _ in rows] == [(c.code, c.status, c.meaning) for c in CODES.values()]


def test_every_error_code_says_what_to_do(root):
    rows = ROW.findall((root / "docs" / "errors.md").read_text())
    assert [code for code, *_, advice in rows if len(advice) < 10] == []
