"""docs/cli.md has a section for every command, with its options, and for no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from penstock.cli import cli

SECTION = re.compile(r"^## (penstock [\w -]+)$\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"^\| `(--[\w-]+)` \| [^|]{10,} \|$", re.MULTILINE)
CHECK = re.compile(r"^\| `(\w+)`(?:, `\w+`)* \| [a-z0-9]", re.MULTILINE)


def commands(command, name: str = "penstock") -> Iterator[tuple[str, set[str]]]:
    """Every command that does something, with its options."""
    if hasattr(command, "commands"):
        for part, child in command.commands.items():
            yield from commands(child, f"{name} {part}")
    else:
        yield name, {option for parameter in command.params for option in parameter.opts if option.startswith("--")}


@pytest.fixture
def sections(root: Path) -> dict[str, str]:
    """The sections of the page by their command."""
    return dict(SECTION.findall((root / "docs" / "cli.md").read_text()))


def test_every_command_has_a_section_and_no_other(sections):
    assert sorted(sections) == sorted(name for name, _ in commands(typer.main.get_command(cli)))


def test_every_option_is_documented_and_no_other(sections):
    documented = {name: set(OPTION.findall(section)) for name, section in sections.items()}
    assert documented == {name: options - {"--help"} for name, options in commands(typer.main.get_command(cli))}


def test_every_command_says_what_it_does(sections):
    assert [name for name, section in sections.items() if len(section.strip().splitlines()[0]) < 10] == []
