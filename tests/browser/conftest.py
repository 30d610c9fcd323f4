"""A real browser: Debian's headless Chromium, and gateways for it to look at."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from live_gateway import LiveGateway

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. It fails where there is none: whoever runs these tests has asked for them.

    No longer than a module: while it runs, no other loop can in this process.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    assert program is not None, "no Chromium: on Debian and Ubuntu, apt-get install chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def make_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., LiveGateway]]:
    """Starts a gateway with the given settings; all of them end, and are checked, after the module."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(LiveGateway(tmp_path_factory.mktemp("gateway"), **settings))
