"""Cloudflare Workers AI on loopback, with the quirks of the real one: which of them is shown depends on the model that is asked for."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from penstock.kit.pulse import Pulse
from penstock.kit.sse import payload, split
from penstock.upstream.bridges.bridge import Spot
from penstock.upstream.channel import Channel
from penstock.upstream.client.fetch import Fetcher
from penstock.upstream.client.pool import Limits, Pool
from penstock.upstream.providers import PROVIDERS

ACCOUNT = "0123456789abcdef0123456789abcdef"
TOKEN = "cf-token"
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40
JPEG = b"\xff\xd8\xff\xe0" + b"\x00" * 40
TEXT, PICTURE, VECTORS = "Text Generation", "Text-to-Image", "Text Embeddings"
LLAMA, SCOUT = "@cf/meta/llama-3.1-8b-instruct", "@cf/meta/llama-4-scout-17b-16e-instruct"
SCHNELL, FLUX2, KLEIN = (f"@cf/black-forest-labs/flux-{name}" for name in ("1-schnell", "2-dev", "2-klein-4b"))
PHOENIX, LUCID = "@cf/leonardo/phoenix-1.0", "@cf/leonardo/lucid-origin"
SDXL, IMG2IMG = "@cf/stabilityai/stable-diffusion-xl-base-1.0", "@cf/runwayml/stable-diffusion-v1-5-img2img"
BGE = "@cf/baai/bge-m3"
USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16, "prompt_tokens_details": {"cached_tokens": 3}, "neurons": 1.25}
OBJECT_ERROR = {
    "errors": {"message": "AiError: Bad input: Error: oneOf at '/' not met", "code": 5006},
    "success": False,
    "result": {},
    "messages": [],
}


def number(least: float | None = None, most: float | None = None) -> dict[str, Any]:
    """The schema of a number."""
    return {"type": "integer", **({"minimum": least} if least is not None else {}), **({"maximum": most} if most is not None else {})}


_SD = {"prompt": {"type": "string", "minLength": 1}, "negative_prompt": {"type": "string"}, "width": number(256, 2048),
       "height": number(256, 2048), "num_steps": number(None, 20), "guidance": {"type": "number"}, "seed": number(),
       "image": {"type": "array"}, "image_b64": {"type": "string"}, "mask": {"type": "array"}, "strength": {"type": "number"}}  # fmt: skip
_FORM = {"multipart": {"type": "object", "properties": {"body": {"type": "object"}, "contentType": {"type": "string"}}}}
SCHEMAS: dict[str, Any] = {
    SCHNELL: {"type": "object", "properties": {"prompt": {"type": "string", "maxLength": 2048}, "steps": number(None, 8)},
              "required": ["prompt"], "additionalProperties": False},
    FLUX2: {"type": "object", "properties": {**_FORM, "required": ["multipart"]}},
    KLEIN: {"type": "object", "properties": _FORM, "required": ["multipart"]},
    LUCID: {"type": "object", "required": ["prompt"],
            "properties": {"prompt": {"type": "string"}, "width": number(0, 2500), "height": number(0, 2500), "steps": number(1, 40),
                           "num_steps": number(1, 40), "seed": number(0), "guidance": {"type": "number", "minimum": 0, "maximum": 10}}},
    PHOENIX: {"type": "object", "required": ["prompt"],
              "properties": {"prompt": {"type": "string"}, "width": number(0, 2048), "height": number(0, 2048), "num_steps": number(1, 50),
                             "negative_prompt": {"type": "string", "minLength": 1}}},
    SDXL: {"type": "object", "properties": _SD, "required": ["prompt"]},
    IMG2IMG: {"type": "object", "properties": _SD, "required": ["prompt"]},
    "@cf/test/needs-a-picture": {"type": "object", "properties": _SD, "required": ["prompt", "image"]},
    "@cf/test/malformed-schema": {"type": ["object"], "properties": [], "required": "prompt"},
}  # fmt: skip


def item(name: Any, task: Any = TEXT, **more: Any) -> dict[str, Any]:
    """A model as the list has it."""
    task = {"id": "3d6e1f35", "name": task, "description": ""} if isinstance(task, str) else task
    return {"id": "3ae8936e-593e-4fb2-85ee-95dd8a057588", "source": 1, "name": name, "description": "", "task": task, "tags": [],
            "properties": [], **more}  # fmt: skip


def models() -> list[Any]:
    """A list with everything that has been seen in it."""
    window = [
        {"property_id": "context_window", "value": "131000"},
        {"property_id": "vision", "value": "true"},
        {"property_id": "price", "value": [{"unit": "per M", "price": 0.1}]},
    ]
    found: list[Any] = [
        item(SCOUT, created_at="2025-04-05 20:25:56.137", properties=window),
        item(LLAMA, properties=[{"property_id": "context_window"}, "odd", {"value": "x"}]),
        item("@hf/mistral/mistral-7b", properties=None, created_at="yesterday"),
        item("@cf/test/gone", deprecated=True),
        item(BGE, VECTORS, properties=[{"property_id": "context_window", "value": 60000}]),
        item("@cf/openai/whisper", "Automatic Speech Recognition"),
        item("@cf/test/no-task", None),
        *(item(name, PICTURE) for name in SCHEMAS),
        item("@cf/test/no-schema", PICTURE),
        None, "odd", {"id": "only an id"}, item("../../user/tokens"), item(7),
    ]  # fmt: skip
    return found


@dataclass
class Heard:
    """One request."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


