"""docs/settings.md lists every setting, with its names, default and unit."""

from __future__ import annotations

import re
from pathlib import Path

from penstock.settings import Settings, names

ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
UNITS = {"_s": "s", "_limit": "bytes"}
COUNTED = {"connection_limit": "connections", "rules_limit": "rules", "operator_rules_limit": "rules"}


def rows(root: Path) -> dict[str, tuple[str, ...]]:
    found = ROW.findall((root / "docs" / "settings.md").read_text())
    assert len({row[0] for row in found}) == len(found), "a setting is listed twice"
    return {row[0]: row[1:] for row in found}


def shown(default: object) -> str:
    """A default as the page shows it."""
    if default is None or default == "":
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else f'{default:g}' if isinstance(default, float) else default}`"


def unit(field: str) -> str | None:
    """The unit that a setting's name ends in."""
    return COUNTED.get(field) or next((unit for end, unit in UNITS.items() if field.endswith(end)), None)


def test_every_setting_is_documented_and_no_other(root):
    assert sorted(rows(root)) == sorted(Settings.model_fields)


def test_environment_names_are_documented(root):
    documented = {field: tuple(re.findall(r"`(\w+)`", row[0])) for field, row in rows(root).items()}
    assert documented == {field: names(field) for field in Settings.model_fields}


def test_defaults_are_documented(root):
    documented = {field: row[1] for field, row in rows(root).items()}
    assert documented == {field: shown(info.default) for field, info in Settings.model_fields.items()}


def test_units_are_documented(root):
    documented = {field: row[2] for field, row in rows(root).items()}
    assert {field: documented[field] for field in documented if unit(field) not in (None, documented[field])} == {}


def test_every_setting_has_a_meaning(root):
    assert [field for field, row in rows(root).items() if len(row[3]) < 15] == []


def test_defaults_are_of_the_documented_kind():
    """A float that was given as an int would be shown wrongly, and a mistake."""
    assert [field for field, info in Settings.model_fields.items() if field.endswith("_s") and info.annotation is not float] == []
