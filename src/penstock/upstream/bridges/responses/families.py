"""Families: what the models behind this interface take, by their names.

Sources: OpenAI's reference of `reasoning.effort`, its guides on reasoning, verbosity and custom tools. Of the models of others nothing
is known but that they copy the interface: they are sent only what was asked for.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

_OPENAI = re.compile(r"(?:ft:)?(?:o[134](?:$|[-:@])|gpt-[3-9]|chatgpt-|codex-|computer-use)")
_REASONS = re.compile(r"(?:ft:)?(?:o[134](?:$|[-:@])|gpt-[5-9]|codex-|computer-use)")
_VERSION = re.compile(r"(?:ft:)?gpt-(\d+)(?:\.(\d+))?")

_O_SERIES = {"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}
_GPT_5 = {"none": "minimal", "xhigh": "high", "max": "high"}
_GPT_5_1 = {"minimal": "low", "xhigh": "high", "max": "high"}
_LATER = {"minimal": "low", "max": "xhigh"}
_OTHERS = {"minimal": "low", "xhigh": "high", "max": "high"}


class Family(msgspec.Struct, frozen=True):
    """What a model takes."""

    openai: bool
    """OpenAI's own."""
    reasons: bool | None
    """It thinks; None where the name does not say."""
    efforts: dict[str, str]
    """What is put for those efforts that it does not know."""
    customs: bool
    """Custom tools, and `text.verbosity`."""
    samples: bool
    """`temperature` and `top_p`, however it thinks."""
    samples_idle: bool
    """`temperature` and `top_p` where it does not think."""


@lru_cache(1024)
def family_of(model: str) -> Family:
    """What the model takes that the provider knows by that name."""
    name = model.lower().rsplit("/", 1)[-1]
    if _OPENAI.match(name) is None:
        return Family(openai=False, reasons=None, efforts=_OTHERS, customs=False, samples=True, samples_idle=True)
    reasons = _REASONS.match(name) is not None and "-chat" not in name
    found = _VERSION.match(name)
    version = (int(found[1]), int(found[2] or 0)) if found is not None else (0, 0)
    if version >= (5, 2) or "codex-max" in name:
        efforts = _LATER
    elif version == (5, 1):
        efforts = _GPT_5_1
    else:
        efforts = _GPT_5 if version == (5, 0) else _O_SERIES
    new = version >= (5, 0)
    return Family(openai=True, reasons=reasons, efforts=efforts, customs=new, samples=not reasons, samples_idle=version >= (5, 1))
