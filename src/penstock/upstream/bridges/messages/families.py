"""Families: what the models behind Anthropic's interface take, by their names. Sources: Anthropic's pages on thinking, effort,
structured outputs, and what is new in each model, as of Claude 5.5.

A name without a version that says "claude" is taken for the newest; any other name is a model of another vendor behind the same
interface: those know what Claude 4 knew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Version = tuple[int, int]

_LINES = "opus|sonnet|haiku|fable|mythos"
_NUMBER = r"(\d{1,2})(?:[-.](\d{1,2})(?!\d))?(?!\d)"
_LINE_FIRST = re.compile(rf"claude-({_LINES})-{_NUMBER}")
_NUMBER_FIRST = re.compile(rf"claude-{_NUMBER}(?:-({_LINES}))?")
_LINE_ONLY = re.compile(rf"claude-({_LINES})")
_NEWEST: Version = (99, 0)


@dataclass(frozen=True, slots=True)
class Family:
    """What a model takes."""

    budget: bool
    """`thinking: enabled` with a budget."""
    adaptive: bool
    """`thinking: adaptive`."""
    off: Literal["omitted", "disabled", "between_tools", "never"]
    """How it is told not to think."""
    efforts: tuple[str, ...]
    """The levels of `output_config.effort`."""
    samples: bool
    """`temperature`, `top_p`, `top_k`, while it does not think."""
    samples_both: bool
    """`temperature` and `top_p` at once."""
    schemas: bool
    """`output_config.format` and strict tools."""
    output_cap: int
    """`max_tokens` where the client has set no bound."""


_OTHERS = Family(True, False, "disabled", (), True, True, False, 8192)


@lru_cache(maxsize=512)
def family_of(model: str) -> Family:
    """What the model of that name takes."""
    name = model.lower()
    if "claude" not in name:
        return _OTHERS
    line, version = _read(name)
    always = line in ("fable", "mythos")
    newest = version >= (4, 7) or always
    preview = "mythos-preview" in name
    return Family(
        budget=(3, 7) <= version < (4, 7) or preview,
        adaptive=version >= (4, 6) or always,
        off=_off(line, version),
        efforts=_efforts(line, version),
        samples=not newest,
        samples_both=version < (4, 1),
        schemas=version >= (4, 5) or always,
        output_cap=4096 if version < (3, 5) else 16384 if newest or version >= (4, 6) else 8192,
    )


def _read(name: str) -> tuple[str, Version]:
    if found := _LINE_FIRST.search(name):
        return found[1], (int(found[2]), int(found[3] or 0))
    if found := _NUMBER_FIRST.search(name):
        return found[3] or "", (int(found[1]), int(found[2] or 0))
    found = _LINE_ONLY.search(name)
    if "instant" in name:
        return "", (1, 0)
    return found[1] if found else "", _NEWEST


def _off(line: str, version: Version) -> Literal["omitted", "disabled", "between_tools", "never"]:
    if line in ("fable", "mythos") or (line == "opus" and version >= (5, 5)):
        return "never"
    if line == "sonnet" and version >= (5, 5):
        return "between_tools"
    return "disabled" if version >= (5, 0) else "omitted"


def _efforts(line: str, version: Version) -> tuple[str, ...]:
    if line in ("fable", "mythos") or version >= (5, 0) or (line == "opus" and version >= (4, 7)):
        return ("low", "medium", "high", "xhigh", "max")
    if version >= (4, 6):
        return ("low", "medium", "high", "max")
    return ("low", "medium", "high") if line == "opus" and version == (4, 5) else ()
