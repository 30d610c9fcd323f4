"""Streams that break off, stall, never end, or are not what a strict provider sends."""

from __future__ import annotations

import asyncio

import anthropic
import openai
import pytest

from fake_answers import chat_events, chunk, head, stream, stream_head
from fake_provider import close, hang, reset
from stage import CONTENT_FROM, EVENTS, USED, WIRES, begun, check_broken_end, events_of, hidden, shown

BREAKS = {
    "closes between events": lambda wire: (begun(wire), close),
    "resets between events": lambda wire: (begun(wire), reset),
    "closes in an event": lambda wire: (begun(wire) + chunk(EVENTS[wire](10)[CONTENT_FROM[wire] + 4][:40]), close),
    "closes in a chunk": lambda wire: (begun(wire) + chunk(EVENTS[wire](10)[CONTENT_FROM[wire] + 4])[:40], close),
    "closes in a chunk's size": lambda wire: (begun(wire) + b"1", close),
    "a chunk without a size": lambda wire: (begun(wire) + b"zz\r\n", close),
    "a chunk that is too long": lambda wire: (begun(wire) + b"2\r\nabc\r\n", close),
    "closes before the last chunk": lambda wire: (stream_head() + b"".join(map(chunk, EVENTS[wire](10)[:-1])), close),
}


# streams that break off


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", BREAKS)
def test_a_stream_that_breaks_off(stage, wire, fault):
    """What has come is shown and charged, and the end is an error in the dialect of the wire; the client's connection goes on."""
    stage.script(*BREAKS[fault](wire))
    answered = stage.ask(wire, stream=True)
    assert (answered.status, answered.closes) == (200, False)
    events = events_of(answered)
    check_broken_end(wire, events, "upstream_invalid" if fault.startswith("a chunk") else "upstream_broken")
    row = stage.charge(answered)
    assert (row["outcome"], row["status"], row["streamed"]) == ("upstream_died", 200, 1)
    assert shown(wire, EVENTS[wire](10)).startswith(b"".join(events[:-1]))
    if fault.startswith("resets"):
        return  # what was sent before a reset may be lost
    if "last chunk" in fault:
        assert len(events) == len(hidden(EVENTS[wire](10)) if wire == "chat" else EVENTS[wire](10))
        if wire == "responses":
            assert row["estimated"] == 1
        else:
            stage.check_cost(row, USED)
    else:
        assert len(events) == CONTENT_FROM[wire] + 5
        stage.check_guess(row, wire, 4)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("ends", [close, reset])
def test_a_stream_that_breaks_off_before_its_first_event(stage, wire, ends):
    stage.script(stream_head(), ends)
    answered = stage.ask(wire, stream=True)
    if answered.status == 200:
        [last] = events_of(answered)
        check_broken_end(wire, [last], "upstream_broken")
        stage.check_cost(stage.charge(answered), stage.guess(wire, 0, stream=True), estimated=True)
    else:
        assert (answered.status, ends) == (502, reset)


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_that_breaks_off_after_its_last_event_is_whole(stage, wire):
    sent = EVENTS[wire](10)
    stage.script(stream_head() + b"".join(map(chunk, sent)), close)
    answered = stage.ask(wire, stream=True)
    assert answered.body == shown(wire, sent)
    row = stage.charge(answered)
    stage.check_cost(row, USED)
    assert row["outcome"] == "complete"


def test_a_stream_that_ends_with_the_connection_is_whole(stage):
    sent = chat_events()
    for version in (b"1.0", b"1.1"):
        stage.script(head(200, "connection: close", kind="text/event-stream").replace(b"1.1", version) + b"".join(sent), close)
        answered = stage.ask("chat", stream=True)
        assert answered.body == shown("chat", sent)
        stage.check_cost(stage.charge(answered), USED)


def test_a_stream_with_a_length(stage):
    sent = chat_events()
    body = b"".join(sent)
    stage.script(head(200, f"content-length: {len(body)}", kind="text/event-stream") + body)
    answered = stage.ask("chat", stream=True)
    assert answered.body == shown("chat", sent)
    assert answered.header("content-length") is None
    stage.check_cost(stage.charge(answered), USED)
    stage.script(head(200, f"content-length: {len(body)}", kind="text/event-stream") + body[:-400], close)
    broken = stage.ask("chat", stream=True)
    check_broken_end("chat", events_of(broken), "upstream_broken")
    assert stage.charge(broken)["outcome"] == "upstream_died"


