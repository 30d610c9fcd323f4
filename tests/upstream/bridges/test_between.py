from __future__ import annotations

import json

import pytest

from collector import Collector
from penstock.kit.errors import PenstockError
from penstock.upstream.bridges import BRIDGES, SIDES
from penstock.upstream.bridges.between import Between, retell
from penstock.upstream.bridges.bridge import Crossing, Spot
from penstock.upstream.bridges.conversation import Asked, Document, Failure, Image, Part, Refusal, Reply, Text, Thought, ToolCall
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.side import About, Listener, Teller
from penstock.upstream.usage import Usage

USAGE = Usage(4, output_tokens=2)


class Plain:
    """A side that speaks of nothing but text, one word an event. As a wire it takes the place of chat."""

    wire = "chat"

    def read_ask(self, body: bytes) -> Asked:
        return Asked("", [], stream=body == b"stream")

    def write_ask(self, asked: Asked, model: str, dropped: Dropped) -> bytes:
        dropped.note("seed")
        dropped.aliases["sent"] = "own"
        return json.dumps({"model": model, "stream": asked.stream, "public": asked.model}).encode()

    def path(self, asked: Asked, model: str) -> tuple[str, bytes]:
        return "/v1/chat/completions", b"a=1"

    def read_reply(self, body: bytes) -> Reply:
        return Reply("id", "", [Text(body.decode("ascii"))], "end", USAGE)

    def write_reply(self, reply: Reply, about: About) -> bytes:
        return f"{about.model} {about.aliases} {[part.text for part in reply.parts]}".encode()

    def listener(self, teller: Teller) -> Listener:
        return PlainListener(teller)

    def teller(self, about: About) -> Teller:
        return PlainTeller()

    def read_failure(self, status: int, body: bytes) -> Failure:
        return Failure(status, body.decode())

    def write_failure(self, failure: Failure, request_id: str) -> tuple[int, bytes]:
        return failure.status, f"{failure.message} {failure.kind} {request_id}".encode()


class PlainListener:
    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    def event(self, event: bytes) -> None:
        self._teller.text(event.decode())

    def over(self) -> None:
        self._teller.end("end", USAGE)


class PlainTeller(Collector):
    def take(self) -> bytes:
        taken = "".join(part.text for part in self.reply.parts).encode()
        self.reply.parts.clear()
        return taken + b"." * self.ended


def crossed(body: bytes = b"") -> Crossing:
    return Between(Plain(), Plain()).cross(body, Spot("served", "public", "/x", b"", b"", "req_1", 1))


def test_the_request():
    crossing = crossed(b"stream")
    assert json.loads(crossing.body) == {"model": "served", "stream": True, "public": "public"}
    assert (crossing.path, crossing.query, crossing.wire.name) == ("/v1/chat/completions", b"a=1", "chat")
    assert (crossing.ask.model, crossing.ask.stream) == ("served", True)
    assert crossing.dropped == b"x-penstock-dropped: seed\r\n"
    assert (crossing.headers, crossing.passes) == (b"content-type: application/json\r\n", False)


def test_a_plain_answer():
    assert crossed().whole(200, b"", b"hello") == (200, b"application/json", b"public {'sent': 'own'} ['hello']")


def test_an_answer_that_cannot_be_read_is_an_error():
    status, kind, body = crossed().whole(200, b"", b"\xff")
    assert (status, kind) == (502, b"application/json") and b"upstream_invalid req_1" in body
    assert crossed().replay(b"\xff") is None


def test_an_error():
    assert crossed().whole(429, b"text/html", b"slow") == (429, b"application/json", b"slow  req_1")


def test_a_stream():
    stream = crossed().stream()
    assert (stream.event(b"a"), stream.event(b"b"), stream.ended) == (b"a", b"b", False)
    assert (stream.over(), stream.ended) == (b".", True)


def test_a_whole_answer_as_a_stream():
    assert crossed().replay(b"hello") == b"hello."


PARTS: list[Part] = [
    Thought("hm", "SIG", wire="messages"),
    Thought("", "", "DATA", "rs", "responses"),
    Text("a"),
    Refusal("no"),
    Image("image/png", "QUJD"),
    ToolCall("x", "f", "{}", signature="S"),
    ToolCall("y", "c", "free", custom=True),
]


def test_retelling_says_it_all():
    told = Collector()
    reply = Reply("id", "m", [*PARTS, Document(text="not a reply's")], "stop_sequence", USAGE, stop_sequence="###")
    retell(reply, told)
    reply.parts.pop()
    assert told.reply == reply


ASKS = {
    "chat": {"model": "public", "messages": [{"role": "user", "content": "hi"}]},
    "messages": {"model": "public", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]},
    "responses": {"model": "public", "input": "hi"},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
}
PAIRS = [(source, target) for source in SIDES for target in SIDES if source != target]


