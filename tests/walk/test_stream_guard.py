"""The stream guard over real sockets: where the money ends the stream does, in good order, and the SDKs take it for what it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from anthropic import Anthropic, APIStatusError
from openai import APIStatusError as OpenAIError
from openai import LengthFinishReasonError, OpenAI
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from fake_answers import chat_chunk, chunk, messages_events, stream_head
from fake_provider import hang
from live_gateway import LiveGateway
from member import Member, join
from penstock.catalog.demo import DEMO
from penstock.kit.sse import payload, split
from penstock.upstream.usage import Usage
from raw_client import RawClient, bearer, chat, request

TALK: Any = [{"role": "user", "content": "Tell me everything."}]
LONG = "demo-n400d1"
"""A model that says 400 tokens, a thousand in a second."""
TOKENS = 100
"""What there is money for."""


def costs(output: int, input_: int = 40) -> int:
    return DEMO.cost(Usage(input_tokens=input_, output_tokens=output))


@pytest.fixture(scope="module")
def bank_gateway(make_gateway: Callable[..., LiveGateway]) -> LiveGateway:
    """A gateway with the demo provider that takes small sums on lease."""
    return make_gateway(demo=True, lease_least_nano=1000, funds_wait_s=0.3, default_output_tokens=100)


@pytest.fixture
def poor(bank_gateway: LiveGateway) -> Iterator[Member]:
    """A member with money for a hundred tokens, who ends with none, and whose books agree."""
    member = join(bank_gateway, paid_nano=costs(TOKENS))
    yield member
    bank_gateway.check_quiet()
    (row,) = member.charges()
    assert (row["outcome"], row["status"], row["streamed"], row["estimated"]) == ("out_of_funds", 200, 1, 1)
    assert row["output_tokens"] >= TOKENS - 40
    # The event that used up the last of it is paid for as well, and no other.
    assert -costs(2, 0) <= member.left() <= 0
    bank_gateway.run(member.bank.check())


def openai(member: Member) -> OpenAI:
    return OpenAI(api_key=member.token, base_url=f"{member.gateway.url}/v1", max_retries=0)


def anthropic(member: Member) -> Anthropic:
    return Anthropic(api_key=member.token, base_url=member.gateway.url, max_retries=0)


# what the SDKs get


def test_a_chat(poor):
    with openai(poor).chat.completions.create(model=LONG, messages=TALK, stream=True) as stream:
        chunks = list(stream)
    *before, last = chunks
    assert last.choices[0].finish_reason == "length"
    assert last.choices[0].error["code"] == "insufficient_funds"
    assert {(one.id, one.model, one.created, one.object) for one in before} == {(last.id, last.model, last.created, last.object)}
    assert not any(one.choices[0].finish_reason for one in before)
    with pytest.raises(OpenAIError) as refused:
        openai(poor).chat.completions.create(model=LONG, messages=TALK)
    assert (refused.value.status_code, refused.value.code) == (402, "insufficient_funds")


def test_a_chat_that_shows_usage_and_has_two_choices(poor):
    options: Any = {"include_usage": True}
    with openai(poor).chat.completions.create(model=LONG, messages=TALK, stream=True, n=2, stream_options=options) as stream:
        *_, last, used = list(stream)
    assert [(choice.index, choice.finish_reason) for choice in last.choices] == [(0, "length"), (1, "length")]
    (row,) = poor.charges()
    assert not used.choices and used.usage.completion_tokens == row["output_tokens"]
    assert used.usage.prompt_tokens == row["input_tokens"]


def test_a_chat_by_the_helper(poor):
    with openai(poor).chat.completions.stream(model=LONG, messages=TALK) as stream:
        for _ in stream:
            pass
        with pytest.raises(LengthFinishReasonError) as short:  # as for every answer that reached its bound
            stream.get_final_completion()
    said = short.value.completion.choices[0].message.content
    assert len(said) > 100


def test_a_completion(poor):
    with openai(poor).completions.create(model=LONG, prompt="Tell me everything.", stream=True) as stream:
        *_, last = list(stream)
    assert (last.object, last.choices[0].finish_reason, last.choices[0].text) == ("text_completion", "length", "")


def test_a_response(poor):
    with openai(poor).responses.create(model=LONG, input="Tell me everything.", stream=True) as stream:
        events = list(stream)
    created, *_, last = events
    assert last.type == "response.incomplete"
    assert (last.response.id, last.response.model) == (created.response.id, created.response.model)
    assert (last.response.status, last.response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert last.response.error.code == "insufficient_funds"
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_a_response_by_the_helper(poor):
    with openai(poor).responses.stream(model=LONG, input="Tell me everything.") as stream:
        kinds = [event.type for event in stream]
    assert kinds[-1] == "response.incomplete" and kinds.count("response.output_text.delta") >= TOKENS - 40


def test_a_message(poor):
    with anthropic(poor).messages.create(model=LONG, messages=TALK, max_tokens=4000, stream=True) as stream:
        events = list(stream)
    assert [event.type for event in events[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert events[-2].delta.stop_reason == "max_tokens"
    assert events[-2].error["code"] == "insufficient_funds"
    with pytest.raises(APIStatusError) as refused:
        anthropic(poor).messages.create(model=LONG, messages=TALK, max_tokens=4000)
    assert refused.value.status_code == 402


def test_a_message_by_the_helper(poor):
    with anthropic(poor).messages.stream(model=LONG, messages=TALK, max_tokens=4000) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert message.stop_reason == "max_tokens"
    assert message.content[0].text == text and len(text) > 100
    assert message.usage.output_tokens == poor.charges()[0]["output_tokens"]


def test_an_old_completion_of_anthropics(poor):
    body = json.dumps({"model": LONG, "prompt": "\n\nHuman: Hello.\n\nAssistant:", "max_tokens_to_sample": 4000, "stream": True}).encode()
    with RawClient(poor.gateway.port) as client:
        answer = client.ask(request("POST /v1/complete", f"x-api-key: {poor.token}", "content-type: application/json", body=body))
    last = json.loads(payload(split(answer.body)[-1].rstrip()))
    assert (last["type"], last["stop_reason"], last["error"]["code"]) == ("completion", "max_tokens", "insufficient_funds")


def test_a_tool_call(bank_gateway):
    place = {"type": "object", "properties": {f"field{number}": {"type": "string"} for number in range(60)}}
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": place}}
    asked = {"model": "demo-tool-d1", "messages": TALK, "tools": [tool], "stream": True}
    member = join(bank_gateway, paid_nano=costs(TOKENS, len(json.dumps(asked)) // 4))
    with openai(member).chat.completions.create(model="demo-tool-d1", messages=TALK, tools=[tool], stream=True) as stream:
        *_, last = list(stream)
    assert last.choices[0].finish_reason == "length"
    (row,) = member.charges()
    assert row["outcome"] == "out_of_funds" and 50 < row["output_tokens"] < 150


# money


def test_money_beyond_the_lease_is_fetched_while_the_stream_runs(bank_gateway):
    """Nothing is on lease but what the hold took; the stream is told to be patient and then goes on."""
    member = join(bank_gateway, paid_nano=costs(20_000))
    with openai(member).chat.completions.create(model="demo-n9000", messages=TALK, stream=True, max_tokens=None) as stream:
        *_, last = list(stream)
    assert last.choices[0].finish_reason == "stop"
    (row,) = member.charges()
    assert (row["outcome"], row["output_tokens"], row["estimated"]) == ("complete", 9000, 0)
    assert member.left() == costs(20_000) - row["cost_nano"]


def test_an_answer_within_the_callers_own_bound_is_never_cut(bank_gateway):
    """The hold is for that bound, whatever the estimate says while the stream runs."""
    asked = {"model": "demo-n60", "messages": TALK, "stream": True, "max_tokens": 60}
    body = json.dumps(asked).encode()
    member = join(bank_gateway, paid_nano=DEMO.at_most(len(body) // 4, 60))
    with RawClient(bank_gateway.port) as client:
        answer = client.ask(request("POST /v1/chat/completions", bearer(member.token), "content-type: application/json", body=body))
    assert b'"finish_reason":"length"' not in answer.body or b"insufficient" not in answer.body
    (row,) = member.charges()
    assert (row["outcome"], row["output_tokens"], row["estimated"]) == ("complete", 60, 0)


def test_a_cap_of_the_key_ends_it_in_its_own_words(bank_gateway):
    member = join(bank_gateway, paid_nano=costs(100_000), limits={"day_nano": costs(TOKENS)})
    with openai(member).chat.completions.create(model=LONG, messages=TALK, stream=True, max_tokens=4000) as stream:
        *_, last = list(stream)
    assert last.choices[0].error["code"] == "budget_exceeded"
    (row,) = member.charges()
    assert row["outcome"] == "out_of_funds" and row["cost_nano"] <= costs(TOKENS + 2)


def test_who_pays_nothing_is_not_watched(bank_gateway):
    client = OpenAI(api_key=bank_gateway.key, base_url=f"{bank_gateway.url}/v1", max_retries=0)
    with client.chat.completions.create(model="demo-n9000", messages=TALK, stream=True) as stream:
        *_, last = list(stream)
    assert last.choices[0].finish_reason == "stop"


def test_many_streams_share_what_there_is(bank_gateway):
    member = join(bank_gateway, paid_nano=costs(2_000))

    def one(_: int) -> str:
        with RawClient(bank_gateway.port) as client:
            answer = client.ask(chat(member.token, model=LONG, stream=True))
        return "refused" if answer.status == 402 else "short" if b"insufficient_funds" in answer.body else "whole"

    with ThreadPoolExecutor(10) as pool:
        ends = list(pool.map(one, range(10)))
    assert "short" in ends
    bank_gateway.check_quiet()
    assert -10 * costs(2, 0) <= member.left() < costs(TOKENS), "who was served to the end gives the rest of its hold back"
    bank_gateway.run(member.bank.check())


# the provider


def test_the_provider_is_hung_up_on(make_vendor_gateway, vendor, until_hung_up):
    gateway = make_vendor_gateway(funds_wait_s=0.2)
    price = gateway.plane.catalog.price("openai", "gpt-4o", "gpt-4o")
    member = join(gateway, paid_nano=price.cost(Usage(input_tokens=40, output_tokens=20)))
    vendor.script(stream_head(), *[chunk(chat_chunk({"content": f" word{number}"})) for number in range(100)], hang)
    with RawClient(gateway.port) as client:
        answer = client.ask(chat(member.token, model="gpt-4o", stream=True))
    until_hung_up()
    *shown, last, done = split(answer.body)
    assert done == b"data: [DONE]\n\n" and json.loads(payload(last.rstrip()))["choices"][0]["finish_reason"] == "length"
    (row,) = member.charges()
    assert row["output_tokens"] == len(shown) and -price.cost(Usage(output_tokens=2)) <= member.left() <= 0


def test_input_that_costs_more_than_was_thought_ends_it_at_once(make_vendor_gateway, vendor, until_hung_up):
    """The cache is written at a price of its own, which only the provider knows of."""
    gateway = make_vendor_gateway(funds_wait_s=0.2)
    price = gateway.plane.catalog.price("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5")
    member = join(gateway, paid_nano=price.cost(Usage(input_tokens=40, output_tokens=20)))
    first, *rest = messages_events(50)
    first = first.replace(b'"cache_creation_input_tokens":0', b'"cache_creation_input_tokens":5000')
    vendor.script(stream_head(), *map(chunk, [first, *rest[:-3]]), hang)
    body = json.dumps({"model": "claude-sonnet-4-5", "max_tokens": 500, "messages": TALK, "stream": True}).encode()
    with RawClient(gateway.port) as client:
        answer = client.ask(request("POST /v1/messages", f"x-api-key: {member.token}", "content-type: application/json", body=body))
    until_hung_up()
    assert b"max_tokens" in answer.body and b"word" not in answer.body
    (row,) = member.charges()
    assert (row["outcome"], row["cache_write_5m_tokens"]) == ("out_of_funds", 5000)


def test_a_realtime_session_ends_when_its_money_does(bank_gateway):
    member = join(bank_gateway, paid_nano=costs(100))
    url = f"ws://127.0.0.1:{bank_gateway.port}/v1/realtime?model=demo-n80"
    headers = {"authorization": f"Bearer {member.token}"}
    kinds: list[str] = []

    def talk(socket) -> None:
        while True:
            if not kinds or kinds[-1] == "response.done":
                item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
                socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
                socket.send(json.dumps({"type": "response.create"}))
            message = json.loads(socket.recv(10))
            kinds.append(message["type"])
            assert message["type"] != "error" or message["error"]["code"] == "insufficient_funds"

    with connect(url, proxy=None, max_size=None, additional_headers=headers) as socket, pytest.raises(ConnectionClosedError) as closed:
        talk(socket)
    assert kinds[-1] == "error"
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "insufficient_funds")
    bank_gateway.check_quiet()
    (row,) = member.charges()
    assert (row["outcome"], row["estimated"]) == ("out_of_funds", 0) and row["output_tokens"] > 20
    assert -costs(200) < member.left() <= 0


@pytest.mark.filterwarnings(r"ignore:connect\(\) must be used:DeprecationWarning")  # the SDK's own way with websockets
def test_openais_sdk_hears_why_a_session_ends(bank_gateway):
    member = join(bank_gateway, paid_nano=costs(100))
    heard: list[Any] = []

    def talk() -> None:
        with openai(member).realtime.connect(model="demo") as session:
            session.response.create()
            for event in session:
                heard.append(event)
                if event.type == "response.done":
                    session.response.create()

    with pytest.raises(ConnectionClosedError):
        talk()
    assert heard[-1].type == "error" and heard[-1].error.code == "insufficient_funds"
    assert not any(event.type == "error" for event in heard[:-1])
