"""Gemini's own protocol, metered."""

from __future__ import annotations

import json

import pytest
from google.genai import types

from penstock.kit.errors import PenstockError
from penstock.kit.sse import payload
from penstock.upstream.usage import Usage
from penstock.upstream.wires.gemini import WIRE
from penstock.upstream.wires.wire import Ask, Cut, Verdict

PATH = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"


def chunk(text: str, prompt: int = 10, written: int | None = None, finish: str | None = None, index: int = 0, **more: object) -> dict:
    candidate: dict = {"content": {"parts": [{"text": text}], "role": "model"}, "index": index}
    if finish:
        candidate["finishReason"] = finish
    usage = {"promptTokenCount": prompt, "totalTokenCount": prompt + (written or 0)} | (
        {} if written is None else {"candidatesTokenCount": written}
    )
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"} | more


@pytest.mark.parametrize(
    ("config", "cap"),
    [
        ({"maxOutputTokens": 7}, 7),
        ({"maxOutputTokens": 7, "candidateCount": 3}, 21),
        ({"max_output_tokens": 7, "candidate_count": 2}, 14),
        ({"maxOutputTokens": None}, None),
        ({}, None),
    ],
)
def test_what_is_asked(config, cap):
    for name in ("generationConfig", "generation_config"):
        body = json.dumps({"contents": [], name: config}).encode()
        assert WIRE.peek_at(PATH, b"alt=sse", body) == Ask("gemini-2.5-flash", True, cap, len(body))
        assert not WIRE.peek_at(PATH.replace("streamG", "g"), b"", body).stream


@pytest.mark.parametrize("body", [b"", b"[]", b'{"generationConfig":"x"}', b"{"])
def test_bodies_that_cannot_be_read(body):
    with pytest.raises(PenstockError) as caught:
        WIRE.peek_at(PATH, b"", body)
    assert caught.value.code == "invalid_json"


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_usage_is_the_last_and_not_the_sum(stream, sse, compact, newline):
    data = sse(
        chunk("Hel", written=1),
        chunk("lo", written=2),
        chunk("!", written=3),
        chunk("", written=4, finish="STOP"),
        compact=compact,
        newline=newline,
    )
    found = stream(WIRE.meter(Ask("m", True)), data)
    assert (found.usage, found.estimated) == (Usage(input_tokens=10, output_tokens=4), False)
    assert b"finishReason" in found.held
    assert b"finishReason" not in found.shown


def test_a_stream_that_breaks_off_has_the_figures_so_far(stream, sse):
    found = stream(WIRE.meter(Ask("m", True)), sse(chunk("Hel", written=1), chunk("lo " * 50), chunk("x" * 400, written=150)))
    assert found.estimated
    assert (found.usage.input_tokens, found.usage.output_tokens) == (10, 150)
    assert found.held == b""


def test_every_candidate_must_end(stream, sse):
    data = sse(chunk("a"), chunk("b", index=1), chunk("", finish="STOP"), chunk("", written=9, finish="STOP", index=1))
    found = stream(WIRE.meter(Ask("m", True)), data)
    assert (found.usage.output_tokens, found.estimated) == (9, False)
    assert found.held.count(b"finishReason") == 1


def test_a_blocked_prompt_is_an_end(stream, sse):
    data = sse({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 8, "totalTokenCount": 8}})
    found = stream(WIRE.meter(Ask("m", True)), data)
    assert (found.usage, found.estimated) == (Usage(input_tokens=8), False)
    assert found.held


def test_an_error_costs_what_was_used(stream, sse):
    error = {"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}}
    found = stream(WIRE.meter(Ask("m", True, input_size=40)), sse(error))
    assert (found.usage, found.estimated) == (Usage(calls=0), False)
    found = stream(WIRE.meter(Ask("m", True, input_size=40)), sse(chunk("Hel", written=1), error))
    assert (found.usage, found.estimated) == (Usage(input_tokens=10, output_tokens=1), True)


def test_searches_and_thoughts(stream, sse):
    last = chunk("", written=4, finish="STOP")
    last["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["a", "b"]}
    last["usageMetadata"]["thoughtsTokenCount"] = 6
    found = stream(WIRE.meter(Ask("gemini-3-pro", True)), sse(chunk("x"), last))
    assert found.usage == Usage(input_tokens=10, output_tokens=10, reasoning_tokens=6, web_searches=2)
    assert WIRE.read(json.dumps(last).encode(), Ask("gemini-3-pro"))[0] == found.usage


def test_the_end_of_a_long_event_is_enough():
    whole = json.dumps(
        chunk("", written=1290, finish="STOP")
        | {"candidates": [{"content": {"parts": [{"inlineData": {"data": "A" * 9000}}]}, "finishReason": "STOP"}]}
    )
    # As providers order them: the usage follows the candidates.
    event = b"data: " + whole.encode()
    meter = WIRE.meter(Ask("m", True))
    assert meter.event(event[:1024]) is Verdict.PASS
    meter.event(event[:1024] + event[-1000:])
    usage, estimated = meter.usage()
    assert (usage.output_tokens, estimated) == (1290, False)


@pytest.mark.parametrize("cut", [0, 10, 400])
def test_a_list_of_chunks_is_read_from_its_end(cut):
    body = json.dumps([chunk("x" * 300, written=1), chunk("y" * 300, written=2), chunk("", written=3, finish="STOP")], indent=1).encode()
    assert WIRE.read(body[cut:], Ask("m")) == (Usage(input_tokens=10, output_tokens=3), False)


def test_plain_answers():
    assert WIRE.read(json.dumps(chunk("x", written=3)).encode(), Ask("m")) == (Usage(input_tokens=10, output_tokens=3), False)
    assert WIRE.read(b'{"error":{"code":400}}', Ask("m")) == (Usage(calls=0), False)
    usage, estimated = WIRE.read(b"x" * 800, Ask("m", input_size=40))
    assert (usage, estimated) == (Usage(input_tokens=10, output_tokens=100), True)


def test_cut_short_it_ends_as_if_at_a_bound():
    shown = b"data: " + json.dumps(chunk("Hel", written=1)).encode() + b"\n\n"
    error = PenstockError("insufficient_funds", "No more money.")
    end = WIRE.cut_short(error, Cut(Ask("m"), b"{}", "req_1", shown, shown, Usage(input_tokens=10, output_tokens=5)))
    found = types.GenerateContentResponse.model_validate_json(payload(end.rstrip()))
    assert found.candidates is not None
    assert found.candidates[0].finish_reason is types.FinishReason.MAX_TOKENS
    assert found.candidates[0].finish_message == "insufficient_funds: No more money."
    assert (found.model_version, found.response_id) == ("m", "r")
    assert found.usage_metadata is not None
    assert (found.usage_metadata.prompt_token_count, found.usage_metadata.candidates_token_count) == (10, 5)
