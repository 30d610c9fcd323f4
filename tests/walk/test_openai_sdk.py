"""OpenAI's own SDK through Penstock: whatever it can do, it gets what the provider says, and the provider gets what it says."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import openai
import pydantic
import pytest
from openai import AsyncOpenAI, OpenAI

from live_gateway import LiveGateway
from penstock.upstream.demo.audio import wav
from penstock.upstream.demo.images import png
from sdk_judges import nowhere, same_request, shown, without_ids
from wiretap import Wiretap

OURS = "sk-of-the-gateway"
THEIRS = "sk-of-the-client"
TALK: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüße, 世界!"}]
PLACE: Any = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": PLACE}}
SOUND = ("hello.wav", wav(2400), "audio/wav")
PICTURE = ("picture.png", png(64, 64, b"123456789012"), "image/png")


class City(pydantic.BaseModel):
    """What structured answers are parsed into."""

    name: str
    inhabitants: int


def chat(client: OpenAI) -> Any:
    return client.chat.completions.create(model="demo", messages=TALK, temperature=0.3)


def chat_with_more(client: OpenAI) -> Any:
    more = {"extra_headers": {"x-more": "1"}, "extra_query": {"more": "a b&c"}, "extra_body": {"never_heard_of": {"a": [1.50, None]}}}
    return client.chat.completions.create(model="demo-cached", messages=TALK, n=3, max_completion_tokens=7, stop=["x"], **more)


def chat_stream(client: OpenAI) -> Any:
    return without_ids(list(client.chat.completions.create(model="demo-n9", messages=TALK, stream=True)))


def chat_stream_with_usage(client: OpenAI) -> Any:
    with client.chat.completions.create(model="demo", messages=TALK, stream=True, stream_options={"include_usage": True}) as stream:
        chunks = list(stream)
    assert chunks[-1].usage is not None and not chunks[-1].choices
    return chunks


def chat_stream_helper(client: OpenAI) -> Any:
    with client.chat.completions.stream(model="demo-n9", messages=TALK, n=2) as stream:
        kinds = [event.type for event in stream]
        return [kinds, *without_ids([stream.get_final_completion()])]


def chat_tool(client: OpenAI) -> Any:
    with client.chat.completions.stream(model="demo-tool", messages=TALK, tools=[TOOL], stream_options={"include_usage": True}) as stream:
        stream.until_done()
        done = stream.get_final_completion()
    (call,) = done.choices[0].message.tool_calls or []
    assert call.function.name == "weather"
    return done


def chat_parsed(client: OpenAI) -> Any:
    done = client.chat.completions.parse(model="demo", messages=TALK, response_format=City)
    assert isinstance(done.choices[0].message.parsed, City)
    return done


def completions(client: OpenAI) -> Any:
    plain = client.completions.create(model="demo", prompt=["one", "two"], echo=True)
    return shown(plain), without_ids(list(client.completions.create(model="demo", prompt="three", stream=True)))


def responses(client: OpenAI) -> Any:
    made = client.responses.create(model="demo", input="Hello", instructions="Be brief.", metadata={"a": "b"})
    again = client.responses.retrieve(made.id)
    assert again.output_text == made.output_text
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    return made


def responses_stream(client: OpenAI) -> Any:
    return shown(list(client.responses.create(model="demo-n5", input=TALK, stream=True)))


def responses_stream_helper(client: OpenAI) -> Any:
    with client.responses.stream(model="demo", input="A city, please", text_format=City) as stream:
        kinds = [event.type for event in stream]
        done = stream.get_final_response()
    assert isinstance(done.output_parsed, City)
    return kinds, shown(done)


def responses_parsed(client: OpenAI) -> Any:
    done = client.responses.parse(model="demo", input="A city, please", text_format=City)
    assert isinstance(done.output_parsed, City)
    return done


def responses_count(client: OpenAI) -> Any:
    return client.responses.input_tokens.count(model="demo", input="How long is this?")


def embeddings(client: OpenAI) -> Any:
    as_base64 = client.embeddings.create(model="demo", input=["a", "b"], dimensions=16)  # the SDK asks for base64 by itself
    as_floats = client.embeddings.create(model="demo", input=["a", "b"], dimensions=16, encoding_format="float")
    assert as_base64.data[0].embedding == pytest.approx(as_floats.data[0].embedding, abs=1e-6)
    return shown(as_base64), shown(as_floats)


def moderations(client: OpenAI) -> Any:
    return client.moderations.create(model="omni-moderation-latest", input=["fine", "flag this"])


def images_generate(client: OpenAI) -> Any:
    return client.images.generate(model="demo", prompt="A penstock", n=2, size="256x256")


def images_stream(client: OpenAI) -> Any:
    return shown(list(client.images.generate(model="demo", prompt="A gate", size="64x64", stream=True, partial_images=2)))


def images_edit(client: OpenAI) -> Any:
    return client.images.edit(model="demo", image=[PICTURE, PICTURE], mask=PICTURE, prompt="Bluer", size="64x64")


def images_variation(client: OpenAI) -> Any:
    with pytest.deprecated_call():
        return client.images.create_variation(model="demo", image=io.BytesIO(PICTURE[1]), size="256x256")


def speech(client: OpenAI) -> Any:
    return client.audio.speech.create(model="demo", voice="alloy", input="Hello there").content


def speech_streamed(client: OpenAI) -> Any:
    request = client.audio.speech.with_streaming_response
    with request.create(model="demo-n8", voice="alloy", input="Hello there", response_format="pcm") as answer:
        return answer.headers["content-type"], b"".join(answer.iter_bytes(1000))


def transcriptions(client: OpenAI) -> Any:
    shapes: Any = ("json", "text", "srt", "verbose_json")
    return [shown(client.audio.transcriptions.create(model="demo", file=SOUND, response_format=shape)) for shape in shapes]


def transcription_stream(client: OpenAI) -> Any:
    return shown(list(client.audio.transcriptions.create(model="demo", file=SOUND, stream=True, language="en")))


def translations(client: OpenAI) -> Any:
    with pytest.deprecated_call():
        return client.audio.translations.create(model="whisper-1", file=SOUND)


def files(client: OpenAI) -> Any:
    lines = b'{"custom_id":"1"}\n' * 20_000  # more than one read of a socket
    made = client.files.create(file=("batch.jsonl", lines), purpose="batch")
    assert client.files.retrieve(made.id).bytes == len(lines)
    assert made.id in [file.id for file in client.files.list(purpose="batch")]
    assert client.files.content(made.id).read() == lines
    with client.files.with_streaming_response.content(made.id) as answer:
        assert b"".join(answer.iter_bytes()) == lines
    gone = client.files.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.files.content(made.id)
    return shown(made), shown(gone)


def batches(client: OpenAI) -> Any:
    file = client.files.create(file=b"{}\n", purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert client.batches.retrieve(made.id).status == "validating"
    assert made.id in [batch.id for batch in client.batches.list(limit=5)]
    cancelled = client.batches.cancel(made.id)
    client.files.delete(file.id)
    return shown(made), shown(cancelled)


def raw(client: OpenAI) -> Any:
    answer = client.chat.completions.with_raw_response.create(model="demo", messages=TALK)
    assert answer.http_response.is_success
    assert answer.headers["content-type"] == "application/json"
    return answer.text, shown(answer.parse())


def streamed_raw(client: OpenAI) -> Any:
    with client.chat.completions.with_streaming_response.create(model="demo", messages=TALK) as answer:
        return list(answer.iter_lines())


def anything(client: OpenAI) -> Any:
    """A path that neither side has heard of: the provider's own answer, whatever it is."""
    calls: Any = (client.put, client.patch, client.post, client.delete, client.get)
    answers = []
    for call in calls:
        more = {} if call == client.get else {"body": {"made": "up"}}
        with pytest.raises(openai.NotFoundError) as failed:
            call("/not/yet?made=1", cast_to=object, **more)
        answers.append(failed.value.body)
    with pytest.raises(openai.NotFoundError):
        client.delete("/without/a/body", cast_to=object)
    return answers


