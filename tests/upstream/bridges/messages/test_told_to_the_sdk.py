"""The official SDK judges the streams that are told to clients, byte by byte."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import anthropic
import pytest
from anthropic.types import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from penstock.upstream.bridges.between import retell
from penstock.upstream.bridges.conversation import Asked, Failure, Reply, Text, Thought, ToolCall
from penstock.upstream.bridges.messages import SIDE
from penstock.upstream.bridges.side import About, Teller
from penstock.upstream.usage import Usage

USAGE = Usage(input_tokens=5, cache_read_tokens=7, cache_write_5m_tokens=2, cache_write_1h_tokens=3, output_tokens=11, reasoning_tokens=4)


def teller() -> Teller:
    return SIDE.teller(About(Asked("m", []), "m", "req_1", 0))


class _Answering(BaseHTTPRequestHandler):
    stream = b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for at in range(len(self.stream)):
            self.wfile.write(self.stream[at : at + 1])
            self.wfile.flush()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def played() -> Iterator[Callable[..., Message]]:
    """What the official SDK's accumulator makes of a stream that comes byte by byte."""
    server = HTTPServer(("127.0.0.1", 0), _Answering)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with anthropic.Anthropic(api_key="sk-...", base_url=f"http://127.0.0.1:{server.server_port}", max_retries=0) as client:

        def play(stream: bytes, **more: Any) -> Message:
            _Answering.stream = stream
            with client.messages.stream(max_tokens=5, model="m", messages=[{"role": "user", "content": "x"}], **more) as events:
                for _ in events:
                    pass
                return events.get_final_message()

        yield play
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_the_sdk_puts_it_together(played):
    one = teller()
    retell(
        Reply(
            "msg_1",
            "claude",
            [
                Thought("hm", "sig", wire="messages"),
                Text("Grüße ✓"),
                ToolCall("a", "f", '{"x": {"y": [1, 2]}}'),
                ToolCall("b", "g", ""),
                ToolCall("c", "p", "raw\n", custom=True),
            ],
            "tools",
            USAGE,
        ),
        one,
    )
    message = played(one.take())
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use", "tool_use"]
    assert [block.input for block in message.content if block.type == "tool_use"] == [{"x": {"y": [1, 2]}}, {}, {"input": "raw\n"}]
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("tool_use", 5, 11)
    assert message.usage.cache_read_input_tokens == 7 and message.usage.cache_creation_input_tokens == 5


TELLINGS = st.lists(
    st.one_of(
        st.tuples(st.just("text"), st.just("a")),
        st.tuples(st.just("thought"), st.just("h")),
        st.tuples(st.just("signed"), st.just("s"), st.sampled_from(["messages", "gemini"])),
        st.tuples(st.just("redacted"), st.just("r"), st.sampled_from(["messages", "responses"])),
        st.tuples(st.just("refusal"), st.just("no")),
        st.tuples(st.just("tool"), st.integers(0, 3), st.just("t"), st.just("f")),
        st.tuples(st.just("arguments"), st.integers(0, 3), st.sampled_from(["{", " "])),
    ),
    max_size=25,
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TELLINGS)
def test_the_sdk_puts_anything_together(played, tellings):
    one = teller()
    for name, *arguments in tellings:
        getattr(one, name)(*arguments)
    one.end("end", USAGE)
    message = played(one.take())
    assert message.stop_reason in ("end_turn", "refusal") and message.usage.output_tokens == 11


class City(BaseModel):
    name: str
    people: int


def test_the_sdk_parses_structured_output(played):
    one = teller()
    for piece in ('{"name":', '"Bern","people"', ":146000}"):
        one.text(piece)
    one.end("end", USAGE)
    message = played(one.take(), output_format=City)
    assert message.parsed_output == City(name="Bern", people=146000)


def test_the_sdk_raises_what_the_provider_has_reported(played):
    one = teller()
    one.text("a")
    one.fail(Failure(529, "Overloaded", "overloaded_error"))
    with pytest.raises(anthropic.APIStatusError) as caught:
        played(one.take())
    assert caught.value.body == {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"}
