"""Faults: which answers are asked for again elsewhere, what is shown instead of them, and what breakers are told."""

from __future__ import annotations

import json

import pytest

from fake_ends import CHAT, answer, ask, parts_of
from penstock.relay.faults import RETRIED, failure_of

MINE = ask(body=CHAT.replace(b"gpt-4o", b"mine"))


def head(rig, status: int, *lines: bytes):
    return rig.answered(answer(b"{}", *lines, status=status), rig.vendor())


@pytest.mark.parametrize("status", [200, 201, 400, 413, 422, 501])
def test_what_is_no_failure(rig, status):
    assert failure_of(head(rig, status), rig.exchange()) is None


@pytest.mark.parametrize("status", sorted(RETRIED))
def test_statuses_that_another_lane_may_not_have(rig, status):
    found = failure_of(head(rig, status, b"retry-after: 7"), rig.exchange())
    assert found is not None and found.error is None
    if status == 429:
        assert found.fault.retry_after_s == 7


def test_what_nobody_knows_the_meaning_of_is_left_alone(rig):
    files = rig.exchange(b"GET /v1/files/x")
    for status in (302, 404):
        assert failure_of(head(rig, status), files) is None


@pytest.mark.parametrize(("status", "line", "code", "says"), [
    (302, b"location: https://login.example/?next=1", "upstream_redirect", "login.example"),
    (307, b"location: /elsewhere", "upstream_redirect", "another path"),
    (308, b"location: http://[", "upstream_redirect", "another place"),
])  # fmt: skip
def test_a_redirect_is_an_error_that_says_where_to(rig, status, line, code, says):
    client, vendor = rig.client(), rig.vendor()
    rig.trust()
    client.says(ask())
    vendor.says(answer(b"", line, status=status))
    shown, headers, body = parts_of(client.hears())
    error = json.loads(body)["error"]
    assert (shown, error["code"]) == (502, code) and says in error["message"] and b"location" not in headers
    assert rig.plane.holds.open == 0


def test_a_web_page_is_no_answer(rig):
    rig.trust()
    client, vendor = rig.client(), rig.vendor()
    client.says(ask())
    page = b"<html>Welcome</html>"
    vendor.says(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n%b" % (len(page), page))
    status, _, body = parts_of(client.hears())
    assert status == 502 and "base URL" in json.loads(body)["error"]["message"] and b"Welcome" not in body


def test_breakers_are_told_of_what_is_shown(rig):
    rig.trust()
    client, vendor = rig.client(), rig.vendor()
    breakers = rig.plane.channels[0].breakers
    client.says(ask())
    vendor.says(answer(b'{"error":{"code":"model_not_found","message":"The model does not exist"}}', status=404))
    assert parts_of(client.hears())[0] == 404
    assert [(state.model, state.failures) for state in breakers.states()] == [("gpt-4o", 1)]


def test_a_credential_that_is_refused_is_left_alone_and_the_other_one_is_used(rig):
    rig.trust()
    for channel in rig.plane.channels:
        channel.wires = ("chat",)
    client, first, second = rig.client(), rig.vendor(0), rig.vendor(1)
    client.says(MINE)
    first.hears()
    first.says(answer(b'{"error":{}}', status=401))
    assert second.hears().startswith(b"POST ")
    second.says(answer(b'{"error":{}}', status=400))
    assert parts_of(client.hears())[0] == 400
    third = rig.vendor(1)
    client.says(MINE)
    assert third.hears().startswith(b"POST ") and "401" in rig.plane.channels[0].breakers.states()[0].reason
    third.says(answer(b'{"error":{"message":"The API key has been suspended."}}', status=403))
    client.hears()
    status, headers, body = parts_of(client.says(MINE))
    error = json.loads(body)["error"]
    assert (status, error["code"]) == (503, "all_channels_down") and int(headers[b"retry-after"]) > 0
    assert "openai: 401" in error["message"] and "anthropic: 403" in error["message"]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("header", [b"openai-organization: org-theirs", b"openai-project: proj_x", b"x-goog-user-project: theirs"])
def test_a_project_that_the_client_may_not_use_speaks_against_nobody(rig, header, status):
    rig.trust()
    for channel in rig.plane.channels:
        channel.wires = ("chat",)
    client, first, second = rig.client(), rig.vendor(0), rig.vendor(1)
    client.says(ask(header, body=CHAT.replace(b"gpt-4o", b"mine")))
    told = b'{"error":{"message":"Your API key is not that organization\'s"}}'
    assert header in first.hears()
    first.says(answer(told, status=status))
    if status == 401:
        assert second.hears().startswith(b"POST ")
        second.says(answer(told, status=status))
    assert parts_of(client.hears())[0] == status
    assert not any(channel.breakers.states() for channel in rig.plane.channels)


def test_a_lonely_channel_is_always_asked(rig):
    rig.trust()
    rig.plane.channels = rig.plane.channels[:1]
    for _ in range(3):
        client, vendor = rig.client(), rig.vendor()
        client.says(ask())
        assert vendor.hears()
        vendor.says(answer(b'{"error":{}}', status=401))
        assert parts_of(client.hears())[0] == 401
