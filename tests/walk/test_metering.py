"""Metering: what each wire's answers are charged, and that nothing else of a request or an answer is touched."""

from __future__ import annotations

import json
import re

import pytest

from fake_answers import DONE, answer, chat_answer, chat_usage, event, head, stream
from fake_faults import PLAIN
from fake_provider import hang
from penstock.kit.sse import split
from penstock.upstream.usage import Usage
from raw_client import Answer, request
from stage import EVENTS, FORM, WIRES, Stage, asked, form, plain

CHAT_USAGE = {
    "prompt_tokens": 1119,
    "completion_tokens": 210,
    "total_tokens": 1329,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 192,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
CHAT_USED = Usage(input_tokens=95, cache_read_tokens=1024, output_tokens=210, reasoning_tokens=192)
AUDIO_USAGE = {
    "prompt_tokens": 500,
    "completion_tokens": 90,
    "total_tokens": 590,
    "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 300, "text_tokens": 200, "image_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 60, "text_tokens": 30},
}
AUDIO_USED = Usage(input_tokens=136, cache_read_tokens=64, input_audio_tokens=300, output_tokens=30, output_audio_tokens=60)
RESPONSE_USAGE = {
    "input_tokens": 1119,
    "input_tokens_details": {"cached_tokens": 1024},
    "output_tokens": 210,
    "output_tokens_details": {"reasoning_tokens": 192},
    "total_tokens": 1329,
}
MESSAGE_USAGE = {
    "input_tokens": 50,
    "cache_creation_input_tokens": 30,
    "cache_read_input_tokens": 1000,
    "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    "output_tokens": 77,
    "server_tool_use": {"web_search_requests": 2},
    "service_tier": "standard",
}
MESSAGE_USED = Usage(
    input_tokens=50, cache_read_tokens=1000, cache_write_5m_tokens=10, cache_write_1h_tokens=20, output_tokens=77, web_searches=2
)
IMAGE_USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
    "output_tokens": 4160,
    "total_tokens": 4210,
}
IMAGE_USED = Usage(input_tokens=10, input_image_tokens=40, output_image_tokens=4160, images=1)
VECTOR = {"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}


def posted(stage: Stage, path: str, body: object, *headers: str) -> Answer:
    """The answer to a JSON body, or to bytes with their content-type in `headers`."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = () if isinstance(body, bytes) else ("content-type: application/json",)
    with stage.client() as client:
        return client.ask(request(f"POST {path}", f"authorization: Bearer {stage.gateway.key}", *kind, *headers, body=content))


SOUND = b"\xff\xfb\x90\x00" * 4000

# path, request, answer, usage; the model is the request's
ANSWERS = {
    "chat": ("chat/completions", asked("chat"), chat_answer(usage=CHAT_USAGE), CHAT_USED),
    "chat with a tier": (
        "chat/completions",
        asked("chat", model="o4-mini", service_tier="flex"),
        chat_answer(usage=CHAT_USAGE) | {"service_tier": "flex"},
        Usage(input_tokens=95, cache_read_tokens=1024, output_tokens=210, reasoning_tokens=192, service_tier="flex"),
    ),
    "chat with sound": ("chat/completions", asked("chat", model="gpt-4o-audio-preview"), chat_answer(usage=AUDIO_USAGE), AUDIO_USED),
    "completions": (
        "completions",
        {"model": "gpt-3.5-turbo-instruct", "prompt": "Hello"},
        {
            "id": "cmpl-1",
            "object": "text_completion",
            "choices": [],
            "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
        },
        Usage(input_tokens=5, output_tokens=7),
    ),
    "responses": ("responses", asked("responses"), plain("responses") | {"usage": RESPONSE_USAGE}, CHAT_USED),
    "messages": ("messages", asked("messages"), plain("messages") | {"usage": MESSAGE_USAGE}, MESSAGE_USED),
    "messages as of old": (
        "messages",
        asked("messages"),
        plain("messages")
        | {"usage": {"input_tokens": 50, "output_tokens": 77, "cache_creation_input_tokens": 30, "cache_read_input_tokens": None}},
        Usage(input_tokens=50, cache_write_5m_tokens=30, output_tokens=77),
    ),
    "embeddings": (
        "embeddings",
        {"model": "text-embedding-3-small", "input": "Hello"},
        {"object": "list", "data": [VECTOR], "model": "text-embedding-3-small", "usage": {"prompt_tokens": 8, "total_tokens": 8}},
        Usage(input_tokens=8),
    ),
    "images": (
        "images/generations",
        {"model": "gpt-image-1", "prompt": "a duck"},
        {"created": 1_790_000_000, "data": [{"b64_json": "aGVsbG8="}], "usage": IMAGE_USAGE},
        IMAGE_USED,
    ),
    "images by the piece": (
        "images/generations",
        {"model": "dall-e-3", "prompt": "a duck", "n": 2},
        {"created": 1_790_000_000, "data": [{"url": "https://images.example/1"}, {"url": "https://images.example/2"}]},
        Usage(images=2),
    ),
    "moderations": ("moderations", {"model": "omni-moderation-latest", "input": "Hello"}, {"id": "modr-1", "results": []}, Usage(calls=0)),
    "count_tokens": ("messages/count_tokens", asked("messages"), {"input_tokens": 14}, Usage(calls=0)),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_plain_answer(stage, name):
    path, said, value, usage = ANSWERS[name]
    body = json.dumps(value, indent=1).encode()
    stage.script(answer(body))
    answered = posted(stage, f"/v1/{path}", said)
    assert answered.body == body
    row = stage.charge(answered)
    stage.check_cost(row, usage)
    provider = "anthropic" if path.startswith("messages") else "openai"
    assert (row["outcome"], row["status"], row["streamed"], row["provider"], row["channel"]) == ("complete", 200, 0, provider, provider)
    assert row["model"] == row["served_model"] == said["model"]
    assert row["wire"] == {"chat/completions": "chat", "images/generations": "images", "messages/count_tokens": "count_tokens"}.get(
        path, path
    )
    assert row["key_id"].startswith("key_")
    received = stage.vendor.requests[0]
    assert (received.target, json.loads(received.body)) == (f"/v1/{path}", said)
    assert (row["price_version"] is None) is (name == "images by the piece")
    assert row["cost_nano"] > 0 or usage.calls == 0 or name == "images by the piece"


def messages_stream(usage: dict, more: dict) -> list[bytes]:
    """A messages stream that states `usage` first and `more` at its end."""
    sent = EVENTS["messages"](3)
    sent[0] = sent[0].replace(
        b'"usage":{"input_tokens":19,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}',
        b'"usage":' + json.dumps(usage).encode(),
    )
    sent[-2] = sent[-2].replace(b'"usage":{"output_tokens":3}', b'"usage":' + json.dumps(more).encode())
    return sent


def responses_stream(usage: dict) -> list[bytes]:
    """A responses stream with another usage."""
    sent = EVENTS["responses"](3)
    sent[-1] = re.sub(rb'"usage":\{.*\}\},"sequence', b'"usage":' + json.dumps(usage).encode() + b'},"sequence', sent[-1])
    return sent


def images_stream(count: int) -> list[bytes]:
    """A stream of partial and completed images."""
    partial = {"type": "image_generation.partial_image", "b64_json": "aGVsbG8=", "partial_image_index": 0}
    whole = {"type": "image_generation.completed", "b64_json": "aGVsbG8=", "usage": IMAGE_USAGE}
    return [event(partial, partial["type"]), event(whole, whole["type"])] * count


SPEECH = [
    event({"type": "speech.audio.delta", "audio": "aGVsbG8="}),
    event({"type": "speech.audio.done", "usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}}),
]
TOKENS = {"type": "tokens", "input_tokens": 14, "input_token_details": {"text_tokens": 2, "audio_tokens": 12}, "output_tokens": 45}
TRANSCRIPT = [
    event({"type": "transcript.text.delta", "delta": "Hello"}),
    event({"type": "transcript.text.done", "text": "Hello", "usage": TOKENS}),
]
STREAMS = {
    "responses": ("responses", asked("responses", stream=True), responses_stream(RESPONSE_USAGE), CHAT_USED),
    "messages": (
        "messages",
        asked("messages", stream=True),
        messages_stream(
            MESSAGE_USAGE | {"output_tokens": 1, "server_tool_use": None},
            {"output_tokens": 77, "server_tool_use": {"web_search_requests": 2}},
        ),
        MESSAGE_USED,
    ),
    "messages that repeat it all": (
        "messages",
        asked("messages", stream=True),
        messages_stream({"input_tokens": 9, "output_tokens": 1}, MESSAGE_USAGE),
        MESSAGE_USED,
    ),
    "images": ("images/generations", {"model": "gpt-image-1", "prompt": "a duck", "stream": True}, images_stream(1), IMAGE_USED),
    "two images": (
        "images/generations",
        {"model": "gpt-image-1", "prompt": "a duck", "stream": True, "n": 2},
        images_stream(2),
        Usage(input_tokens=20, input_image_tokens=80, output_image_tokens=8320, images=2),
    ),
    "speech": (
        "audio/speech",
        {"model": "gpt-4o-mini-tts", "input": "Hello there", "voice": "alloy", "stream_format": "sse"},
        SPEECH,
        Usage(input_tokens=14, output_audio_tokens=101, characters=11),
    ),
    "completions": (
        "completions",
        {"model": "gpt-3.5-turbo-instruct", "prompt": "Hello", "stream": True, "stream_options": {"include_usage": True}},
        [
            event(
                {
                    "id": "cmpl-1",
                    "object": "text_completion",
                    "choices": [{"index": 0, "text": " word", "finish_reason": None}],
                    "usage": None,
                }
            ),
            event(
                {"id": "cmpl-1", "object": "text_completion", "choices": [{"index": 0, "text": "", "finish_reason": "stop"}], "usage": None}
            ),
            event({"id": "cmpl-1", "object": "text_completion", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}}),
            DONE,
        ],
        Usage(input_tokens=5, output_tokens=7),
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream(stage, name):
    path, said, events, usage = STREAMS[name]
    stage.script(stream(*events))
    answered = posted(stage, f"/v1/{path}", said)
    assert answered.body == b"".join(events)
    row = stage.charge(answered)
    stage.check_cost(row, usage)
    assert (row["outcome"], row["status"], row["streamed"]) == ("complete", 200, 1)
    assert row["cost_nano"] > 0
    assert json.loads(stage.vendor.requests[0].body) == said


# sound


def test_sound_is_charged_by_the_character(stage):
    stage.script(answer(SOUND, kind="audio/mpeg"))
    answered = posted(stage, "/v1/audio/speech", {"model": "tts-1", "input": "Grüße, 世界", "voice": "alloy"})
    assert (answered.body, answered.header("content-type")) == (SOUND, "audio/mpeg")
    stage.check_cost(stage.charge(answered), Usage(characters=9))


@pytest.mark.parametrize(
    ("model", "value", "usage"),
    [
        ("whisper-1", {"text": "Hello", "usage": {"type": "duration", "seconds": 7}}, Usage(audio_seconds=7)),
        ("whisper-1", {"task": "transcribe", "language": "english", "duration": 6.4, "text": "Hello"}, Usage(audio_seconds=7)),
        (
            "gpt-4o-transcribe",
            {"text": "Hello", "usage": TOKENS},
            Usage(input_tokens=2, input_audio_tokens=12, output_tokens=45),
        ),
    ],
)
@pytest.mark.parametrize("where", ["model first", "model last"])
def test_a_transcription(stage, model, value, usage, where):
    body = form(model=model, file=SOUND) if where == "model first" else form(file=SOUND, model=model)
    stage.script(answer(value))
    answered = posted(stage, "/v1/audio/transcriptions", body, FORM)
    assert answered.json == value
    row = stage.charge(answered)
    stage.check_cost(row, usage)
    assert (row["wire"], row["model"]) == ("transcriptions", model)
    assert (stage.vendor.requests[0].body, stage.vendor.requests[0].header("content-type")) == (body, FORM[14:].encode())


def test_a_transcription_that_streams(stage):
    stage.script(stream(*TRANSCRIPT))
    answered = posted(stage, "/v1/audio/transcriptions", form(model="gpt-4o-transcribe", stream="true", file=SOUND), FORM)
    assert answered.body == b"".join(TRANSCRIPT)
    stage.check_cost(stage.charge(answered), Usage(input_tokens=2, input_audio_tokens=12, output_tokens=45))


def test_an_edited_image(stage):
    body = form(model="gpt-image-1", prompt="a duck", image=b"\x89PNG" * 10_000)
    stage.script(answer({"created": 1, "data": [{"b64_json": "aGVsbG8="}], "usage": IMAGE_USAGE}))
    answered = posted(stage, "/v1/images/edits", body, FORM)
    stage.check_cost(stage.charge(answered), IMAGE_USED)
    assert stage.vendor.requests[0].body == body


# what is charged as a call, and what not at all


def test_an_unknown_path_is_a_call(stage):
    for path, body in (("/v1/files", form(purpose="batch", file=b"{}")), ("/v1/vector_stores?after=a%20b&limit=2", b'{"name": "x"}')):
        stage.script(answer({"id": "file-1", "usage": {"prompt_tokens": 10**6}}))
        answered = posted(stage, path, body, FORM if b"--b" in body else "content-type: application/json")
        stage.check_cost(stage.charge(answered), Usage())
        assert (stage.vendor.requests[-1].target, stage.vendor.requests[-1].body) == (path, body)


def test_what_is_only_read_has_no_charge(stage):
    with stage.client() as client:
        for method in ("GET", "DELETE"):
            for path in ("/v1/files", "/v1/responses/resp_1", "/v1/files/file-1/content"):
                stage.vendor.script(answer(plain("responses")))
                answered = client.ask(request(f"{method} {path}", f"authorization: Bearer {stage.gateway.key}"))
                assert answered.status == 200
                assert stage.row(answered) is None
                assert (stage.vendor.requests[-1].method, stage.vendor.requests[-1].target) == (method, path)


def test_a_model_without_a_price_is_charged_nothing_and_marked(stage):
    stage.script(PLAIN)
    answered = stage.ask("chat", model="gpt-unheard-of")
    row = stage.charge(answered)
    assert (row["cost_nano"], row["price_version"], row["input_tokens"], row["output_tokens"]) == (0, None, 19, 10)


def test_a_client_that_leaves_before_the_answer_pays_for_its_question(stage):
    stage.script(hang)
    before = {row["id"] for row in stage.gateway.charges()}
    with stage.client() as client:
        client.send(stage.raw("chat"))
        stage.await_vendor(stage.vendor.until_requests(1))
    stage.await_vendor(stage.vendor.until_closed())
    stage.gateway.check_quiet()
    [row] = [row for row in stage.gateway.charges(len(before) + 1) if row["id"] not in before]
    assert (row["outcome"], row["status"]) == ("client_gone", 499)
    assert 0 <= row["upload_ms"] <= row["first_byte_ms"] <= row["duration_ms"]
    stage.check_cost(row, stage.guess("chat", 0), estimated=True)


# the cost, shown where the operator wants it


@pytest.fixture(scope="module")
def module_open_handed(make_stage):
    return make_stage(show_cost=True, show_channel=True, show_overhead=True)


@pytest.fixture
def open_handed(module_open_handed, vendor):
    """A gateway that tells its clients what they pay."""
    yield module_open_handed
    module_open_handed.check_quiet()


def test_the_cost_is_shown(open_handed):
    open_handed.script(PLAIN)
    answered = open_handed.ask("chat")
    row = open_handed.charge(answered)
    assert round(float(answered.header("x-penstock-cost")) * 1e9) == row["cost_nano"] > 0
    assert answered.header("x-penstock-channel") == "openai"
    assert float(answered.header("x-penstock-overhead-ms")) >= 0


@pytest.mark.parametrize("wire", WIRES)
def test_the_cost_of_a_stream_is_a_comment_at_its_end(open_handed, wire):
    sent = EVENTS[wire](10)
    open_handed.script(stream(*sent))
    answered = open_handed.ask(wire, stream=True)
    *events, comment = split(answered.body)
    assert events == [one for one in sent if wire != "chat" or one != chat_usage()]
    assert round(float(comment.removeprefix(b": cost ")) * 1e9) == open_handed.charge(answered)["cost_nano"]


def test_a_provider_cannot_speak_for_us(stage):
    stage.script(head(200, "x-penstock-cost: 99", "content-length: 2") + b"{}")
    assert stage.ask("chat").header("x-penstock-cost") is None


# every wire: an answer of the other kind than was asked for is metered all the same


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_that_nobody_asked_for_and_a_plain_answer_to_who_asked_for_a_stream(stage, wire):
    stage.script(stream(*EVENTS[wire](10)))
    stage.check_cost(stage.charge(stage.ask(wire)), Usage(input_tokens=19, output_tokens=10))
    stage.script(answer(plain(wire)))
    stage.check_cost(stage.charge(stage.ask(wire, stream=True)), Usage(input_tokens=19, output_tokens=10))
