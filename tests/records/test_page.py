"""The page of a shared record: whatever stands in a record, the page has the same elements, no scripts, and nothing to load."""

from __future__ import annotations

import base64
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_records import made, opened
from penstock.records.models import ShareRow
from penstock.records.page import HEADERS, TEXT_LIMIT, nothing, page_of
from penstock.records.sharing import shared_shown
from penstock.records.shown import opened_shown

PAYLOADS = (
    "<script>alert(1)</script>", "</pre><img src=x onerror=alert(1)>", "</title><svg onload=alert(1)>", "\"><a href='javascript:alert(1)'>",
    "</style><script>", "<!--", "]]>", "&lt;script&gt;", "&#60;b&#62;", "{{7*7}}", "\x00<b>", "\u2028<i>", "<plaintext>",
    "<iframe srcdoc=x>",
)  # fmt: skip


class Elements(HTMLParser):
    """The tags and attributes of a page in order, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[Any] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))

    def handle_endtag(self, tag):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)

    def handle_comment(self, data):
        self.tags.append(("comment", data))


def page_with(text: str) -> str:
    """A page that has this text wherever a record can have one."""
    data = text.encode(errors="replace")
    record = made(
        path=f"/v1/chat/completions?{text}", method=text, wire=text, original_model=text, rewritten_model=text, channel=text, outcome=text,
        request_headers=[(b"x-test", data)], request_body=data, ruled_body=data, sent_head=b"POST / HTTP/1.1\r\nx: " + data + b"\r\n\r\n",
        sent_body=data, came_status=200, came_body=[data], response_headers=[(b"x-answer", data)], response_body=[data], phases_us=(1, 2),
    )  # fmt: skip
    row = ShareRow(headers=True, bodies=True)
    return page_of(shared_shown(opened_shown(opened(record)), row), "2027-01-01T00:00:00Z")


ALL = ShareRow(headers=True, bodies=True)
ALLOWED = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "table", "tr", "th", "td", "pre", "p"}


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_in_a_record_becomes_an_element(payload):
    harmless, page = Elements(page_with("harmless")), Elements(page_with(payload))
    assert page.tags == harmless.tags
    assert {tag if isinstance(tag, str) else tag[0] for tag in page.tags} == ALLOWED
    assert not [attribute for tag in page.tags if isinstance(tag, tuple) for attribute, _ in tag[1] if attribute.startswith("on")]
    shown = payload.replace("\x00", "\u2400")
    assert sum(shown in text for text in page.texts) >= 8, "it is shown as it is"


@given(st.text(max_size=60))
def test_whatever_the_text(text):
    text = "".join(sign for sign in text if sign not in "\r\n")
    pages = Elements(page_with(f"x{text}")), Elements(page_with("x"))
    assert pages[0].tags == pages[1].tags


def test_a_long_body_is_cut():
    page = page_of(shared_shown(opened_shown(opened(made(request_body=b"x" * (TEXT_LIMIT + 7)))), ALL), "2027-01-01T00:00:00Z")
    assert "x" * TEXT_LIMIT + " [7 characters more" in page and len(page) < TEXT_LIMIT + 10_000


def test_its_own_style_is_the_only_thing_that_it_may_have():
    style = page_with("x").partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    policy = HEADERS["content-security-policy"].split("; ")
    assert policy == ["default-src 'none'", f"style-src 'sha256-{digest}'", "base-uri 'none'", "form-action 'none'",
                      "frame-ancestors 'none'", "sandbox"]  # fmt: skip
    assert (HEADERS["cache-control"], HEADERS["referrer-policy"]) == ("no-store", "no-referrer")
    assert "noindex" in HEADERS["x-robots-tag"] and HEADERS["x-content-type-options"] == "nosniff"


def test_a_record_without_bodies_says_why():
    facts = shared_shown(opened_shown(opened(made(), "Its segment is damaged.")), ShareRow(headers=True, bodies=True))
    page = page_of(facts, "2027-01-01T00:00:00Z")
    assert "Its segment is damaged." in page and "<pre>" not in page


def test_nothing_is_a_page_too():
    assert {tag if isinstance(tag, str) else tag[0] for tag in Elements(nothing()).tags} <= ALLOWED
