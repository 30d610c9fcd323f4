"""Pictures by Workers AI for whoever speaks OpenAI's images: one call for each, as JSON or as a form, as the model has it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Failure
from penstock.upstream.bridges.dropped import Dropped, refuse
from penstock.upstream.bridges.workers.failures import error_body, fault_in
from penstock.upstream.complaints import ProviderRefusal
from penstock.upstream.errands.errand import Order, Result
from penstock.upstream.errands.workers_pictures import Picture, as_form, as_json, read_picture
from penstock.upstream.errands.workers_sizes import DEFAULT_SIZE, counted, fitted, parse_size, steps
from penstock.upstream.faults import Fault
from penstock.upstream.providers.workers_ai import find_pictures
from penstock.upstream.providers.workers_models import Pictures, kept_pictures, model_name, needs_picture
from penstock.upstream.usage import Usage

TARGET = "workers_images"
PATH = "/v1/images/generations"
_JSON = b"application/json"
_CALLER = b"user-agent: penstock\r\n"
HARD_LIMIT = 4
"""More pictures are never made at once, whatever the settings say."""
REFUSES = (
    "image", "images", "image_url", "image_b64", "input_image", "init_image", "input_images", "reference_images", "mask", "mask_image",
    "mask_b64", "strength",
)  # fmt: skip
"""What only changes a picture that is there already."""
DROPS = ("background", "moderation", "output_compression", "output_format", "partial_images", "style")
"""Left out with a note; `user` silently."""
_CODES = {429: "too_many_requests", 503: "overloaded"}
_AS_THEY_ARE = ("negative_prompt", "guidance", "seed")
_STEPS = ("steps", "num_steps", "num_inference_steps")


class Refused(Exception):
    """Cloudflare has refused to make a picture."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class WorkersImages:
    """From OpenAI's images."""

    source = "images"
    target = TARGET

    async def run(self, order: Order) -> Result:
        """Make the pictures, side by side. If one fails, all have: nothing is charged then. Raises ProviderRefusal for what
        another channel may do better.
        """
        fields = {name: value for name, value in order.fields.items() if value is not None}
        _refuse_what_it_has_not(order, fields)
        model = _model(order)
        count = _count(fields, order.settings)
        shown = fields.get("response_format", "b64_json")
        if shown not in ("b64_json", "url"):
            raise PenstockError("invalid_request", 'The field "response_format" must be "b64_json" or "url".', param="response_format")
        drawn = kept_pictures(model, order.offer.options if order.offer is not None else None) or await find_pictures(order.fetch, model)
        if drawn is None:
            raise refuse(f"A picture made from words alone by {model}", TARGET, "model")
        dropped = Dropped()
        asked = _asked(fields, drawn, order.settings, dropped)
        try:
            made = await _make(order, model, drawn, asked, count)
        except Refused as refused:
            failure = refused.failure
            if (fault := fault_in(failure)) is not None and (failure.status == 429 or failure.status >= 500):
                raise _elsewhere(failure, fault, again=count == 1) from None
            return Result(failure.status, _JSON, error_body(failure), Usage(calls=0), dropped.header())
        data = [{"url": one.url} if shown == "url" else {"b64_json": one.data} for one in made]
        body = msgspec.json.encode({"created": order.created, "data": data})
        return Result(200, _JSON, body, Usage(images=count, calls=count), dropped.header())


def _elsewhere(failure: Failure, fault: Fault, *, again: bool) -> ProviderRefusal:
    """The error for a failure that speaks against the channel, so that it is left alone and another is asked."""
    code = failure.kind if failure.kind in ("daily_quota", "out_of_capacity") else _CODES.get(failure.status, "upstream_invalid")
    error = ProviderRefusal(code, failure.message)
    error.fault, error.again = fault, again
    return error


def _refuse_what_it_has_not(order: Order, fields: dict[str, Any]) -> None:
    if order.path != PATH:
        raise refuse("Changing a picture", TARGET)
    for name in REFUSES:
        if fields.get(name) not in (None, "", []):
            raise refuse(f"A picture to begin with ({name})", TARGET, name)
    if fields.get("stream") in (True, "true", "1"):
        raise refuse("A stream of pictures", TARGET, "stream")


