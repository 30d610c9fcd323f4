"""What every bridge must do with answers, whichever sides it is between: a new side is tested by being there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, reject, settings
from hypothesis import strategies as st

from conversations import asks, decoded, replies
from crossed import MODELS, PAIRS, carried, cross, natively, provider_of, streamed
from golden import Called, Golden, sound_calls
from grammars import GRAMMARS
from penstock.kit.errors import PenstockError
from penstock.kit.sse import split
from penstock.upstream.bridges import SIDES
from penstock.upstream.bridges.between import Talk
from penstock.upstream.bridges.conversation import Asked, Failure, Refusal, Reply, Text, Thought, ToolCall, Turn
from penstock.upstream.bridges.custom_tools import unwrap
from penstock.upstream.bridges.side import About
from penstock.upstream.usage import Usage

every_pair = pytest.mark.parametrize(("source", "target"), PAIRS)
some = settings(
    max_examples=12,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    deadline=None,
)
few = settings(some, max_examples=6)
PIECES = st.sampled_from([1, 1, 2, 7, 10_000])


def test_every_side_has_a_grammar():
    assert set(SIDES) == set(GRAMMARS)


def crossed(data: st.DataObject, source: str, target: str) -> Talk:
    """A request on its way, of which the provider has been told all that there is to be answered."""
    asked = data.draw(asks(source), label="asked")
    model = data.draw(st.sampled_from(MODELS.get(target, ["model-x"])), label="model")
    try:
        return cross(source, target, natively(source, asked), model, stream=asked.stream)
    except PenstockError:
        reject()  # what is refused, and how, is for the tests of requests


def understood(golden: Golden, reply: Reply, crossing: Talk, *, shows_usage: bool = True) -> None:
    """What the client understands is what the provider has said."""
    sound_calls(golden)
    asked = crossing._about.asked
    said = "".join(part.text for part in reply.parts if isinstance(part, Text | Refusal))
    assert golden.text + golden.refusal == said
    assert golden.pictures == [part.data for part in reply.parts if hasattr(part, "media_type")]
    thought = "".join(part.text for part in reply.parts if isinstance(part, Thought))
    assert golden.thought in ((thought,) if asked.shows_thoughts else (thought, ""))
    stop = "end" if reply.stop in ("stop_sequence", "pause") else reply.stop
    assert golden.ending == stop
    usage = reply.usage
    stated = (usage.context_tokens(), usage.cache_read_tokens, usage.output_tokens, usage.reasoning_tokens)
    assert golden.usage == (stated if shows_usage else (0, 0, 0, 0))
    own = {tool.name: tool for tool in asked.tools}
    calls = [part for part in reply.parts if isinstance(part, ToolCall)]
    assert len(golden.calls) == len(calls)
    for shown, call in zip(golden.calls, calls, strict=True):
        name = crossing._about.aliases.get(call.name, call.name)
        assert shown.name == name
        as_custom = own[name].kind == "custom"
        assert shown.custom == as_custom
        assert _meant(shown) == (_text(call) if as_custom else decoded(call.arguments) if not call.custom else {"input": call.arguments})


def heard(source: str, told: bytes, reply: Reply, crossing: Talk) -> None:
    shows = crossing._about.asked.shows_usage
    understood(GRAMMARS[source].stream(told, shows_usage=shows), reply, crossing, shows_usage=shows)


def _meant(called: Called) -> Any:
    return called.text if called.custom else json.loads(called.text)


def _text(call: ToolCall) -> str:
    return call.arguments if call.custom else unwrap(call.arguments)


@every_pair
@some
@given(st.data())
def test_a_stream_cut_anywhere_is_told_in_the_clients_grammar(source, target, data):
    crossing = crossed(data, source, target)
    about = provider_of(crossing)
    reply = data.draw(replies(about.asked.tools, target), label="reply")
    stream = streamed(target, reply, about)
    if data.draw(st.booleans(), label="lines end in CR LF"):
        stream = stream.replace(b"\n", b"\r\n")
    told = carried(crossing.stream(), stream, data.draw(PIECES, label="pieces of"))
    heard(source, told, reply, crossing)


@every_pair
@some
@given(st.data())
def test_a_plain_answer_is_one_of_the_clients_and_can_be_replayed_as_a_stream(source, target, data):
    crossing = crossed(data, source, target)
    about = provider_of(crossing)
    reply = data.draw(replies(about.asked.tools, target), label="reply")
    body = SIDES[target].write_reply(reply, about)
    status, kind, shown = crossing.whole(200, b"application/json", body)
    assert (status, kind) == (200, b"application/json")
    understood(GRAMMARS[source].whole(shown), reply, crossing)
    replayed = crossing.replay(body)
    assert replayed is not None
    heard(source, replayed, reply, crossing)


def simple(source: str, target: str) -> Talk:
    asked = Asked("public", [Turn("user", [Text("Hello")])], stream=True, shows_thoughts=True)
    return cross(source, target, natively(source, asked), stream=True)


STATUSES = [400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529]


@every_pair
@few
@given(st.sampled_from(STATUSES), st.text(min_size=1, max_size=30).filter(str.strip))
@example(400, "prompt is too long: 215000 tokens > 200000 maximum")
def test_an_error_is_one_of_the_clients_and_keeps_its_words(source, target, status, words):
    sent, body = SIDES[target].write_failure(Failure(status, words), "req_provider")
    shown, kind, error = simple(source, target).whole(sent, b"application/json", body)
    assert kind == b"application/json" and GRAMMARS[source].error(json.loads(error)) == words
    assert shown == sent or {shown, sent} <= {500, 502, 503, 529}


@every_pair
@few
@given(
    st.integers(300, 620), st.binary(max_size=40) | st.sampled_from([b"<html><h1>Bad</h1>", b"[]", b'{"error":{}}', b'{"errors":{"a":1}}'])
)
def test_no_error_is_too_odd_to_be_told(source, target, status, body):
    shown, _, error = simple(source, target).whole(max(400, status), b"text/html", body)
    assert 400 <= shown < 600 and GRAMMARS[source].error(json.loads(error))


@every_pair
@pytest.mark.parametrize("status", [429, 500, 529])
def test_an_error_in_the_middle_of_a_stream_ends_it(source, target, status):
    crossing = simple(source, target)
    teller = SIDES[target].teller(provider_of(crossing))
    teller.begin("id_1", "served", Usage(5, output_tokens=1))
    teller.text("Hel")
    teller.fail(Failure(status, "The model is on fire."))
    told = carried(crossing.stream(), teller.take() + b"data: {}\n\n", 1)
    assert b"Hel" in told
    assert GRAMMARS[source].stream(told, shows_usage=crossing._about.asked.shows_usage).failure == "The model is on fire."


@every_pair
def test_a_stream_that_breaks_off_is_not_taken_for_a_whole_one(source, target):
    crossing = simple(source, target)
    reply = Reply("id_1", "served", [Thought("hm", "c2ln", wire=target), Text("Hello")], "end", Usage(5, output_tokens=3))
    events = split(streamed(target, reply, provider_of(crossing)))
    shows = crossing._about.asked.shows_usage
    for count in range(len(events) - 1):
        told = carried(simple(source, target).stream(), b"".join(events[:count]), 10_000)
        golden = GRAMMARS[source].stream(told, shows_usage=shows)
        # Whoever has heard why it ended knows that it did, though the last event is missing.
        assert golden.ending == "failed" or (golden.ending == "end" and golden.text == "Hello" and count >= len(events) - 2)


@every_pair
@some
@given(st.permutations([0, 0, 0, 1, 1, 1, 2, 3]), PIECES)
def test_calls_that_are_told_in_turns_are_told_apart(source, target, order, size):
    crossing = simple(source, target)
    teller = SIDES[target].teller(provider_of(crossing))
    teller.begin("id_1", "served", Usage(5, output_tokens=1))
    pieces = {0: ['{"at":', '"se', 'a"}'], 1: ['{"how"', ":1", "}"], 2: ["{}"], 3: []}
    for number in range(4):
        teller.tool(number, f"call_{number}", "look")
    for number in order:
        if pieces[number]:
            teller.arguments(number, pieces[number].pop(0))
    teller.end("tools", Usage(5, output_tokens=9))
    golden = GRAMMARS[source].stream(carried(crossing.stream(), teller.take(), size), shows_usage=crossing._about.asked.shows_usage)
    sound_calls(golden)
    assert [json.loads(call.text) for call in golden.calls] == [{"at": "sea"}, {"how": 1}, {}, {}]
    assert (golden.ending, golden.text) == ("tools", "")


@every_pair
@pytest.mark.parametrize("odd", [b"\\ud83d", b"\\udc00", b"\\ud83d\\ud83d", b"\\u0000", b"\xff", b"\\u2028", b"\\r\\n\\n"])
def test_odd_text_of_a_provider_harms_nothing(source, target, odd):
    parts = [Thought("ODD", "c2ln", wire=target), Text("ODD"), ToolCall("call_1", "look", '{"at":"ODD"}')]
    reply = Reply("id_1", "served", parts, "tools", Usage(5, output_tokens=3))
    crossing = simple(source, target)
    about = provider_of(crossing)
    told = carried(crossing.stream(), streamed(target, reply, about).replace(b"ODD", odd), 10_000)
    assert GRAMMARS[source].stream(told, shows_usage=crossing._about.asked.shows_usage).ending in ("tools", "failed")
    status, _, shown = crossing.whole(200, b"application/json", SIDES[target].write_reply(reply, about).replace(b"ODD", odd))
    assert (GRAMMARS[source].whole(shown) if status == 200 else GRAMMARS[source].error(json.loads(shown))) and status in (200, 502)


LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=5) | st.sampled_from(["{", "error"])
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2), max_leaves=4
)


def bent(value: Any, data: st.DataObject) -> Any:
    """The value, with something in it that is not as it should be."""
    if isinstance(value, dict) and value and data.draw(st.integers(0, 3)):
        name = data.draw(st.sampled_from(sorted(value)))
        return {**value, name: bent(value[name], data)}
    if isinstance(value, list) and value and data.draw(st.integers(0, 3)):
        at = data.draw(st.integers(0, len(value) - 1))
        return [*value[:at], bent(value[at], data), *value[at + 1 :]]
    return data.draw(JSON)


def bent_event(event: bytes, data: st.DataObject) -> bytes:
    head, mark, body = event.partition(b"data: ")
    if not body.startswith(b"{"):
        return event
    return head + mark + json.dumps(bent(json.loads(body), data)).encode() + b"\n\n"


@every_pair
@settings(some, max_examples=25)
@given(st.data())
def test_whatever_a_provider_sends_ends_in_the_clients_grammar(source, target, data):
    crossing = simple(source, target)
    about = provider_of(crossing)
    about.asked.tools = []
    calls = [ToolCall("call_1", "look", '{"at":"sea"}'), ToolCall("call_2", "look", "{}")]
    parts = [Thought("hm", "c2ln", wire=target), Text("Hello"), *calls]
    events = split(streamed(target, Reply("id_1", "served", parts, "tools", Usage(5, output_tokens=3)), about))
    for _ in range(data.draw(st.integers(1, 4), label="faults")):
        at = data.draw(st.integers(0, len(events) - 1))
        match data.draw(st.sampled_from(["bent", "lost", "twice", "moved", "bytes"])):
            case "bent":
                events[at] = bent_event(events[at], data)
            case "lost" if len(events) > 1:
                del events[at]
            case "twice":
                events.insert(at, events[at])
            case "moved":
                events.append(events.pop(at))
            case _:
                events.insert(at, b"data: " + data.draw(st.binary(max_size=10)).replace(b"\n", b"") + b"\n\n")
    stream = crossing.stream()
    told = [stream.event(event) for event in events if not stream.ended]
    if not stream.ended:
        told.append(stream.over())
    assert stream.ended and stream.over() == b""
    GRAMMARS[source].stream(b"".join(told), shows_usage=crossing._about.asked.shows_usage)


@every_pair
@few
@given(
    st.lists(st.binary(max_size=30) | JSON.map(lambda value: b"data: " + json.dumps(value).encode() + b"\n\n"), max_size=6),
    st.binary(max_size=30),
)
def test_no_bytes_are_too_odd_for_a_stream_or_an_answer(source, target, events, body):
    crossing = simple(source, target)
    told = carried(crossing.stream(), b"".join(events), 3)
    assert GRAMMARS[source].stream(told, shows_usage=crossing._about.asked.shows_usage).ending == "failed"
    status, _, error = crossing.whole(200, b"application/json", body)
    assert status == 502 and GRAMMARS[source].error(json.loads(error))


@every_pair
@some
@given(st.data())
def test_a_plain_answer_that_is_not_as_it_should_be_is_told_or_an_error(source, target, data):
    crossing = simple(source, target)
    about = About(Asked("m", [], shows_thoughts=True), "served", "req_provider", 1)
    parts = [Thought("hm", "c2ln", wire=target), Text("Hello"), ToolCall("call_1", "look", '{"at":"sea"}')]
    body = SIDES[target].write_reply(Reply("id_1", "served", parts, "tools", Usage(5, output_tokens=3)), about)
    odd = json.dumps(bent(json.loads(body), data)).encode()
    status, _, shown = crossing.whole(200, b"application/json", odd)
    replayed = crossing.replay(odd)
    if status == 200:
        GRAMMARS[source].whole(shown)
        GRAMMARS[source].stream(replayed, shows_usage=crossing._about.asked.shows_usage)
    else:
        assert status == 502 and GRAMMARS[source].error(json.loads(shown)) and replayed is None
