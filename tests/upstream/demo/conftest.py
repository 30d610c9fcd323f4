"""Clients of the demo provider: the official SDKs, plain HTTP, raw sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from penstock.upstream.demo.request import Request
from penstock.upstream.demo.server import DemoServer
from penstock.upstream.demo.stock import Stock


@pytest.fixture(scope="session")
def client(demo: DemoServer) -> Iterator[openai.OpenAI]:
    """The official OpenAI client, without retries."""
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(demo: DemoServer) -> AsyncIterator[openai.AsyncOpenAI]:
    """The official OpenAI client for asyncio, without retries."""
    async with openai.AsyncOpenAI(base_url=f"{demo.url}/v1", api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def claude(demo: DemoServer) -> Iterator[anthropic.Anthropic]:
    """The official Anthropic client, without retries."""
    with anthropic.Anthropic(base_url=demo.url, api_key="sk-ant-test", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_claude(demo: DemoServer) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """The official Anthropic client for asyncio, without retries."""
    async with anthropic.AsyncAnthropic(base_url=demo.url, api_key="sk-ant-test", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def http(demo: DemoServer) -> Iterator[httpx.Client]:
    """A plain HTTP client."""
    with httpx.Client(base_url=demo.url) as client:
        yield client


@pytest.fixture
def raw(demo: DemoServer) -> Callable[[bytes], Awaitable[bytes]]:
    """`await raw(data)`: send these bytes and read until the server closes."""

    async def send(data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", demo.port)
        try:
            writer.write(data)
            return await reader.read()
        finally:
            writer.close()

    return send


@pytest.fixture
def asked() -> Callable[..., Request]:
    """`asked(body, path, headers)`: a request as a handler sees it, without a connection."""
    stock = Stock()

    def make(body: bytes = b"", path: str = "/v1/chat/completions", headers: dict[bytes, bytes] | None = None) -> Request:
        return Request("POST", path.encode(), headers or {}, body, stock)

    return make


@pytest.fixture
def events(http: httpx.Client) -> Callable[..., list[tuple[str | None, str]]]:
    """`events(path, body)`: post JSON and return the SSE events of the answer as (name, data)."""

    def post(path: str, body: dict[str, object], **kwargs: Any) -> list[tuple[str | None, str]]:
        answer = http.post(path, json=body, **kwargs)
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8", answer.text
        assert answer.text.endswith("\n\n")
        found = []
        for block in answer.text[:-2].split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.split("\n"))
            found.append((lines.get("event"), lines["data"]))
        return found

    return post
