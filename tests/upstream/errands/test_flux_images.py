"""OpenAI's image generations of Flux models, made by Replicate."""

from __future__ import annotations

import base64
import json

import pytest

from media_vendors import PICTURE
from penstock.kit.errors import PenstockError
from penstock.upstream.complaints import ProviderRefusal
from penstock.upstream.errands import ERRANDS
from penstock.upstream.errands.flux_images import FluxImages
from penstock.upstream.usage import Usage

IMAGES = FluxImages(0.001)


async def run(caller, model, fields, path="/v1/images/generations"):
    return await IMAGES.run(caller.order(path, model, fields))


def test_it_is_found():
    assert isinstance(ERRANDS["images", "replicate"], FluxImages)


async def test_several_in_one_call(replicate, caller):
    fields = {"model": "flux-schnell", "prompt": "a cat", "n": 3, "size": "1024x1024", "quality": "high", "output_format": "jpeg"}
    result = await run(caller, "flux-schnell", fields)
    answer = json.loads(result.body)
    assert answer == {"created": 1_700_000_000, "data": [{"url": f"{replicate.url}/files/pred0-{n}.png"} for n in range(3)]}
    assert (result.usage, result.dropped) == (Usage(images=3), b"x-penstock-dropped: quality\r\n")
    [inputs] = replicate.inputs()
    assert (inputs["num_outputs"], inputs["aspect_ratio"], inputs["output_format"]) == (3, "1:1", "jpg")


async def test_several_in_as_many_calls(replicate, caller):
    result = await run(caller, "flux-1.1-pro", {"prompt": "a cat", "n": "2", "size": "1024x768", "response_format": "b64_json"})
    assert [base64.b64decode(item["b64_json"]) for item in json.loads(result.body)["data"]] == [PICTURE] * 2
    assert result.usage == Usage(images=2)
    assert [(told["aspect_ratio"], told["width"], told["height"]) for told in replicate.inputs()] == [("custom", 1024, 768)] * 2


async def test_more_than_one_call_can_make(replicate, caller):
    result = await run(caller, "flux-dev", {"prompt": "a cat", "n": 6})
    assert sorted(told["num_outputs"] for told in replicate.inputs()) == [2, 4]
    assert result.usage == Usage(images=6)


async def test_if_one_fails_the_others_are_cancelled(replicate, caller):
    replicate.looks = 10**9
    replicate.fails_from = 1
    with pytest.raises(ProviderRefusal):
        await run(caller, "flux-pro", {"prompt": "a cat", "n": 3})
    await replicate.eventually(lambda: replicate.cancelled == ["pred0"])


@pytest.mark.parametrize(
    ("model", "size", "ratio", "noted"),
    [
        ("flux-schnell", "1792x1024", "16:9", True),
        ("flux-schnell", "1024x1792", "9:16", True),
        ("flux-schnell", "1536x1024", "3:2", False),
        ("flux-11-pro-ultra", "1024x768", "4:3", False),
        ("flux-11-pro", "1792x1024", "16:9", True),
        ("acme/my-flux", "512x512", "1:1", False),
        ("flux-dev", "auto", "1:1", False),
    ],
)
async def test_sizes(replicate, caller, model, size, ratio, noted):
    result = await run(caller, model, {"prompt": "a cat", "size": size})
    assert replicate.inputs()[0]["aspect_ratio"] == ratio
    assert (b"size" in result.dropped) is noted


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({}, "invalid_request", "prompt"),
        ({"prompt": 5}, "invalid_request", "prompt"),
        ({"prompt": "a", "n": 11}, "invalid_request", "n"),
        ({"prompt": "a", "n": [1]}, "invalid_request", "n"),
        ({"prompt": "a", "size": "big"}, "invalid_request", "size"),
        ({"prompt": "a", "size": 5}, "invalid_request", "size"),
        ({"prompt": "a", "output_format": "gif"}, "invalid_request", "output_format"),
        ({"prompt": "a", "stream": True}, "cannot_translate", "stream"),
        ({"prompt": "a", "background": "transparent"}, "cannot_translate", "background"),
    ],
)
async def test_what_cannot_be_said(replicate, caller, fields, code, param):
    with pytest.raises(PenstockError) as caught:
        await run(caller, "flux-schnell", fields)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert replicate.requests == []


async def test_edits_are_refused(replicate, caller):
    with pytest.raises(PenstockError) as caught:
        await run(caller, "flux-schnell", {"prompt": "a"}, "/v1/images/edits")
    assert caught.value.code == "cannot_translate"
