from __future__ import annotations

import json

import pytest

from penstock.upstream.usage import Usage
from penstock.upstream.wires.realtime import WIRE
from penstock.upstream.wires.wire import Verdict


def done(**usage) -> bytes:
    figures = {
        "total_tokens": 253,
        "input_tokens": 132,
        "output_tokens": 121,
        "input_token_details": {
            "text_tokens": 72,
            "audio_tokens": 60,
            "cached_tokens": 64,
            "cached_tokens_details": {"text_tokens": 40, "audio_tokens": 24},
        },
        "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
    }
    return json.dumps({"type": "response.done", "event_id": "event_1", "response": {"id": "resp_1", "usage": figures | usage}}).encode()


CREATED = b'{"type":"response.created","event_id":"event_0","response":{"id":"resp_1","usage":null}}'
ONE = {
    "input_tokens": 32,
    "cache_read_tokens": 40,
    "input_audio_tokens": 36,
    "cache_audio_read_tokens": 24,
    "output_tokens": 30,
    "output_audio_tokens": 91,
}


def test_responses_of_a_session_add_up(ask):
    meter = WIRE.meter(ask())
    for number in (1, 2, 3):
        assert all(meter.event(event) is Verdict.PASS for event in (CREATED, done()))
        assert meter.usage() == (Usage(**{name: value * number for name, value in ONE.items()}, calls=number), False)


def test_a_session_without_a_response_is_a_call(ask):
    assert WIRE.meter(ask()).usage() == (Usage(), False)


def test_a_response_that_was_cut_off_is_estimated_as_speech(ask):
    meter = WIRE.meter(ask())
    meter.skip(10**6, 10)
    meter.event(CREATED)
    meter.skip(32_000, 10)
    assert meter.usage() == (Usage(output_audio_tokens=10), True)
    assert meter.usage() == (Usage(output_audio_tokens=10), True)
    meter.event(done())
    assert meter.usage() == (Usage(**ONE), False)


@pytest.mark.parametrize(
    "event", [b"", b"{", b"null", b'{"type":5}', b'{"type":"response.done","response":null}', b'{"type":"response.done"}']
)
def test_malformed_messages_pass(ask, event):
    meter = WIRE.meter(ask())
    assert meter.event(event) is Verdict.PASS
    assert meter.usage() == (Usage(), False)


def test_a_response_without_usage_counts_for_nothing(ask):
    meter = WIRE.meter(ask())
    meter.event(CREATED)
    meter.event(b'{"type":"response.done","response":{"usage":null}}')
    assert meter.usage() == (Usage(), False)