Answer = tuple[int, str, bytes | list[bytes]]


@dataclass
class FakeWorkersAI:
    """The server. `pages` is how many models of the list fit on a page, whatever is asked for; `repeats` ignores `page`."""

    pages: int = 1000
    repeats: bool = False
    list_fails: bool = False
    listed: list[Any] = field(default_factory=models)
    heard: list[Heard] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    port: int = 0

    @property
    def base_url(self) -> str:
        """What a channel is given."""
        return f"http://127.0.0.1:{self.port}/client/v4/accounts/{ACCOUNT}/ai"

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**22)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (heard := await _read(reader)) is not None:
                self.heard.append(heard)
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                await asyncio.sleep(0.01)
                self.at_once -= 1
                status, kind, body = self.answer(heard)
                writer.write(_written(status, kind, body))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    def answer(self, heard: Heard) -> Answer:
        """What Cloudflare would answer."""
        prefix = f"/client/v4/accounts/{ACCOUNT}/ai"
        if heard.headers.get("authorization") != f"Bearer {TOKEN}":
            return failed(401, 10000, "Authentication error")
        if not heard.path.startswith(prefix + "/"):
            return failed(400, 7003, "Could not route to /accounts/x/ai, perhaps your object identifier is invalid?")
        path = heard.path.removeprefix(prefix)
        if (heard.method, path) == ("GET", "/models/search"):
            return self._list(heard)
        if (heard.method, path) == ("GET", "/models/schema"):
            return _schema(heard.query["model"][0])
        if heard.method == "POST" and path == "/v1/chat/completions":
            return chat(heard.json)
        if heard.method == "POST" and path == "/v1/embeddings":
            return embeddings(heard.json)
        if heard.method == "POST" and path.startswith("/run/@"):
            return run(path.removeprefix("/run/"), heard)
        return failed(400, 7000, "No route for that URI")

    def _list(self, heard: Heard) -> Answer:
        if self.list_fails:
            return 502, "text/html", b"<html><head><title>502 Bad Gateway</title></head></html>"
        size = min(self.pages, int(heard.query["per_page"][0]))
        page = 1 if self.repeats else int(heard.query["page"][0])
        return good(self.listed[(page - 1) * size : page * size])


def _schema(model: str) -> Answer:
    if model not in SCHEMAS:
        return failed(400, 5007, f"No such model {model} or task")
    return good({"input": SCHEMAS[model], "output": {"type": "object"}})


def good(result: Any, status: int = 200) -> Answer:
    """An answer in Cloudflare's envelope."""
    return plain({"result": result, "success": True, "errors": [], "messages": []}, status)


def plain(body: Any, status: int = 200) -> Answer:
    """JSON without the envelope."""
    return status, "application/json", json.dumps(body).encode()


def failed(status: int, code: int, message: str) -> Answer:
    """An error in Cloudflare's envelope."""
    return plain({"result": None, "success": False, "errors": [{"code": code, "message": message}], "messages": []}, status)


