"""What every wire must do, whichever it is: a new one is tested by being there."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.kit.errors import CODES, PenstockError
from penstock.kit.sse import split
from penstock.upstream.usage import Usage
from penstock.upstream.wires import ASKED, WIRES, platform_wire, wire_for
from penstock.upstream.wires.platform import PlatformWire
from penstock.upstream.wires.wire import Ask, Cut, Verdict

SPOKEN = WIRES.keys() - set(ASKED)
"""Wires that only providers speak."""
PATHLESS = {"passthrough", "realtime"} | SPOKEN
PLATFORM = {name for name, wire in WIRES.items() if isinstance(wire, PlatformWire)}
"""The platform's own calls: the model is mostly in the path, and errors are in an envelope of its own."""
ADDRESSES = {
    "gemini": "/v1beta/models/gemini-2.5-flash:generateContent",
    "gemini_count": "/v1beta/models/gemini-2.5-flash:countTokens",
    "gemini_embed": "/v1beta/models/gemini-embedding-001:batchEmbedContents",
}
"""Where wires are called that have no paths of their own."""
PARAMS = [pytest.param(wire, id=name) for name, wire in sorted(WIRES.items())]
every_wire = pytest.mark.parametrize("wire", PARAMS)
every_naming_wire = pytest.mark.parametrize("wire", [param for param in PARAMS if param.id not in PLATFORM])
"""Those whose bodies name a model, or whose URLs do."""

MODEL = st.one_of(st.text(max_size=8), st.integers(), st.none(), st.booleans(), st.lists(st.integers(), max_size=2))
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        "model",
        "stream",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "n",
        "best_of",
        "stream_options",
        "input",
        "messages",
        "max_tokens_to_sample",
        "stream_format",
        "prompt",
        "generationConfig",
        "maxOutputTokens",
        "requests",
        "generateContentRequest",
    ]
)
ANSWER_NAMES = st.sampled_from(
    [
        "usage",
        "error",
        "type",
        "response",
        "message",
        "delta",
        "choices",
        "data",
        "service_tier",
        "duration",
        "stop_reason",
        "completion",
        "input_tokens",
        "output_tokens",
        "prompt_tokens",
        "cache_creation",
        "iterations",
        "tool_usage",
        "seconds",
        "output_tokens_details",
        "usageMetadata",
        "candidates",
        "finishReason",
        "groundingMetadata",
        "webSearchQueries",
        "promptTokenCount",
        "candidatesTokenCount",
        "thoughtsTokenCount",
        "cachedContentTokenCount",
        "promptTokensDetails",
        "promptFeedback",
        "blockReason",
        "content",
        "parts",
        "text",
    ]
)
ANSWER = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["error", "message_delta", "response.done", "12", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(ANSWER_NAMES, inner, max_size=4),
    max_leaves=10,
)
EXAMPLES = {
    "chat": b'{"model": "gpt-4o",\n "messages":[{"role":"user","content":"\\"model\\":\\"x\\""}], "temperature":1.0,"stream":false}',
    "completions": b'{"model":"davinci-002","prompt":["a","b"],"logprobs":5}',
    "responses": b'{"model":"gpt-5","input":[{"role":"user","content":"hi"}],"stream":true,"store":false,"reasoning":{"effort":"low"}}',
    "messages": b'{"model":"claude-sonnet-4-5","max_tokens":10,"messages":[],"stream":true,"context_management":{"edits":[]}}',
    "count_tokens": b'{"messages":[],"model":"claude-sonnet-4-5"}',
    "complete": b'{"model":"claude-2.1","prompt":"\\n\\nHuman: hi","max_tokens_to_sample":10}',
    "embeddings": b'{"input":[[1,2],[3]],"model":"text-embedding-3-small","dimensions":5}',
    "images": b'{"prompt":"a cat","model":"gpt-image-2","size":"1024x1024"}',
    "speech": b'{"model":"tts-1","input":"hello","voice":"alloy","speed":1.0}',
    "transcriptions": b'{"model":"whisper-1","file":"AAAA"}',
    "moderations": b'{"model":"omni-moderation-latest","input":"x"}',
    "passthrough": b'{"model":"rerank-1","documents":[]}',
    "realtime": b'{"model":"gpt-realtime"}',
    "gemini": b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":5}}',
    "gemini_count": b'{"contents":[{"parts":[{"text":"hi"}]}]}',
    "workers_chat": b'{"model":"@cf/meta/llama-3","messages":[{"role":"user","content":"hi"}],"stream":false}',
    "workers_embeddings": b'{"model":"@cf/baai/bge-m3","input":["hi"]}',
    "workers_images": b'{"model":"@cf/black-forest-labs/flux-1-schnell","prompt":"a cat"}',
    "flux": b'{"model":"flux-schnell","prompt":"a cat"}',
    "nd": b'{"model":"nd-imagine-v3","prompt":"a cat"}',
    "google_search": b"",
    "serper": b'{"q":"cats"}',
    "azure_speech": b'{"text":"hi","voice":"en-US-AvaNeural"}',
    "azure_voices": b"{}",
    "gemini_embed": b'{"requests":[{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"hi"}]}}]}',
}


