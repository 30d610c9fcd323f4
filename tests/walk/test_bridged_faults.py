"""Providers that fail while their answer comes over a bridge: what the client is told, what is charged, and that nothing is left behind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge_stage import PROVIDERS, SERVED, WIRES, add_channel
from fake_answers import SSE, answer, chat_events, chunk, messages_events, responses_events, stream, stream_head
from fake_provider import flood, hang, silent_port
from member import join
from penstock.kit.sse import payload, split
from penstock.upstream.usage import Usage
from raw_client import Answer, RawClient, request
from stage import plain

ACROSS = [("chat", "messages"), ("responses", "chat"), ("messages", "gemini"), ("gemini", "responses")]
"""Each protocol once on either side."""
PRICED = {"chat": "openai", "responses": "openai", "messages": "anthropic", "gemini": "google"}
KINDS = {"chat": "authorization: Bearer ", "responses": "authorization: Bearer ", "messages": "x-api-key: ", "gemini": "x-goog-api-key: "}
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}


def gemini_events(count: int = 10) -> list[bytes]:
    """A stream of Google's."""
    values: list[dict[str, Any]] = []
    for number in range(count):
        candidate: dict[str, Any] = {"content": {"parts": [{"text": f" word{number}"}], "role": "model"}, "index": 0}
        usage = {"promptTokenCount": 19, "candidatesTokenCount": number + 1, "totalTokenCount": 20 + number}
        values.append({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash", "responseId": "r1"})
    values[-1]["candidates"][0]["finishReason"] = "STOP"
    return [f"data: {json.dumps(value)}\r\n\r\n".encode() for value in values]


def gemini_plain() -> dict[str, Any]:
    """A whole answer of Google's."""
    candidate = {"content": {"parts": [{"text": "Hello there."}], "role": "model"}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 19, "candidatesTokenCount": 10, "totalTokenCount": 29}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash", "responseId": "r1"}


EVENTS = {"chat": chat_events, "responses": responses_events, "messages": messages_events, "gemini": gemini_events}


def whole(wire: str) -> bytes:
    """A good plain answer."""
    return answer(gemini_plain() if wire == "gemini" else plain(wire))


def ask(key: str, wire: str, model: str, *, stream: bool = False) -> bytes:
    """A good request."""
    turns = [{"role": "user", "content": "Hello"}]
    said: dict[str, Any] = {"model": model, "stream": stream}
    said |= {"input": "Hello"} if wire == "responses" else {"messages": turns}
    said |= {"max_tokens": 400} if wire == "messages" else {}
    path = PATHS.get(wire, "")
    if wire == "gemini":
        said = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
        path = f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")
    return request(f"POST {path}", f"{KINDS[wire]}{key}", "content-type: application/json", body=json.dumps(said).encode())


@pytest.fixture(scope="module")
def crossed(make_gateway, module_vendor, vendor_gateways):
    """A gateway with a channel of each protocol, all of them the scripted provider's."""
    gateway = make_gateway(own_keys=True, show_channel=True, funds_wait_s=0.2, lease_least_nano=1000, connect_s=5)
    for wire in WIRES:
        url = module_vendor.url if wire in ("messages", "gemini") else f"{module_vendor.url}/v1"
        add_channel(gateway, wire, url, provider=PROVIDERS[wire], models=((f"by-{wire}", SERVED[wire]),), wires=(wire,))
    vendor_gateways.append(gateway)
    return gateway


@pytest.fixture(scope="module")
def impatient(make_gateway, module_vendor, vendor_gateways):
    """A gateway that lets no client wait for long without a sign of life."""
    gateway = make_gateway(own_keys=True, comment_every_s=0.2)
    add_channel(gateway, "chat", f"{module_vendor.url}/v1", provider="openai", models=(("by-chat", "gpt-4o"),), wires=("chat",))
    vendor_gateways.append(gateway)
    return gateway


@pytest.fixture(autouse=True)
def fresh(crossed, vendor):
    """No connection is kept, no breaker is open; afterwards nothing is left behind."""

    async def forget() -> None:
        for channel in crossed.plane.channels:
            channel.pool.close()
            channel.breakers.reset()

    crossed.run(forget())
    yield
    crossed.check_quiet()


def answered(gateway, wire: str, model: str, *, stream: bool = False, key: str = "") -> tuple[Answer, list[dict[str, Any]]]:
    """What a client hears, and the charges that were made for it."""
    before = len(gateway.charges())
    with RawClient(gateway.port) as client:
        heard = client.ask(ask(key or gateway.key, wire, model, stream=stream))
    return heard, gateway.charges()[before:]


def error_of(wire: str, value: dict[str, Any]) -> str:
    """The message of an error, in the place where the wire has it."""
    if wire == "responses" and "response" in value:
        value = value["response"]
    assert value.get("type", "error") in ("error", "response.failed") or wire == "responses"
    return str(value["error"]["message"])


@pytest.mark.parametrize(("client", "target"), ACROSS)
def test_a_stream_that_nobody_asked_for_is_an_error(crossed, vendor, client, target):
    vendor.script(stream(*EVENTS[target](3)))
    heard, charges = answered(crossed, client, f"by-{target}")
    assert (heard.status, heard.header("content-type"), charges) == (502, "application/json", [])
    assert error_of(client, heard.json)


@pytest.mark.parametrize(("client", "target"), ACROSS)
def test_json_that_is_labelled_a_stream_is_read_all_the_same(crossed, vendor, client, target):
    body = whole(target).partition(b"\r\n\r\n")[2]
    vendor.script(answer(body, kind=SSE))
    heard, (charge,) = answered(crossed, client, f"by-{target}")
    assert (heard.status, heard.header("content-type")) == (200, "application/json") and b"o" in heard.body
    assert (charge["input_tokens"], charge["output_tokens"], charge["estimated"]) == (19, 10, 0)


NOTHING = {
    "nothing at all": stream(),
    "a page": answer(b"<html><h1>It works!</h1></html>", kind=SSE),
    "comments": stream(b": ping\n\n", b": ping\n\n"),
    "nesting without an end": stream(b"data: " + b"[" * 100_000 + b"\n\n"),
    "no JSON": stream(b"data: hello\n\n"),
}


@pytest.mark.parametrize("what", NOTHING)
@pytest.mark.parametrize(("client", "target"), ACROSS)
def test_a_stream_with_nothing_in_it_is_free(crossed, vendor, client, target, what):
    vendor.script(NOTHING[what])
    heard, (charge,) = answered(crossed, client, f"by-{target}", stream=True)
    assert (heard.status, charge["cost_nano"], charge["estimated"]) == (200, 0, 0)
    events = [json.loads(payload(event.rstrip())) for event in split(heard.body) if b"{" in event]
    assert error_of(client, events[-1])


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"{", b"[]", b"null", b'{"x":' + b"[" * 100_000, b'{"error": 1}'])
@pytest.mark.parametrize(("client", "target"), ACROSS)
def test_an_answer_that_cannot_be_read_is_not_charged(crossed, vendor, client, target, body):
    vendor.script(answer(body))
    heard, charges = answered(crossed, client, f"by-{target}")
    assert (heard.status, heard.header("content-type"), charges) == (502, "application/json", [])
    assert error_of(client, heard.json)