def errors() -> dict[str, Answer]:
    """Every shape of error, by the last part of the model's name."""
    return {
        "list-3036": failed(429, 3036, "AiError: you have used up your daily free allocation of 10,000 neurons"),
        "list-3040": failed(500, 3040, "AiError: No more data centers to forward the request to"),
        "object": plain(OBJECT_ERROR, 400),
        "named": plain({"name": "AiError", "internalCode": 5016, "httpCode": 403, "message": "Model terms not accepted"}, 403),
        "openai": plain({"error": {"message": "no such thing"}}, 422),
        "page": (502, "text/html", b"<!DOCTYPE html><html><head><title>Bad gateway</title></head></html>"),
        "nothing": (500, "text/plain", b""),
        "flagged": failed(400, 3030, "AiError: Input prompt contains NSFW content."),
        "busy-200": failed(200, 3040, "Capacity temporarily exceeded, please try again."),
        "empty": good({}),
        "null": good(None),
        "text": (200, "text/plain", b"ok"),
    }


def _bad_input(body: dict[str, Any]) -> str | None:
    """Why a request is turned away."""
    for index, message in enumerate(body.get("messages") or []):
        if message.get("content") is None:
            return f"AiError: Bad input: '/messages/{index}/content' null"
        if isinstance(message["content"], list) and all(part.get("type") == "text" for part in message["content"]):
            return f"AiError: Bad input: Type mismatch of '/messages/{index}/content', 'array' not in 'string'"
        if message["role"] not in ("system", "user", "assistant", "tool"):
            return f"AiError: Bad input: '/messages/{index}/role'"
    if "name" in (body.get("response_format") or {}).get("json_schema", {}):
        return "AiError: Bad input: json_schema"
    return "Invalid input" if body.get("tool_choice") == "any" else None


def chat(body: dict[str, Any]) -> Answer:
    """`/v1/chat/completions`."""
    model = body["model"]
    last = model.rpartition("/")[2]
    if last in (known := errors()):
        return known[last]
    if (wrong := _bad_input(body)) is not None:
        return plain({**OBJECT_ERROR, "errors": {"message": wrong, "code": 5006}}, 400)
    found = STREAMS.get(last) if body.get("stream") else None
    if found is not None:
        return 200, "text/event-stream", [f"data: {one if isinstance(one, str) else json.dumps(one)}\n\n".encode() for one in found]
    if last in PLAIN:
        return plain(PLAIN[last])
    return failed(400, 5007, f"No such model {model} or task")


