"""The platform's Flux calls, made by Replicate."""

from __future__ import annotations

import base64
import json

import pytest

from media_vendors import PICTURE
from penstock.kit.errors import PenstockError
from penstock.upstream.complaints import ProviderRefusal
from penstock.upstream.errands import ERRANDS
from penstock.upstream.errands.flux import Flux
from penstock.upstream.usage import Usage
from penstock.upstream.wires.flux import MODELS
from vendor_server import Reply

FLUX = Flux(0.001)
PATH = "/api/v1/ai/draw/flux/"


async def run(caller, page, fields):
    return await FLUX.run(caller.order(PATH + page, MODELS[PATH + page], fields))


def test_it_is_found():
    assert isinstance(ERRANDS["flux", "replicate"], Flux)


async def test_urls(replicate, caller):
    replicate.looks = 1
    result = await run(caller, "schnell", {"prompt": "a cat", "num_outputs": "2", "model": "flux-schnell", "odd": "x"})
    urls = [{"url": f"{replicate.url}/files/pred0-{number}.png"} for number in range(2)]
    assert json.loads(result.body) == {"statusCode": 200, "message": "Success", "data": {"outputs": urls}}
    assert (result.status, result.content_type, result.usage) == (200, b"application/json", Usage(images=2))
    assert result.dropped == b"x-penstock-dropped: odd\r\n"
    assert replicate.inputs() == [
        {
            "prompt": "a cat", "aspect_ratio": "1:1", "num_outputs": 2, "output_format": "webp", "output_quality": 80,
            "disable_safety_checker": True,
        }
    ]  # fmt: skip


@pytest.mark.parametrize("page", ["schnell", "dev", "pro", "pro-11", "pro-ultra-11"])
async def test_base64_comes_besides_the_url(replicate, caller, page):
    result = await run(caller, page, {"prompt": "a cat", "response_format": "b64_json"})
    [output] = json.loads(result.body)["data"]["outputs"]
    assert output["url"].startswith(replicate.url)
    assert base64.b64decode(output["b64_json"]) == PICTURE
    assert result.usage == Usage(images=1)


async def test_a_picture_that_comes_as_a_data_url(replicate, caller):
    url = "data:image/webp;base64," + base64.b64encode(PICTURE).decode()
    replicate.ending = {"output": [url]}
    result = await run(caller, "schnell", {"prompt": "a cat", "response_format": "b64_json"})
    assert json.loads(result.body)["data"]["outputs"] == [{"url": url, "b64_json": url.partition(",")[2]}]


@pytest.mark.parametrize("file", [Reply(404, b"gone"), Reply(200, b"<html>login</html>", "text/html"), Reply(200, b"")])
async def test_a_picture_that_cannot_be_fetched(replicate, caller, file):
    replicate.file = file
    with pytest.raises(ProviderRefusal) as caught:
        await run(caller, "dev", {"prompt": "a cat", "response_format": "b64_json"})
    assert caught.value.status == 502


async def test_a_picture_at_a_private_address(replicate, caller):
    caller.refused = frozenset({f"{replicate.url}/files/pred0-0.png"})
    with pytest.raises(ProviderRefusal):
        await run(caller, "dev", {"prompt": "a cat", "response_format": "b64_json"})


async def test_what_is_wrong_is_said_before_anybody_is_asked(replicate, caller):
    for fields, param in (
        ({}, "prompt"),
        ({"prompt": "a", "response_format": "b64"}, "response_format"),
        ({"prompt": "a", "seed": "x"}, "seed"),
    ):
        with pytest.raises(PenstockError) as caught:
            await run(caller, "pro", fields)
        assert (caught.value.code, caught.value.param) == ("invalid_request", param)
    assert replicate.requests == []