@pytest.mark.parametrize("wire", WIRES)
def test_a_client_of_http_1_0(stage, wire):
    sent = EVENTS[wire](10)
    for steps, whole in (((stream(*sent),), True), ((begun(wire), close), False)):
        stage.script(*steps)
        with stage.client() as client:
            answered = client.ask(stage.raw(wire, stream=True).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        assert answered.closes
        if whole:
            assert answered.body == shown(wire, sent)
        else:
            check_broken_end(wire, events_of(answered), "upstream_broken")


# the official SDKs see it as the error that it is


@pytest.fixture
def sdk(stage):
    """Consumes a stream of a wire with the provider's own SDK; how many events it gave before it raised."""
    url, key = stage.gateway.url, stage.gateway.key

    def consume(wire: str) -> int:
        seen = 0
        if wire == "messages":
            with anthropic.Anthropic(base_url=url, api_key=key, max_retries=0) as client:
                asked = {"model": "claude-test", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}
                with client.messages.create(stream=True, **asked) as events:
                    for _ in events:
                        seen += 1
        else:
            with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
                if wire == "chat":
                    events = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hello"}], stream=True)
                else:
                    events = client.responses.create(model="gpt-4o", input="Hello", stream=True)
                with events:
                    for found in events:
                        seen += 1
                        if getattr(found, "type", "") == "response.failed":
                            raise openai.APIError(found.response.error.message, request=None, body=found.response.error.model_dump())
        return seen

    return consume


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", ["closes between events", "closes in an event", "closes in a chunk"])
def test_the_official_sdk_raises(stage, sdk, wire, fault):
    stage.script(*BREAKS[fault](wire))
    with pytest.raises((openai.APIError, anthropic.APIError)) as caught:
        sdk(wire)
    body = caught.value.body
    if wire == "messages":
        assert body["type"] == "error" and body["error"]["type"] == "api_error"
    else:
        assert body["code"] == "upstream_broken"
    assert "provider failed" in str(caught.value)


@pytest.mark.parametrize("wire", WIRES)
def test_the_official_sdk_reads_a_whole_stream(stage, sdk, wire):
    sent = EVENTS[wire](10)
    stage.script(stream(*sent))
    assert sdk(wire) == {"chat": len(hidden(sent)) - 1, "responses": len(sent), "messages": len(sent) - 1}[wire]


# streams that stall or never end


@pytest.fixture(scope="module")
def module_hasty(make_stage):
    return make_stage(idle_s=0.2)


@pytest.fixture(scope="module")
def module_brief(make_stage):
    return make_stage(total_s=0.6)


@pytest.fixture
def hasty(module_hasty, vendor):
    """A gateway that does not wait long for a stream to go on."""
    yield module_hasty
    module_hasty.check_quiet()


@pytest.fixture
def brief(module_brief, vendor):
    """A gateway that lets no answer take long."""
    yield module_brief
    module_brief.check_quiet()


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("where", ["between events", "in an event", "after the head"])
def test_a_stream_that_stalls(hasty, wire, where):
    more = chunk(EVENTS[wire](10)[-2][:30]) if where == "in an event" else b""
    hasty.script(stream_head() if where == "after the head" else begun(wire) + more, hang)
    answered = hasty.ask(wire, stream=True)
    events = events_of(answered)
    check_broken_end(wire, events, "upstream_timeout")
    assert len(events) == (1 if where == "after the head" else CONTENT_FROM[wire] + 5)
    row = hasty.charge(answered)
    assert (row["outcome"], row["status"], row["estimated"]) == ("upstream_timeout", 200, 1)


def test_a_stream_that_stalls_after_its_last_event(hasty):
    sent = chat_events()
    hasty.script(stream_head() + b"".join(map(chunk, sent)), hang)
    answered = hasty.ask("chat", stream=True)
    assert answered.body == shown("chat", sent)
    row = hasty.charge(answered)
    hasty.check_cost(row, USED)
    assert row["outcome"] == "complete"


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_that_never_ends(brief, wire):
    async def chatter(line) -> None:
        while True:
            await line.send(chunk(b": still here\n\n"))
            await asyncio.sleep(0.05)

    brief.script(begun(wire), chatter)
    answered = brief.ask(wire, stream=True)
    events = events_of(answered)
    check_broken_end(wire, events, "upstream_timeout")
    assert b": still here\n\n" in events
    assert brief.charge(answered)["outcome"] == "upstream_timeout"
