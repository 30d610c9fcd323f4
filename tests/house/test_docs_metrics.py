"""docs/metrics.md lists every metric, as it is."""

from __future__ import annotations

import re

from penstock.relay.metrics import Metrics

FAMILY = re.compile(r"^# HELP (\S+) (.+)\n# TYPE \S+ (\w+)$", re.MULTILINE)
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| [^|]* \| ([^|]+?) \|$", re.MULTILINE)


def test_every_metric_is_documented_and_no_other(root):
    page = Metrics().page().decode()
    families = [(name, kind, meaning) for name, meaning, kind in FAMILY.findall(page)]
    assert ROW.findall((root / "docs" / "metrics.md").read_text()) == families
