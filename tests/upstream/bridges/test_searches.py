"""The platform's two searches, to vendors on loopback."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_vendors import FakeGoogle, FakeSerper
from penstock.kit.errors import PenstockError
from penstock.upstream.bridges import BRIDGES
from penstock.upstream.bridges.bridge import Spot
from penstock.upstream.providers import PROVIDERS
from vendor_server import HTML, SECRET, Caller, Reply

GOOGLE, SERPER = BRIDGES["google_search", "custom_search"], BRIDGES["serper", "serper_search"]


def spot(query=b""):
    return Spot("m", "m", "/", query, b"application/json", "req_1", 0)


async def ask(vendor, provider, crossing, **options):
    """The answer that the client gets."""
    path, query = PROVIDERS[provider].place("", crossing.path, crossing.query, None, options)
    caller = Caller(vendor.url, PROVIDERS[provider].credential(SECRET))
    answer = await caller.fetch(crossing.method.decode(), path, query=query, headers=crossing.headers, body=crossing.body)
    status, kind, body = crossing.whole(answer.status, answer.content_type.encode(), answer.body)
    usage, estimated = crossing.wire.read(answer.body, crossing.ask)
    assert not estimated
    return status, kind, json.loads(body), usage


async def test_google():
    async with FakeGoogle() as vendor:
        crossing = GOOGLE.cross(
            b"", spot(b"key=sk-mine&q=caf%C3%A9+cats&num=3&siteSearch=example.com&siteSearchFilter=e&alt=atom&%24.xgafv=2")
        )
        status, kind, answer, usage = await ask(vendor, "google-search", crossing, cx="engine:1")
        assert (status, kind, usage.calls) == (200, b"application/json", 1)
        assert answer["kind"] == "customsearch#search"
        assert crossing.dropped == b"x-penstock-dropped: alt\r\n"
        [request] = vendor.requests
        assert request.target == "/customsearch/v1?q=caf%C3%A9+cats&num=3&siteSearch=example.com&siteSearchFilter=e&cx=engine:1"
        assert b"sk-mine" not in request.raw_head


async def test_google_refuses():
    async with FakeGoogle() as vendor:
        status, _, error, _ = await ask(vendor, "google-search", GOOGLE.cross(b"", spot(b"q=cats")))
        assert (status, error["message"]) == (400, "Request contains an invalid argument.")
        vendor.fault = Reply.of({"error": {"code": 429, "message": "Quota exceeded for quota metric 'Queries'"}}, 429)
        status, _, error, _ = await ask(vendor, "google-search", GOOGLE.cross(b"", spot(b"q=cats")), cx="x")
        assert (status, error["errorType"]) == (429, "too_many_requests_error")


@pytest.mark.parametrize("query", [b"", b"q=", b"q=+", b"num=3", b"key=sk-mine"])
def test_google_needs_something_to_search_for(query):
    with pytest.raises(PenstockError) as caught:
        GOOGLE.cross(b"", spot(query))
    assert caught.value.param == "q"


async def test_serper():
    async with FakeSerper() as vendor:
        asked = {
            "q": "cats",
            "gl": "us",
            "hl": "en",
            "num": "20",
            "page": 2,
            "cache": "3",
            "autocorrect": "false",
            "tbs": "",
            "model": "serper",
        }
        crossing = SERPER.cross(json.dumps(asked).encode(), spot())
        status, _, answer, usage = await ask(vendor, "serper", crossing)
        assert (status, usage.calls, answer["organic"][0]["position"]) == (200, 1, 1)
        assert answer["searchParameters"] == {"q": "cats", "gl": "us", "hl": "en", "num": 20, "page": 2, "autocorrect": False}
        assert crossing.dropped == b"x-penstock-dropped: cache\r\n"


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        (Reply.of({"message": "Not enough credits", "statusCode": 400}, 400), 400),
        (Reply.of({"message": "Unauthorized.", "statusCode": 403}, 403), 502),
        (HTML, 502),
        (Reply(200, b"<!doctype html><html></html>", "text/html"), 502),
        (Reply(200, b""), 502),
    ],
)
async def test_serper_fails(fault, shown):
    async with FakeSerper() as vendor:
        vendor.fault = fault
        status, _, error, usage = await ask(vendor, "serper", SERPER.cross(b'{"q":"cats"}', spot()))
        assert (status, error["statusCode"], error["data"]) == (shown, shown, None)
        if fault.status == 200:
            assert usage.calls == 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", "q"),
        (b'{"q":""}', "q"),
        (b'{"q":["a"]}', "q"),
        (b'{"q":"a","num":"many"}', "num"),
        (b'{"q":"a","num":0}', "num"),
        (b'{"q":"a","page":99999}', "page"),
        (b'{"q":"a","page":true}', "page"),
        (b'{"q":"a","gl":{"x":1}}', "gl"),
        (b"q=a", None),
    ],
)
def test_serper_is_not_asked_what_makes_no_sense(body, param):
    with pytest.raises(PenstockError) as caught:
        SERPER.cross(body, spot())
    assert caught.value.status == 400
    assert caught.value.param == param


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists)


@given(st.dictionaries(st.sampled_from(["q", "num", "page", "cache", "autocorrect", "model", "x"]), VALUES), st.binary())
def test_nothing_but_the_error_escapes(fields, query):
    for bridge, body, asked in ((SERPER, json.dumps(fields).encode(), b""), (GOOGLE, b"", query)):
        try:
            crossing = bridge.cross(body, spot(asked))
        except PenstockError:
            continue
        assert crossing.headers.endswith(b"\r\n") or not crossing.headers
