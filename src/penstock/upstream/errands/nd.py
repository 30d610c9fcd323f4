"""ND: the platform's images in the manner of anime, made by NovelAI. Answers have the shape of OpenAI's."""

from __future__ import annotations

import re
import secrets
from base64 import b64encode

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.complaints import refusal
from penstock.upstream.errands.errand import Order, Result
from penstock.upstream.errands.pages import RESPONSE_FORMAT
from penstock.upstream.errands.pictures import data_url, unpacked
from penstock.upstream.errands.readers import SEED, Reader, number, one_of, text, whole, wrong
from penstock.upstream.providers.novelai import MODELS
from penstock.upstream.usage import Usage

PATH = "/ai/generate-image"
SIDE_STEP, SIDE_LIMIT, AREA_LIMIT = 64, 2048, 3 * 1024 * 1024
JSON = b"application/json"
_HEADERS = b"content-type: application/json\r\naccept: application/zip\r\n"
_SIZE = re.compile(r"(\d{2,4})\s*[xX*]\s*(\d{2,4})", re.ASCII)
_MODEL = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}", re.ASCII)
_CAPTIONED = re.compile(r"-diffusion-(?:[4-9]|\d\d)")
"""Models that take their prompt as a caption."""
_SAMPLERS = one_of(
    "k_euler", "k_euler_ancestral", "k_dpmpp_2s_ancestral", "k_dpmpp_2m", "k_dpmpp_2m_sde", "k_dpmpp_sde", "ddim", "ddim_v3",
)  # fmt: skip
_PARAMS: dict[str, tuple[str, Reader, object]] = {
    "n": ("n_samples", whole(1, 4), 1),
    "steps": ("steps", whole(1, 50), 28),
    "scale": ("scale", number(0, 10), 5),
    "sampler": ("sampler", _SAMPLERS, "k_euler_ancestral"),
}
"""What may be said besides: NovelAI's name, how it is read, and what is sent where it is not."""
_KNOWN = frozenset((*_PARAMS, "prompt", "negative_prompt", "model", "size", "seed", "response_format"))


class Nd:
    """One call, whose answer is a zip of pictures."""

    source = "nd"
    target = "novelai"

    async def run(self, order: Order) -> Result:
        """Make the images."""
        dropped = Dropped()
        sent = _request(order)
        for name, value in order.fields.items():
            if name not in _KNOWN and value not in (None, ""):
                dropped.note(name)
        shown = RESPONSE_FORMAT("response_format", order.fields.get("response_format") or "url")
        answer = await order.fetch("POST", PATH, headers=_HEADERS, body=msgspec.json.encode(sent))
        if answer.status >= 300:
            raise refusal(answer.status, answer.body, answer.headers)
        images = unpacked(answer.body)
        data = [{"url": data_url(image)} if shown == "url" else {"b64_json": b64encode(image).decode("ascii")} for image in images]
        body = msgspec.json.encode({"created": order.created, "data": data})
        return Result(200, JSON, body, Usage(images=len(data)), dropped.header())


def _request(order: Order) -> dict[str, object]:
    """NovelAI's own request. Raises PenstockError `invalid_request`."""
    fields = order.fields
    model = MODELS.get(order.model, order.model)
    if not _MODEL.fullmatch(model):
        raise PenstockError("model_not_found", f"NovelAI has no model {model[:100]!r}.", param="model")
    if fields.get("prompt") in (None, ""):
        raise wrong("prompt", "is missing: say what the picture should show.")
    prompt = text("prompt", fields["prompt"])
    negative = text("negative_prompt", fields["negative_prompt"]) if fields.get("negative_prompt") else ""
    width, height = _size(fields.get("size") or "1024x1024")
    seed = SEED("seed", fields["seed"]) if fields.get("seed") not in (None, "") else secrets.randbelow(2**32)
    parameters: dict[str, object] = {
        "params_version": 3,
        "width": width,
        "height": height,
        "seed": seed,
        "negative_prompt": negative,
        "qualityToggle": True,
        "ucPreset": 0,
        "noise_schedule": "karras",
        "legacy": False,
    }
    for name, (theirs, reader, usual) in _PARAMS.items():
        given = fields.get(name)
        parameters[theirs] = usual if given is None or given == "" else reader(name, given)
    if _CAPTIONED.search(model):
        parameters["v4_prompt"] = {"caption": {"base_caption": prompt, "char_captions": []}, "use_coords": False, "use_order": True}
        parameters["v4_negative_prompt"] = {"caption": {"base_caption": negative, "char_captions": []}, "legacy_uc": False}
    return {"input": prompt, "model": model, "action": "generate", "parameters": parameters}


def _size(given: object) -> tuple[int, int]:
    match = _SIZE.fullmatch(given.strip()) if isinstance(given, str) else None
    sides = (int(match[1]), int(match[2])) if match is not None else (0, 0)
    if not all(SIDE_STEP <= side <= SIDE_LIMIT and not side % SIDE_STEP for side in sides) or sides[0] * sides[1] > AREA_LIMIT:
        raise wrong("size", f"must be two numbers that {SIDE_STEP} divides, of {SIDE_STEP} to {SIDE_LIMIT}, such as 1024x1024.")
    return sides


ERRANDS = (Nd(),)