@pytest.mark.parametrize("target", [wire for wire in WIRES if wire != "responses"])
def test_a_response_that_the_money_ends_says_what_it_is_of(crossed, vendor, until_hung_up, target):
    price = crossed.plane.catalog.price(PRICED[target], SERVED[target], f"by-{target}")
    member = join(crossed, paid_nano=price.cost(Usage(input_tokens=60, output_tokens=40)))
    vendor.script(stream_head(), *map(chunk, EVENTS[target](300)[:250]), hang)
    heard, (charge,) = answered(crossed, "responses", f"by-{target}", stream=True, key=member.token)
    until_hung_up()
    first, *_, last = (json.loads(payload(event.rstrip())) for event in split(heard.body))
    assert (last["type"], last["response"]["status"], charge["outcome"]) == ("response.incomplete", "incomplete", "out_of_funds")
    assert last["response"].keys() >= first["response"].keys()
    assert [last["response"][name] for name in ("id", "model", "created_at", "tools")] == [
        first["response"][name] for name in ("id", "model", "created_at", "tools")
    ]
    crossed.run(member.bank.check())


@pytest.mark.parametrize("name", ["../../v1/files", "a/../../b", "models/../x", "tunedModels/../../x", ".", ".."])
def test_a_models_name_leads_nowhere_else(crossed, vendor, name):
    """Google's paths have the model in them."""
    add_channel(crossed, f"google-{abs(hash(name))}", vendor.url, provider="gemini", models=((name, None),))
    heard, charges = answered(crossed, "chat", name)
    assert (heard.status, heard.code, charges, vendor.requests) == (404, "model_not_found", [], [])


