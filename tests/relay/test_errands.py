"""Errands on the walk: done beside it, charged by what they count, refused without a charge, given up with their client."""

from __future__ import annotations

import asyncio
import json

import pytest

from fake_ends import ask, parts_of
from penstock.kit.errors import PenstockError
from penstock.relay import route as module
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.errands.errand import Order, Result
from penstock.upstream.lane import Lane
from penstock.upstream.lanes import Lanes
from penstock.upstream.usage import Usage

IMAGES = b'{"model":"dall-e-3","prompt":"a cat","n":2}'
REQUEST = ask(line=b"POST /v1/images/generations", body=IMAGES)


class Errand:
    """Gives what the test says."""

    source, target = "images", "elsewhere"

    def __init__(self, outcome: Result | Exception | None) -> None:
        self.outcome = outcome
        self.orders: list[Order] = []
        self.cancelled = False

    async def run(self, order: Order) -> Result:
        self.orders.append(order)
        if self.outcome is None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture
async def errands(open_rig):
    """A relay in which images are an errand's business."""
    rig = await open_rig()
    rig.loop = asyncio.get_running_loop()

    def sent(outcome, *more):
        found = [Errand(each) for each in (outcome, *more)]
        lanes = [Lane(channel, "dall-e-3", "served", None, errand) for channel, errand in zip(rig.plane.channels, found, strict=False)]
        rig.plane.routes["images", "dall-e-3"] = module.Known(Lanes(lanes), None)
        return found

    return rig, sent


async def end_of(client) -> tuple[int, dict[bytes, bytes], bytes]:
    async with asyncio.timeout(5):
        while client.edge.active is not None:  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(0.001)
    return parts_of(client.hears())


async def test_a_result_is_the_answer(errands):
    rig, sent = errands
    rig.plane.records_all = True
    (errand,) = sent(Result(200, b"application/json", b'{"data":[]}', Usage(images=2), b"x-penstock-dropped: style\r\n"))
    client = rig.client()
    client.says(REQUEST)
    status, headers, body = await end_of(client)
    assert (status, headers[b"content-type"], body) == (200, b"application/json", b'{"data":[]}')
    assert headers[b"x-penstock-dropped"] == b"style"
    (order,) = errand.orders
    assert (order.model, order.public, order.fields["n"], order.path) == ("served", "dall-e-3", 2, "/v1/images/generations")
    (charge,) = rig.charges()
    assert json.loads(charge["extra_usage"])["images"] == 2 and charge["served_model"] == "served"
    assert b"".join(rig.kept.records[0].response_body) == body


async def test_a_form_is_an_object_too(errands):
    rig, sent = errands
    (errand,) = sent(Result(200, b"application/json", b"{}", Usage()))
    client = rig.client()
    form = b"model=dall-e-3&prompt=a+cat"
    client.says(ask(line=b"POST /v1/images/generations", body=form).replace(b"application/json", b"application/x-www-form-urlencoded"))
    assert (await end_of(client))[0] == 200
    assert errand.orders[0].fields == {"model": "dall-e-3", "prompt": "a cat"}


@pytest.mark.parametrize(("outcome", "status", "code"), [
    (PenstockError("invalid_request", "no cats"), 400, "invalid_request"),
    (UpstreamError("timeout", "too slow"), 504, "upstream_timeout"),
    (UpstreamError("broken", "gone"), 502, "upstream_broken"),
])  # fmt: skip
async def test_what_fails_costs_nothing(errands, outcome, status, code):
    rig, sent = errands
    sent(outcome)
    client = rig.client()
    client.says(REQUEST)
    shown, _, body = await end_of(client)
    assert (shown, json.loads(body)["error"]["code"]) == (status, code)
    assert rig.plane.holds.open == 0 and rig.charges() == []


async def test_what_could_not_be_begun_is_tried_elsewhere(errands):
    rig, sent = errands
    first, second = sent(UpstreamError("refused", "nobody there"), Result(200, b"application/json", b"{}", Usage(images=1)))
    client = rig.client()
    client.says(REQUEST)
    assert (await end_of(client))[0] == 200
    assert len(first.orders) + len(second.orders) == 2 or len(second.orders) == 1


async def test_an_error_that_is_written_already_is_shown_and_free(errands):
    rig, sent = errands
    sent(Result(400, b"application/json", b'{"error":1}', Usage(calls=0)))
    client = rig.client()
    client.says(REQUEST)
    assert (await end_of(client))[::2] == (400, b'{"error":1}')
    assert rig.charges() == []


async def test_it_is_given_up_when_its_client_leaves(errands):
    rig, sent = errands
    (errand,) = sent(None)
    client = rig.client()
    client.says(REQUEST)
    async with asyncio.timeout(5):
        while not errand.orders:  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(0.001)
    client.leaves()
    async with asyncio.timeout(5):
        while not errand.cancelled:  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(0.001)
    assert rig.plane.holds.open == 0
