"""ND images, made by NovelAI."""

from __future__ import annotations

import base64
import json

import pytest

from media_vendors import PICTURE, zip_of
from penstock.kit.errors import PenstockError
from penstock.upstream.complaints import ProviderRefusal
from penstock.upstream.errands import ERRANDS
from penstock.upstream.errands.nd import Nd
from penstock.upstream.usage import Usage
from vendor_server import HTML, SECRET, Caller, Reply

ND = Nd()
FULL = {"prompt": "1girl", "negative_prompt": "bad hands", "model": "nd-imagine-v3", "size": "832x1216", "seed": 7}


async def run(vendor, fields, model="nd-imagine-v3", secret=SECRET):
    caller = Caller(vendor.url, f"authorization: Bearer {secret}\r\n".encode())
    return await ND.run(caller.order("/api/v1/ai/draw/nd/imagine", model, fields))


def test_it_is_found():
    assert isinstance(ERRANDS["nd", "novelai"], Nd)


async def test_a_data_url(novelai):
    result = await run(novelai, FULL | {"odd": "x"})
    url = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
    assert json.loads(result.body) == {"created": 1_700_000_000, "data": [{"url": url}]}
    assert (result.usage, result.dropped) == (Usage(images=1), b"x-penstock-dropped: odd\r\n")
    sent = json.loads(novelai.requests[0].body)
    parameters = sent.pop("parameters")
    assert sent == {"input": "1girl", "model": "nai-diffusion-3", "action": "generate"}
    wanted = {"width": 832, "height": 1216, "seed": 7, "n_samples": 1, "steps": 28, "scale": 5, "negative_prompt": "bad hands"}
    assert wanted.items() <= parameters.items()
    assert "v4_prompt" not in parameters


async def test_base64_and_several(novelai):
    result = await run(novelai, {"prompt": "1girl", "n": "2", "response_format": "b64_json", "steps": "20", "scale": 6.5})
    assert [base64.b64decode(item["b64_json"]) for item in json.loads(result.body)["data"]] == [PICTURE] * 2
    assert result.usage == Usage(images=2)


@pytest.mark.parametrize("model", ["nd-imagine-v4", "nd-imagine-v4-5", "nai-diffusion-4-5-curated"])
async def test_newer_models_take_captions(novelai, model):
    await run(novelai, FULL, model)
    parameters = json.loads(novelai.requests[0].body)["parameters"]
    assert parameters["v4_prompt"]["caption"]["base_caption"] == "1girl"
    assert parameters["v4_negative_prompt"]["caption"]["base_caption"] == "bad hands"


async def test_a_seed_is_made_up(novelai):
    for _ in range(2):
        await run(novelai, {"prompt": "1girl"})
    first, second = (json.loads(request.body)["parameters"]["seed"] for request in novelai.requests)
    assert first != second


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "prompt"),
        ({"prompt": "a", "size": "1000x1000"}, "size"),
        ({"prompt": "a", "size": "2048x2048"}, "size"),
        ({"prompt": "a", "size": "0064x"}, "size"),
        ({"prompt": "a", "size": [1]}, "size"),
        ({"prompt": "a", "n": 5}, "n"),
        ({"prompt": "a", "steps": 51}, "steps"),
        ({"prompt": "a", "sampler": "plms9"}, "sampler"),
        ({"prompt": "a", "negative_prompt": 5}, "negative_prompt"),
        ({"prompt": "a", "response_format": "zip"}, "response_format"),
    ],
)
async def test_what_is_wrong(novelai, fields, param):
    with pytest.raises(PenstockError) as caught:
        await run(novelai, fields)
    assert (caught.value.code, caught.value.param) == ("invalid_request", param)
    assert novelai.requests == []


async def test_a_model_that_cannot_be(novelai):
    with pytest.raises(PenstockError) as caught:
        await run(novelai, FULL, "../x")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Reply.of({"statusCode": 400, "message": "width must be"}, 400), 400),
        (Reply.of({"statusCode": 402, "message": "Not enough Anlas"}, 402), 502),
        (Reply.of({"statusCode": 429, "message": "Concurrent generation is locked"}, 429), 429),
        (HTML, 502),
        (Reply(200, b"<html>welcome</html>", "text/html"), 502),
        (Reply(200, b""), 502),
        (Reply(201, zip_of(("readme.txt", b"x"))), 502),
        (Reply(201, zip_of(("image_0.png", b"\x89PNG\r\n\x1a\n" + bytes(33 * 1024 * 1024)), packed=True)), 502),
    ],
)
async def test_a_vendor_that_fails(novelai, fault, status):
    novelai.fault = fault
    with pytest.raises(ProviderRefusal) as caught:
        await run(novelai, FULL)
    assert caught.value.status == status


async def test_the_operators_credential_is_no_business_of_the_callers(novelai):
    with pytest.raises(ProviderRefusal) as caught:
        await run(novelai, FULL, secret="sk-wrong")
    assert caught.value.status == 502
    assert "Tell the operator" in caught.value.message
