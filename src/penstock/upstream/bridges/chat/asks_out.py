"""Asks out: a chat completions request for OpenAI and for all that copy it."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges import custom_tools
from penstock.upstream.bridges.chat.turns_out import Messages
from penstock.upstream.bridges.chat.vendors import Habits, habits
from penstock.upstream.bridges.conversation import Asked, Format, Tool
from penstock.upstream.bridges.dropped import Dropped, refuse
from penstock.upstream.bridges.names import fitted

DROPS = (
    "image",
    "metadata",
    "prompt_cache_key",
    "reasoning_effort",
    "service_tier",
    "store",
    "thinking",
    "top_k",
    "user",
    "verbosity",
)
"""What may be left out, besides the fields of other wires that have no meaning here. Most of it only where the model is not OpenAI's."""

REFUSES = (
    "a file or a picture that another provider keeps",
    "a document that is only named by its URL",
    "a hosted tool",
    "logprobs",
    "n > 1",
)
"""What cannot be said, and must not be left out."""

_TIERS = frozenset(("auto", "default", "flex", "scale", "priority", "fast"))
_LITTLE, _MUCH = 2048, 8192
"""Budgets of tokens to think with: up to the first effort is low, up to the second medium, above it high."""


def write_ask(asked: Asked, model: str, dropped: Dropped) -> bytes:
    """The body."""
    takes = habits(model)
    _check(asked)
    body: dict[str, Any] = {"model": model, "messages": Messages(takes, dropped).write(asked.turns)}
    _tools(asked, takes, body)
    if asked.output_cap is not None:
        body[takes.cap] = asked.output_cap
    if asked.stop:
        body["stop"] = asked.stop
    if asked.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    _effort(asked, takes, body, dropped)
    if asked.format is not None:
        body["response_format"] = _format(asked.format)
    for name in ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty", "logit_bias"):
        if (value := getattr(asked, name)) is not None:
            body[name] = value
    _extras(asked, takes, body, dropped)
    for tool in asked.tools:
        if (sent := fitted(tool.name)) != tool.name:
            dropped.aliases[sent] = tool.name
    try:
        return msgspec.json.encode(body)
    except (OverflowError, RecursionError, UnicodeEncodeError) as error:
        raise PenstockError("invalid_request", f"The request cannot be written as JSON: {error}") from None


def _check(asked: Asked) -> None:
    if asked.choices > 1:
        raise refuse("More than one answer at once", "chat", "n")
    if asked.logprobs is not None:
        raise refuse("Log probabilities", "chat", "logprobs")


def _tools(asked: Asked, takes: Habits, body: dict[str, Any]) -> None:
    written: list[dict[str, Any]] = []
    for tool in asked.tools:
        if tool.kind == "hosted":
            _hosted(tool, takes, body)
        elif tool.kind == "custom" and takes.customs:
            written.append(_custom(tool))
        else:
            written.append(_function(custom_tools.as_function(tool) if tool.kind == "custom" else tool, takes))
    if not written:
        return
    body["tools"] = written
    if asked.choice is not None:
        named = asked.choice.mode == "named"
        body["tool_choice"] = _named(asked.choice.name, asked.tools, takes) if named else asked.choice.mode
    if asked.parallel is not None:
        body["parallel_tool_calls"] = asked.parallel


def _hosted(tool: Tool, takes: Habits, body: dict[str, Any]) -> None:
    if not (takes.searches and tool.name.startswith("web_search")):
        raise refuse(f'The tool "{tool.name}", which the provider itself would have to run,', "chat", "tools")
    options = {name: value for name, value in (tool.raw or {}).items() if name in ("search_context_size", "user_location")}
    place = options.get("user_location")
    if isinstance(place, dict) and "approximate" not in place:
        options["user_location"] = {"type": "approximate", "approximate": {key: value for key, value in place.items() if key != "type"}}
    body["web_search_options"] = options


def _function(tool: Tool, takes: Habits) -> dict[str, Any]:
    function: dict[str, Any] = {"name": fitted(tool.name)}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.schema if tool.schema is not None else {"type": "object", "properties": {}}
    if tool.strict is not None:
        function["strict"] = tool.strict
    written: dict[str, Any] = {"type": "function", "function": function}
    if tool.cache and takes.marks:
        written["cache_control"] = {"type": "ephemeral", "ttl": "1h"} if tool.cache == "1h" else {"type": "ephemeral"}
    return written


def _custom(tool: Tool) -> dict[str, Any]:
    custom: dict[str, Any] = {"name": fitted(tool.name)}
    if tool.description:
        custom["description"] = tool.description
    if (grammar := custom_tools.format_of(tool)) is not None:
        custom["format"] = {"type": "grammar", "grammar": {"syntax": grammar[0], "definition": grammar[1]}}
    return {"type": "custom", "custom": custom}


def _named(name: str, tools: list[Tool], takes: Habits) -> Any:
    if any(tool.name == name and tool.kind == "hosted" for tool in tools):
        return "auto"  # a model that searches has no other way
    kind = "custom" if takes.customs and name in custom_tools.names(tools) else "function"
    return {"type": kind, kind: {"name": fitted(name)}}


def _effort(asked: Asked, takes: Habits, body: dict[str, Any], dropped: Dropped) -> None:
    effort = asked.effort
    if effort is None and asked.thinking_tokens is not None:
        effort = "low" if asked.thinking_tokens <= _LITTLE else "medium" if asked.thinking_tokens <= _MUCH else "high"
    if effort is None:
        return
    if not takes.reasons:
        if effort != "none":
            dropped.note("reasoning_effort")
        return
    if effort == "none" and takes.switched:
        body["thinking"] = {"type": "disabled"}
    else:
        body["reasoning_effort"] = takes.efforts.get(effort, effort)


def _format(found: Format) -> dict[str, Any]:
    if found.kind == "json" or found.schema is None:
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": fitted(found.name or "answer"), "schema": found.schema}
    if found.strict is not None:
        schema["strict"] = found.strict
    if found.description:
        schema["description"] = found.description
    return {"type": "json_schema", "json_schema": schema}


def _extras(asked: Asked, takes: Habits, body: dict[str, Any], dropped: Dropped) -> None:
    """What only OpenAI itself knows, and some of those that copy it refuse."""
    tier = asked.service_tier if asked.service_tier in _TIERS else None
    if asked.service_tier is not None and tier is None:
        dropped.note("service_tier")
    given = {
        "verbosity": asked.verbosity,
        "user": asked.user,
        "service_tier": tier,
        "prompt_cache_key": asked.cache_key,
        "store": asked.store,
        "metadata": asked.metadata,
    }
    for name, value in given.items():
        if value is None or (name == "store" and not value):
            continue
        if takes.openai and (name != "metadata" or asked.store):  # OpenAI takes metadata only of what is stored
            body[name] = value
        else:
            dropped.note(name)
    if asked.top_k is not None:
        dropped.note("top_k")
    for name in asked.other:
        dropped.note(name)
