"""Images, as the official SDK and a PNG reader see them."""

from __future__ import annotations

import json
import struct
import zlib
from base64 import b64decode

import openai
import pytest
from openai.types import ImageEditCompletedEvent, ImageGenCompletedEvent, ImageGenPartialImageEvent, ImagesResponse

from penstock.upstream.demo.images import png


def size_of(picture: bytes) -> tuple[int, int]:
    """Read a PNG to its end, check every sum and the amount of pixels, and return its size."""
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(picture):
        length, name = struct.unpack(">I4s", picture[at : at + 8])
        chunks[name] = picture[at + 8 : at + 8 + length]
        assert zlib.crc32(picture[at + 4 : at + 8 + length]) == int.from_bytes(picture[at + 8 + length : at + 12 + length], "big")
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + -(-width // 4))
    return width, height


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (61, 5), (64, 64), (257, 129), (1024, 1536)])
def test_pictures_are_real(size):
    assert size_of(png(*size, b"123456789012")) == size


def test_base64_by_default(client):
    answer = client.images.generate(model="demo", prompt="a gate", size="256x128", n=2)
    pictures = [b64decode(one.b64_json) for one in answer.data]
    assert [size_of(picture) for picture in pictures] == [(256, 128)] * 2
    assert pictures[0] != pictures[1]
    assert answer.usage.input_tokens_details.text_tokens == 2
    assert answer.usage.output_tokens == 2 * 16 * 4 * 2
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


@pytest.mark.parametrize("more", [{"model": "demo", "response_format": "url"}, {"model": "dall-e-3"}])
def test_a_data_url(client, more):
    url = client.images.generate(prompt="a gate", **more).data[0].url
    assert size_of(b64decode(url.removeprefix("data:image/png;base64,"))) == (1024, 1024)


def test_it_validates_strictly(http, events):
    asked = {"model": "demo", "prompt": "a gate", "size": "64x64"}
    ImagesResponse.model_validate(http.post("/v1/images/generations", json=asked).json())
    found = [json.loads(data) for _, data in events("/v1/images/generations", asked | {"stream": True, "partial_images": 2})]
    assert [value["type"].rpartition(".")[2] for value in found] == ["partial_image", "partial_image", "completed"]
    for value in found[:-1]:
        ImageGenPartialImageEvent.model_validate(value)
    ImageGenCompletedEvent.model_validate(found[-1])


def test_streamed_generation(client):
    found = list(client.images.generate(model="demo", prompt="a gate", size="64x64", stream=True, partial_images=1))
    assert [event.type for event in found] == ["image_generation.partial_image", "image_generation.completed"]


def test_edits_take_several_images_and_a_mask(client):
    pictures = [("a.png", png(8, 8, b"123456789012")), ("b.png", png(8, 8, b"210987654321"))]
    answer = client.images.edit(model="demo", image=pictures, mask=pictures[0], prompt="open the gate", size="64x64")
    assert size_of(b64decode(answer.data[0].b64_json)) == (64, 64)
    assert answer.usage.input_tokens_details.image_tokens == 3 * 256


async def test_async_streamed_edit(async_client):
    stream = await async_client.images.edit(model="demo", image=b"picture", prompt="open", size="64x64", stream=True)
    [event] = [event async for event in stream]
    ImageEditCompletedEvent.model_validate(event.model_dump())


def test_variations_need_no_prompt(http):
    answer = http.post("/v1/images/variations", files={"image": b"picture"}, data={"n": "2", "size": "256x256"})
    assert len(ImagesResponse.model_validate(answer.json()).data) == 2


@pytest.mark.parametrize(
    "wrong", [{"prompt": ""}, {"n": 0}, {"n": 11}, {"size": "huge"}, {"size": "0x5"}, {"size": "5000x5000"}, {"stream": "maybe"}]
)
def test_what_is_wrong_is_said(client, wrong):
    with pytest.raises(openai.BadRequestError):
        client.images.generate(**{"model": "demo", "prompt": "a gate"} | wrong)


def test_a_form_with_a_wrong_number_is_refused(http):
    answer = http.post("/v1/images/edits", files={"image": b"x"}, data={"prompt": "x", "n": "many"})
    assert answer.status_code == 400


def test_no_usage(client):
    assert client.images.generate(model="demo-nousage", prompt="a gate").usage is None
