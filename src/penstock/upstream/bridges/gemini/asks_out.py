"""Asks written: a conversation as a request for `generateContent`."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.upstream.bridges.conversation import Asked, Choice, Text, Tool, Turn
from penstock.upstream.bridges.custom_tools import as_function
from penstock.upstream.bridges.dropped import Dropped, refuse
from penstock.upstream.bridges.gemini.parts_out import Writer
from penstock.upstream.bridges.gemini.schemas import taken
from penstock.upstream.bridges.gemini.signatures import WIRE
from penstock.upstream.bridges.gemini.thinking import thinking_config
from penstock.upstream.dialects.text import clean

STOPS = 5
"""So many stop sequences are taken."""
REFUSES = ("logprobs", "n > 1", "hosted tools of other vendors", "more than 5 stop sequences", "files that another provider keeps")
"""What cannot be left out, for the documentation."""
DROPS = (
    "logit_bias", "user", "metadata", "service_tier", "verbosity", "store", "prompt_cache_key", "parallel_tool_calls", "name", "detail",
    "thinking", "reasoning_effort", "seed", "strict",
)  # fmt: skip
"""What is left out and noted; every field of `Asked.other` besides."""
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
_BLANK = {"role": "user", "parts": [{"text": " "}]}
_INT32 = 2**31
_WITHOUT_SYSTEM = ("gemma-2", "gemma-3")
"""Models that refuse a system prompt: it is what the user says first."""
_EVERYBODYS = frozenset(("auto", "default", "standard", "standard_only"))


def write_ask(asked: Asked, model: str, dropped: Dropped) -> bytes:
    """The body of the request. Raises PenstockError `cannot_translate`."""
    _refuse(asked)
    _note(asked, dropped)
    body: dict[str, Any] = {}
    system, turns = _split(asked.turns)
    if system and model.startswith(_WITHOUT_SYSTEM):
        system, turns = [], [Turn("user", [*system]), *turns]
    if system:
        body["systemInstruction"] = {"parts": [{"text": clean(part.text)} for part in system]}
    body["contents"] = _contents(turns, model, dropped)
    functions, hosted = _tools(asked.tools, dropped)
    if functions or hosted:
        body["tools"] = ([{"functionDeclarations": functions}] if functions else []) + hosted
    if asked.choice is not None and functions:
        body["toolConfig"] = {"functionCallingConfig": _choice(asked.choice)}
    config = _config(asked, model, dropped)
    if config:
        body["generationConfig"] = config
    return _encoded(body)


def _encoded(body: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (OverflowError, UnicodeEncodeError, RecursionError):
        raise refuse("What cannot be written as JSON", WIRE) from None


def _refuse(asked: Asked) -> None:
    if asked.logprobs is not None:
        raise refuse("logprobs", WIRE, "logprobs")
    if asked.choices > 1:
        raise refuse("More than one choice", WIRE, "n")
    if len(asked.stop) > STOPS:
        raise refuse(f"More than {STOPS} stop sequences", WIRE, "stop")


def _note(asked: Asked, dropped: Dropped) -> None:
    lost = {
        "logit_bias": bool(asked.logit_bias),
        "user": asked.user is not None,
        "metadata": bool(asked.metadata),
        "service_tier": asked.service_tier is not None and asked.service_tier not in _EVERYBODYS,
        "verbosity": asked.verbosity is not None,
        "store": asked.store is True,
        "prompt_cache_key": asked.cache_key is not None,
        "parallel_tool_calls": asked.parallel is False,
        "name": any(turn.name for turn in asked.turns),
    }
    for name, is_lost in lost.items():
        if is_lost:
            dropped.note(name)
    for name in asked.other:
        dropped.note(name)


def _split(turns: list[Turn]) -> tuple[list[Text], list[Turn]]:
    """What the system says before anybody else, and the rest."""
    system: list[Text] = []
    index = 0
    for turn in turns:
        if turn.role != "system":
            break
        for part in turn.parts:
            if not isinstance(part, Text):
                raise refuse("A system prompt with anything but text", WIRE)
            if part.text:
                system.append(part)
        index += 1
    rest = turns[index:]
    # A request needs a content, and where there is only a system prompt, that is it.
    return (system, rest) if rest or not system else ([], [Turn("user", [*system])])


def _contents(turns: list[Turn], model: str, dropped: Dropped) -> list[dict[str, Any]]:
    writer = Writer(model, dropped)
    contents: list[dict[str, Any]] = []
    for role, together in _together(turns):
        parts = writer.parts(part for turn in together for part in turn.parts)
        if not parts:
            continue
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    if not contents or contents[0]["role"] == "model":
        contents.insert(0, _BLANK)
    return contents


def _together(turns: list[Turn]) -> list[tuple[str, list[Turn]]]:
    """Turns of one side that follow each other, as one. The system in the middle of a conversation speaks on the user's side."""
    found: list[tuple[str, list[Turn]]] = []
    for turn in turns:
        role = "model" if turn.role == "assistant" else "user"
        if found and found[-1][0] == role:
            found[-1][1].append(turn)
        else:
            found.append((role, [turn]))
    return found


def _tools(tools: list[Tool], dropped: Dropped) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    functions: list[dict[str, Any]] = []
    hosted: list[dict[str, Any]] = []
    for tool in tools:
        if tool.kind == "hosted":
            if tool.raw is None or list(tool.raw) != [tool.name]:
                raise refuse(f"The hosted tool {tool.name[:64]!r}", WIRE, "tools")
            hosted.append(tool.raw)
            continue
        function = as_function(tool) if tool.kind == "custom" else tool
        made: dict[str, Any] = {"name": clean(function.name), "description": clean(function.description or function.name)}
        if function.schema:
            made["parametersJsonSchema"] = _of_object(function.schema)
        if function.strict:
            dropped.note("strict")
        functions.append(made)
    return functions, hosted


def _of_object(schema: dict[str, Any]) -> dict[str, Any]:
    found = taken(schema)
    return found if "type" in found or "$ref" in found or "anyOf" in found else {"type": "object", **found}


def _choice(choice: Choice) -> dict[str, Any]:
    config: dict[str, Any] = {"mode": _MODES[choice.mode]}
    if choice.mode == "named":
        config["allowedFunctionNames"] = [clean(choice.name)]
    return config


def _config(asked: Asked, model: str, dropped: Dropped) -> dict[str, Any]:
    config: dict[str, Any] = {
        "temperature": asked.temperature,
        "topP": asked.top_p,
        "topK": asked.top_k,
        "maxOutputTokens": asked.output_cap,
        "stopSequences": [clean(stop) for stop in asked.stop] or None,
        "presencePenalty": asked.presence_penalty,
        "frequencyPenalty": asked.frequency_penalty,
        "thinkingConfig": thinking_config(asked, model, dropped),
    }
    if asked.seed is not None:
        if -_INT32 <= asked.seed < _INT32:
            config["seed"] = asked.seed
        else:
            dropped.note("seed")
    if asked.format is not None:
        config["responseMimeType"] = "application/json"
        if asked.format.schema is not None:
            config["responseJsonSchema"] = taken(asked.format.schema)
    return {name: value for name, value in config.items() if value is not None}