OPERATIONS: list[Callable[[OpenAI], Any]] = [
    chat, chat_with_more, chat_stream, chat_stream_with_usage, chat_stream_helper, chat_tool, chat_parsed, completions, responses,
    responses_stream, responses_stream_helper, responses_parsed, responses_count, embeddings, moderations, images_generate,
    images_stream, images_edit, images_variation, speech, speech_streamed, transcriptions, transcription_stream, translations, files,
    batches, raw, streamed_raw, anything,
]  # fmt: skip
each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)


# What is judged: the same operations without a gateway, through one with the demo provider, and through one with a provider key.


@pytest.fixture(scope="module")
def real(make_gateway: Callable[..., LiveGateway], tap: Wiretap) -> LiveGateway:
    """A gateway whose OpenAI is behind the wiretap."""
    return make_gateway(openai_api_key=OURS, openai_base_url=f"{tap.url}/v1")


@pytest.fixture(scope="module")
def direct(tap: Wiretap) -> Iterator[OpenAI]:
    """The SDK without a gateway."""
    with OpenAI(base_url=f"{tap.url}/v1", api_key=THEIRS, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def through(gateway: LiveGateway) -> Iterator[OpenAI]:
    """The SDK through a gateway with the demo provider."""
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def through_real(real: LiveGateway) -> Iterator[OpenAI]:
    """The SDK through a gateway with a provider key."""
    with OpenAI(base_url=f"{real.url}/v1", api_key=real.key, max_retries=0) as client:
        yield client


@pytest.fixture
async def asynchronous(gateway: LiveGateway) -> AsyncIterator[AsyncOpenAI]:
    """The SDK for asyncio through a gateway with the demo provider."""
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        yield client


@each_operation
def test_the_answer_is_the_provider_s(operation, direct: OpenAI, through: OpenAI):
    assert shown(operation(through)) == shown(operation(direct))


@each_operation
def test_the_request_is_the_client_s_with_our_credential(operation, direct: OpenAI, through_real: OpenAI, real: LiveGateway, tap: Wiretap):
    tap.heard.clear()
    expected = shown(operation(direct))
    sent = list(tap.heard)
    tap.heard.clear()
    answer = shown(operation(through_real))
    arrived = list(tap.heard)
    assert answer == expected
    assert OURS not in str(answer)
    assert len(arrived) == len(sent) > 0
    for before, after in zip(sent, arrived, strict=True):
        same_request(before, after)
        assert after.header("authorization") == f"Bearer {OURS}".encode()
    nowhere(real.key, *arrived)


# asyncio


async def test_everything_at_once(asynchronous: AsyncOpenAI):
    async def streamed(number: int) -> str:
        text = ""
        messages: Any = [{"role": "user", "content": f"Number {number}"}]
        async for chunk in await asynchronous.chat.completions.create(model="demo-d1", messages=messages, stream=True):
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        return text

    async def plain(number: int) -> str:
        return (await asynchronous.responses.create(model="demo", input=f"Number {number}")).output_text

    told = await asyncio.gather(*(tell(number) for number in range(30) for tell in (streamed, plain)))
    assert [f"Number {number // 2}" in text for number, text in enumerate(told)] == [True] * 60


async def test_asynchronous_helpers(asynchronous: AsyncOpenAI):
    async with asynchronous.chat.completions.stream(model="demo", messages=TALK, stream_options={"include_usage": True}) as stream:
        done = await stream.get_final_completion()
    assert done.usage is not None and done.usage.completion_tokens > 0
    async with asynchronous.responses.stream(model="demo", input="Hello") as events:
        assert (await events.get_final_response()).status == "completed"
    parsed = await asynchronous.chat.completions.parse(model="demo", messages=TALK, response_format=City)
    assert isinstance(parsed.choices[0].message.parsed, City)


async def test_asynchronous_uploads_and_downloads(asynchronous: AsyncOpenAI):
    content = bytes(range(256)) * 4000
    made = await asynchronous.files.create(file=("a.bin", content), purpose="user_data")
    assert (await asynchronous.files.content(made.id)).content == content
    assert made.id in [file.id async for file in asynchronous.files.list()]
    assert (await asynchronous.files.delete(made.id)).deleted
    assert (await asynchronous.audio.transcriptions.create(model="demo", file=SOUND)).text
    async with asynchronous.audio.speech.with_streaming_response.create(model="demo", voice="alloy", input="Hi") as answer:
        assert len([piece async for piece in answer.iter_bytes(512)]) > 2


async def test_a_stream_that_is_left_halfway_is_settled(asynchronous: AsyncOpenAI, gateway: LiveGateway):
    stream = await asynchronous.chat.completions.create(model="demo-n5000d5", messages=TALK, stream=True)
    async for _ in stream:
        break
    await stream.close()
    await asyncio.to_thread(gateway.check_quiet)
    assert gateway.charges()[-1]["outcome"] == "client_gone"


@pytest.mark.filterwarnings(r"ignore:connect\(\) must be used:DeprecationWarning")  # the SDK's own way with websockets
def test_realtime(through: OpenAI):
    with through.realtime.connect(model="demo") as session:
        session.conversation.item.create(item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]})
        session.response.create()
        kinds = []
        for event in session:
            kinds.append(event.type)
            if event.type == "response.done":
                break
    assert kinds[0] == "session.created"
    assert "response.output_text.delta" in kinds


