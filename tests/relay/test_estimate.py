"""Estimates: the same answer as the real call's, short of making it."""

from __future__ import annotations

import json

import pytest

from fake_ends import CHAT, KEY, ask, parts_of
from penstock.relay.estimate import ESTIMATE_PATH
from penstock.upstream.usage import Usage

LINE = b"POST /v1/estimate"


def estimated(live, *headers: bytes, body: bytes = CHAT, line: bytes = LINE, key: str = KEY):
    """The status and the JSON of an answer."""
    client, vendor = live.client(), live.vendor()
    status, found, content = parts_of(client.says(ask(*headers, line=line, body=body, key=key)))
    assert vendor.hears() == b"" and found[b"content-type"] == b"application/json"
    assert live.plane.holds.taken == 0 and live.plane.books.depth == 0
    assert client.edge.active is None and not client.transport.closed
    return status, json.loads(content)


async def test_a_chat(live):
    status, found = estimated(live, body=b'{"model":"gpt-4o","max_tokens":1000,"messages":[{"role":"user","content":"Hello"}]}')
    price = live.plane.catalog.price("openai", "gpt-4o", "gpt-4o")
    assert status == 200 and found["allowed"] is True and found["refusal"] is None
    assert {name: found[name] for name in ("object", "path", "model", "served_model", "provider", "channel")} == {
        "object": "estimate", "path": "/v1/chat/completions", "model": "gpt-4o", "served_model": "gpt-4o", "provider": "openai",
        "channel": "openai",
    }  # fmt: skip
    assert (found["input_tokens_estimated"], found["output_cap"]) == (20, 1000)
    assert found["at_most_nano"] == price.at_most(20, 1000)
    assert (found["price_version"], found["multiplier_micro"]) == (price.version, 1_000_000)
    assert [(line["component"], line["quantity"]) for line in found["lines"]] == [("input_tokens", 20), ("output_tokens", 1000)]
    assert sum(line["amount_nano"] for line in found["lines"]) == price.cost(Usage(input_tokens=20, output_tokens=1000))
    assert found["balance_nano"] is None


async def test_without_a_bound_the_usual_output_is_reckoned_with(live):
    _, found = estimated(live)
    assert found["output_cap"] == live.settings.default_output_tokens


async def test_a_rewritten_model_is_shown_as_it_is_sent(open_rig):
    live = await open_rig(api_model_rewrite="cheap=>gpt-4o-mini")
    _, found = estimated(live, body=b'{"model":"cheap","messages":[]}')
    assert (found["model"], found["served_model"]) == ("cheap", "gpt-4o-mini")


@pytest.mark.parametrize(("body", "headers", "path"), [
    (b'{"model":"m","messages":[]}', [], "/v1/chat/completions"),
    (b'{"model":"m","messages":[]}', [b"anthropic-version: 2023-06-01"], "/v1/messages"),
    (b'{"model":"m"}', [], "/v1/chat/completions"),
    (b'{"model":"m","input":"Hello"}', [], "/v1/responses"),
    (b'{"model":"m","input":[{"role":"user","content":"hi"}]}', [], "/v1/responses"),
    (b'{"model":"text-embedding-3-small","input":"Hello"}', [], "/v1/embeddings"),
    (b'{"model":"m","input":"Hello","encoding_format":"float"}', [], "/v1/embeddings"),
    (b'{"model":"tts-1","input":"Hello","voice":"alloy"}', [], "/v1/audio/speech"),
    (b'{"model":"m","prompt":"Hello"}', [], "/v1/completions"),
    (b'{"model":"dall-e-3","prompt":"A cat","size":"1024x1024"}', [], "/v1/images/generations"),
    (b'{"model":"m","prompt":"Hello","max_tokens_to_sample":5}', [], "/v1/complete"),
])  # fmt: skip
async def test_the_path_is_guessed_by_the_body(live, body, headers, path):
    status, found = estimated(live, *headers, body=body)
    assert (status, found["path"]) == (200, path)


@pytest.mark.parametrize(("query", "path"), [
    (b"?path=/v1/messages", "/v1/messages"), (b"?path=messages", "/v1/messages"), (b"?path=%2Fv1%2Fcompletions", "/v1/completions"),
    (b"?path=/v1/rerank", "/v1/rerank"),
])  # fmt: skip
async def test_the_path_may_be_given(live, query, path):
    status, found = estimated(live, line=LINE + query, body=b'{"model":"m","max_tokens":5,"messages":[]}')
    assert (status, found["path"]) == (200, path)


