"""Whoever runs their own reverse proxy: nothing configured, their own provider key, models renamed, the raw traffic to look at."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from live_gateway import LiveGateway
from penstock.compat.worker import COLUMNS
from penstock.settings import REWRITE_REFUSED
from penstock.upstream.demo.audio import wav
from sdk_judges import same_request, shown
from wiretap import Wiretap

OPENAI_KEY = "sk-own-" + "1234" * 8
ANTHROPIC_KEY = "sk-ant-own-" + "1234" * 8
GUARD = "guard of the logs"
TALK: Any = [{"role": "user", "content": "Grüße, 世界!"}]
CHAT = {"model": "demo", "messages": TALK}


@pytest.fixture
def heard(tap: Wiretap) -> Any:
    """The requests of this test that reached the provider."""
    tap.heard.clear()
    return tap.heard


@pytest.fixture(scope="module")
def proxy(make_gateway: Callable[..., LiveGateway], tap: Wiretap) -> LiveGateway:
    """A gateway without any key, whose providers are behind the wiretap."""
    return make_gateway(openai_base_url=f"{tap.url}/v1", anthropic_base_url=tap.url)


@pytest.fixture(scope="module")
def logging_proxy(make_gateway: Callable[..., LiveGateway], tap: Wiretap) -> LiveGateway:
    """The same with the other three settings."""
    return make_gateway(
        openai_base_url=f"{tap.url}/v1",
        anthropic_base_url=tap.url,
        api_logging="enabled",
        api_sec_key=GUARD,
        api_model_rewrite=" claude-3-haiku=>claude-3-5-haiku , my-model=>demo-cached,=cmd=>demo ",
    )


# forwarding


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": f"Bearer {OPENAI_KEY}"}, ""),
        ({"authorization": f"bearer {OPENAI_KEY}"}, ""),
        ({"authorization": OPENAI_KEY}, ""),
        ({"x-api-key": ANTHROPIC_KEY}, ""),
        ({"api-key": OPENAI_KEY}, ""),
        ({"x-goog-api-key": OPENAI_KEY}, ""),
        ({"authorization": f"Bearer {OPENAI_KEY}", "x-api-key": ANTHROPIC_KEY}, "?key=from-the-query&x=1"),
        ({}, f"?key={OPENAI_KEY}"),
        ({}, ""),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/models", "/v1/anything"])
def test_credentials_go_on_as_they_came(path, headers, query, proxy: LiveGateway, heard, http: httpx.Client):
    method = "GET" if path == "/v1/models" else "POST"
    content = None if method == "GET" else json.dumps({**CHAT, "max_tokens": 9}).encode()
    http.request(method, f"{proxy.url}{path}{query}", headers=headers, content=content)
    (arrived,) = heard
    assert arrived.target == path + query
    names = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
    assert {name: (arrived.header(name) or b"").decode() for name in names if arrived.header(name)} == headers


def operations() -> list[Callable[..., Any]]:
    def chat(client: OpenAI) -> Any:
        return client.chat.completions.create(model="demo", messages=TALK)

    def stream(client: OpenAI) -> Any:
        return [chunk.choices for chunk in client.chat.completions.create(model="demo", messages=TALK, stream=True)]

    def responses(client: OpenAI) -> Any:
        return client.responses.create(model="demo", input="Hello")

    def speech(client: OpenAI) -> Any:
        return client.audio.speech.create(model="demo", voice="alloy", input="Hello").content

    def transcription(client: OpenAI) -> Any:
        return client.audio.transcriptions.create(model="demo", file=("a.wav", wav(2400)))

    def file(client: OpenAI) -> Any:
        made = client.files.create(file=("a", b"x" * 300_000), purpose="batch")
        return client.files.content(made.id).content, shown(client.files.delete(made.id))

    def refused(client: OpenAI) -> Any:
        with pytest.raises(openai.AuthenticationError) as failed:
            client.chat.completions.create(model="demo-fail401", messages=TALK)
        return failed.value.body

    return [chat, stream, responses, speech, transcription, file, refused]


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.__name__)
def test_openai_s_sdk_with_its_own_key(operation, proxy: LiveGateway, tap: Wiretap, heard):
    with OpenAI(base_url=f"{tap.url}/v1", api_key=OPENAI_KEY, max_retries=0) as direct:
        expected = shown(operation(direct))
    with OpenAI(base_url=f"{proxy.url}/v1", api_key=OPENAI_KEY, max_retries=0) as client:
        assert shown(operation(client)) == expected
    half = len(heard) // 2
    for sent, arrived in zip(heard[:half], heard[half:], strict=True):
        same_request(sent, arrived)
        assert arrived.header("authorization") == sent.header("authorization") == f"Bearer {OPENAI_KEY}".encode()


def test_anthropic_s_sdk_with_its_own_key(proxy: LiveGateway, tap: Wiretap, heard):
    answers = []
    for base_url in (tap.url, proxy.url):
        with Anthropic(base_url=base_url, api_key=ANTHROPIC_KEY, max_retries=0) as client:
            with client.messages.stream(model="demo", max_tokens=50, messages=TALK) as stream:
                answers.append([shown(stream.get_final_message()), shown(list(client.models.list()))])
            with pytest.raises(anthropic.PermissionDeniedError):
                client.messages.create(model="demo-fail403", max_tokens=9, messages=TALK)
    assert answers[0] == answers[1]
    for sent, arrived in zip(heard[:3], heard[3:], strict=True):
        same_request(sent, arrived)
        assert arrived.header("authorization") == sent.header("authorization")
        assert arrived.header("x-api-key") == sent.header("x-api-key")
        assert f"{ANTHROPIC_KEY}'" in str(arrived.headers)


def test_nothing_is_asked_of_them(proxy: LiveGateway, http: httpx.Client):
    """No key of ours exists, and nobody is refused by us."""
    assert proxy.plane.keys is None
    assert http.post(f"{proxy.url}/v1/chat/completions", json=CHAT).status_code == 200
    assert http.get(f"{proxy.url}/logs?key=x").status_code == 403
    assert http.get(f"{proxy.url}/readyz").json() == {"ready": True, "reasons": {}}


# renaming


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"model":', b',"messages":[{"role":"user","content":"hi"}]}'),
        (b'{ "messages" : [{"role":"user","content":"my-model"}],\n\t"model" : ', b' , "temperature":1.0e0, "x": {"model":"my-model"} }'),
        (b'{"messages":[{"role":"user","content":"\\u4e16\xe7\x95\x8c"}],"model":', b',"seed":12345678901234567890}'),
    ],
)
def test_only_the_model_is_changed(before, after, logging_proxy: LiveGateway, heard, http: httpx.Client):
    assert http.post(f"{logging_proxy.url}/v1/chat/completions", content=before + b'"my-model"' + after).status_code == 200
    (arrived,) = heard
    assert arrived.body == before + b'"demo-cached"' + after


def test_models_are_renamed_everywhere(logging_proxy: LiveGateway, heard):
    with OpenAI(base_url=f"{logging_proxy.url}/v1", api_key=OPENAI_KEY) as client:
        assert client.chat.completions.create(model="my-model", messages=TALK).model == "demo-cached"
        chunks = list(client.chat.completions.create(model="my-model", messages=TALK, stream=True))
        assert {chunk.model for chunk in chunks} == {"demo-cached"}
        assert client.responses.create(model="my-model", input="Hello").model == "demo-cached"
        client.audio.transcriptions.create(model="my-model", file=("a.wav", wav(2400)))
    with Anthropic(base_url=logging_proxy.url, api_key=ANTHROPIC_KEY) as claude:
        assert claude.messages.create(model="claude-3-haiku", max_tokens=9, messages=TALK).model == "claude-3-5-haiku"
        assert claude.messages.create(model="claude-3-haiku-20240307", max_tokens=9, messages=TALK).model == "claude-3-haiku-20240307"
    assert b'name="model"\r\n\r\ndemo-cached\r\n' in heard[3].body


@pytest.mark.parametrize("value", ["nonsense", "a=>b,c"])
def test_a_rewrite_that_cannot_be_read_is_refused_at_the_start(value, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment |= {"API_MODEL_REWRITE": value, "PENSTOCK_DATA": str(tmp_path / "data")}
    ran = subprocess.run([sys.executable, "-m", "penstock", "serve"], env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"penstock: API_MODEL_REWRITE: {REWRITE_REFUSED}\n"
    assert not (tmp_path / "data").exists()


# the raw traffic


def rows(http: httpx.Client, proxy: LiveGateway, form: str = "csv") -> list[dict[str, Any]]:
    answer = http.get(f"{proxy.url}/logs", params={"key": GUARD, "format": form})
    assert answer.status_code == 200
    if form == "json":
        return answer.json()
    table = list(csv.DictReader(io.StringIO(answer.text, newline=""), strict=True))
    assert not table or tuple(table[0]) == COLUMNS
    return table


@pytest.fixture
def cleared(logging_proxy: LiveGateway, http: httpx.Client) -> LiveGateway:
    """The logging proxy without records of other tests."""
    answer = http.delete(f"{logging_proxy.url}/clear-logs", headers={"x-api-key": GUARD})
    assert answer.json() == {"success": True, "message": {"en": "Logs cleared successfully", "zh": "日志已成功清除"}}
    return logging_proxy


def test_what_was_said_is_in_the_logs(cleared: LiveGateway, http: httpx.Client):
    with OpenAI(base_url=f"{cleared.url}/v1", api_key=OPENAI_KEY) as client:
        made = client.chat.completions.with_raw_response.create(model="my-model", messages=TALK)
    for row in (rows(http, cleared)[0], rows(http, cleared, "json")[0]):
        assert row["id"] == made.headers["x-request-id"]
        assert (row["method"], row["path"]) == ("POST", "/v1/chat/completions")
        assert (row["original_model"], row["rewritten_model"]) == ("my-model", "demo-cached")
        assert json.loads(row["request_body"]) == {"model": "my-model", "messages": TALK}
        assert json.loads(row["response_body"]) == json.loads(made.text)
        assert (str(row["response_status"]), str(row["is_stream"]).lower()) == ("200", "false")
        headers = row["request_headers"] if isinstance(row["request_headers"], dict) else json.loads(row["request_headers"])
        assert headers["authorization"] == "[redacted]"
        assert headers["x-stainless-lang"] == "python"


def test_streams_forms_sounds_and_errors_are_in_the_logs(cleared: LiveGateway, http: httpx.Client):
    with OpenAI(base_url=f"{cleared.url}/v1", api_key=OPENAI_KEY, max_retries=0) as client:
        with client.responses.with_streaming_response.create(model="demo-n50", input="Hello", stream=True) as answer:
            stream = b"".join(answer.iter_bytes()).decode()
        client.audio.transcriptions.create(model="demo", file=("a.wav", wav(2400)))
        sound = client.audio.speech.create(model="demo", voice="alloy", input="Hi").content
        with pytest.raises(openai.RateLimitError) as failed:
            client.chat.completions.create(model="demo-fail429", messages=TALK)
    told, heard, spoken, refused = rows(http, cleared, "json")
    assert (told["response_body"], told["is_stream"]) == (stream, True)
    assert wav(2400) in base64.b64decode(heard["request_body"].removeprefix("[base64] "))
    assert base64.b64decode(spoken["response_body"].removeprefix("[base64] ")) == sound
    assert (refused["response_status"], json.loads(refused["response_body"])) == (429, failed.value.response.json())
    assert [row["path"] for row in rows(http, cleared)] == [row["path"] for row in (told, heard, spoken, refused)]


def test_a_table_that_a_spreadsheet_may_open(cleared: LiveGateway, http: httpx.Client):
    text = 'a "quoted", line\r\nand another\n=1+1'
    for model in ("=cmd", "demo"):
        http.post(f"{cleared.url}/v1/chat/completions", json={"model": model, "messages": [{"role": "user", "content": text}]})
    formula, plain = rows(http, cleared)
    assert (formula["original_model"], plain["original_model"]) == ("'=cmd", "demo")
    assert json.loads(plain["request_body"])["messages"][0]["content"] == text
    answer = http.get(f"{cleared.url}/logs", params={"key": GUARD})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith('attachment; filename="penstock-logs-')


def test_no_secret_is_anywhere(cleared: LiveGateway, caplog, http: httpx.Client):
    caplog.set_level(logging.DEBUG)
    written = {"model": "demo", "messages": [{"role": "user", "content": f"My key is {OPENAI_KEY}, and Bearer {ANTHROPIC_KEY}"}]}
    compressed = gzip.compress(json.dumps(written).encode())
    url = f"{cleared.url}/v1/chat/completions"
    for headers, query in (
        ({"authorization": f"Bearer {OPENAI_KEY}"}, ""),
        ({"authorization": OPENAI_KEY, "x-api-key": ANTHROPIC_KEY, "cookie": f"a={OPENAI_KEY}", "x-auth-token": OPENAI_KEY}, ""),
        ({"api-key": OPENAI_KEY, "x-title": f"key {OPENAI_KEY}"}, f"?key={OPENAI_KEY}&api_key={OPENAI_KEY}"),
    ):
        http.post(url + query, headers=headers, json=written)
        http.post(url + query, headers={**headers, "content-encoding": "gzip"}, content=compressed)
    assert len(rows(http, cleared)) == 6
    shown = [http.get(f"{cleared.url}/logs", params={"key": GUARD, "format": form}).text for form in ("csv", "json")]
    shown.append("".join(str(record.__dict__) for record in caplog.records if record.name.startswith(("penstock", "uvicorn"))))
    shown.append(http.get(f"{cleared.url}/metrics").text)
    stored = b"".join(path.read_bytes() for path in cleared.settings.data.rglob("*") if path.is_file())
    for secret in (OPENAI_KEY, ANTHROPIC_KEY, GUARD):
        assert [text.count(secret) for text in shown] == [0] * 4
        assert secret.encode() not in stored


@pytest.mark.parametrize("path", ["/logs", "/clear-logs"])
def test_who_may_see_and_clear_them(path, logging_proxy: LiveGateway, http: httpx.Client):
    url = logging_proxy.url + path
    for headers, query in (
        ({}, ""),
        ({}, "?key=wrong"),
        ({"authorization": "Bearer wrong"}, ""),
        ({"authorization": f"Bearer {OPENAI_KEY}"}, ""),
    ):
        answer = http.get(url + query, headers=headers)
        assert (answer.status_code, answer.json()["success"], set(answer.json()["message"])) == (401, False, {"en", "zh"})
    for headers, query in (({}, f"?key={GUARD}"), ({"authorization": f"Bearer {GUARD}"}, ""), ({"x-api-key": GUARD}, "")):
        assert http.get(url + query, headers=headers).status_code == 200


def test_clearing(cleared: LiveGateway, http: httpx.Client):
    def some() -> None:
        assert http.post(f"{cleared.url}/v1/chat/completions", json=CHAT).status_code == 200
        assert len(rows(http, cleared)) == 1

    url = f"{cleared.url}/clear-logs"
    some()
    assert http.get(url, params={"key": GUARD}, headers={"sec-purpose": "prefetch"}).status_code == 403
    assert len(rows(http, cleared)) == 1
    for clear in (http.get, http.post, http.delete):
        assert clear(url, params={"key": GUARD}).json()["success"] is True
        assert rows(http, cleared) == rows(http, cleared, "json") == []
        some()
    assert http.get(f"{cleared.url}/logs", params={"key": GUARD, "format": "xml"}).status_code == 400
