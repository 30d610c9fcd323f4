"""Channels of the database over real sockets: byte for byte on the same wire, with several keys, and on another channel when one fails."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import httpx
import pytest

from bridge_stage import add_channel
from fake_provider import refusing_port
from live_gateway import LiveGateway
from loop_thread import LoopThread
from model_vendor import Fault, ModelVendor
from penstock.accounts.api.gate import CSRF_HEADER
from penstock.accounts.tickets import first_admin_token
from says import Says

NUMBERS = count()
SECRET = "the-key-of-the-logs-0123456789"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    settings: Any = {"own_keys": True, "show_channel": True, "api_sec_key": SECRET, "api_logging": "enabled"}
    with LiveGateway(tmp_path_factory.mktemp("gateway"), **settings) as running:
        yield running


@pytest.fixture(scope="module")
def two_vendors(loop_thread: LoopThread) -> Iterator[tuple[ModelVendor, ModelVendor]]:
    found = tuple(loop_thread.run(ModelVendor(checks=False).start()) for _ in range(2))
    yield found
    for vendor in found:
        loop_thread.run(vendor.stop())


@pytest.fixture
def vendors(two_vendors: tuple[ModelVendor, ModelVendor], gateway: LiveGateway) -> Iterator[tuple[ModelVendor, ModelVendor]]:
    """The one that comes first and the one that comes second."""
    for vendor in two_vendors:
        vendor.forget()
    yield two_vendors
    gateway.check_quiet()


@pytest.fixture
def program(gateway: LiveGateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {gateway.key}"}, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def admin(gateway: LiveGateway) -> Iterator[httpx.Client]:
    token = gateway.run(first_admin_token(gateway.parts.database))
    with httpx.Client(base_url=gateway.url, timeout=20) as client:
        opened = client.post(
            "/api/setup", json={"token": token, "name": "Ada", "email": "ada@example.com", "password": "a river runs by night"}
        )
        client.headers[CSRF_HEADER] = opened.json()["csrf_token"]
        yield client


Add = Callable[..., str]


@pytest.fixture
def add(gateway: LiveGateway) -> Add:
    """Makes a channel of its own name that serves `model` as gpt-4o; its name."""

    def make(vendor: ModelVendor | str, model: str, **more: Any) -> str:
        name = more.pop("name", None) or f"{model}-{next(NUMBERS)}"
        url = vendor if isinstance(vendor, str) else vendor.url
        more = {"provider": "openai", "wires": ("chat",), "models": [(model, "gpt-4o")]} | more
        add_channel(gateway, name, url if more["provider"] in ("anthropic", "gemini") else f"{url}/v1", **more)
        return name

    return make


def ask(program: httpx.Client, model: str, **more: Any) -> httpx.Response:
    return program.post("/v1/chat/completions", json={"model": model, "messages": [{"role": "user", "content": "Hi"}], **more})


def new_model() -> str:
    return f"model-{next(NUMBERS)}"


BODIES = {
    "chat": (
        "/v1/chat/completions",
        b'{ "never_heard_of":1.50,\n"model" :  "%b" , "messages":[{"role":"user","content":"Gr\xc3\xbc\xc3\x9fe \\u2713"}] }',
    ),
    "responses": ("/v1/responses", b'{"input":"a",  "model":"%b","x":{"model":"%b"}}'),
    "messages": ("/v1/messages", b'{"max_tokens":5,"messages":[],"model":"%b","context_management":{"edits":[1.0]} }'),
}


@pytest.mark.parametrize("wire", BODIES)
def test_the_same_wire_is_passed_on_byte_for_byte(add, vendors, program, wire):
    model = new_model().encode()
    path, body = BODIES[wire]
    provider = {"messages": "anthropic"}.get(wire, "openai")
    add(vendors[0], model.decode(), provider=provider, wires=(wire,), models=[(model.decode(), "served-name")])
    headers = {"content-type": "application/json", "x-unknown": "Kept, As It Is", "anthropic-beta": "one,two", "user-agent": "mine/1"}
    fill = body.count(b"%b")
    said = program.post(path, params={"beta": "true"}, content=body % ((model,) * fill), headers=headers)
    assert said.status_code == 200
    received = vendors[0].requests[-1]
    assert received.body == body.replace(b"%b", b"served-name", 1).replace(b"%b", model)
    assert received.target == f"{path}?beta=true"
    for name, value in headers.items():
        assert received.header(name) == value.encode()
    assert program.headers["authorization"].encode() not in received.raw_head


def test_google_s_own_is_passed_on_with_the_model_in_its_address(add, vendors, program):
    model = new_model()
    add(vendors[0], model, provider="gemini", wires=("gemini",), models=[(model, "gemini-2.5-flash")])
    body = b'{"contents": [ {"parts":[{"text":"\\u00e9"}]}], "unheard": 1e0}'
    said = program.post(f"/v1beta/models/{model}:generateContent", content=body, headers={"content-type": "application/json"})
    assert said.status_code == 200
    assert vendors[0].requests[-1].body == body
    assert vendors[0].requests[-1].target == "/v1beta/models/gemini-2.5-flash:generateContent"


def test_all_keys_of_a_channel_are_used(add, vendors, program):
    model = new_model()
    add(vendors[0], model, secrets=("sk-one", "sk-two", "sk-three"))
    for _ in range(40):
        assert ask(program, model).status_code == 200
    used = Counter(request.header("authorization") for request in vendors[0].requests)
    assert set(used) == {b"Bearer sk-one", b"Bearer sk-two", b"Bearer sk-three"}


def test_a_key_that_is_refused_is_left_alone(add, vendors, program, admin):
    model = new_model()
    name = add(vendors[0], model, secrets=("sk-good", "sk-bad"))
    vendors[0].bad["sk-bad"] = Fault(401, "Incorrect API key provided.")
    assert {ask(program, model).status_code for _ in range(20)} == {200}
    bad = [request for request in vendors[0].requests if b"sk-bad" in request.raw_head]
    assert len(bad) == 1
    shown = admin.get(f"/api/channels/{name}").json()
    (breaker,) = shown["breakers"]
    assert "401" in breaker["reason"] or "key" in breaker["reason"].lower() or "credential" in breaker["reason"].lower()


FAULTS = {
    "500": Fault(500, "It is broken."),
    "429": Fault(429, "Slow down.", headers=("retry-after: 7",)),
    "401": Fault(401, "No such key."),
    "404": Fault(404, "No such model."),
    "529": Fault(529, "Overloaded."),
    "page": Fault(200, body=b"<html>hello</html>", kind="text/html"),
    "redirect": Fault(302, headers=("location: http://elsewhere.example/",)),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_another_channel_is_asked(add, vendors, program, gateway, fault, streamed):
    model = new_model()
    first = add(vendors[0], model, priority=1)
    second = add(vendors[1], model)
    vendors[0].trouble = FAULTS[fault]
    vendors[1].say(Says("From the second."))
    said = ask(program, model, stream=streamed)
    assert said.status_code == 200 and "From the second." in (_streamed(said.text) if streamed else said.text)
    assert said.headers["x-penstock-channel"] == second
    assert (len(vendors[0].requests), len(vendors[1].requests)) == (1, 1)
    charge = gateway.charges()[-1]
    assert (charge["channel"], charge["attempts"], charge["outcome"]) == (second, 2, "complete")
    logged = program.get("/logs", params={"key": SECRET, "format": "json"}).json()[-1]
    assert logged["channel"] == second
    assert logged["attempts"].startswith(f"{first}: ") and len(logged["attempts"]) > len(first) + 5


def _streamed(text: str) -> str:
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


def test_a_channel_where_nobody_listens(add, vendors, program, gateway):
    model = new_model()
    with refusing_port() as port:
        add(f"http://127.0.0.1:{port}", model, priority=1)
        second = add(vendors[1], model)
        said = ask(program, model)
    assert (said.status_code, said.headers["x-penstock-channel"]) == (200, second)
    assert gateway.charges()[-1]["attempts"] == 2


def test_a_request_of_the_client_s_that_is_wrong_is_not_tried_again(add, vendors, program):
    model = new_model()
    add(vendors[0], model, priority=1)
    add(vendors[1], model)
    vendors[0].trouble = Fault(400, "You are wrong.")
    said = ask(program, model)
    assert said.status_code == 400 and "You are wrong." in said.text
    assert vendors[1].requests == []


@pytest.mark.parametrize("streamed", [False, True])
def test_the_second_channel_may_speak_another_protocol(add, vendors, program, gateway, streamed):
    model = new_model()
    add(vendors[0], model, priority=1, provider="gemini", wires=("gemini",), models=[(model, "gemini-2.5-flash")])
    second = add(vendors[1], model, provider="anthropic", wires=("messages",), models=[(model, "claude-sonnet-4-5")])
    vendors[0].trouble = Fault(500, "It is broken.")
    vendors[1].say(Says("From the second."))
    said = ask(program, model, stream=streamed, seed=1)
    assert said.status_code == 200 and "From the second." in (_streamed(said.text) if streamed else said.text)
    assert (said.headers["x-penstock-channel"], said.headers["x-penstock-dropped"]) == (second, "seed")
    charge = gateway.charges()[-1]
    assert (charge["served_model"], charge["attempts"], charge["input_tokens"]) == ("claude-sonnet-4-5", 2, 19)


def test_the_last_channel_s_own_error_is_shown(add, vendors, program):
    model = new_model()
    add(vendors[0], model, priority=1)
    second = add(vendors[1], model)
    vendors[0].trouble, vendors[1].trouble = Fault(500, "First words."), Fault(529, "Last words.")
    said = ask(program, model)
    assert said.status_code == 529 and said.json()["error"]["message"] == "Last words."
    assert said.headers["x-penstock-channel"] == second


def test_when_all_are_down_it_is_said_which_and_why(add, vendors, program, admin, gateway):
    model = new_model()
    names = [add(vendor, model) for vendor in vendors]
    for vendor in vendors:
        vendor.trouble = Fault(503, "Out of order.")
    statuses = [ask(program, model).status_code for _ in range(4)]
    assert statuses == [503] * 4
    asked = sum(len(vendor.requests) for vendor in vendors)
    said = ask(program, model)
    assert said.status_code == 503 and said.json()["error"]["code"] == "all_channels_down"
    message = said.json()["error"]["message"]
    assert all(name in message for name in names) and "503" in message and "until" in message
    assert 1 <= int(said.headers["retry-after"]) <= 10
    assert sum(len(vendor.requests) for vendor in vendors) == asked
    charges = len(gateway.charges())
    for name in names:
        (breaker,) = admin.get(f"/api/channels/{name}").json()["breakers"]
        assert "503" in breaker["reason"]
    listed = {one["name"]: one for one in _all(admin)}
    assert all(listed[name]["breakers"] for name in names)
    assert len(gateway.charges()) == charges
    assert all(row["cost_nano"] == 0 for row in gateway.charges() if row["model"] == model)


def _all(admin: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        page = admin.get("/api/channels", params={"limit": 50, **after}).json()
        found += page["data"]
        if not page.get("next"):
            return found
        after = {"cursor": page["next"]}


def test_a_key_falls_back_to_another_model(add, vendors, gateway):
    wanted, other = new_model(), new_model()
    add(vendors[0], wanted)
    second = add(vendors[1], other, provider="anthropic", wires=("messages",), models=[(other, "claude-sonnet-4-5")])
    vendors[0].trouble = Fault(500, "It is broken.")
    key = gateway.run(gateway.parts.keys.create(f"falls {wanted}", fallbacks={wanted: [other]})).token
    with httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {key}"}) as program:
        said = ask(program, wanted)
    assert (said.status_code, said.headers["x-penstock-channel"]) == (200, second)
    charge = gateway.charges()[-1]
    assert (charge["model"], charge["served_model"], charge["attempts"]) == (other, "claude-sonnet-4-5", 2)
    with httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {gateway.key}"}) as program:
        assert ask(program, wanted).status_code == 500


def test_weights_are_shares_and_zero_is_the_last_resort(add, vendors, program):
    model = new_model()
    names = [add(vendors[0], model, weight=3), add(vendors[1], model, weight=1), add(vendors[1], model, weight=0)]
    seen = Counter(ask(program, model).headers["x-penstock-channel"] for _ in range(160))
    assert seen[names[2]] == 0
    assert 90 <= seen[names[0]] <= 150


def test_priority_goes_before_weight(add, vendors, program):
    model = new_model()
    first = add(vendors[0], model, priority=5, weight=1)
    add(vendors[1], model, priority=4, weight=1000)
    assert {ask(program, model).headers["x-penstock-channel"] for _ in range(20)} == {first}


def test_a_conversation_stays_where_it_is(add, vendors, program):
    model = new_model()
    for number in range(6):
        add(vendors[number % 2], model)
    went = [
        {ask(program, model, prompt_cache_key=f"conversation {key}").headers["x-penstock-channel"] for _ in range(4)} for key in range(12)
    ]
    assert all(len(channels) == 1 for channels in went)
    assert len(set.union(*went)) > 1
    long = "The same long beginning. " * 300
    turns: list[Any] = [{"role": "user", "content": long}]
    channels = set()
    for number in range(4):
        said = program.post("/v1/chat/completions", json={"model": model, "messages": turns})
        channels.add(said.headers["x-penstock-channel"])
        turns += [{"role": "assistant", "content": "Hello."}, {"role": "user", "content": f"And {number}?"}]
    assert len(channels) == 1