# errors, retries, time


FAILURES = {
    400: openai.BadRequestError, 401: openai.AuthenticationError, 403: openai.PermissionDeniedError, 404: openai.NotFoundError,
    409: openai.ConflictError, 422: openai.UnprocessableEntityError, 429: openai.RateLimitError, 500: openai.InternalServerError,
    503: openai.InternalServerError,
}  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("status", FAILURES)
def test_the_provider_s_errors_are_passed_on(status, streamed, direct: OpenAI, through_real: OpenAI):
    def fail(client: OpenAI) -> openai.APIStatusError:
        with pytest.raises(FAILURES[status]) as failed:
            client.chat.completions.create(model=f"demo-fail{status}", messages=TALK, stream=streamed)
        assert isinstance(failed.value, openai.APIStatusError)
        return failed.value

    theirs, ours = fail(direct), fail(through_real)
    assert ours.response.content == theirs.response.content
    assert ours.response.headers.get("retry-after") == theirs.response.headers.get("retry-after")
    assert ours.response.headers["content-type"] == theirs.response.headers["content-type"]
    assert (ours.code, ours.type, ours.param, ours.message) == (theirs.code, theirs.type, theirs.param, theirs.message)
    assert ours.request_id is not None and ours.request_id.startswith("req_")


def failure(kind: type[openai.APIStatusError], call: Callable[[], Any]) -> tuple[str | None, str | None]:
    """The code of an error of ours and the parameter it is about."""
    with pytest.raises(kind) as failed:
        call()
    error = failed.value
    assert error.request_id == error.response.headers["x-request-id"]
    assert error.response.headers["content-type"] == "application/json"
    assert isinstance(error.body, dict) and error.body["message"] in error.message
    assert set(error.body) == {"message", "type", "param", "code"}
    return error.code, error.param


