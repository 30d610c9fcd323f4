"""Words: OpenTelemetry's for ours, and what an answer's beginning and end give away, which is never content."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_answers import chat_answer, chat_events, messages_events, responses_events
from penstock.telemetry.words import OPERATIONS, PROVIDERS, answered, carried, operation, provider, shown
from penstock.upstream.providers import PROVIDERS as OURS
from penstock.upstream.wires import WIRES

ID, MODEL, REASONS = "gen_ai.response.id", "gen_ai.response.model", "gen_ai.response.finish_reasons"


def test_every_word_is_for_something_of_ours():
    assert OPERATIONS.keys() <= WIRES.keys()
    assert PROVIDERS.keys() <= OURS.keys()
    assert (operation("chat"), operation("speech"), provider("gemini"), provider("openai")) == ("chat", "speech", "gcp.gemini", "openai")


@pytest.mark.parametrize(("opening", "closing", "found"), [
    (json.dumps(chat_answer()).encode(), None, {ID: "chatcmpl-fake", MODEL: "gpt-4o-2024-08-06", REASONS: ["stop"]}),
    (chat_events()[0], b"data: [DONE]\n\n", {ID: "chatcmpl-fake", MODEL: "gpt-4o-2024-08-06"}),
    (messages_events()[0], b"".join(messages_events()[-2:]), {ID: "msg_fake", MODEL: "claude-sonnet-4-5", REASONS: ["end_turn"]}),
    (responses_events()[0], responses_events()[-1], {ID: "resp_fake", MODEL: "gpt-4o-2024-08-06", REASONS: ["completed"]}),
    (
        b'{"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason":"STOP"}],"modelVersion": "gemini-2.5","responseId":"abc"}',
        None,
        {ID: "abc", MODEL: "gemini-2.5", REASONS: ["STOP"]},
    ),
    (b"", b"", {}),
])  # fmt: skip
def test_what_an_answer_gives_away(opening, closing, found):
    assert answered(opening, opening if closing is None else closing) == found


@pytest.mark.parametrize("body", [
    b'{"content":[{"type":"tool_use","input":{"id":"secret","model":"secret","stop_reason":"secret"}}]}',
    b'{"choices":[{"message":{"tool_calls":[{"id":"secret"}]}}]}',
    b'{"metadata":{"id":"secret","model":"secret"}}',
    b'{"instructions":"secret","id":"a \\"secret"}',
])  # fmt: skip
def test_content_is_never_given_away(body):
    assert "secret" not in str(answered(body, body))


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_anything_can_be_looked_at(opening, closing):
    assert answered(opening, closing).keys() <= {ID, MODEL, REASONS}


def test_an_empty_list_of_instructions_hides_nothing():
    assert answered(b'{"id":"a","instructions": null,"model":"m"}', b"")[MODEL] == "m"


def test_what_is_carried():
    assert carried(b"traceparent: a\r\ntracestate: b=1 \r\n") == {"traceparent": "a", "tracestate": "b=1"}
    assert carried(b"") == {}


def test_names_are_bounded_and_without_keys():
    assert shown("x" * 1000) == "x" * 256
    assert shown("sk-1234567890123456789012") == "[redacted]"
    assert shown("a\ud800") == "a?"
