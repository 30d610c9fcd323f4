"""Predictions are waited for, survive a missed look, and are cancelled when nobody wants them."""

from __future__ import annotations

import asyncio

import pytest

from media_vendors import FakeReplicate
from penstock.kit.errors import PenstockError
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.complaints import ProviderRefusal
from penstock.upstream.errands.predictions import model_path, predict
from vendor_server import HTML, Caller, Reply

PATH = "/api/v1/ai/draw/flux/schnell"


def order(caller: Caller, **settings):
    return caller.order(PATH, "flux-schnell", {}, **settings)


async def test_one_that_is_done_at_once(replicate, caller):
    urls = await predict(order(caller), {"prompt": "a cat", "num_outputs": 2})
    assert urls == [f"{replicate.url}/files/pred0-0.png", f"{replicate.url}/files/pred0-1.png"]
    [request] = replicate.requests
    assert (request.method, request.target) == ("POST", "/v1/models/black-forest-labs/flux-schnell/predictions")
    assert request.header("prefer") == b"wait=30"
    assert replicate.inputs() == [{"prompt": "a cat", "num_outputs": 2}]


async def test_one_that_takes_its_time_and_a_look_that_fails(replicate, caller):
    replicate.looks, replicate.missed_looks = 2, 2
    assert await predict(order(caller), {"prompt": "a cat"}, 0.001) == [f"{replicate.url}/files/pred0-0.png"]
    assert [request.target for request in replicate.requests[1:]] == ["/v1/predictions/pred0"] * 4
    assert replicate.cancelled == []


async def test_one_that_cannot_be_looked_at_any_more(replicate, caller):
    replicate.looks, replicate.missed_looks = 2, 99
    with pytest.raises(ProviderRefusal) as caught:
        await predict(order(caller), {"prompt": "a cat"}, 0.001)
    assert caught.value.status == 502
    await replicate.eventually(lambda: replicate.cancelled == ["pred0"])


async def test_one_that_takes_too_long_is_cancelled(replicate, caller):
    replicate.looks = 10**9
    with pytest.raises(ProviderRefusal) as caught:
        await predict(order(caller, wait_s="1"), {"prompt": "a cat"}, 0.2)
    assert (caught.value.code, caught.value.status) == ("upstream_timeout", 504)
    await replicate.eventually(lambda: replicate.cancelled == ["pred0"])


async def test_one_that_nobody_waits_for_is_cancelled(replicate, caller):
    replicate.looks = 10**9
    task = asyncio.ensure_future(predict(order(caller), {"prompt": "a cat"}, 0.001))
    await replicate.eventually(lambda: len(replicate.requests) > 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await replicate.eventually(lambda: replicate.cancelled == ["pred0"])


async def test_one_that_nobody_waits_for_before_it_has_begun_is_cancelled_too(replicate, caller):
    replicate.looks, replicate.begins_after_s = 10**9, 0.1
    task = asyncio.ensure_future(predict(order(caller), {"prompt": "a cat"}))
    await replicate.eventually(lambda: len(replicate.requests) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await replicate.eventually(lambda: replicate.cancelled == ["pred0"])


@pytest.mark.parametrize(
    ("ending", "status", "words"),
    [
        ({"status": "failed", "output": None, "error": "NSFW content detected. Try another prompt."}, 400, "refuses to show"),
        ({"status": "failed", "output": None, "error": "The input or output was flagged as sensitive. (E005)"}, 400, "refuses to show"),
        ({"status": "failed", "output": None, "error": "CUDA out of memory"}, 502, "CUDA out of memory"),
        ({"status": "failed", "output": None, "error": {"odd": 1}}, 502, "was not made (failed)"),
        ({"status": "canceled", "output": None}, 502, "was not made (canceled)"),
        ({"status": "succeeded", "output": None}, 502, "no picture"),
        ({"status": "succeeded", "output": ["file:///etc/passwd", 5]}, 502, "no picture"),
        ({"status": "succeeded", "output": {"url": "https://example.com/x.png"}}, 502, "no picture"),
        ({"status": "succeeded", "id": "../../x"}, 502, "has no id"),
    ],
)
async def test_one_that_fails(replicate, caller, ending, status, words):
    replicate.ending = ending
    with pytest.raises(ProviderRefusal) as caught:
        await predict(order(caller), {"prompt": "a cat"})
    assert caught.value.status == status
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("fault", "code", "kind"),
    [
        (Reply.of({"detail": "Request was throttled."}, 429, headers=(("retry-after", "30"),)), "too_many_requests", "status"),
        (Reply.of({"title": "Input validation failed", "detail": "- input.seed: must be", "status": 422}, 422), "invalid_request", None),
        (Reply.of({"title": "Payment required", "detail": "out of credit", "status": 402}, 402), "upstream_invalid", "status"),
        (HTML, "upstream_invalid", "status"),
        (Reply(200, b"<html>welcome</html>", "text/html"), "upstream_invalid", None),
        (Reply(201, b""), "upstream_invalid", None),
    ],
)  # fmt: skip
async def test_a_vendor_that_refuses(replicate, caller, fault, code, kind):
    replicate.fault = fault
    with pytest.raises(ProviderRefusal) as caught:
        await predict(order(caller), {"prompt": "a cat"})
    assert caught.value.code == code
    assert (caught.value.fault.kind if caught.value.fault else None) == kind
    if fault.status == 429:
        assert caught.value.retry_after_s == 30
    assert len(replicate.requests) == 1


async def test_a_vendor_that_is_away():
    async with FakeReplicate() as vendor:
        away = vendor.url
    with pytest.raises(UpstreamError):
        await predict(order(Caller(away)), {"prompt": "a cat"})


def test_names_of_models():
    assert model_path("flux-1.1-pro") == "/v1/models/black-forest-labs/flux-1.1-pro/predictions"
    assert model_path("black-forest-labs/flux-dev") == "/v1/models/black-forest-labs/flux-dev/predictions"
    assert model_path("acme/my-flux") == "/v1/models/acme/my-flux/predictions"
    for name in ("dall-e-3", "a/b/c", "../x", "a/..", "a b/c", ""):
        with pytest.raises(PenstockError) as caught:
            model_path(name)
        assert caught.value.code == "model_not_found"
