"""Running commands: in this process with nothing of ours in the environment, or in one of their own."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from penstock.cli import cli
from penstock.settings import Settings, names


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    """Nothing of ours is set, whatever the developer has in the shell."""
    for field in Settings.model_fields:
        for name in names(field):
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(monkeypatch, tmp_path, empty_database_url):
    """Runs a command on a database that nobody has migrated yet."""
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", empty_database_url)
    monkeypatch.setenv("PENSTOCK_DATA", str(tmp_path / "data"))
    return lambda *arguments: CliRunner().invoke(cli, arguments)


@pytest.fixture
def invoke():
    """Runs a command that needs no database."""
    return lambda *arguments: CliRunner().invoke(cli, arguments)
