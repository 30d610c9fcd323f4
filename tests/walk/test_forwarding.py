"""What a provider is sent: the client's bytes, but for a model with another name and usage that is asked for."""

from __future__ import annotations

import json

import pytest

from fake_answers import DONE, answer, chat_chunk, chat_events, chat_usage, stream
from fake_faults import PLAIN
from penstock.kit.sse import split
from penstock.upstream.usage import Usage
from raw_client import request
from stage import EVENTS, FORM, WIRES, asked, form, plain

# usage of chat streams is asked for


ODD = (
    b'{ "messages" : [ {"role":"user","content":"caf\\u00e9 \xc3\xa9 \\ud83d\\ude00"} ],\n\t"temperature":1e-1, '
    b'"seed":123456789012345678901234567890,"x_unknown":{"stream":false,"model":"a"},"model":"gpt-4o","stream" : true %b}'
)
ASKED_FOR = b'"stream_options":{"include_usage":true},'


@pytest.mark.parametrize(
    ("options", "shows", "changed"),
    [
        (b"", False, (b"{", b"{" + ASKED_FOR)),
        (b',"stream_options":null', False, (b"null}", b'{"include_usage":true}}')),
        (b',"stream_options":{}', False, (b"{}}", b'{"include_usage":true}}')),
        (b',"stream_options" : { "include_usage" : false }', False, (b": false }}", b": true }}")),
        (b',"stream_options":{"include_obfuscation":false}', False, (b'{"include_obf', b'{"include_usage":true,"include_obf')),
        (b',"stream_options":{"include_usage":true,"x":1}', True, ()),
    ],
)
def test_usage_is_asked_for_and_hidden_from_who_did_not_ask(stage, options, shows, changed):
    """Nothing else of the body is touched."""
    body = ODD % options
    sent_on = body.replace(*changed, 1) if changed else body
    assert json.loads(sent_on)["stream_options"]["include_usage"] is True
    events = chat_events()
    stage.script(stream(*events))
    answered = stage.ask("chat", body=body)
    assert stage.vendor.requests[0].body == sent_on
    wanted = events if shows else [one for one in events if one != chat_usage()]
    assert split(answered.body) == wanted
    stage.check_cost(stage.charge(answered), Usage(input_tokens=19, output_tokens=10))


def test_usage_is_not_asked_for_where_nothing_streams(stage):
    body = ODD.replace(b"true %b", b"false")
    stage.script(PLAIN)
    assert stage.ask("chat", body=body).status == 200
    assert stage.vendor.requests[0].body == body


def test_a_usage_chunk_with_choices_is_shown(stage):
    """Some vendors put the usage into the chunk that ends the text: hiding it would hide that."""
    sent = [*chat_events()[:-3], chat_chunk({}, "stop", usage={"prompt_tokens": 19, "completion_tokens": 10}), DONE]
    stage.script(stream(*sent))
    answered = stage.ask("chat", stream=True)
    assert split(answered.body) == sent
    stage.check_cost(stage.charge(answered), Usage(input_tokens=19, output_tokens=10))


# bodies and headers go on as they came


@pytest.mark.parametrize("wire", WIRES)
def test_a_body_goes_on_byte_for_byte(stage, wire):
    body = json.dumps(asked(wire, x_unknown={"a": [1.50, "é"]}, metadata=None), indent=3).encode().replace(b"1.5", b"1.50E0")
    stage.script(answer(plain(wire)))
    assert stage.ask(wire, body=body).status == 200
    assert stage.vendor.requests[0].body == body
    assert stage.vendor.requests[0].header("content-length") == str(len(body)).encode()


@pytest.mark.parametrize("size", [100_000, 5_000_000])
def test_a_long_body_goes_on_byte_for_byte(stage, size):
    body = json.dumps(asked("chat", filler="x" * size)).encode()
    stage.script(PLAIN)
    assert stage.ask("chat", body=body).status == 200
    assert stage.vendor.requests[0].body == body


KEPT = {
    "user-agent": 'Some-App/1.0 (odd; "quoted")',
    "openai-organization": "org-1",
    "openai-project": "proj_1",
    "openai-beta": "assistants=v2",
    "anthropic-beta": "context-1m-2025-08-07,interleaved-thinking-2025-05-14",
    "anthropic-dangerous-direct-browser-access": "true",
    "x-stainless-retry-count": "0",
    "idempotency-key": "stainless-python-retry-1",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "accept": "application/json, text/event-stream",
    "x-unknown": "a  b,\tc",
}
LEFT = {
    "cookie": "a=b",
    "x-forwarded-for": "10.0.0.1",
    "forwarded": "for=10.0.0.1",
    "cf-connecting-ip": "10.0.0.1",
    "via": "1.1 proxy",
    "connection": "keep-alive, x-hop",
    "x-hop": "1",
    "te": "trailers",
    "proxy-authorization": "Basic eDp5",
    "accept-encoding": "gzip, br",
    "x-goog-api-key": "another",
}


