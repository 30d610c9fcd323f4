"""Anthropic's own SDK through Penstock: whatever it can do, it gets what the provider says, and the provider gets what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anthropic
import pydantic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from live_gateway import LiveGateway
from sdk_judges import nowhere, same_request, shown
from wiretap import Wiretap

OURS = "sk-ant-of-the-gateway"
THEIRS = "sk-ant-of-the-client"
ASK: Any = {"model": "demo", "max_tokens": 200, "messages": [{"role": "user", "content": "Grüße, 世界!"}]}
TOOL: Any = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
THINK: Any = {"type": "enabled", "budget_tokens": 1024}


class City(pydantic.BaseModel):
    """What structured answers are parsed into."""

    name: str
    inhabitants: int


def message(client: Anthropic) -> Any:
    return client.messages.create(**ASK, system=[{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}])


def message_with_more(client: Anthropic) -> Any:
    headers = {"anthropic-beta": "first-2025-01-01,second-2026-02-02", "x-claude-code-session-id": "s1"}
    body = {"context_management": {"edits": [{"type": "new"}]}, "never_heard_of": 1.50}
    more: Any = {"extra_headers": headers, "extra_query": {"beta": "true"}, "extra_body": body}
    return client.messages.create(**{**ASK, "model": "demo-cached"}, **more)


def message_stream(client: Anthropic) -> Any:
    return shown(list(client.messages.create(**ASK, stream=True)))


def message_stream_helper(client: Anthropic) -> Any:
    with client.messages.stream(**ASK) as stream:
        text = "".join(stream.text_stream)
        done = stream.get_final_message()
    assert text == done.content[0].text
    return done


def message_stream_events(client: Anthropic) -> Any:
    with client.messages.stream(**{**ASK, "max_tokens": 2000}, thinking=THINK) as stream:
        kinds = [event.type for event in stream]
        return kinds, stream.get_final_text()


def thinking(client: Anthropic) -> Any:
    done = client.messages.create(**{**ASK, "max_tokens": 2000}, thinking=THINK)
    assert [block.type for block in done.content] == ["thinking", "text"]
    return done


def tool(client: Anthropic) -> Any:
    with client.messages.stream(**ASK, tools=[TOOL], tool_choice={"type": "any"}) as stream:
        done = stream.get_final_message()
    assert done.stop_reason == "tool_use"
    return done


def parsed(client: Anthropic) -> Any:
    done = client.messages.parse(**ASK, output_format=City)
    assert isinstance(done.parsed_output, City)
    return done


def count_tokens(client: Anthropic) -> Any:
    return client.messages.count_tokens(model="demo", messages=ASK["messages"], tools=[TOOL])


def complete(client: Anthropic) -> Any:
    body = {"model": "demo", "prompt": "\n\nHuman: Hello\n\nAssistant:", "max_tokens_to_sample": 20}
    return client.post("/v1/complete", cast_to=object, body=body)


def files(client: Anthropic) -> Any:
    content = b"A line of text.\n" * 20_000
    made = client.files.upload(file=("a.txt", content, "text/plain"))
    assert client.files.retrieve_metadata(made.id).size_bytes == len(content)
    assert made.id in [file.id for file in client.files.list()]
    assert client.files.download(made.id).read() == content
    with client.files.with_streaming_response.download(made.id) as answer:
        assert b"".join(answer.iter_bytes()) == content
    gone = client.files.delete(made.id)
    with pytest.raises(anthropic.NotFoundError):
        client.files.retrieve_metadata(made.id)
    return shown(made), shown(gone)


def raw(client: Anthropic) -> Any:
    answer = client.messages.with_raw_response.create(**ASK)
    assert answer.headers["request-id"].startswith("req_")
    return answer.text(), shown(answer.parse())


def streamed_raw(client: Anthropic) -> Any:
    with client.messages.with_streaming_response.create(**ASK, stream=True) as answer:
        return list(answer.iter_lines())


def anything(client: Anthropic) -> Any:
    """A path that neither side has heard of: the provider's own answer, whatever it is."""
    with pytest.raises(anthropic.NotFoundError) as failed:
        client.messages.batches.retrieve("batch_1")
    with pytest.raises(anthropic.NotFoundError):
        client.delete("/v1/messages/batches/batch_1", cast_to=object)
    return failed.value.body


