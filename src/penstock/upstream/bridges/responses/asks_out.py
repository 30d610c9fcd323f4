"""Asks out: a request to a provider, written."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges import custom_tools
from penstock.upstream.bridges.conversation import Asked, Format, Tool
from penstock.upstream.bridges.dropped import Dropped, refuse
from penstock.upstream.bridges.names import fitted
from penstock.upstream.bridges.responses.families import Family, family_of
from penstock.upstream.bridges.responses.names import fitted_word
from penstock.upstream.bridges.responses.turns_out import Items

_WIRE = "responses"
_TIERS = frozenset(("auto", "default", "flex", "scale", "priority"))
_LEAST_OUTPUT = 16
"""OpenAI takes no smaller bound on the output."""
_BUDGETS = ((8193, "high"), (2049, "medium"), (1, "low"))
"""The efforts that budgets of tokens to think with stand for, from so many tokens on."""
DROPS = ("top_k", "seed", "frequency_penalty", "presence_penalty", "logit_bias")
"""What this wire has no word for and an answer can do without. Besides: `name`, `is_error`, `thinking` of others, `store`, `metadata`
that is not made of short strings, `service_tier` that OpenAI does not have; `temperature`, `top_p`, `verbosity`, `reasoning_effort` where
the model takes none.
"""
REFUSES = ("n", "stop", "logprobs", "hosted tools", "sound", "file_id", "pictures and files in what the model has said")
"""What would make the answer another one."""


def write_ask(asked: Asked, model: str, dropped: Dropped) -> bytes:
    """The body. Nothing is stored at the provider; reasoning comes back encrypted, so that it can be given back."""
    _check(asked)
    family = family_of(model)
    customs = custom_tools.names(asked.tools) if family.customs else frozenset()
    body: dict[str, Any] = {"model": model, "input": Items(customs, dropped).all(asked.turns), "store": False}
    _tools(asked, body, customs, dropped)
    _think(asked, family, body, dropped)
    _say(asked, family, body, dropped)
    if asked.output_cap is not None:
        body["max_output_tokens"] = max(_LEAST_OUTPUT, asked.output_cap)
    if asked.stream:
        body["stream"] = True
        if family.openai:
            body["stream_options"] = {"include_obfuscation": False}
    _names(asked, body, dropped)
    for name in DROPS:
        if getattr(asked, name) is not None:
            dropped.note(name)
    for name in asked.other:
        dropped.note(name)
    try:
        return msgspec.json.encode(body)
    except (OverflowError, RecursionError, UnicodeEncodeError) as error:
        raise PenstockError("invalid_request", f"The request cannot be written as JSON: {error}") from None


def _check(asked: Asked) -> None:
    if asked.choices > 1:
        raise refuse("More than one answer at once", _WIRE, "n")
    if asked.stop:
        raise refuse("A stop sequence", _WIRE, "stop")
    if asked.logprobs is not None:
        raise refuse("Log probabilities", _WIRE, "logprobs")


def _tools(asked: Asked, body: dict[str, Any], customs: frozenset[str], dropped: Dropped) -> None:
    if not asked.tools:
        return
    body["tools"] = [_tool(tool, customs) for tool in asked.tools]
    for tool in asked.tools:
        if (sent := fitted(tool.name)) != tool.name:
            dropped.aliases[sent] = tool.name
    choice = asked.choice
    if choice is not None and choice.mode == "named":
        body["tool_choice"] = {"type": "custom" if choice.name in customs else "function", "name": fitted(choice.name)}
    elif choice is not None:
        body["tool_choice"] = choice.mode
    if asked.parallel is not None:
        body["parallel_tool_calls"] = asked.parallel


def _tool(tool: Tool, customs: frozenset[str]) -> dict[str, Any]:
    if tool.kind == "hosted":
        raise refuse(f'The tool "{tool.name}", which the provider itself would have to run,', _WIRE, "tools")
    about: dict[str, Any] = {"description": tool.description} if tool.description else {}
    if tool.name in customs:
        grammar = custom_tools.format_of(tool)
        if grammar is not None:
            about["format"] = {"type": "grammar", "syntax": grammar[0], "definition": grammar[1]}
        return {"type": "custom", "name": fitted(tool.name), **about}
    if tool.kind == "custom":
        tool = custom_tools.as_function(tool)
        about = {"description": tool.description} if tool.description else {}
    schema = {"type": "object", "properties": {}, **(tool.schema or {})}
    # Here a function is strict unless it is said not to be, and schemas that are not made for it would be refused.
    return {"type": "function", "name": fitted(tool.name), **about, "parameters": schema, "strict": tool.strict is True}


def _think(asked: Asked, family: Family, body: dict[str, Any], dropped: Dropped) -> None:
    effort = asked.effort
    if effort is None and asked.thinking_tokens is not None:
        effort = next((effort for least, effort in _BUDGETS if asked.thinking_tokens >= least), "none")
    if family.reasons is False:
        if effort not in (None, "none"):
            dropped.note("reasoning_effort")
        _sample(asked, body, dropped, takes=True)
        return
    reasoning: dict[str, str] = {}
    if effort is not None:
        effort = reasoning["effort"] = family.efforts.get(effort, effort)
    if asked.shows_thoughts and effort != "none":
        reasoning["summary"] = "auto"
    if reasoning:
        body["reasoning"] = reasoning
    if family.reasons:
        body["include"] = ["reasoning.encrypted_content"]
    _sample(asked, body, dropped, takes=family.samples or (family.samples_idle and effort == "none"))


def _sample(asked: Asked, body: dict[str, Any], dropped: Dropped, *, takes: bool) -> None:
    for name, value in (("temperature", asked.temperature), ("top_p", asked.top_p)):
        if value is None:
            continue
        if takes:
            body[name] = value
        elif value != 1:  # 1 is what they do anyway
            dropped.note(name)


def _say(asked: Asked, family: Family, body: dict[str, Any], dropped: Dropped) -> None:
    about: dict[str, Any] = {}
    if asked.format is not None:
        about["format"] = _format(asked.format)
    if asked.verbosity is not None:
        if family.customs:
            about["verbosity"] = asked.verbosity
        else:
            dropped.note("verbosity")
    if about:
        body["text"] = about


def _format(found: Format) -> dict[str, Any]:
    if found.kind == "json" or found.schema is None:
        return {"type": "json_object"}
    form: dict[str, Any] = {"type": "json_schema", "name": fitted(found.name or "answer"), "schema": found.schema}
    if found.strict is not None:
        form["strict"] = found.strict
    if found.description:
        form["description"] = found.description
    return form


def _names(asked: Asked, body: dict[str, Any], dropped: Dropped) -> None:
    if asked.user is not None:
        body["user"] = fitted_word(asked.user)
    if asked.cache_key is not None:
        body["prompt_cache_key"] = fitted_word(asked.cache_key)
    if asked.service_tier in _TIERS:
        body["service_tier"] = asked.service_tier
    elif asked.service_tier is not None:
        dropped.note("service_tier")
    if asked.store:
        dropped.note("store")
    if asked.metadata:
        if len(asked.metadata) <= 16 and all(_short(key, 64) and _short(value, 512) for key, value in asked.metadata.items()):
            body["metadata"] = asked.metadata
        else:
            dropped.note("metadata")


def _short(value: Any, limit: int) -> bool:
    return isinstance(value, str) and len(value) <= limit
