"""The list of models: each client's own shape, only what its key may use, from memory."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import quote

import pytest

from fake_ends import KEY, ask, parts_of
from penstock.channels.door import Roster
from penstock.relay.model_list import KEPT, is_model_list
from penstock.upstream.names import Names
from penstock.upstream.offers import Offer


@pytest.fixture
async def listing(open_rig):
    """Asks a relay with two channels for its models: status and object."""
    rig = await open_rig()
    first, second = rig.plane.channels
    first.names = Names([("gpt-4o", None), ("text-embedding-3-small", None), ("@cf/meta/llama-3", "llama")])
    first.offers = {"gpt-4o": Offer("gpt-4o", title="GPT-4o", created=1_700_000_000, context_tokens=128_000, inputs=("text", "image"))}
    second.names = Names([(f"claude-{number}", None) for number in range(30)])
    rig.parts.channels.channels = rig.plane.channels

    async def get(path: str = "/v1/models", *headers: bytes, method: str = "GET", key: str = KEY):
        client = rig.client()
        heard = client.says(ask(*headers, line=f"{method} {path}".encode(), body=b"", key=key))
        async with asyncio.timeout(5):
            while client.edge.active is not None:  # noqa: ASYNC110  nothing tells
                await asyncio.sleep(0.001)
        status, _, body = parts_of(heard + client.hears())
        return status, json.loads(body) if body else None

    get.rig = rig
    return get


async def test_openais_shape(listing):
    status, body = await listing()
    assert status == 200 and body["object"] == "list"
    assert [model["id"] for model in body["data"]][:1] == ["@cf/meta/llama-3"] and len(body["data"]) == 33
    found = next(model for model in body["data"] if model["id"] == "gpt-4o")
    assert found == {
        "id": "gpt-4o", "object": "model", "created": 1_700_000_000, "owned_by": "openai", "name": "GPT-4o", "display_name": "GPT-4o",
        "context_length": 128_000, "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
        "pricing": {"prompt": "0.0000025", "completion": "0.00001", "input_cache_read": "0.00000125"},
    }  # fmt: skip
    assert all(value is not None for model in body["data"] for value in model.values())


async def test_anthropics_shape_and_pages(listing):
    version = b"anthropic-version: 2023-06-01"
    _, first = await listing("/v1/models?limit=5", version)
    assert len(first["data"]) == 5 and first["has_more"] and first["data"][0].keys() >= {"type", "id", "display_name", "created_at"}
    _, after = await listing(f"/v1/models?limit=1000&after_id={first['last_id']}", version)
    assert len(after["data"]) == 28 and not after["has_more"]
    _, before = await listing(f"/v1/models?limit=5&before_id={after['first_id']}", version)
    assert before["data"] == first["data"] and not before["has_more"]


async def test_googles_shape(listing):
    _, body = await listing("/v1beta/models?pageSize=2")
    assert [model["name"] for model in body["models"]] == ["models/@cf/meta/llama-3", "models/claude-0"] and body["nextPageToken"] == "2"
    assert "generateContent" in body["models"][0]["supportedGenerationMethods"]
    _, rest = await listing("/v1beta/models?pageSize=1000&pageToken=2")
    assert "nextPageToken" not in rest
    assert (await listing("/v1beta/models/gpt-4o"))[1]["inputTokenLimit"] == 128_000


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "x", "", "\u0663"])
async def test_odd_numbers(listing, number):
    for path in (f"/v1beta/models?pageSize={quote(number)}&pageToken={quote(number)}", f"/v1/models?limit={quote(number)}"):
        assert (await listing(path))[0] == 200


async def test_codex_finds_its_field(listing):
    assert (await listing("/v1/models?client_version=0.50.0"))[1]["models"] == []
    assert "models" not in (await listing())[1]


@pytest.mark.parametrize(("protocol", "some", "none"), [
    ("openai-chat", "gpt-4o", "text-embedding-3-small"),
    ("openai-embeddings", "text-embedding-3-small", "gpt-4o"),
    ("messages", "claude-1", "text-embedding-3-small"),
    ("nonsense", None, "gpt-4o"),
])  # fmt: skip
async def test_one_protocols_models(listing, protocol, some, none):
    ids = [model["id"] for model in (await listing(f"/v1/models?protocol={protocol}"))[1]["data"]]
    assert none not in ids and (some is None or some in ids)


async def test_a_key_sees_what_it_may_use(listing):
    other = "sk-" + "b" * 48
    listing.rig.know(other, models=("claude-2*",))
    ids = [model["id"] for model in (await listing(key=other))[1]["data"]]
    assert ids == ["claude-2", *(f"claude-2{number}" for number in range(10))]
    assert (await listing("/v1/models/gpt-4o", key=other))[0] == 404
    assert len((await listing())[1]["data"]) == 33, "what was kept for one key is not shown to another"


@pytest.mark.parametrize("path", ["/v1/models/@cf/meta/llama-3", "/v1/models/%40cf%2Fmeta%2Fllama-3", "/models/@cf/meta/llama-3"])
async def test_one_model(listing, path):
    assert (await listing(path))[1]["id"] == "@cf/meta/llama-3"


async def test_a_model_that_there_is_not(listing):
    status, body = await listing("/v1/models/nothing")
    assert (status, body["error"]["code"]) == (404, "model_not_found")


async def test_a_head_has_no_body(listing):
    assert await listing(method="HEAD") == (200, None)


async def test_strangers_are_refused(listing):
    assert (await listing(key="sk-" + "z" * 48))[0] in (401, 503)


async def test_what_is_kept_is_bounded_and_forgotten_with_the_roster(listing):
    lists = listing.rig.plane.lists
    for number in range(KEPT + 5):
        await listing(f"/v1beta/models?pageSize={number}")
    assert len(lists.bodies) <= KEPT
    assert len(lists.usable) == 1, "pages are cut from one list"
    for number in range(KEPT + 5):
        await listing(f"/v1/models?protocol=p{number}")
    assert len(lists.usable) <= KEPT
    lists.bodies.clear()
    for number in range(3):
        await listing(f"/v1/models?limit={number}&x={number}")
    assert len(lists.bodies) == 1, "what changes no answer makes no other"
    listing.rig.plane.channels[1].names = Names([("new", None)])
    listing.rig.parts.channels.channels = (*listing.rig.plane.channels,)
    assert len((await listing())[1]["data"]) == 4 and len(lists.bodies) == 1
    assert isinstance(lists.of, Roster)


@pytest.mark.parametrize(("path", "expected"), [
    ("/v1/models", True), ("/v1/models/x", True), ("/v1beta/models", True), ("/v1beta/models/x", True),
    ("/v1/modelsx", False), ("/v1/files", False), ("/v1/model", False), ("/v1beta/modelsx", False),
])  # fmt: skip
def test_paths(path, expected):
    assert is_model_list(path) is expected
