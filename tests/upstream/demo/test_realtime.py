"""The realtime wire, as the official SDK and a known WebSocket client see it."""

from __future__ import annotations

import json

import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

EVENT = TypeAdapter(RealtimeServerEvent)
HELLO = {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}}


@pytest.fixture
def dial(demo):
    def make(model="demo", **more):
        return connect(f"ws://127.0.0.1:{demo.port}/v1/realtime?model={model}", compression=None, proxy=None, **more)

    return make


async def said(socket, *messages, until):
    """Send, then read events until one of this type."""
    for message in messages:
        await socket.send(message if isinstance(message, str) else json.dumps(message))
    found = []
    while not found or found[-1]["type"] != until:
        found.append(json.loads(await socket.recv()))
    return found


@pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")  # the SDK's own call
def test_the_sdk_has_a_conversation(client):
    with client.realtime.connect(model="demo") as connection:
        assert connection.recv().type == "session.created"
        connection.session.update(session={"type": "realtime", "instructions": "be nice"})
        assert connection.recv().session.instructions == "be nice"
        connection.conversation.item.create(item=HELLO["item"])
        connection.response.create()
        text = ""
        for event in connection:
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type == "response.done":
                break
        assert 'You said: "hi"' in text
        assert event.response.usage.input_tokens == 1
        assert event.response.usage.output_tokens == -(-len(text) // 4)


async def test_the_async_sdk_has_a_conversation(async_client):
    async with async_client.realtime.connect(model="demo-n3-cached") as connection:
        await connection.response.create()
        kinds = []
        async for event in connection:
            kinds.append(event.type)
            if event.type == "response.done":
                break
    assert kinds.count("response.output_text.delta") == 3
    assert event.response.usage.input_token_details.cached_tokens == 1024


async def test_events_validate_strictly(dial):
    async with dial() as socket:
        for event in await said(socket, HELLO, {"type": "response.create"}, until="response.done"):
            EVENT.validate_python(event)


async def test_no_usage(dial):
    async with dial("demo-nousage") as socket:
        assert (await said(socket, {"type": "response.create"}, until="response.done"))[-1]["response"]["usage"] is None


async def test_two_responses_one_after_another_but_not_at_once(dial):
    create = {"type": "response.create"}
    async with dial("demo-n3d20") as socket:
        found = await said(socket, create, create, until="response.done")
        assert [event["error"]["message"] for event in found if event["type"] == "error"] == [
            "The conversation already has an active response."
        ]
        assert (await said(socket, create, until="response.done"))[-1]["response"]["status"] == "completed"


@pytest.mark.parametrize("message", ["not JSON", "[]", {"type": "nonsense"}, {"type": "conversation.item.create", "item": 5}, {}])
async def test_what_is_wrong_is_said_and_the_session_goes_on(dial, message):
    async with dial() as socket:
        assert (await said(socket, message, until="error"))[-1]["error"]["type"] == "invalid_request_error"
        await said(socket, {"type": "response.create"}, until="response.done")


async def test_sound_is_accepted(dial):
    async with dial() as socket:
        sound = {"type": "input_audio_buffer.append", "audio": ""}
        assert [event["type"] for event in await said(socket, sound, HELLO, until="conversation.item.done")][-2:] == [
            "conversation.item.added",
            "conversation.item.done",
        ]


async def test_ping_and_close(dial):
    async with dial() as socket:
        await (await socket.ping())
    assert socket.close_code == 1000


async def test_the_subprotocol_of_browsers(dial):
    async with dial(subprotocols=["realtime", "openai-insecure-api-key.sk-test"]) as socket:
        assert socket.subprotocol == "realtime"


@pytest.mark.parametrize(("model", "status"), [("demo-fail429", 429), ("demo-nonsense", 404)])
async def test_a_handshake_that_fails(dial, model, status):
    with pytest.raises(InvalidStatus) as refused:
        async with dial(model):
            pass
    assert refused.value.response.status_code == status


async def test_a_session_that_is_cut(dial):
    async with dial("demo-n4-cut") as socket:
        with pytest.raises(ConnectionClosedError):
            await said(socket, {"type": "response.create"}, until="response.done")


async def test_broken_frames_end_the_session(dial):
    async with dial() as socket:
        await socket.recv()
        socket.transport.write(b"\xf1\x80abcd")
        with pytest.raises(ConnectionClosedError) as closed:
            await socket.recv()
    assert closed.value.rcvd.code == 1002


def test_plain_http_is_refused(http):
    assert http.get("/v1/realtime").status_code == 400
