"""Pages: what each of the platform's Flux calls takes, with the platform's own defaults and ranges, which are not always Replicate's."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.errands.readers import SEED, Reader, flag, number, one_of, picture, text, whole, wrong

_OURS = frozenset(("model", "response_format"))
"""What is no input of the model's."""
_RATIOS = ("1:1", "16:9", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21")
_PRO_RATIOS = ("1:1", "16:9", "2:3", "3:2", "4:5", "5:4", "9:16")
_PRO_11_RATIOS = ("custom", *_PRO_RATIOS, "3:4", "4:3")
_ULTRA_RATIOS = ("21:9", "16:9", "3:2", "4:3", "5:4", "1:1", "4:5", "3:4", "2:3", "9:16", "9:21")
_FORMATS = one_of("webp", "jpg", "png")
_SIDE = whole(256, 1440, 32)
RESPONSE_FORMAT = one_of("url", "b64_json")


@dataclass(frozen=True, slots=True)
class Page:
    """One model's parameters."""

    params: dict[str, tuple[Reader, object]]
    """How each is read, and what is sent where it is not given; None: nothing."""
    ratios: tuple[str, ...]
    outputs: int = 1
    """How many images one call makes at most."""

    def read(self, fields: dict[str, object], dropped: Dropped) -> dict[str, object]:
        """The model's input. Raises PenstockError `invalid_request`; what the model does not know is noted in `dropped`."""
        sent: dict[str, object] = {}
        for name, (reader, usual) in self.params.items():
            value = fields.get(name)
            value = usual if value is None or value == "" else reader(name, value)
            if value is not None:
                sent[name] = value
        if "prompt" not in sent:
            raise wrong("prompt", "is missing: say what the picture should show.")
        for name, value in fields.items():
            if name not in self.params and name not in _OURS and value not in (None, ""):
                dropped.note(name)
        _check_size(sent, dropped)
        return sent


def _check_size(sent: dict[str, object], dropped: Dropped) -> None:
    """A size of its own needs both sides, and means nothing beside an aspect ratio."""
    custom = sent.get("aspect_ratio") == "custom"
    for name in ("width", "height"):
        if custom and name not in sent:
            raise wrong(name, 'is missing: aspect_ratio "custom" needs both width and height.')
        if not custom and sent.pop(name, None) is not None:
            dropped.note(name)


def _page(ratios: tuple[str, ...], outputs: int = 1, **params: tuple[Reader, object]) -> Page:
    shared: dict[str, tuple[Reader, object]] = {"prompt": (text, None), "aspect_ratio": (one_of(*ratios), "1:1"), "seed": (SEED, None)}
    return Page(shared | params, ratios, outputs)


_OPEN: dict[str, tuple[Reader, object]] = {
    "num_outputs": (whole(1, 4), 1),
    "output_format": (_FORMATS, "webp"),
    "output_quality": (whole(0, 100), 80),
    "disable_safety_checker": (flag, True),
    "go_fast": (flag, None),
    "megapixels": (one_of("1", "0.25"), None),
}
"""What the two models with open weights take."""

PAGES: dict[str, Page] = {
    "flux-schnell": _page(_RATIOS, 4, num_inference_steps=(whole(1, 4), None), **_OPEN),
    "flux-dev": _page(
        _RATIOS,
        4,
        image=(picture, None),
        prompt_strength=(number(0, 1), 0.8),
        num_inference_steps=(whole(1, 50), 50),
        guidance=(number(0, 10), 3.5),
        **_OPEN,
    ),
    "flux-pro": _page(
        _PRO_RATIOS,
        steps=(whole(1, 50), 25),
        guidance=(number(2, 5), 3),
        interval=(number(1, 4), 2),
        safety_tolerance=(whole(1, 5), 5),
        output_format=(_FORMATS, "webp"),
        output_quality=(whole(0, 100), 80),
        image_prompt=(picture, None),
        prompt_upsampling=(flag, None),
    ),
    "flux-11-pro": _page(
        _PRO_11_RATIOS,
        width=(_SIDE, None),
        height=(_SIDE, None),
        safety_tolerance=(whole(1, 5), 5),
        output_format=(_FORMATS, "webp"),
        output_quality=(whole(0, 100), 80),
        image_prompt=(picture, None),
        prompt_upsampling=(flag, False),
    ),
    "flux-11-pro-ultra": _page(
        _ULTRA_RATIOS,
        image_prompt=(picture, None),
        image_prompt_strength=(number(0, 1), 0.1),
        safety_tolerance=(whole(1, 6), 5),
        output_format=(one_of("jpg", "png"), "jpg"),
        raw=(flag, False),
    ),
}
"""By the model's name here."""
