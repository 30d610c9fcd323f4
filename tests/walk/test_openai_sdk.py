"""OpenAI's own SDK through Penstock: whatever it can do, it gets what the provider says, and the provider gets what it says."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import openai
import pydantic
import pytest
from openai import AsyncOpenAI, OpenAI

from live_gateway import LiveGateway
from loop_thread import LoopThread
from penstock.upstream.demo.audio import wav
from penstock.upstream.demo.images import png
from penstock.upstream.demo.server import DemoServer
from sdk_judges import nowhere, same_request, shown, without_ids
from wiretap import Wiretap

OURS = "sk-of-the-gateway"
THEIRS = "sk-of-the-client"
TALK: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüße, 世界!"}]
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}
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


def models(client: OpenAI) -> Any:
    return shown(list(client.models.list())), shown(client.models.retrieve("demo-n64d20"))


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
    batches, models, raw, streamed_raw, anything,
]  # fmt: skip
each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)


# What is judged: the same operations without a gateway, through one with the demo provider, and through one with a provider key.


@pytest.fixture(scope="module")
def tap(loop_thread: LoopThread, demo: DemoServer) -> Iterator[Wiretap]:
    """Hears what the provider is sent."""
    wiretap = loop_thread.run(Wiretap(demo.port).start())
    yield wiretap
    loop_thread.run(wiretap.stop())


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