def _model(order: Order) -> str:
    given = order.model or order.settings.get("default_image_model")
    if not given:
        raise PenstockError("missing_model", 'The body names no model, and no default_image_model is set: give "model".', param="model")
    model = model_name(given)
    if model is None:
        raise PenstockError("model_not_found", f"The model {given!r} is not served here.", param="model")
    if needs_picture(model):
        raise refuse(f"A picture made from words alone by {model}", TARGET, "model")
    return model


def _count(fields: dict[str, Any], settings: dict[str, Any]) -> int:
    count = counted(fields.get("n"), "n")
    limit = min(HARD_LIMIT, counted(settings.get("max_image_count"), "max_image_count"))
    if count > limit:
        raise PenstockError(
            "invalid_request", f"At most {limit} picture{'s' * (limit > 1)} can be asked for at once, not {count}.", param="n"
        )
    return count


def _asked(fields: dict[str, Any], drawn: Pictures, settings: dict[str, Any], dropped: Dropped) -> dict[str, Any]:
    """The fields to send: those that the model has, within its bounds."""
    prompt = fields.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise PenstockError("invalid_request", 'The field "prompt" must say what is to be seen.', param="prompt")
    limit = drawn.fields["prompt"].size if "prompt" in drawn.fields else None
    if limit is not None and len(prompt) > limit:
        raise PenstockError(
            "invalid_request", f"This model takes prompts of at most {limit} characters, not {len(prompt)}.", param="prompt"
        )
    asked: dict[str, Any] = {"prompt": prompt}
    given = fields.get("size")
    chosen = given not in (None, "", "auto")
    wanted = parse_size(given if chosen else settings.get("default_image_size") or DEFAULT_SIZE)
    if "width" in drawn.fields and "height" in drawn.fields:
        asked["width"], asked["height"] = size = fitted(wanted, drawn.fields["width"], drawn.fields["height"])
        if chosen and size != wanted:
            dropped.note("size")
    elif chosen:
        dropped.note("size")
    _put_steps(asked, fields, drawn, dropped)
    for name in _AS_THEY_ARE:
        if name in fields and name in drawn.fields:
            asked[name] = fields[name]
        elif name in fields:
            dropped.note(name)
    for name in DROPS:
        if name in fields:
            dropped.note(name)
    return asked


def _put_steps(asked: dict[str, Any], fields: dict[str, Any], drawn: Pictures, dropped: Dropped) -> None:
    """How long to work on it: as many steps as are asked for, or as `quality` stands for."""
    named = next((name for name in _STEPS if name in drawn.fields), None)
    given = next((name for name in _STEPS if name in fields), "quality" if fields.get("quality") not in (None, "", "auto") else None)
    if given is None:
        return
    count = steps(fields[given], drawn.fields[named], given) if named is not None else None
    if named is None or count is None:
        dropped.note(given)
    else:
        asked[named] = count


async def _make(order: Order, model: str, drawn: Pictures, asked: dict[str, Any], count: int) -> list[Picture]:
    """The pictures. The first that fails calls the others off."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_make_one(order, model, drawn, _varied(asked, index))) for index in range(count)]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _make_one(order: Order, model: str, drawn: Pictures, asked: dict[str, Any]) -> Picture:
    headers, body = as_form(asked) if drawn.form else as_json(asked)
    picture = read_picture(await order.fetch("POST", f"/run/{model}", headers=_CALLER + headers, body=body))
    if isinstance(picture, Failure):
        raise Refused(picture)
    return picture


def _varied(asked: dict[str, Any], index: int) -> dict[str, Any]:
    """The same request once more; from the same seed it would be the same picture."""
    seed = asked.get("seed")
    return {**asked, "seed": seed + index} if type(seed) is int and index else asked


ERRANDS = (WorkersImages(),)
