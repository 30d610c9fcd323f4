"""Endings: streams that are cut short end as if a bound on the output had been reached, and say why where nobody stumbles over it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_answers import chat_events, messages_events, responses_events
from penstock.kit.errors import PenstockError
from penstock.kit.sse import event_name, payload, split
from penstock.upstream.usage import Usage
from penstock.upstream.wires import WIRES
from penstock.upstream.wires.wire import Ask, Cut, Verdict

WHY = PenstockError("insufficient_funds", 'It is "over" \ud83d.')
WORDS = 'It is "over" ?.'
USED = Usage(input_tokens=15, cache_read_tokens=4, output_tokens=7, reasoning_tokens=2)


def cut_of(events: list[bytes], shown: int, *, request: bytes = b"{}", hides_usage: bool = True) -> Cut:
    """A stream of which so many events were shown."""
    return Cut(Ask(model="m", stream=True, hides_usage=hides_usage), request, "req_1", events[0], b"".join(events[1:shown]), USED)


def ends(wire: str, cut: Cut) -> list[tuple[bytes, Any]]:
    """The names and contents of the last events."""
    events = split(WIRES[wire].cut_short(WHY, cut))
    assert all(event.endswith(b"\n\n") for event in events)
    data = [payload(event.rstrip()) for event in events]
    return [(event_name(event), one.decode() if one == b"[DONE]" else json.loads(one)) for event, one in zip(events, data, strict=True)]


# chat


def test_a_chat_ends_with_a_chunk_like_its_others():
    first, done = ends("chat", cut_of(chat_events(10), 5))
    reason = {"message": WORDS, "type": "insufficient_quota", "param": None, "code": "insufficient_funds"}
    assert first == (
        b"",
        {
            "id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "gpt-4o-2024-08-06",
            "choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length", "error": reason}],
        },
    )  # fmt: skip
    assert done == (b"", "[DONE]")


def test_a_client_that_asked_for_usage_gets_it():
    _, (_, used), _ = ends("chat", cut_of(chat_events(10), 5, hides_usage=False))
    assert used["choices"] == [] and used["id"] == "chatcmpl-fake"
    assert used["usage"] == {
        "prompt_tokens": 19, "completion_tokens": 7, "total_tokens": 26, "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }  # fmt: skip


@pytest.mark.parametrize(("request_", "choices"), [(b'{"n":3}', 3), (b'{"n":null}', 1), (b'{"n":"x"}', 1), (b"rubbish", 1), (b"[]", 1)])
def test_every_choice_is_ended(request_, choices):
    (_, chunk), _ = ends("chat", cut_of(chat_events(10), 5, request=request_))
    assert [choice["index"] for choice in chunk["choices"]] == list(range(choices))
    assert {choice["finish_reason"] for choice in chunk["choices"]} == {"length"}


def test_an_old_completion_has_text_instead_of_a_delta():
    (_, chunk), done = ends("completions", cut_of([b'data: {"id":"cmpl-1","object":"text_completion","choices":[]}\n\n'], 1))
    assert (chunk["id"], chunk["object"], chunk["choices"][0]["text"]) == ("cmpl-1", "text_completion", "")
    assert "delta" not in chunk["choices"][0] and done[1] == "[DONE]"


@pytest.mark.parametrize("last", [b"", b"data: rubbish\n\n", b": ping\n\n", b"data: [1]\n\n"])
def test_a_chat_whose_last_event_says_nothing_is_ended_like_its_first(last):
    events = chat_events(3)
    (_, chunk), _ = ends("chat", Cut(Ask(hides_usage=True), b"{}", "req_1", events[0], last, USED))
    assert chunk["id"] == "chatcmpl-fake"


def test_a_chat_of_which_nothing_is_known_is_ended_all_the_same():
    (_, chunk), _ = ends("chat", Cut(Ask(hides_usage=True), b"{}", "req_1", b"", b"", USED))
    assert chunk["choices"][0]["finish_reason"] == "length"


# messages


def test_a_message_ends_with_its_block_its_reason_and_its_stop():
    events = messages_events(10)
    found = ends("messages", cut_of(events, 6))
    assert [name for name, _ in found] == [b"content_block_stop", b"message_delta", b"message_stop"]
    assert [one["type"].encode() for _, one in found] == [name for name, _ in found]
    assert found[0][1]["index"] == 0
    assert found[1][1]["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}
    assert found[1][1]["usage"] == {"output_tokens": 7}
    assert found[1][1]["error"] == {"type": "billing_error", "code": "insufficient_funds", "message": WORDS}


def test_between_two_blocks_none_is_ended():
    events = messages_events(10)
    stop = next(at for at, event in enumerate(events) if b"content_block_stop" in event)
    assert [name for name, _ in ends("messages", cut_of(events, stop + 1))] == [b"message_delta", b"message_stop"]
    assert [name for name, _ in ends("messages", cut_of(events, 1))] == [b"message_delta", b"message_stop"]


def test_the_block_that_is_open_is_the_last_one():
    later = b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 12, "delta": {"text": "\\"index\\": 3"}}\n\n'
    ping = b'event: ping\ndata: {"type":"ping"}\n\n'
    cut = Cut(Ask(), b"", "req_1", b"", messages_events(3)[1] + later + ping, USED)
    assert ends("messages", cut)[0][1]["index"] == 12


def test_an_old_completion_of_anthropics_ends_with_a_piece():
    cut = cut_of([b'event: completion\ndata: {"type":"completion","id":"compl_1","completion":"Hi","stop_reason":null,"model":"m"}\n\n'], 1)
    [(name, piece)] = ends("complete", cut)
    assert (name, piece["stop_reason"], piece["completion"]) == (b"completion", "max_tokens", "")
    assert (piece["id"], piece["model"]) == ("compl_1", "m")
    assert piece["error"]["code"] == "insufficient_funds"


# responses


def test_a_response_is_incomplete_and_otherwise_what_it_was():
    events = responses_events(10)
    [(name, end)] = ends("responses", cut_of(events, 8))
    created = json.loads(payload(events[0].rstrip()))["response"]
    assert name == b"response.incomplete" == end["type"].encode()
    assert end["sequence_number"] == 8
    response = end["response"]
    assert (response["id"], response["model"], response["tools"]) == (created["id"], created["model"], [])
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert response["error"] == {"code": "insufficient_funds", "message": WORDS}
    assert (response["usage"]["input_tokens"], response["usage"]["output_tokens"], response["usage"]["total_tokens"]) == (19, 7, 26)


def test_of_a_first_event_that_was_too_long_the_id_is_known():
    first = responses_events(3)[0][:120]
    [(_, end)] = ends("responses", Cut(Ask(), b"", "req_1", first, b"", USED))
    assert (end["response"]["id"], end["response"]["output"], end["sequence_number"]) == ("resp_fake", [], 0)


def test_of_no_first_event_the_id_is_ours():
    [(_, end)] = ends("responses", Cut(Ask(), b"", "req_1", b"", b"", USED))
    assert end["response"]["id"] == "resp_1"


# realtime, and the others


def test_a_session_is_told_in_a_message():
    message = json.loads(WIRES["realtime"].cut_short(WHY, cut_of([b""], 1)))
    assert (message["type"], message["error"]["code"], message["error"]["message"]) == ("error", "insufficient_funds", WORDS)


@pytest.mark.parametrize("wire", ["images", "speech", "transcriptions", "passthrough"])
def test_what_knows_no_bound_on_its_output_ends_with_an_error(wire):
    [(_, end)] = ends(wire, cut_of([b"data: {}\n\n"], 1))
    assert end["error"]["code"] == "insufficient_funds"


@pytest.mark.parametrize(("wire", "make"), [("chat", chat_events), ("messages", messages_events), ("responses", responses_events)])
def test_another_gateway_in_front_understands_it(wire, make):
    events = make(9)
    meter = WIRES[wire].meter(Ask(model="m", stream=True))
    verdicts = [meter.event(event.rstrip()) for event in split(WIRES[wire].cut_short(WHY, cut_of(events, 6, hides_usage=False)))]
    assert verdicts[-1] is Verdict.LAST and Verdict.LAST not in verdicts[:-1]
    usage, estimated = meter.usage()
    assert (usage.output_tokens, estimated) == (7, False)
