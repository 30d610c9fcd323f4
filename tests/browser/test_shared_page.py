"""What strangers are shown of a record, in a real browser: whatever was sent, nothing of it is ever executed or loaded."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request

from live_gateway import LiveGateway
from penstock.accounts.identity import Identity
from penstock.accounts.models import OPERATOR

MARKS = (
    "<script>window.hit=1</script>", "<img src=x onerror=window.hit=1>", "<svg onload=window.hit=1>", "'\"><script>window.hit=1</script>",
    "</pre><script>window.hit=1</script>", "javascript:window.hit=1", "<iframe srcdoc='<script>parent.hit=1</script>'>",
    "<meta http-equiv=refresh content='0;url=/v1/models'>", "<link rel=stylesheet href=/x.css>", "<base href=//elsewhere.example>",
    "</style><style>@import '/x.css'</style>", "<!--", "]]>", "{{7*7}}", "=cmd|' /C calc'!A1", "\u2028alert(1)",
)  # fmt: skip


@pytest.fixture(scope="module")
def gateway(make_gateway) -> LiveGateway:
    return make_gateway(demo=True)


@pytest.fixture(scope="module")
def link(gateway: LiveGateway) -> str:
    """A shared record with marks in its body, path, query, headers and model."""
    token = gateway.run(gateway.parts.keys.create("recorded", record=True)).token
    head = {"authorization": f"Bearer {token}", "user-agent": MARKS[0], "x-mark": MARKS[1]}
    body = {"model": "demo", "messages": [{"role": "user", "content": mark} for mark in MARKS], "user": MARKS[3], MARKS[4]: MARKS[5]}
    url = f"{gateway.url}/v1/chat/completions?x=<script>window.hit=1</script>&y='\"><img src=x onerror=window.hit=1>"
    answered = httpx.post(url, json=body, headers=head)
    assert answered.status_code == 200 and MARKS[0] in answered.json()["choices"][0]["message"]["content"] + json.dumps(body)
    gateway.run(gateway.parts.recorder.flush())
    owner = Identity(OPERATOR, "admin", "session", "")
    share = gateway.app.state.sharing.share(owner, OPERATOR, answered.headers["x-request-id"], lasts_s=600, headers=True, bodies=True)
    return f"{gateway.url}/shared/records/{gateway.run(share).token}"


class Watched:
    """A page, and whatever happened on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        self.said: list[str] = []
        page.on("request", self._asked)
        page.on("console", self._said)
        page.on("dialog", lambda dialog: (self.said.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("pageerror", lambda error: self.said.append(str(error)))

    def _asked(self, request: Request) -> None:
        self.asked.append(request.url)

    def _said(self, message: ConsoleMessage) -> None:
        self.said.append(message.text)


@pytest.fixture
def watched(browser: Browser) -> Watched:
    return Watched(browser.new_page())


def test_nothing_of_a_record_is_executed_or_loaded(watched: Watched, link: str, tmp_path: Path):
    answer = watched.page.goto(link)
    assert answer is not None and answer.status == 200
    watched.page.wait_for_timeout(300)
    assert [url for url in watched.asked if not url.endswith("/favicon.ico")] == [link]
    assert [line for line in watched.said if "favicon" not in line] == []
    assert watched.page.locator("script, iframe, img, svg, link, base, object, form").count() == 0
    shown = watched.page.locator("body").inner_text()
    for mark in ("<script>window.hit=1</script>", "<img src=x onerror=window.hit=1>", "javascript:window.hit=1", "{{7*7}}"):
        assert mark in shown, "it is shown as the text that it is"
    picture = tmp_path / "shared.png"
    watched.page.screenshot(path=str(picture), full_page=True)
    assert picture.stat().st_size > 10_000


def test_a_link_that_leads_nowhere_has_a_page_of_its_own(watched: Watched, link: str):
    answer = watched.page.goto(link[:-3] + "AAA")
    assert answer is not None and answer.status == 404
    assert "Nothing here" in watched.page.locator("h1").inner_text()


def test_json_with_marks_in_it_stays_text_in_a_browser(watched: Watched, gateway: LiveGateway, link: str):
    for path in ("/v1/chat/completions/<script>window.hit=1</script>", "/api/records?model=<script>window.hit=1</script>"):
        watched.page.goto(gateway.url + path)
        watched.page.wait_for_timeout(100)
        assert watched.page.evaluate("window.hit") is None
        assert watched.page.locator("script").count() == 0