def sane(usage: Usage, estimated: bool) -> None:
    for name, value in zip(Usage.__struct_fields__, msgspec.structs.astuple(usage), strict=True):
        if name == "service_tier":
            assert value is None or isinstance(value, str)
        else:
            assert type(value) is int
            assert 0 <= value < 10**15, name
    assert usage.reasoning_tokens <= usage.output_tokens
    assert type(estimated) is bool


def ask_of(wire, body: bytes) -> Ask:
    """What is asked for by a body that was posted where the wire is called."""
    return wire.peek_at(ADDRESSES[wire.name], b"", body) if wire.addressed else wire.peek(body)


def peeked(wire, body: bytes) -> Ask | None:
    """The ask, if the body is not refused in one of the two ways it may be."""
    try:
        ask = ask_of(wire, body)
    except PenstockError as error:
        assert error.code in ("invalid_json", "missing_model")  # noqa: PT017  either way is right
        return None
    assert ask.model is None or (ask.model.strip() and ask.model.isprintable())
    assert type(ask.stream) is bool
    assert ask.output_cap is None or 0 <= ask.output_cap <= 10**9 * 128
    assert 0 <= ask.input_size <= len(body)
    return ask


def test_there_are_wires_and_their_paths_are_their_own():
    assert WIRES.keys() > PATHLESS
    paths = [path for wire in WIRES.values() for path in wire.paths]
    assert len(paths) == len(set(paths))
    assert EXAMPLES.keys() == WIRES.keys(), "every wire has an example here"


@every_wire
def test_what_a_wire_states(wire):
    assert WIRES[wire.name] is wire
    assert re.fullmatch(r"[a-z_]+", wire.name)
    assert bool(wire.paths) != (wire.name in PATHLESS or wire.addressed)
    assert wire.addressed == (wire.name in ADDRESSES)
    assert type(wire.accepts_forms) is bool
    for path in wire.paths:
        if wire.name in PLATFORM:
            assert re.fullmatch(r"/api/v1(/[a-z0-9-]+)+", path)
            assert any(platform_wire(method, path) is wire for method in ("GET", "POST")) and platform_wire("PUT", path) is None
            continue
        assert re.fullmatch(r"(/[a-z0-9_]+)+", path)
        assert wire_for("POST", path) is wire
        assert wire_for("GET", path) is WIRES["passthrough"]
        assert wire_for("POST", path + "/x") is WIRES["passthrough"] or path + "/x" in WIRES
    assert all(mark and b"\n" not in mark for mark in wire.meter(Ask()).marks)


@every_wire
def test_the_dialect_writes_errors_of_all_kinds(wire):
    for code in CODES:
        error = PenstockError(code, "Words.", param="x", retry_after_s=1)
        told = json.loads(wire.dialect.error(error, "req_1"))
        assert (told if wire.name in PLATFORM else told["error"])["message"] == "Words."
        events = wire.dialect.stream_error(error, "req_1")
        assert b"Words." in events
        assert events.endswith(b"\n\n")
        assert len(split(events)) >= 1
    assert wire.dialect.keep_alive.endswith(b"\n\n")


@every_naming_wire
def test_an_example_passes_unchanged_and_is_renamed_in_place(wire):
    body = EXAMPLES[wire.name]
    ask = ask_of(wire, body)
    assert ask.model is not None
    assert wire.prepare(body, ask, None) is body
    assert wire.prepare(body, ask, ask.model) is body
    renamed = wire.prepare(body, ask, "new-model")
    if wire.addressed:
        path = wire.renamed_path(ADDRESSES[wire.name], "new-model")
        assert wire.claims(path)
        assert renamed == body.replace(b"models/%b" % ask.model.encode(), b"models/new-model")
        assert wire.peek_at(path, b"", renamed).model == "new-model"
        return
    assert wire.renamed_path("/v1/x", "new-model") == "/v1/x"
    assert renamed == body.replace(b'"%b"' % ask.model.encode(), b'"new-model"', 1)
    assert wire.peek(renamed).model == "new-model"


@every_wire
def test_where_an_addressed_wire_is_called(wire):
    path = ADDRESSES.get(wire.name)
    if path is None:
        assert not wire.claims("/v1beta/models/m:generateContent")
        return
    assert wire_for("POST", path) is wire
    assert wire_for("GET", path) is WIRES["passthrough"]
    assert [other.name for other in WIRES.values() if other.claims(path)] == [wire.name]
    assert not wire.claims(path + "/x")
    assert not wire.claims("/v1beta/models")