def _chunk(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "id-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"delta": delta, **more}]}


def _call(index: int | None, call_id: str | None, name: str | None, arguments: Any) -> dict[str, Any]:
    about = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return _chunk({"tool_calls": [{**about, **({"index": index} if index is not None else {})}]})


WEATHER = {"name": "weather", "arguments": {"city": "Oslo"}}
STREAMS: dict[str, list[Any]] = {
    "llama-3.1-8b-instruct": [
        {"response": "Hel", "p": "abdefgh"},
        {"response": "lo", "p": "abc"},
        {"response": 1, "p": "ab"},
        {"tool_calls": [], "p": "a"},
        {"response": "", "usage": USAGE},
        "[DONE]",
    ],
    "native-tools": [{"response": "", "p": "a"}, {"tool_calls": [WEATHER, WEATHER], "p": "a"}, {"finish_reason": "tool_calls"}, "[DONE]"],
    "bare": [
        {"choices": [{"delta": {"content": "**"}}]},
        {"choices": [{"delta": {"content": "a"}}]},
        {"choices": [{"finish_reason": "stop"}]},
        {"usage": USAGE},
        "[DONE]",
    ],
    "usage-each": [
        {**_chunk({"content": "a"}), "usage": {**USAGE, "completion_tokens": 1}},
        {**_chunk({"content": "b"}), "usage": {**USAGE, "completion_tokens": 2}},
        {**_chunk({}, finish_reason="stop"), "usage": USAGE},
        {"id": "id-1", "choices": [], "usage": USAGE},
        "[DONE]",
    ],
    "odd": [
        _chunk({"content": 1}),
        {**_chunk({"content": "2"}), "id": "id-2", "created": 9, "model": "other"},
        _chunk({"content": ""}, finish_reason="stop"),
        _chunk({"content": "3"}, finish_reason="stop"),
        _chunk({}, finish_reason="stop"),
        "{not json",
        "[DONE]",
        "[DONE]",
    ],
    "tools": [
        _call(0, "call_a", "weather", ""),
        _call(0, None, None, '{"city":'),
        _call(0, None, None, '"Oslo"}'),
        _call(0, "call_b", "weather", {"city": "Bergen"}),
        {"choices": [{"delta": {"tool_calls": [{"id": None, "type": None, "index": 0, "function": {"name": None, "arguments": ""}}]}}]},
        _chunk({}, finish_reason="stop"),
        "[DONE]",
    ],
    "leak": [
        _chunk({"content": '{"na'}),
        _chunk({"content": 'me": "weather", "parameters"'}),
        _chunk({"content": ': {"city": "Oslo"}}'}),
        _chunk({}, finish_reason="stop"),
        "[DONE]",
    ],
    "json-text": [_chunk({"content": '{"name'}), _chunk({"content": 's": []}'}), _chunk({}, finish_reason="stop"), "[DONE]"],
    "think": [
        _chunk({"content": "<th"}),
        _chunk({"content": "ink>\nhm"}),
        _chunk({"content": "m</thi"}),
        _chunk({"content": "nk>\n\nyes"}),
        _chunk({}, finish_reason="model_length"),
        "[DONE]",
    ],
    "reasoning": [
        _chunk({"reasoning": "hmm", "content": None}),
        _chunk({"reasoning_content": "m", "content": ""}),
        _chunk({"content": "yes"}),
        _chunk({}, finish_reason="unknown"),
        "[DONE]",
    ],
    "wrapped": [{"result": {"response": "hi"}, "success": True, "errors": []}, {"result": {"response": "", "usage": USAGE}}, "[DONE]"],
    "no-done": [_chunk({"content": "a"}), _chunk({}, finish_reason="length")],
    "breaks": [_chunk({"content": "a"})],
    "fails": [_chunk({"content": "a"}), {"errors": [{"code": 3040, "message": "Capacity exceeded"}], "success": False}, "[DONE]"],
    "silent": ["[DONE]"],
}


def _completion(message: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "m", "choices": [{"message": message, **more}],
            "usage": USAGE}  # fmt: skip


PLAIN: dict[str, Any] = {
    "llama-3.1-8b-instruct": {
        "result": {"response": "Hello", "tool_calls": [], "usage": USAGE},
        "success": True,
        "errors": [],
        "messages": [],
    },
    "llama-4-scout-17b-16e-instruct": _completion({"role": "assistant", "content": "Hello"}, index=0, finish_reason="stop"),
    "json-stream": _completion({"content": "Hello"}),
    "native-tools": {"result": {"response": None, "tool_calls": [WEATHER]}, "success": True},
    "tools": _completion(
        {"content": None, "tool_calls": [{"id": "call_a", "function": {"name": "weather", "arguments": {"a": 1}}}]}, finish_reason="stop"
    ),
    "leak": _completion(
        {"content": json.dumps({"type": "function", "name": "weather", "parameters": {"city": "Oslo"}})}, finish_reason="stop"
    ),
    "json-mode": {"result": {"response": {"a": 1}, "metrics": {"input_tokens": 4, "output_tokens": 2}}, "success": True},
    "number": {"result": {"response": 42}, "success": True},
    "think": _completion({"content": "hmm\n</think>\n\nyes"}, finish_reason="stop"),
    "reasoning": _completion({"content": None, "reasoning": "hmm"}, finish_reason="length"),
}


def embeddings(body: dict[str, Any]) -> Answer:
    """`/v1/embeddings`."""
    texts = body["input"]
    last = body["model"].rpartition("/")[2]
    if last in (known := errors()):
        return known[last]
    if not isinstance(texts, list) or len(texts) > 100 or set(body) != {"model", "input"}:
        return plain(OBJECT_ERROR, 400)
    vectors = [[len(text) / 2, -1.0] for text in texts]
    if last == "native":
        return good({"shape": [len(texts), 2], "data": vectors, "pooling": "cls"})
    if last == "short":
        return good({"data": vectors[:-1]})
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return plain({"object": "list", "data": data[::-1], "model": body["model"], "usage": {"prompt_tokens": 7, "total_tokens": 7}})


def run(model: str, heard: Heard) -> Answer:
    """`/run/{model}`: pictures."""
    last = model.rpartition("/")[2]
    if last in (known := errors()):
        return known[last]
    form = heard.headers.get("content-type", "").startswith("multipart/form-data; boundary=")
    if (model in (FLUX2, KLEIN)) != form:
        return plain(
            {**OBJECT_ERROR, "errors": {"message": "AiError: Bad input: required properties at '/' are 'multipart'", "code": 5006}}, 400
        )
    if model == SCHNELL and not set(heard.json) <= {"prompt", "steps"}:
        return plain(OBJECT_ERROR, 400)
    if model == PHOENIX:
        return 200, "image/png", JPEG  # the label is wrong
    if model == SDXL:
        return 200, "image/png", PNG
    data = b64encode(JPEG).decode()
    return good({"image": f"data:image/png;base64,{data}" if model == LUCID else data})


async def _read(reader: asyncio.StreamReader) -> Heard | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    parts = urlsplit(target)
    path = parts.path if "%2F" in parts.path.upper() else unquote(parts.path)
    return Heard(method, path, parse_qs(parts.query), headers, body)


def _written(status: int, kind: str, body: bytes | list[bytes]) -> bytes:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n"
    if isinstance(body, bytes):
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in body)
    return f"{head}transfer-encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n"


