"""Flux: the platform's image calls, made by Replicate."""

from __future__ import annotations

from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.dialects import platform
from penstock.upstream.errands.errand import Order, Result
from penstock.upstream.errands.pages import PAGES, RESPONSE_FORMAT
from penstock.upstream.errands.pictures import as_base64
from penstock.upstream.errands.predictions import PAUSE_S, predict
from penstock.upstream.usage import Usage
from penstock.upstream.wires.flux import MODELS

JSON = b"application/json"


class Flux:
    """One prediction for each request, however many images it makes. `pause_s` is waited before it is looked at again."""

    source = "flux"
    target = "replicate"

    def __init__(self, pause_s: float = PAUSE_S) -> None:
        self._pause_s = pause_s

    async def run(self, order: Order) -> Result:
        """Make the images."""
        dropped = Dropped()
        inputs = PAGES[MODELS[order.path]].read(order.fields, dropped)
        shown = RESPONSE_FORMAT("response_format", order.fields.get("response_format") or "url")
        urls = await predict(order, inputs, self._pause_s)
        outputs = [{"url": url, "b64_json": await as_base64(order, url)} if shown == "b64_json" else {"url": url} for url in urls]
        return Result(200, JSON, platform.done({"outputs": outputs}), Usage(images=len(outputs)), dropped.header())


ERRANDS = (Flux(),)