@pytest.mark.parametrize("size", [1, 3000, 70_000])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
def test_an_event_as_long_as_a_picture_comes_in_any_pieces(crossed, vendor, ends, size):
    first, second, *rest = chat_events(2)
    length = 300_000 if size > 1 else 100_000
    long = second.replace(b" word0", b"x" * length)
    data = b"".join([first, long, *rest]).replace(b"\n", ends)
    at = len(first) + len(long) - 20
    pieces = [data[:at], *(data[index : index + size] for index in range(at, len(data), size))]
    if size > 1:
        pieces = [data[index : index + size] for index in range(0, len(data), size)]
    vendor.script(stream(*pieces))
    heard, (charge,) = answered(crossed, "messages", "by-chat", stream=True)
    assert heard.body.count(b"x" * length) == 1 and heard.body.endswith(b'data: {"type":"message_stop"}\n\n')
    assert (charge["outcome"], charge["output_tokens"], charge["estimated"]) == ("complete", 10, 0)


def test_an_event_that_is_too_long_breaks_the_stream_off(crossed, vendor, until_hung_up):
    vendor.script(stream_head() + chunk(b"data: "), flood(chunk(b"x" * 65536), 1100), hang)
    heard, (charge,) = answered(crossed, "messages", "by-chat", stream=True)
    until_hung_up()
    assert b"longer than 67108864 bytes" in heard.body and charge["outcome"] == "upstream_died"


@pytest.mark.parametrize("client", WIRES)
def test_who_has_said_all_and_does_not_hang_up_keeps_nobody_waiting(impatient, vendor, client):
    vendor.script(stream_head() + b"".join(map(chunk, chat_events(3))), hang)
    heard, (charge,) = answered(impatient, client, "by-chat", stream=True)
    assert heard.status == 200 and b"error" not in heard.body.replace(b'"error":null', b"")
    assert (charge["outcome"], charge["output_tokens"], charge["estimated"]) == ("complete", 10, 0)
    impatient.check_quiet()


def test_who_leaves_while_another_lane_is_connected_to_owes_nothing(crossed, vendor, loop_thread):
    """The first has failed, and to the second nothing was said."""
    with silent_port() as port:
        more = {"models": (("twice", "gpt-4o"),), "wires": ("chat",), "provider": "openai"}
        add_channel(crossed, "first", f"{vendor.url}/v1", priority=5, **more)
        add_channel(crossed, "second", f"http://127.0.0.1:{port}/v1", priority=1, **more)
        vendor.script(answer({"error": {"message": "boom"}}, 500))
        second = next(channel for channel in crossed.plane.channels if channel.name == "second")
        before = len(crossed.charges())
        with RawClient(crossed.port) as client:
            client.send(ask(crossed.key, "messages", "twice", stream=True))
            loop_thread.run(vendor.until_requests(1))
            assert crossed._until(lambda: second.pool.busy == 1)
        crossed.check_quiet()
    assert crossed.charges()[before:] == []
