"""Predictions: how Replicate makes a picture. One is begun, waited for, looked at until it is done, and cancelled when nobody wants it.

Source: Replicate's HTTP API reference, "Predictions".
"""

from __future__ import annotations

import asyncio
import re
from time import monotonic

import msgspec

from penstock.kit.errors import PenstockError
from penstock.kit.tasks import spawn
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.complaints import ProviderRefusal, refusal, unreadable
from penstock.upstream.errands.errand import Fetched, Order
from penstock.upstream.providers.replicate import MODELS
from penstock.upstream.wires.flux import plain_name

WAIT_S = 300
"""How long a prediction is waited for, unless the channel says otherwise."""
WAIT_LIMIT_S = 3600
PAUSE_S, PAUSE_LIMIT_S = 0.5, 5.0
FAILURES_LIMIT = 5
"""So many looks in a row may fail: the prediction goes on meanwhile, and is paid for."""
OUTPUTS_LIMIT = 16
_HEADERS = b"content-type: application/json\r\nprefer: wait=30\r\n"
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}/[\w.-]{1,100}", re.ASCII)
_PICTURE = re.compile(r"https?://[!-~]{1,4096}|data:[a-z]+/[a-z0-9.+-]+;base64,[A-Za-z0-9+/=]+")
_FLAGGED = re.compile(r"nsfw|flagged|sensitive|safety|moderat|\bE005\b", re.IGNORECASE)


class Prediction(msgspec.Struct, gc=False):
    """What we read of one."""

    id: str = ""
    status: str = ""
    output: object = None
    error: object = None


_PREDICTION = msgspec.json.Decoder(Prediction)


def model_path(model: str) -> str:
    """Where predictions of a model are posted. Raises PenstockError `model_not_found` for a name that Replicate cannot have."""
    name = MODELS.get(plain_name(model), model)
    if not _NAME.fullmatch(name) or ".." in name:
        raise PenstockError("model_not_found", f"Replicate has no model {model[:100]!r}: its models are called owner/name.", param="model")
    return f"/v1/models/{name}/predictions"


async def predict(order: Order, inputs: dict[str, object], pause_s: float = PAUSE_S) -> list[str]:
    """The URLs of the pictures, at least one. Raises ProviderRefusal, PenstockError and UpstreamError.

    When it is cancelled, or takes longer than the channel's `wait_s`, so is the prediction.
    """
    until_s = monotonic() + _wait_s(order)
    prediction = _read(await _begun(order, inputs))
    try:
        failures = 0
        while prediction.status in {"starting", "processing", "queued"}:
            left_s = until_s - monotonic()
            if left_s <= 0:
                raise ProviderRefusal("upstream_timeout", "The picture took too long and was given up; nothing is charged for it.")
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, PAUSE_LIMIT_S)
            try:
                prediction = _read(await order.fetch("GET", f"/v1/predictions/{prediction.id}"))
                failures = 0
            except (UpstreamError, ProviderRefusal) as failure:
                failures += 1
                if failures >= FAILURES_LIMIT:
                    raise unreadable("it cannot be looked at any more") from failure
    except BaseException:
        spawn(_cancel(order, prediction.id), name="cancel prediction")
        raise
    return _outputs(prediction)


async def _begun(order: Order, inputs: dict[str, object]) -> Fetched:
    """The answer to a new prediction. It is waited for even if nobody wants it any more: without its id it could not be cancelled."""
    body = msgspec.json.encode({"input": inputs})
    task = spawn(order.fetch("POST", model_path(order.model), headers=_HEADERS, body=body), name="begin prediction", awaited=True)
    try:
        answer: Fetched = await asyncio.shield(task)
    except asyncio.CancelledError:
        spawn(_abandon(order, task), name="abandon prediction")
        raise
    return answer


async def _abandon(order: Order, task: asyncio.Task[Fetched]) -> None:
    try:
        prediction = _read(await task)
    except (UpstreamError, ProviderRefusal):
        return  # it has not begun
    await _cancel(order, prediction.id)


async def _cancel(order: Order, prediction_id: str) -> None:
    try:
        await order.fetch("POST", f"/v1/predictions/{prediction_id}/cancel")
    except UpstreamError:
        return  # then it ends by itself


def _wait_s(order: Order) -> float:
    try:
        return min(max(float(order.settings.get("wait_s") or WAIT_S), 1), WAIT_LIMIT_S)
    except (TypeError, ValueError):
        return WAIT_S


def _read(answer: Fetched) -> Prediction:
    if answer.status >= 300:
        raise refusal(answer.status, answer.body, answer.headers)
    try:
        prediction = _PREDICTION.decode(answer.body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise unreadable("it is no prediction") from None
    if not _ID.fullmatch(prediction.id):
        raise unreadable("the prediction has no id")
    return prediction


def _outputs(prediction: Prediction) -> list[str]:
    if prediction.status != "succeeded":
        said = prediction.error if isinstance(prediction.error, str) else ""
        if _FLAGGED.search(said):
            raise ProviderRefusal("invalid_request", f"The provider refuses to show the picture: {said[:300]}")
        raise ProviderRefusal("upstream_invalid", f"The picture was not made ({prediction.status[:20]}). {said[:300]}".strip())
    found = prediction.output if isinstance(prediction.output, list) else [prediction.output]
    urls = [url for url in found if isinstance(url, str) and _PICTURE.fullmatch(url)]
    if not urls or len(urls) > OUTPUTS_LIMIT:
        raise unreadable("there is no picture in it")
    return urls