@pytest.mark.parametrize("wire", WIRES)
def test_headers_go_on_as_they_came(stage, wire):
    stage.script(answer(plain(wire)))
    lines = [f"{name.title()}: {value}" for name, value in (KEPT | LEFT).items()]
    assert stage.ask(wire, *lines).status == 200
    received = stage.vendor.requests[0]
    found = {key.decode(): value.decode() for key, value in received.headers}
    assert len(found) == len(received.headers)
    port = stage.vendor.port
    own = {
        "host": f"127.0.0.1:{port}",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": str(len(received.body)),
    }
    if wire == "messages":
        own |= {"x-api-key": "sk-anthropic", "anthropic-version": "2023-06-01"}
    else:
        own |= {"authorization": "Bearer sk-openai"}
    assert found == KEPT | own
    assert stage.gateway.key.encode() not in received.raw_head


def test_the_version_that_the_client_states_is_the_one_that_goes_on(stage):
    stage.script(answer(plain("messages")))
    assert stage.ask("messages", "Anthropic-Version: 2099-01-01").status == 200
    assert stage.vendor.requests[0].header("anthropic-version") == b"2099-01-01"


def test_a_query_goes_on_without_our_key(stage):
    stage.script(answer(plain("messages")))
    body = json.dumps(asked("messages")).encode()
    with stage.client() as client:
        line = f"POST /v1/messages?beta=true&key={stage.gateway.key}&x=%20%2F"
        assert client.ask(request(line, "content-type: application/json", body=body)).status == 200
    assert stage.vendor.requests[0].target == "/v1/messages?beta=true&x=%20%2F"


# models under another name


@pytest.fixture(scope="module")
def module_renaming(make_stage):
    return make_stage(api_model_rewrite="nick=>gpt-4o,claude-nick=>claude-sonnet-4-5,w=>whisper-1,embed=>text-embedding-3-small")


@pytest.fixture
def renaming(module_renaming, vendor):
    """A gateway that knows models by other names."""
    yield module_renaming
    module_renaming.check_quiet()


RENAMED = {"chat": (b"nick", b"gpt-4o"), "responses": (b"nick", b"gpt-4o"), "messages": (b"claude-nick", b"claude-sonnet-4-5")}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("streams", [b"false", b"true"])
def test_only_the_models_name_changes(renaming, wire, streams):
    old, new = RENAMED[wire]
    text = (
        b'"input":"my model is \\"model\\":\\"%b\\""' if wire == "responses" else b'"messages":[{"role":"user","content":"my model is %b"}]'
    )
    body = (
        b'{ "metadata":{"model":"%b"}, %b,"max_tokens": 5 , "model" : "%b" ,"stream":%b,"stream_options":{"include_usage":true}, "n":1.0 }'
        % (
            old,
            text % old,
            old,
            streams,
        )
    )
    wanted = body.replace(b'"model" : "%b"' % old, b'"model" : "%b"' % new)
    renaming.script(stream(*EVENTS[wire](10)) if streams == b"true" else answer(plain(wire)))
    answered = renaming.ask(wire, body=body)
    assert answered.status == 200
    received = renaming.vendor.requests[0]
    assert (received.body, received.header("content-length")) == (wanted, str(len(wanted)).encode())
    row = renaming.charge(answered)
    assert (row["model"], row["served_model"]) == (old.decode(), new.decode())
    renaming.check_cost(row, Usage(input_tokens=19, output_tokens=10))


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
@pytest.mark.parametrize("where", ["first", "last"])
@pytest.mark.parametrize("size", [10, 2_000_000])
def test_only_the_models_name_changes_in_a_form(renaming, framing, where, size):
    file = b'name="model"\r\n\r\nw\r\n' + b"w" * size
    fields = {"model": "w", "prompt": "w", "file": file} if where == "first" else {"prompt": "w", "file": file, "model": "w"}
    body, wanted = form(**fields), form(**fields | {"model": "whisper-1"})
    renaming.script(answer({"text": "Hello", "usage": {"type": "duration", "seconds": 7}}))
    lines = (f"authorization: Bearer {renaming.gateway.key}", FORM)
    with renaming.client() as client:
        if framing == "chunked":
            answered = client.ask(
                request("POST /v1/audio/transcriptions", *lines, "transfer-encoding: chunked")
                + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            )
        else:
            answered = client.ask(request("POST /v1/audio/transcriptions", *lines, body=body))
    assert answered.status == 200
    received = renaming.vendor.requests[0]
    assert received.body == wanted
    length = received.header("content-length")
    assert length == str(len(wanted)).encode() or (framing == "chunked" and received.header("transfer-encoding") == b"chunked")
    row = renaming.charge(answered)
    assert (row["model"], row["served_model"]) == ("w", "whisper-1")
    renaming.check_cost(row, Usage(audio_seconds=7))


def test_other_models_keep_their_names(renaming):
    for model in ("Nick", "nick ", "gpt-4o", "nick2"):
        body = json.dumps(asked("chat", model=model), indent=1).encode()
        renaming.script(PLAIN)
        assert renaming.ask("chat", body=body).status == 200
        assert renaming.vendor.requests[-2].body == body
