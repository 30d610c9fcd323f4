"""Errands that fail half-way, over real sockets: what has been made once is not made again elsewhere, and nobody waits for ever."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bridge_stage import add_channel
from fake_answers import answer
from fake_provider import close, hang, pause, refusing_port
from raw_client import Answer, RawClient, bearer, request

MODEL = "flux-schnell"
ONE_EACH = "flux-1.1-pro"
"""A model that makes one picture in each call."""
PICTURE = answer(b"\x89PNG\r\n\x1a\n" + b"0" * 64, kind="image/png")


def made(url: str, status: str = "succeeded", **more: Any) -> bytes:
    """A prediction."""
    return answer({"id": "p1", "status": status, "output": [f"{url}/file.png"] if status == "succeeded" else None} | more, 201)


@pytest.fixture(scope="module")
def painters(make_gateway, module_vendor, vendor_gateways):
    """A gateway with two channels for pictures, both of them the scripted provider's."""
    gateway = make_gateway(own_keys=True, show_channel=True)
    models = tuple((name, f"black-forest-labs/{name}") for name in (MODEL, ONE_EACH))
    for name, priority in (("first", 5), ("second", 1)):
        add_channel(gateway, name, module_vendor.url, provider="replicate", models=models, priority=priority, secrets=(f"r8_{name}",))
    vendor_gateways.append(gateway)
    return gateway


@pytest.fixture
def draw(painters, vendor) -> Callable[..., Answer]:
    """Asks for pictures."""

    async def forget() -> None:
        for channel in painters.plane.channels:
            channel.pool.close()
            channel.breakers.reset()

    painters.run(forget())

    def ask(**more: Any) -> Answer:
        with RawClient(painters.port) as client:
            return client.ask(wish(painters, **more))

    return ask


def wish(gateway, **more: Any) -> bytes:
    body = json.dumps({"model": MODEL, "prompt": "a cat"} | more).encode()
    return request("POST /v1/images/generations", bearer(gateway.key), "content-type: application/json", body=body)


def asked(vendor) -> list[tuple[str, bytes | None]]:
    """Who was asked for pictures, and how often."""
    return [request.header("authorization") for request in vendor.requests if request.target.endswith("/predictions")]


def test_the_channel_that_answered_is_named(draw, vendor):
    vendor.script(answer({"detail": "slow down"}, 429))
    vendor.script(made(vendor.url))
    heard = draw()
    assert (heard.status, heard.header("x-penstock-channel")) == (200, "second")


@pytest.mark.parametrize("how", ["refused", "closed", "a page"])
def test_a_picture_that_cannot_be_fetched_is_not_painted_again(draw, vendor, painters, how):
    with refusing_port() as port:
        vendor.script(made(vendor.url, output=[f"http://127.0.0.1:{port}/file.png"]) if how == "refused" else made(vendor.url))
        if how != "refused":
            vendor.script(*((close,) if how == "closed" else (answer(b"<html></html>", kind="text/html"),)))
        heard = draw(response_format="b64_json")
    assert (heard.status, heard.code, asked(vendor)) == (502, "upstream_invalid", [b"Bearer r8_first"])
    assert not any(channel.breakers.troubled for channel in painters.plane.channels), "who paints has done nothing wrong"


def test_of_several_pictures_none_is_painted_again_when_one_is_refused(draw, vendor):
    """The others are on their way, or done."""
    vendor.script(made(vendor.url))
    vendor.script(pause(0.2), answer({"detail": "slow down"}, 429))
    heard = draw(model=ONE_EACH, n=2)
    assert (heard.status, asked(vendor)) == (429, [b"Bearer r8_first"] * 2)


def test_who_closes_without_an_answer_may_have_painted(draw, vendor):
    vendor.script(close)
    heard = draw()
    assert (heard.status, asked(vendor)) == (502, [b"Bearer r8_first"])


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_who_has_refused_has_painted_nothing(draw, vendor, painters, status):
    before = len(painters.charges())
    vendor.script(answer({"detail": "no"}, status))
    vendor.script(made(vendor.url))
    assert draw().status == 200
    assert asked(vendor) == [b"Bearer r8_first", b"Bearer r8_second"]
    (charge,) = painters.charges()[before:]
    assert (charge["channel"], charge["attempts"], json.loads(charge["extra_usage"])) == ("second", 2, {"images": 1})


def test_what_the_client_has_done_wrong_is_wrong_everywhere(draw, vendor):
    vendor.script(answer({"detail": "the prompt is empty"}, 422))
    heard = draw()
    assert (heard.status, heard.code, len(asked(vendor))) == (400, "invalid_request", 1)


@pytest.mark.parametrize("when", ["before it has a name", "while it is painted"])
def test_who_leaves_has_the_picture_called_off(painters, draw, vendor, loop_thread, when):
    before = len(painters.charges())
    late = when == "before it has a name"
    vendor.script(*((pause(0.2),) if late else ()), made(vendor.url, "processing"))
    if not late:
        vendor.script(hang)
    vendor.script(answer({}))
    with RawClient(painters.port) as client:
        client.send(wish(painters))
        loop_thread.run(vendor.until_requests(1 if late else 2))
    painters.check_quiet()
    loop_thread.run(vendor.until(lambda: vendor.requests[-1].target == "/v1/predictions/p1/cancel"))
    (charge,) = painters.charges()[before:]
    assert (charge["outcome"], charge["channel"]) == ("client_gone", "first")