def form_fields(heard: Heard) -> dict[str, str]:
    """The fields of a multipart body."""
    boundary = heard.headers["content-type"].partition("boundary=")[2].encode()
    found = {}
    for piece in heard.body.split(b"--" + boundary)[1:-1]:
        head, _, value = piece.strip(b"\r\n").partition(b"\r\n\r\n")
        found[head.decode().partition('name="')[2].rstrip('"')] = value.decode()
    return found


def channel(workers: FakeWorkersAI, secret: str = TOKEN, base_url: str = "") -> Channel:
    """A channel to it."""
    url = base_url or workers.base_url
    return Channel("workers", PROVIDERS["workers-ai"], url, Pool(Channel.origin(url), Limits(), Pulse()), secret=secret)


@asynccontextmanager
async def fetching(workers: FakeWorkersAI, secret: str = TOKEN, base_url: str = ""):
    """Calls to it, as discovery and errands make them."""
    used = channel(workers, secret, base_url)
    try:
        yield Fetcher(used)
    finally:
        used.pool.close()


@dataclass
class Crossed:
    """What came of a request over a bridge: the client's answer, and what was sent for it."""

    status: int
    body: bytes
    sent: Heard
    crossing: Any
    ended: bool = True

    @property
    def json(self) -> Any:
        """A plain answer."""
        return json.loads(self.body)

    @property
    def chunks(self) -> list[Any]:
        """The data of a stream's events."""
        data = [payload(event.rstrip(b"\n")) for event in split(self.body)]
        return [one.decode() if one == b"[DONE]" else json.loads(one) for one in data]


async def crossed(workers: FakeWorkersAI, bridge: Any, body: dict[str, Any], model: str) -> Crossed:
    """A request over a bridge, to the server and back, as the relay does it."""
    spot = Spot(model, "public/" + model, "/v1/x", b"", b"application/json", "req_1", 1_700_000_000)
    crossing = bridge.cross(json.dumps({"model": "public", **body}).encode(), spot)
    async with fetching(workers) as fetch:
        fetched = await fetch("POST", crossing.path, query=crossing.query, headers=crossing.headers, body=crossing.body)
    sent = workers.heard[-1]
    if fetched.content_type != "text/event-stream":
        told = crossing.replay(fetched.body) if crossing.ask.stream and fetched.status < 400 else None
        if told is not None:
            return Crossed(200, told, sent, crossing)
        status, _, answer = crossing.whole(fetched.status, fetched.content_type.encode(), fetched.body)
        return Crossed(status, answer, sent, crossing)
    stream = crossing.stream()
    out = b"".join(stream.event(event) for event in split(fetched.body))
    out += b"" if stream.ended else stream.over()
    return Crossed(200, out, sent, crossing, stream.ended)
