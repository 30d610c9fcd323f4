"""Real programs of other people, installed by `make test-clients` into .clients/, and a gateway for them to talk to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from coder import Coder
from live_gateway import LiveGateway
from loop_thread import LoopThread
from penstock.accounts.identity import CLI
from penstock.channels.drafts import Draft
from penstock.channels.service import Given

CLIENTS = Path(__file__).parents[2] / ".clients" / "node_modules" / ".bin"
WIRES = ("chat", "messages", "responses")
LIMIT_S = 50
"""No run takes longer: they take one to five seconds."""


@dataclass
class Run:
    """What came of a run."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def installed() -> Path:
    """Where the programs are."""
    assert all((CLIENTS / name).exists() for name in ("claude", "codex", "gemini")), (
        "the programs are not installed: use `make test-clients`"
    )
    return CLIENTS


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Callable[..., Run]:
    """Runs a program in an empty folder, with an empty home and nothing of our environment but the way to node."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()

    def start(name: str, *arguments: str, **environment: str) -> Run:
        home = str(tmp_path / "home")
        known = {"PATH": os.environ["PATH"], "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "NO_PROXY": "127.0.0.1"}
        done = subprocess.run(
            [str(installed / name), *arguments],
            cwd=tmp_path / "work",
            env=known | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    return start


@pytest.fixture
def coder(loop_thread: LoopThread, tmp_path: Path) -> Iterator[Coder]:
    """A model that writes work/made.txt with one call of a tool."""
    found = loop_thread.run(Coder(tmp_path / "work" / "made.txt").start())
    yield found
    loop_thread.run(found.stop())


@pytest.fixture
def gateway(tmp_path: Path, coder: Coder) -> Iterator[LiveGateway]:
    """A gateway with the demo provider, which speaks every protocol, with three channels to it that speak one each, and with `coder`.

    `claude-by-chat` and the like are the demo model that calls the first tool it is given, on the channel that speaks only that.
    """
    with LiveGateway(tmp_path / "gateway", demo=True, show_channel=True) as gateway:
        demo_url, known = gateway.plane.channels[0].base_url, len(gateway.plane.channels)
        names = ("claude-coder", "coder", "gemini-2.5-pro", "gpt-5.5", "gpt-6.1-sol")
        drafts = [Draft("coder", "openai-compatible", f"{coder.url}/v1", tuple((name, "coder") for name in names), wires=("chat",))]
        drafts += [Draft(wire, "demo", demo_url, ((f"claude-by-{wire}", "demo-tool"),), wires=(wire,)) for wire in WIRES]
        for draft in drafts:
            loopback = replace(draft, allow_private=True, discover=False)
            gateway.run(gateway.app.state.channels.create(CLI, loopback, [Given("sk-vendor-placeholder")]))
        assert gateway._until(lambda: len(gateway.plane.channels) == known + len(drafts))
        yield gateway
