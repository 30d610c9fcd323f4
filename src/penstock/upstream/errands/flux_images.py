"""Flux by OpenAI's images: /v1/images/generations, made by Replicate."""

from __future__ import annotations

import asyncio
import math
import re

import msgspec

from penstock.kit.errors import PenstockError
from penstock.kit.tasks import spawn
from penstock.upstream.bridges.dropped import Dropped, refuse
from penstock.upstream.errands.errand import Order, Result
from penstock.upstream.errands.pages import PAGES, RESPONSE_FORMAT, Page
from penstock.upstream.errands.pictures import as_base64
from penstock.upstream.errands.predictions import PAUSE_S, predict
from penstock.upstream.errands.readers import flag, one_of, text, whole, wrong
from penstock.upstream.usage import Usage
from penstock.upstream.wires.flux import plain_name

PATH = "/v1/images/generations"
USUAL = "flux-schnell"
"""What a model is taken for of which only Replicate knows what it takes."""
COUNT_LIMIT = 10
JSON = b"application/json"
_SIZE = re.compile(r"([1-9]\d{1,3})x([1-9]\d{1,3})", re.ASCII)
_COUNT = whole(1, COUNT_LIMIT)
_FORMAT = one_of("png", "jpeg", "jpg", "webp")
_BACKGROUND = one_of("auto", "opaque", "transparent")
_DROPS = ("quality", "style", "moderation", "user", "partial_images", "input_fidelity")
_PAGES_OWN = ("seed", "aspect_ratio", "output_quality", "safety_tolerance", "guidance", "num_inference_steps", "steps", "raw")
"""Parameters of Flux's own that are sent on where a client gives them."""


class FluxImages:
    """As many predictions as it takes: some models make one image each."""

    source = "images"
    target = "replicate"

    def __init__(self, pause_s: float = PAUSE_S) -> None:
        self._pause_s = pause_s

    async def run(self, order: Order) -> Result:
        """Make the images."""
        dropped = Dropped()
        page = PAGES.get(plain_name(order.model), PAGES[USUAL])
        count, inputs = _inputs(order, page, dropped)
        shown = RESPONSE_FORMAT("response_format", order.fields.get("response_format") or "url")
        urls = await self._made(order, page, inputs, count)
        data = [{"b64_json": await as_base64(order, url)} if shown == "b64_json" else {"url": url} for url in urls]
        body = msgspec.json.encode({"created": order.created, "data": data})
        return Result(200, JSON, body, Usage(images=len(data)), dropped.header())

    async def _made(self, order: Order, page: Page, inputs: dict[str, object], count: int) -> list[str]:
        """So many pictures, by calls that run side by side; if one fails the others are cancelled."""
        calls: list[dict[str, object]] = []
        left = count
        while left:
            outputs = min(left, page.outputs)
            calls.append(inputs | ({"num_outputs": outputs} if page.outputs > 1 else {}))
            left -= outputs
        tasks = [spawn(predict(order, call, self._pause_s), name="prediction", awaited=True) for call in calls]
        try:
            found: list[list[str]] = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        return [url for urls in found for url in urls][:count]


def _inputs(order: Order, page: Page, dropped: Dropped) -> tuple[int, dict[str, object]]:
    """How many images, and what each call is told. Raises PenstockError 400."""
    fields = order.fields
    if order.path != PATH:
        raise refuse("A picture to be changed (/v1/images/edits, /v1/images/variations)", "replicate")
    if _given(fields, "stream") and flag("stream", fields["stream"]):
        raise refuse("A stream", "replicate", "stream")
    if _given(fields, "background") and _BACKGROUND("background", fields["background"]) == "transparent":
        raise refuse("A transparent background", "replicate", "background")
    if not _given(fields, "prompt"):
        raise wrong("prompt", "is missing: say what the picture should show.")
    asked: dict[str, object] = {"prompt": text("prompt", fields["prompt"])}
    asked |= {name: fields[name] for name in _PAGES_OWN if name in page.params and _given(fields, name)}
    if _given(fields, "output_format"):
        named = _FORMAT("output_format", fields["output_format"])
        asked["output_format"] = "jpg" if named == "jpeg" else named
    if _given(fields, "output_compression") and "output_quality" in page.params:
        asked["output_quality"] = whole(0, 100)("output_compression", fields["output_compression"])
    for name in _DROPS:
        if _given(fields, name):
            dropped.note(name)
    if _given(fields, "size") and fields["size"] != "auto" and "aspect_ratio" not in asked:
        asked |= _shape(fields["size"], page, dropped)
    return int(str(_COUNT("n", fields.get("n") or 1))), page.read(asked, dropped)


def _given(fields: dict[str, object], name: str) -> bool:
    return fields.get(name) not in (None, "")


def _shape(size: object, page: Page, dropped: Dropped) -> dict[str, object]:
    """The size itself where a model can have it, else the aspect ratio that is nearest, which is noted unless it is the same."""
    match = _SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
    if match is None:
        raise PenstockError("invalid_request", "size must be two numbers, such as 1024x1024.", param="size")
    width, height = int(match[1]), int(match[2])
    if "custom" in page.ratios and all(256 <= side <= 1440 and not side % 32 for side in (width, height)):
        return {"aspect_ratio": "custom", "width": width, "height": height}
    ratios = {ratio: int(across) / int(down) for ratio in page.ratios if ratio != "custom" for across, down in [ratio.split(":")]}
    nearest = min(ratios, key=lambda ratio: abs(math.log(ratios[ratio] * height / width)))
    if abs(ratios[nearest] * height / width - 1) > 0.01:
        dropped.note("size")
    return {"aspect_ratio": nearest}


ERRANDS = (FluxImages(),)