@every_wire
@settings(deadline=None, max_examples=50)
@given(body=st.binary(max_size=60))
def test_any_bytes_for_a_body(wire, body):
    ask = peeked(wire, body)
    if ask is not None:
        assert wire.prepare(body, ask, None) == body or ask.hides_usage


@every_naming_wire
@settings(deadline=None, max_examples=50)
@given(fields=st.dictionaries(NAMES, VALUE, max_size=6), model=MODEL)
def test_any_json_for_a_body(wire, fields, model):
    body = json.dumps(fields | {"model": model}).encode()
    ask = peeked(wire, body)
    if ask is None or ask.model is None:
        return
    after = json.loads(wire.prepare(body, ask, "renamed"), parse_constant=str)
    before = json.loads(body, parse_constant=str)
    assert after.pop("model") == ("models/renamed" if wire.addressed else "renamed")
    assert before.pop("model") == ask.model or wire.addressed
    if ask.hides_usage:
        assert after.pop("stream_options")["include_usage"] is True
        before.pop("stream_options", None)
    assert after == before


@every_wire
@settings(deadline=None, max_examples=50)
@given(
    fields=st.dictionaries(st.sampled_from(["model", "n", "stream", "input", "prompt"]), st.text(max_size=8)), size=st.integers(0, 10**9)
)
def test_any_form(wire, fields, size):
    try:
        ask = wire.peek_form(fields, size)
    except PenstockError as error:
        assert error.code in ("invalid_json", "missing_model")  # noqa: PT017  either way is right
        return
    assert wire.accepts_forms or wire.name in PATHLESS
    assert ask.input_size >= 0


@every_wire
@settings(deadline=None, max_examples=50)
@given(
    event=st.one_of(st.binary(max_size=80), st.binary(max_size=40).map(lambda data: b"data: " + data), st.just(b"data: " + b"[" * 20_000))
)
def test_any_bytes_for_an_event(wire, event):
    meter = wire.meter(Ask(model="m", stream=True, input_size=10))
    assert meter.event(event) in Verdict
    meter.skip(len(event), 1)
    sane(*meter.usage())
    sane(*wire.read(event, Ask(model="m")))


@every_wire
@settings(deadline=None, max_examples=50)
@given(answers=st.lists(st.dictionaries(ANSWER_NAMES, ANSWER, max_size=4), max_size=3), hides=st.booleans(), cut=st.integers(0, 50))
def test_any_json_for_answers_and_events(wire, answers, hides, cut):
    ask = Ask(model="m", stream=True, input_size=10, hides_usage=hides, quantity=Usage(images=1))
    meter = wire.meter(ask)
    for answer in answers:
        text = json.dumps(answer).encode()
        for form in (text, text[cut:], text[:-1]):
            usage, estimated = wire.read(form, ask)
            sane(usage, estimated)
        for event in (b"data: " + text, text, b"event: x\r\ndata: " + text[:cut] + text[-cut:]):
            assert meter.event(event) in Verdict
            meter.skip(100, 1)
    first = meter.usage()
    sane(*first)
    assert meter.usage() == first


@every_wire
@settings(deadline=None, max_examples=50)
@given(
    seen=st.tuples(st.binary(max_size=60), st.binary(max_size=60)),
    body=st.binary(max_size=30),
    answer=st.dictionaries(ANSWER_NAMES, ANSWER),
)
def test_a_stream_of_any_bytes_can_be_cut_short(wire, seen, body, answer):
    error = PenstockError("insufficient_funds", "Words.")
    for last in (seen[1], b"data: " + json.dumps(answer).encode() + b"\n\n"):
        end = wire.cut_short(error, Cut(Ask(model="m"), body, "req_1", seen[0], last, Usage(output_tokens=5)))
        assert b"insufficient_funds" in end or b"insufficient_quota" in end or b"billing_error" in end or b"insufficient_balance" in end
        assert end.endswith(b"\n\n") or wire.name == "realtime"


@every_wire
def test_a_meter_that_saw_nothing(wire):
    sane(*wire.meter(ask_of(wire, EXAMPLES[wire.name])).usage())


@every_wire
def test_asks_are_not_shared_between_answers(wire):
    ask = ask_of(wire, EXAMPLES[wire.name])
    before = msgspec.structs.replace(ask, quantity=msgspec.structs.replace(ask.quantity) if ask.quantity is not None else None)
    for body in (b"", b"{}", b'{"usage":{"input_tokens":5,"output_tokens":6}}'):
        wire.read(body, ask)[0].input_tokens += 1
        meter = wire.meter(ask)
        meter.event(b"data: " + body)
        meter.usage()
    assert ask == before
