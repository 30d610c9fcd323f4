"""Pictures of Workers AI: asked for as each model wants it, and brought back as OpenAI has them."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from openai import AsyncOpenAI

from fake_answers import answer
from fake_workers_ai import FLUX2, IMG2IMG, JPEG, KLEIN, LUCID, PHOENIX, PNG, SCHNELL, SDXL, FakeWorkersAI, fetching, form_fields
from penstock.kit.errors import PenstockError
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.complaints import ProviderRefusal
from penstock.upstream.errands import ERRANDS
from penstock.upstream.errands.errand import Order
from penstock.upstream.errands.workers_images import DROPS, REFUSES
from penstock.upstream.offers import Offer
from penstock.upstream.providers.workers_ai import PROVIDER

ERRAND = ERRANDS["images", "workers_images"]


@pytest.fixture
async def workers():
    async with FakeWorkersAI() as fake:
        yield fake


async def nothing(*_, **__):
    raise AssertionError("nothing is to be fetched")


def order(fetch, model, fields, **more):
    about = {"path": "/v1/images/generations", "settings": {}, "offer": None} | more
    return Order(
        model=model, public="public", path=about["path"], query=b"", fields={"prompt": "a robot", **fields}, request_id="req_1", created=5,
        fetch=fetch, download=nothing, settings=about["settings"], offer=about["offer"],
    )  # fmt: skip


async def drawn(workers, model, *, base_url="", **fields):
    """The result, and the requests that were made for it."""
    settings = fields.pop("settings", {})
    async with fetching(workers, base_url=base_url) as fetch:
        result = await ERRAND.run(order(fetch, model, fields, settings=settings))
    return result, [heard for heard in workers.heard if heard.method == "POST"]


async def refused(model=SDXL, path="/v1/images/generations", settings=None, **fields):
    with pytest.raises(PenstockError) as error:
        await ERRAND.run(order(nothing, model, fields, path=path, settings=settings or {}, offer=Offer(model, options={"image": "json"})))
    assert error.value.status in (400, 404)
    return error.value.code, error.value.param


@pytest.mark.parametrize(
    ("model", "sent", "picture", "kind"),
    [
        (SCHNELL, {"prompt": "a robot"}, JPEG, "image/jpeg"),
        (SDXL, {"prompt": "a robot", "width": 1024, "height": 1024}, PNG, "image/png"),
        (PHOENIX, {"prompt": "a robot", "width": 1024, "height": 1024}, JPEG, "image/jpeg"),
        (LUCID, {"prompt": "a robot", "width": 1024, "height": 1024}, JPEG, "image/jpeg"),
    ],
)
async def test_each_model_is_asked_in_its_own_way(workers, model, sent, picture, kind):
    for shown in ("b64_json", "url"):
        result, (*_, heard) = await drawn(workers, model, response_format=shown)
        assert (result.status, result.usage.images, result.usage.calls) == (200, 1, 1)
        data = b64encode(picture).decode()
        value = data if shown == "b64_json" else f"data:{kind};base64,{data}"
        assert json.loads(result.body) == {"created": 5, "data": [{shown: value}]}
        assert heard.json == sent
        assert heard.path.endswith(f"/ai/run/{model}")


@pytest.mark.parametrize("model", [FLUX2, KLEIN])
async def test_forms(workers, model):
    result, (heard,) = await drawn(workers, model, prompt="ein Ä", size="512x768", steps=4)
    assert result.status == 200
    assert form_fields(heard) == {"prompt": "ein Ä", "width": "512", "height": "768", "steps": "4"}


async def test_the_sdk_takes_it(workers, provider):
    result, _ = await drawn(workers, SDXL)
    provider.always(answer(result.body))
    async with AsyncOpenAI(base_url=provider.url + "/v1", api_key="sk-x", max_retries=0) as client:
        found = await client.images.generate(model="m", prompt="a robot")
    assert found.data[0].b64_json == b64encode(PNG).decode()


async def test_several_are_several_calls_side_by_side(workers):
    result, heard = await drawn(workers, SDXL, n=3, seed=7, settings={"max_image_count": 4})
    assert len(json.loads(result.body)["data"]) == len(heard) == result.usage.images == result.usage.calls == 3
    assert sorted(one.json["seed"] for one in heard) == [7, 8, 9]
    assert workers.most_at_once == 3


@pytest.mark.parametrize(("settings", "limit"), [({}, 1), ({"max_image_count": "2"}, 2), ({"max_image_count": 9}, 4)])
async def test_how_many(settings, limit):
    assert await refused(settings=settings, n=limit + 1) == ("invalid_request", "n")
    assert await refused(settings=settings, n=0) == ("invalid_request", "n")
    assert await refused(settings=settings, n="many") == ("invalid_request", "n")


async def test_what_the_settings_say(workers):
    settings = {"default_image_model": SDXL, "default_image_size": "512x512"}
    result, (heard,) = await drawn(workers, "", settings=settings)
    assert result.status == 200
    assert heard.path.endswith(SDXL) and heard.json["width"] == heard.json["height"] == 512
    assert await refused("") == ("missing_model", "model")


@pytest.mark.parametrize(
    ("model", "fields", "sent", "dropped"),
    [
        (SDXL, {"size": "4096x2048"}, {"width": 2048, "height": 1024}, b"size"),
        (SDXL, {"size": "auto"}, {"width": 1024, "height": 1024}, b""),
        (SCHNELL, {"size": "512x512"}, {}, b"size"),
        (SCHNELL, {"num_steps": "20"}, {"steps": 8}, b""),
        (SDXL, {"quality": "low"}, {"num_steps": 5, "width": 1024, "height": 1024}, b""),
        (SDXL, {"quality": "hd"}, {"num_steps": 20, "width": 1024, "height": 1024}, b""),
        (SDXL, {"quality": "standard"}, {"width": 1024, "height": 1024}, b"quality"),
        (SDXL, {"quality": "auto", "user": "u"}, {"width": 1024, "height": 1024}, b""),
        (SDXL, {"negative_prompt": "x", "guidance": 3}, {"negative_prompt": "x", "guidance": 3, "width": 1024, "height": 1024}, b""),
        (SCHNELL, {"seed": 1, "style": "vivid", "background": "auto"}, {}, b"seed, background, style"),
    ],
)  # fmt: skip
async def test_only_what_the_schema_has_is_sent_within_its_bounds(workers, model, fields, sent, dropped):
    result, (heard,) = await drawn(workers, model, **fields)
    assert result.status == 200
    assert heard.json == {"prompt": "a robot", **sent}
    assert result.dropped == (b"x-penstock-dropped: %b\r\n" % dropped if dropped else b"")


async def test_an_offer_saves_asking_for_the_schema(workers):
    async with fetching(workers) as fetch:
        offers = {offer.name: offer for offer in await PROVIDER.discover(fetch, {})}
        del workers.heard[:]
        result = await ERRAND.run(order(fetch, FLUX2, {}, offer=offers[FLUX2]))
    assert result.status == 200
    assert [heard.method for heard in workers.heard] == ["POST"]


@pytest.mark.parametrize("path", ["/v1/images/edits", "/v1/images/variations"])
async def test_changing_pictures_is_refused(path):
    assert await refused(path=path) == ("cannot_translate", None)


@pytest.mark.parametrize("name", REFUSES)
async def test_pictures_to_begin_with_are_refused(name):
    assert await refused(**{name: "x"}) == ("cannot_translate", name)


async def test_what_else_is_refused(workers):
    assert await refused(IMG2IMG) == ("cannot_translate", "model")
    assert await refused("../../user/tokens") == ("model_not_found", "model")
    assert await refused(stream=True) == ("cannot_translate", "stream")
    assert await refused(prompt=" ") == ("invalid_request", "prompt")
    assert await refused(size="large") == ("invalid_request", "size")
    assert await refused(response_format="png") == ("invalid_request", "response_format")
    for model, fields in (("@cf/test/needs-a-picture", {}), (SCHNELL, {"prompt": "x" * 2049})):
        with pytest.raises(PenstockError):
            await drawn(workers, model, **fields)


async def test_null_means_not_given(workers):
    result, _ = await drawn(workers, SDXL, **dict.fromkeys((*DROPS, *REFUSES, "n", "size", "quality", "response_format")))
    assert result.status == 200 and result.dropped == b""


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("flagged", 400, "content_policy_violation"),
        ("empty", 502, "upstream_invalid"),
        ("null", 502, "upstream_invalid"),
        ("text", 502, "upstream_invalid"),
        ("object", 400, "invalid_request"),
        ("named", 403, "terms_not_accepted"),
    ],
)
async def test_errors_cost_nothing(workers, model, status, code):
    result, _ = await drawn(workers, f"@cf/test/{model}", n=2, settings={"max_image_count": 2})
    assert (result.status, json.loads(result.body)["error"]["code"]) == (status, code)
    assert (result.usage.images, result.usage.calls) == (0, 0)


@pytest.mark.parametrize(
    ("model", "code", "fault"),
    [
        ("list-3036", "daily_quota", "quota"),
        ("busy-200", "out_of_capacity", "status"),
        ("list-3040", "out_of_capacity", "status"),
        ("page", "upstream_invalid", "status"),
        ("nothing", "upstream_invalid", "status"),
    ],
)
@pytest.mark.parametrize("count", [1, 2])
async def test_what_another_channel_may_do_better(workers, model, code, fault, count):
    with pytest.raises(ProviderRefusal) as refused:
        await drawn(workers, f"@cf/test/{model}", n=count, settings={"max_image_count": 2})
    assert (refused.value.code, refused.value.fault.kind, refused.value.again) == (code, fault, count == 1)


async def test_a_provider_that_is_not_there(workers):
    with pytest.raises(UpstreamError):
        await drawn(workers, SDXL, base_url="http://127.0.0.1:9/ai")
