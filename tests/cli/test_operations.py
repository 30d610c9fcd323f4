"""The commands that run the gateway and look after its database."""

from __future__ import annotations

import json
import socket

import penstock
import program


def test_version(invoke):
    assert invoke("version").stdout == f"penstock {penstock.__version__}\n"


def test_migrate(run):
    assert "now at migration" in run("migrate").stderr
    assert "already at migration" in run("migrate").stderr


def test_the_demo_provider_says_when_its_port_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = program.run("demo-provider", "--port", str(taken.getsockname()[1]))
    assert refused.returncode == 1
    assert refused.stderr.startswith("penstock: ")
    assert "Traceback" not in refused.stderr


def test_doctor(run, monkeypatch):
    monkeypatch.setenv("PENSTOCK_PORT", "0")
    ill = run("doctor")
    assert ill.exit_code == 1
    (line,) = (line for line in ill.stdout.splitlines() if line.startswith("FAIL"))
    assert line.endswith("penstock migrate (penstock serve does it as well)")
    run("migrate")
    well = run("doctor")
    assert well.exit_code == 0
    assert {line[:4] for line in well.stdout.splitlines()} == {"ok  "}
    told = json.loads(run("doctor", "--json").stdout)
    assert told["well"] is True
    assert [check["check"] for check in told["checks"]][:2] == ["settings", "data"]


def test_doctor_on_wrong_settings(invoke, monkeypatch):
    monkeypatch.setenv("PENSTOCK_PORT", "x")
    ill = invoke("doctor", "--json")
    assert ill.exit_code == 1
    told = json.loads(ill.stdout)
    assert (told["well"], told["checks"][0]["check"]) == (False, "settings")
    assert told["checks"][0]["remedy"]