def cross(source: str, target: str) -> Crossing:
    return BRIDGES[source, target].cross(
        json.dumps(ASKS[source]).encode(), Spot("served", "public", "/x", b"", b"", "req_1", 1_700_000_000)
    )


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_between_real_sides_an_answer_arrives(source, target):
    crossing = cross(source, target)
    theirs, ours = SIDES[target], SIDES[source]
    assert crossing.wire.name == target
    if not crossing.wire.addressed:
        assert crossing.ask.model == "served"
    reply = Reply("id_1", "m", [Text("Hello"), ToolCall("call_1", "f", '{"x":1}')], "tools", USAGE)
    body = theirs.write_reply(reply, About(Asked("m", []), "m", "req_2", 1))
    status, _, shown = crossing.whole(200, b"application/json", body)
    read = ours.read_reply(shown)
    assert status == 200 and read.stop == "tools"
    text, call = read.parts[0], read.parts[-1]
    assert (text, call.name, json.loads(call.arguments)) == (Text("Hello"), "f", {"x": 1})
    assert (read.usage.input_tokens, read.usage.output_tokens) == (4, 2)
    assert crossing.whole(200, b"", b"<html>")[0] == 502


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_between_real_sides_a_stream_arrives(source, target):
    crossing = cross(source, target)
    theirs, ours = SIDES[target], SIDES[source]
    teller = theirs.teller(About(Asked("m", []), "m", "req_2", 1))
    retell(Reply("id_1", "m", [Text("Hello"), ToolCall("call_1", "f", '{"x":1}')], "tools", USAGE), teller)
    stream, heard = crossing.stream(), Collector()
    listener = ours.listener(heard)
    told = b"".join([*(stream.event(event) for event in teller.take().split(b"\n\n") if event), stream.over()])
    for event in told.split(b"\n\n"):
        listener.event(event)
    listener.over()
    text, call = heard.reply.parts[0], heard.reply.parts[-1]
    assert stream.ended and heard.reply.stop == "tools"
    assert (text, call.name, json.loads(call.arguments)) == (Text("Hello"), "f", {"x": 1})


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_between_real_sides_an_error_keeps_its_words(source, target):
    status, body = SIDES[target].write_failure(Failure(400, "prompt is too long: 9 tokens"), "req_2")
    shown, kind, error = cross(source, target).whole(status, b"application/json", body)
    assert (shown, kind) == (400, b"application/json") and b"prompt is too long: 9 tokens" in error


def test_cursor_asks_in_responses_and_is_answered_in_chat():
    patch = "*** Begin Patch\n*** End Patch"
    body = {
        "model": "public",
        "stream": True,
        "input": [{"role": "user", "content": "fix it"}],
        "tools": [{"type": "custom", "name": "ApplyPatch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}}],
    }
    crossing = BRIDGES["chat", "messages"].cross(json.dumps(body).encode(), Spot("claude-x", "public", "/x", b"", b"", "req_1", 1))
    tool = json.loads(crossing.body)["tools"][0]
    assert tool["name"] == "ApplyPatch" and tool["input_schema"]["required"] == ["input"]
    teller = SIDES["messages"].teller(About(Asked("m", []), "m", "req_2", 1))
    retell(Reply("id_1", "m", [ToolCall("toolu_1", "ApplyPatch", json.dumps({"input": patch}))], "tools", USAGE), teller)
    stream, heard = crossing.stream(), Collector()
    listener = SIDES["chat"].listener(heard)
    for event in b"".join(stream.event(event) for event in teller.take().split(b"\n\n") if event).split(b"\n\n"):
        listener.event(event)
    assert heard.reply.parts == [ToolCall("toolu_1", "ApplyPatch", patch)]


@pytest.mark.parametrize("wire", [wire for wire in SIDES if wire != "chat"])
def test_thoughts_and_signatures_of_every_wire_come_back_to_it_through_a_chat(wire):
    theirs = SIDES[wire]
    thought = Thought("hm", "", "DATA", "rs_1", wire) if wire == "responses" else Thought("hm", "SIG", wire=wire)
    signature = "PROOF" if wire == "gemini" else ""
    reply = Reply("id_1", "m", [thought, Text("a"), ToolCall("call_1", "f", "{}", signature=signature)], "tools", USAGE)
    _, _, shown = cross("chat", wire).whole(200, b"", theirs.write_reply(reply, About(Asked("m", []), "m", "req_2", 1)))
    message = json.loads(shown)["choices"][0]["message"]
    asked = {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}, message, {"role": "tool", "tool_call_id": "call_1", "content": "r"}],
    }
    sent = theirs.write_ask(SIDES["chat"].read_ask(json.dumps(asked).encode()), "m", dropped := Dropped())
    assert all(word.encode() in sent for word in (thought.redacted, signature))
    assert wire == "gemini" or thought.signature.encode() in sent
    assert not dropped.names


OWN_TOOL = {"type": "function", "name": "shell", "parameters": {"type": "object"}}


@pytest.mark.parametrize("target", ["chat", "messages", "gemini"])
def test_a_search_that_an_agent_offers_beside_its_own_tools_is_left_out_and_named(target):
    bridge = BRIDGES["responses", target]
    spot = Spot("m", "m", "/v1/responses", b"", b"application/json", "req_1", 1)

    def crossed(**fields) -> Crossing:
        return bridge.cross(json.dumps({"model": "m", "input": "hi", **fields}).encode(), spot)

    crossing = crossed(tools=[OWN_TOOL, {"type": "web_search"}])
    assert b"web_search" in crossing.dropped and b"shell" in crossing.body and b"web_search" not in crossing.body
    for refused in ({"tools": [{"type": "web_search"}]}, {"tools": [OWN_TOOL, {"type": "web_search"}], "tool_choice": "required"}):
        with pytest.raises(PenstockError) as refusal:
            crossed(**refused)
        assert refusal.value.code == "cannot_translate"