OPERATIONS: list[Callable[[Anthropic], Any]] = [
    message, message_with_more, message_stream, message_stream_helper, message_stream_events, thinking, tool, parsed, count_tokens,
    complete, files, raw, streamed_raw, anything,
]  # fmt: skip
each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)


# What is judged: the same operations without a gateway, through one with the demo provider, and through one with a provider key.


@pytest.fixture(scope="module")
def real(make_gateway: Callable[..., LiveGateway], tap: Wiretap) -> LiveGateway:
    """A gateway whose Anthropic is behind the wiretap."""
    return make_gateway(anthropic_api_key=OURS, anthropic_base_url=tap.url)


@pytest.fixture(scope="module")
def direct(tap: Wiretap) -> Iterator[Anthropic]:
    """The SDK without a gateway."""
    with Anthropic(base_url=tap.url, api_key=THEIRS, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def through(gateway: LiveGateway) -> Iterator[Anthropic]:
    """The SDK through a gateway with the demo provider."""
    with Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def through_real(real: LiveGateway) -> Iterator[Anthropic]:
    """The SDK through a gateway with a provider key."""
    with Anthropic(base_url=real.url, api_key=real.key, max_retries=0) as client:
        yield client


@pytest.fixture
async def asynchronous(gateway: LiveGateway) -> AsyncIterator[AsyncAnthropic]:
    """The SDK for asyncio through a gateway with the demo provider."""
    async with AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client:
        yield client


@each_operation
def test_the_answer_is_the_provider_s(operation, direct: Anthropic, through: Anthropic):
    assert shown(operation(through)) == shown(operation(direct))


@each_operation
def test_the_request_is_the_client_s_with_our_credential(
    operation, direct: Anthropic, through_real: Anthropic, real: LiveGateway, tap: Wiretap
):
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
        assert after.header("x-api-key") == OURS.encode()
        assert after.header("authorization") is None
    nowhere(real.key, *arrived)


def test_either_credential_is_taken(real: LiveGateway, tap: Wiretap):
    """ANTHROPIC_AUTH_TOKEN is sent as Bearer, ANTHROPIC_API_KEY as x-api-key, and some send both."""
    tap.heard.clear()
    both: Any = {"auth_token": real.key, "default_headers": {"x-api-key": "sk-ant-old"}}
    for given in ({"auth_token": real.key}, {"api_key": real.key}, both):
        with Anthropic(base_url=real.url, **given) as client:
            assert message(client).type == "message"
    assert [heard.header("x-api-key") for heard in tap.heard] == [OURS.encode()] * 3
    nowhere(real.key, *tap.heard)
    nowhere("sk-ant-old", *tap.heard)


def test_base_urls_as_people_write_them(gateway: LiveGateway):
    for base_url in (gateway.url, f"{gateway.url}/", f"{gateway.url}/v1", f"{gateway.url}/v1/"):
        with Anthropic(base_url=base_url, api_key=gateway.key) as client:
            assert message(client).type == "message"


# asyncio


async def test_everything_at_once(asynchronous: AsyncAnthropic):
    async def streamed(number: int) -> str:
        messages: Any = [{"role": "user", "content": f"Number {number}"}]
        async with asynchronous.messages.stream(model="demo-d1", max_tokens=200, messages=messages) as stream:
            return "".join([piece async for piece in stream.text_stream])

    async def plain(number: int) -> str:
        messages: Any = [{"role": "user", "content": f"Number {number}"}]
        return (await asynchronous.messages.create(model="demo", max_tokens=200, messages=messages)).content[0].text

    told = await asyncio.gather(*(tell(number) for number in range(30) for tell in (streamed, plain)))
    assert [f"Number {number // 2}" in text for number, text in enumerate(told)] == [True] * 60


async def test_asynchronous_uploads_and_downloads(asynchronous: AsyncAnthropic):
    content = bytes(range(256)) * 4000
    made = await asynchronous.files.upload(file=("a.bin", content, "application/octet-stream"))
    assert await (await asynchronous.files.download(made.id)).read() == content
    assert made.id in [file.id async for file in asynchronous.files.list()]
    assert (await asynchronous.files.delete(made.id)).type == "file_deleted"


async def test_a_stream_that_is_left_halfway_is_settled(asynchronous: AsyncAnthropic, gateway: LiveGateway):
    async with asynchronous.messages.stream(**{**ASK, "model": "demo-n5000d5", "max_tokens": 6000}) as stream:
        async for _ in stream.text_stream:
            break
    await asyncio.to_thread(gateway.check_quiet)
    assert gateway.charges()[-1]["outcome"] == "client_gone"


# errors, retries, time


FAILURES = {
    400: anthropic.BadRequestError, 401: anthropic.AuthenticationError, 403: anthropic.PermissionDeniedError,
    404: anthropic.NotFoundError, 409: anthropic.ConflictError, 413: anthropic.RequestTooLargeError,
    422: anthropic.UnprocessableEntityError, 429: anthropic.RateLimitError, 500: anthropic.InternalServerError,
    529: anthropic.OverloadedError,
}  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("status", FAILURES)
def test_the_provider_s_errors_are_passed_on(status, streamed, direct: Anthropic, through_real: Anthropic):
    def fail(client: Anthropic) -> anthropic.APIStatusError:
        with pytest.raises(anthropic.APIStatusError) as failed:
            client.messages.create(**{**ASK, "model": f"demo-fail{status}"}, stream=streamed)
        return failed.value

    theirs, ours = fail(direct), fail(through_real)
    assert type(ours) is type(theirs) and isinstance(ours, FAILURES[status])
    assert ours.response.content == theirs.response.content
    assert ours.request_id == theirs.request_id
    assert ours.response.headers.get("retry-after") == theirs.response.headers.get("retry-after")
    assert ours.response.headers["x-request-id"].startswith("req_")


def failure(kind: type[anthropic.APIStatusError], call: Callable[[], Any]) -> str | None:
    """The type of an error of ours."""
    with pytest.raises(kind) as failed:
        call()
    error = failed.value
    assert error.request_id == error.response.headers["x-request-id"]
    assert error.response.headers["content-type"] == "application/json"
    assert isinstance(error.body, dict)
    assert (error.body["type"], error.body["request_id"]) == ("error", error.request_id)
    assert error.api_message
    return error.type


def test_our_own_errors(make_gateway, gateway: LiveGateway, through: Anthropic):
    stranger = through.with_options(api_key="sk-ant-unknown")
    assert failure(anthropic.AuthenticationError, lambda: message(stranger)) == "authentication_error"
    assert failure(anthropic.AuthenticationError, lambda: message_stream(stranger)) == "authentication_error"
    assert failure(anthropic.AuthenticationError, lambda: list(stranger.models.list())) == "authentication_error"
    limited = through.with_options(api_key=gateway.run(gateway.parts.keys.create("limited", models=["claude-*"])).token)
    assert failure(anthropic.PermissionDeniedError, lambda: message(limited)) == "permission_error"
    strict = make_gateway(anthropic_api_key=OURS, anthropic_base_url="http://127.0.0.1:9", body_limit=2048)
    with Anthropic(base_url=strict.url, api_key=strict.key, max_retries=0) as client:
        assert failure(anthropic.InternalServerError, lambda: message(client)) == "api_error"
        assert failure(anthropic.RequestTooLargeError, lambda: client.messages.create(**ASK, system="x" * 9000)) == "request_too_large"
        assert failure(anthropic.RequestTooLargeError, lambda: client.files.upload(file=b"x" * 9000)) == "request_too_large"
    other = make_gateway(openai_api_key=OURS, openai_base_url="http://127.0.0.1:9/v1")
    with Anthropic(base_url=other.url, api_key=other.key, max_retries=0) as client:
        assert failure(anthropic.NotFoundError, lambda: complete(client)) == "not_found_error"


def test_the_list_of_models(through: Anthropic):
    listed = list(through.models.list(limit=3))
    assert {"demo", "demo-tool", "claude-demo"} <= {model.id for model in listed} and len(listed) == len({model.id for model in listed})
    assert through.models.retrieve("claude-demo").display_name == "Demo for tools that look for Claude models"


def test_a_provider_that_fails_in_the_middle_of_a_stream(through: Anthropic):
    for model in ("demo-cut-n8", "demo-error-n8"):
        with pytest.raises(anthropic.APIStatusError) as failed, through.messages.stream(**{**ASK, "model": model}) as stream:
            stream.until_done()
        assert isinstance(failed.value.body, dict) and failed.value.body["type"] == "error"


def test_a_provider_that_does_not_answer(make_gateway):
    gateway = make_gateway(demo=True, first_byte_s=0.1)
    with Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client:
        kind = failure(anthropic.InternalServerError, lambda: client.messages.create(**{**ASK, "model": "demo-hang"}))
    assert kind == "timeout_error"


def test_the_sdk_s_retries(through_real: Anthropic, tap: Wiretap):
    tap.heard.clear()
    client = through_real.with_options(max_retries=1)
    assert client.messages.create(**{**ASK, "model": "demo-flaky", "system": "Through"}).usage.output_tokens > 0
    with pytest.raises(anthropic.OverloadedError):
        client.messages.create(**{**ASK, "model": "demo-fail529"})
    assert [heard.header("x-stainless-retry-count") for heard in tap.heard] == [b"0", b"1", b"0", b"1"]


def test_a_client_that_does_not_wait(through: Anthropic, gateway: LiveGateway):
    hasty = through.with_options(timeout=0.1)
    with pytest.raises(anthropic.APITimeoutError):
        hasty.messages.create(**{**ASK, "model": "demo-slow10000"})
    gateway.check_quiet()
    assert gateway.charges()[-1]["outcome"] == "client_gone"


# headers and the books


def test_default_headers_arrive(real: LiveGateway, tap: Wiretap):
    tap.heard.clear()
    own = {"anthropic-version": "2099-01-01", "anthropic-beta": "a,b", "user-agent": "claude-cli/9"}
    with Anthropic(base_url=real.url, api_key=real.key, default_headers=own, default_query={"beta": "true"}) as client:
        client.messages.create(**ASK)
    (heard,) = tap.heard
    assert heard.target == "/v1/messages?beta=true"
    assert {name: (heard.header(name) or b"").decode() for name in own} == own


def test_what_the_sdk_reports_is_what_the_books_have(through: Anthropic, gateway: LiveGateway):
    answer = through.messages.with_raw_response.create(**{**ASK, "model": "demo-cached"})
    usage = answer.parse().usage
    (row,) = [row for row in gateway.charges() if row["id"] == answer.headers["x-request-id"]]
    assert usage.cache_creation is not None
    assert (row["wire"], row["outcome"], row["estimated"]) == ("messages", "complete", False)
    assert (row["input_tokens"], row["cache_read_tokens"]) == (usage.input_tokens, usage.cache_read_input_tokens)
    assert row["cache_write_5m_tokens"] == usage.cache_creation.ephemeral_5m_input_tokens
    assert row["cache_write_1h_tokens"] == usage.cache_creation.ephemeral_1h_input_tokens
    assert row["output_tokens"] + row["reasoning_tokens"] == usage.output_tokens
    assert row["cost_nano"] > 0