def test_our_own_errors(make_gateway, gateway: LiveGateway, through: OpenAI):
    stranger = through.with_options(api_key="sk-unknown")
    assert failure(openai.AuthenticationError, lambda: chat(stranger)) == ("invalid_key", None)
    assert failure(openai.AuthenticationError, lambda: chat_stream(stranger)) == ("invalid_key", None)
    assert failure(openai.AuthenticationError, lambda: files(stranger)) == ("invalid_key", None)
    limited = through.with_options(api_key=gateway.run(gateway.parts.keys.create("limited", models=["gpt-*"])).token)
    assert failure(openai.PermissionDeniedError, lambda: chat(limited)) == ("model_not_allowed", "model")
    strict = make_gateway(openai_api_key=OURS, openai_base_url="http://127.0.0.1:9/v1", body_limit=2048)
    with OpenAI(base_url=f"{strict.url}/v1", api_key=strict.key, max_retries=0) as client:
        assert failure(openai.InternalServerError, lambda: chat(client)) == ("upstream_refused", None)
        assert failure(openai.APIStatusError, lambda: client.embeddings.create(model="x", input="x" * 9000)) == ("body_too_large", None)
        assert failure(openai.APIStatusError, lambda: client.files.create(file=b"x" * 9000, purpose="batch")) == ("body_too_large", None)
    other = make_gateway(anthropic_api_key=OURS, anthropic_base_url="http://127.0.0.1:9")
    with OpenAI(base_url=f"{other.url}/v1", api_key=other.key, max_retries=0) as client:
        assert failure(openai.NotFoundError, lambda: client.embeddings.create(model="x", input="x")) == ("no_channel", None)


def test_the_list_of_models(through: OpenAI):
    listed = list(through.models.list())
    assert {"demo", "demo-tool", "claude-demo"} <= {model.id for model in listed}
    assert shown(through.models.retrieve("demo-tool")) == shown(next(model for model in listed if model.id == "demo-tool"))
    assert failure(openai.NotFoundError, lambda: through.models.retrieve("nonesuch")) == ("model_not_found", "model")