@pytest.mark.parametrize("query", [b"?path=/api/accounts", b"?path=/../x", b"?path=", b"?path=/", b"?path=%C3%A9"])
async def test_a_path_that_is_no_call_is_refused(live, query):
    status, found = estimated(live, line=LINE + query) if query != b"?path=" else (404, None)
    assert status == 404 and (found is None or found["error"]["code"] == "not_found")


@pytest.mark.parametrize("line", [b"POST /estimate", b"POST /v1//estimate/", b"POST /v1/v1/estimate"])
async def test_every_spelling_reaches_it(live, line):
    assert estimated(live, line=line)[0] == 200


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE", b"HEAD"])
async def test_other_methods_are_refused(live, method):
    client, vendor = live.client(), live.vendor()
    status, headers, body = parts_of(client.says(ask(line=method + b" /v1/estimate", body=b"")))
    assert (status, headers[b"allow"]) == (405, b"POST") and vendor.hears() == b""
    assert method == b"HEAD" or json.loads(body)["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize(("headers", "body", "key", "status", "code"), [
    ([], CHAT, "", 401, "missing_key"),
    ([], CHAT, "sk-nobody", 401, "invalid_key"),
    ([], b"{", KEY, 400, "invalid_json"),
    ([], b"", KEY, 400, "invalid_json"),
    ([], b"{}", KEY, 400, "missing_model"),
    ([b"content-encoding: gzip"], b"rubbish", KEY, 400, "invalid_encoding"),
])  # fmt: skip
async def test_what_is_wrong_with_the_question_is_an_error(live, headers, body, key, status, code):
    found, error = estimated(live, *headers, body=body, key=key)
    assert (found, error["error"]["code"]) == (status, code)


async def test_an_error_is_in_the_dialect_of_the_caller(live):
    _, error = estimated(live, b"anthropic-version: 2023-06-01", body=b"{}")
    assert error["type"] == "error"


@pytest.mark.parametrize(("limits", "code", "status"), [
    ({"models": ("cheap-*",)}, "model_not_allowed", 403), ({"wires": frozenset({"messages"})}, "wire_not_allowed", 403),
])  # fmt: skip
async def test_what_the_real_call_would_be_told(live, limits, code, status):
    live.know("sk-" + "d" * 48, **limits)
    found, answer = estimated(live, key="sk-" + "d" * 48)
    assert found == 200 and answer["allowed"] is False
    assert (answer["refusal"]["code"], answer["refusal"]["status"]) == (code, status) and answer["refusal"]["message"]
    assert answer["at_most_nano"] is None and answer["lines"] is None


async def test_while_charges_cannot_be_written_nothing_is_allowed(live):
    live.plane.books._open = False
    _, answer = estimated(live)
    assert answer["refusal"]["code"] == "books_unavailable"


async def test_from_an_address_that_may_not_call_nothing_is_told(live):
    live.know("sk-" + "e" * 48, networks=("10.0.0.0/8",))
    status, answer = estimated(live, key="sk-" + "e" * 48)
    assert (status, answer["error"]["code"]) == (403, "address_not_allowed")


async def test_a_model_without_a_price(live):
    _, answer = estimated(live, body=b'{"model":"nobody-knows-me","messages":[]}')
    assert (answer["price_version"], answer["lines"], answer["at_most_nano"], answer["allowed"]) == (None, [], 0, True)


async def test_a_form(live):
    form = b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    form += b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"x" * 70_000 + b"\r\n--b--\r\n"
    request = ask(line=LINE, body=form).replace(b"application/json", b"multipart/form-data; boundary=b")
    client, vendor = live.client(), live.vendor()
    status, _, body = parts_of(client.says(request))
    assert (status, json.loads(body)["path"]) == (200, "/v1/audio/transcriptions") and vendor.hears() == b""


async def test_a_long_body_in_pieces(live):
    body = b'{"model":"gpt-4o","messages":[{"role":"user","content":"' + b"word " * 40_000 + b'"}]}'
    request = ask(line=LINE, body=body)
    client = live.client()
    for at in range(0, len(request), 50_000):
        client.edge.data_received(request[at : at + 50_000])
    status, _, answer = parts_of(client.hears())
    assert status == 200 and json.loads(answer)["input_tokens_estimated"] == len(body) // 4
    assert ESTIMATE_PATH == "/v1/estimate"