def test_a_provider_that_fails_in_the_middle_of_a_stream(through: OpenAI):
    for model in ("demo-cut-n8", "demo-error-n8"):
        with pytest.raises(openai.APIError) as failed:
            list(through.chat.completions.create(model=model, messages=TALK, stream=True))
        assert not isinstance(failed.value, openai.APIStatusError)
        assert isinstance(failed.value.body, dict) and failed.value.body["message"]
        *_, last = through.responses.create(model=model, input="Hello", stream=True)
        assert last.type in ("error", "response.failed")


def test_a_provider_that_does_not_answer(make_gateway):
    gateway = make_gateway(demo=True, first_byte_s=0.1)
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        code, _ = failure(openai.InternalServerError, lambda: client.responses.create(model="demo-hang", input="Hello"))
    assert code == "upstream_timeout"


def test_the_sdk_s_retries(direct: OpenAI, through_real: OpenAI, tap: Wiretap):
    tap.heard.clear()
    client = through_real.with_options(max_retries=1)
    assert client.chat.completions.create(model="demo-flaky", messages=[{"role": "user", "content": "Through"}]).usage is not None
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="demo-fail429", messages=TALK)
    assert [heard.header("x-stainless-retry-count") for heard in tap.heard] == [b"0", b"1", b"0", b"1"]


def test_a_client_that_does_not_wait(through: OpenAI, gateway: LiveGateway):
    hasty = through.with_options(timeout=0.1)
    with pytest.raises(openai.APITimeoutError):
        hasty.chat.completions.create(model="demo-slow10000", messages=TALK)
    with pytest.raises(openai.APITimeoutError):
        for _ in hasty.chat.completions.create(model="demo-n4d5000", messages=TALK, stream=True):
            pass
    gateway.check_quiet()
    assert [charge["outcome"] for charge in gateway.charges()[-2:]] == ["client_gone"] * 2


# headers and the books


def test_default_headers_arrive(real: LiveGateway, tap: Wiretap):
    tap.heard.clear()
    own = {"x-team": "blue", "user-agent": "my-program/1"}
    options: Any = {"organization": "org-1", "project": "proj-1", "default_headers": own, "default_query": {"trace": "1"}}
    with OpenAI(base_url=f"{real.url}/v1", api_key=real.key, **options) as client:
        chat(client)
    (heard,) = tap.heard
    assert heard.target == "/v1/chat/completions?trace=1"
    expected = {**own, "openai-organization": "org-1", "openai-project": "proj-1"}
    assert {name: (heard.header(name) or b"").decode() for name in expected} == expected


def test_the_answer_s_headers(direct: OpenAI, through_real: OpenAI):
    def headers(client: OpenAI) -> dict[str, str]:
        return dict(client.chat.completions.with_raw_response.create(model="demo", messages=TALK).headers)

    theirs, ours = headers(direct), headers(through_real)
    assert ours.pop("x-request-id").startswith("req_")
    assert ours.pop("x-provider-request-id", None) == theirs.pop("x-request-id", None)
    rests_there = ("connection", "server", "keep-alive")
    assert ours == {name: value for name, value in theirs.items() if name not in rests_there}


def test_what_the_sdk_reports_is_what_the_books_have(through: OpenAI, gateway: LiveGateway):
    def charge(answer: Any) -> dict[str, Any]:
        (found,) = [row for row in gateway.charges() if row["id"] == answer._request_id]
        return found

    made = through.chat.completions.create(model="demo-cached", messages=TALK)
    row, usage = charge(made), made.usage
    assert usage is not None and usage.prompt_tokens_details is not None
    assert (row["wire"], row["outcome"], row["estimated"]) == ("chat", "complete", False)
    assert row["cache_read_tokens"] == usage.prompt_tokens_details.cached_tokens
    assert row["input_tokens"] + row["cache_read_tokens"] + row["cache_write_5m_tokens"] == usage.prompt_tokens
    assert row["output_tokens"] + row["reasoning_tokens"] == usage.completion_tokens
    assert row["cost_nano"] > 0
    told = through.responses.create(model="demo", input="Hello")
    row = charge(told)
    assert told.usage is not None
    assert (row["wire"], row["input_tokens"], row["output_tokens"]) == ("responses", told.usage.input_tokens, told.usage.output_tokens)
    embedded = through.embeddings.create(model="demo", input="Hello")
    row = charge(embedded)
    assert (row["wire"], row["input_tokens"]) == ("embeddings", embedded.usage.prompt_tokens)
