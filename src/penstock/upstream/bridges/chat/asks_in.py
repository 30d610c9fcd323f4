"""Asks in: a chat completions request, as OpenAI's clients and all the others write it."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges import custom_tools
from penstock.upstream.bridges.chat import tools_in
from penstock.upstream.bridges.chat.fields import Fields, wrong
from penstock.upstream.bridges.chat.parts_in import content
from penstock.upstream.bridges.chat.turns_in import Turns
from penstock.upstream.bridges.conversation import Asked, Format, Text, ToolCall, Turn
from penstock.upstream.wires import asks

_DECODER = msgspec.json.Decoder(dict[str, Any])
_EFFORTS = frozenset(("none", "minimal", "low", "medium", "high", "xhigh", "max"))


class ChatAsked(Asked):
    """A chat's request, with what only the answer in chat's own form depends on."""

    functions: bool = False
    """It has `functions`, of before there were tools: the answer has `function_call`."""
    enveloped: bool = False
    """Custom tools came flat, as in Responses: their calls are told in the envelope of functions, as Cursor needs them."""


def read_ask(body: bytes) -> Asked:
    """The request. Cursor's, which are Responses with another address, are read by that wire's side."""
    found = asks.read_fields(_DECODER, body)
    if not found.get("messages") and found.get("input") is not None:
        return _of_responses(body, found)
    fields = Fields(found)
    asked = ChatAsked(asks.optional_model(fields.any("model")) or "", [])
    _tools(fields, asked)
    asked.turns = Turns(custom_tools.names(asked.tools)).read(fields.list("messages"))
    if system := content(fields.any("system"), "system"):  # Anthropic's way, as some clients have it for Claude wherever it is
        asked.turns.insert(0, Turn("system", [part for part in system if isinstance(part, Text)]))
    if system := content(fields.any("system"), "system"):
        if not all(isinstance(part, Text) for part in system):
            raise wrong("system", "text, or parts of text")
        asked.turns.insert(0, Turn("system", system))  # Anthropic's, from who mixes the two
    _bounds(fields, asked)
    _reasoning(fields, asked)
    _style(fields, asked)
    _rest(fields, asked)
    return asked


def _of_responses(body: bytes, found: dict[str, Any]) -> Asked:
    # Every side is known only once all have been imported.
    from penstock.upstream.bridges import SIDES  # noqa: PLC0415

    side = SIDES.get("responses")
    if side is None:
        raise wrong("messages", "a list of messages")
    read = side.read_ask(body)
    shown = {name: getattr(read, name) for name in Asked.__struct_fields__}
    asked = ChatAsked(**shown, enveloped=True)
    asked.shows_usage = _shows_usage(found.get("stream_options"))
    asked.other = {name: value for name, value in read.other.items() if name != "stream_options"}
    customs = custom_tools.names(asked.tools)
    for turn in asked.turns:
        for part in turn.parts:
            if isinstance(part, ToolCall) and part.name in customs:
                part.custom = True  # given back as it was told, in the envelope of a function
    return asked


def _tools(fields: Fields, asked: ChatAsked) -> None:
    asked.tools = tools_in.tools(fields.list("tools"), "tools")
    asked.enveloped = any(tool.kind == "custom" and tool.raw is not None and "custom" not in tool.raw for tool in asked.tools)
    asked.choice, asked.tools = tools_in.choice(fields.any("tool_choice"), asked.tools)
    asked.parallel = fields.flag("parallel_tool_calls")
    if legacy := tools_in.functions(fields.list("functions")):
        asked.functions = not asked.tools
        asked.tools += legacy
        asked.parallel = False if asked.functions else asked.parallel
    legacy_choice = tools_in.function_call(fields.any("function_call"))
    asked.choice = asked.choice or legacy_choice
    if (options := fields.object("web_search_options")) is not None:
        asked.tools.append(tools_in.web_search(options))


def _bounds(fields: Fields, asked: Asked) -> None:
    caps = [asks.cap(fields.number(name)) for name in ("max_completion_tokens", "max_tokens", "max_output_tokens")]
    asked.output_cap = next((cap for cap in caps if cap is not None), None)
    asked.stop = _stops(fields.any("stop"), "stop") or _stops(fields.any("stop_sequences"), "stop_sequences")
    asked.stream = asks.flag(fields.any("stream"), "stream")
    asked.shows_usage = _shows_usage(fields.object("stream_options"))
    choices = fields.whole("n")
    if choices is not None and choices < 1:
        raise wrong("n", "at least 1")
    asked.choices = choices or 1
    top = fields.whole("top_logprobs")
    if fields.flag("logprobs"):
        asked.logprobs = top or 0


def _stops(value: Any, param: str) -> list[str]:
    given = [value] if isinstance(value, str) else value
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise wrong(param, "a string or a list of strings")
    return [one for one in given if one]


def _shows_usage(options: Any) -> bool:
    return isinstance(options, dict) and options.get("include_usage") is True


def _reasoning(fields: Fields, asked: Asked) -> None:
    asked.effort = _effort(fields.text("reasoning_effort"), "reasoning_effort")
    if (inner := fields.inner("reasoning")) is not None:
        asked.effort = asked.effort or _effort(inner.text("effort"), "reasoning.effort")
        asked.thinking_tokens = asks.cap(inner.number("max_tokens"))
        enabled, hidden = inner.flag("enabled"), inner.flag("exclude")
        if enabled is False:
            asked.effort = "none"
        elif enabled and asked.effort is None and asked.thinking_tokens is None:
            asked.effort = "medium"
        if hidden is not None:
            asked.shows_thoughts = not hidden
        elif inner.text("summary") is not None:
            asked.shows_thoughts = True
    if isinstance(fields.left.get("include_reasoning"), bool):
        asked.shows_thoughts = fields.flag("include_reasoning")
    if (inner := fields.inner("thinking")) is not None:
        kind, budget = inner.text("type"), asks.cap(inner.number("budget_tokens"))
        if kind == "disabled":
            asked.effort = "none"
        elif budget is not None:
            asked.thinking_tokens = budget
        elif kind in ("enabled", "adaptive"):
            asked.adaptive = True


def _effort(value: str | None, param: str) -> str | None:
    if value is None or value in ("", "auto", "default"):
        return None
    if value not in _EFFORTS:
        raise wrong(param, "one of none, minimal, low, medium, high, xhigh and max")
    return value


def _style(fields: Fields, asked: Asked) -> None:
    asked.temperature, asked.top_p, asked.top_k = fields.number("temperature"), fields.number("top_p"), fields.whole("top_k")
    asked.format = _format(fields.inner("response_format"))
    asked.verbosity = fields.text("verbosity")
    asked.seed = fields.whole("seed")
    asked.frequency_penalty, asked.presence_penalty = fields.number("frequency_penalty"), fields.number("presence_penalty")
    asked.logit_bias = fields.object("logit_bias") or None


def _format(fields: Fields | None) -> Format | None:
    if fields is None:
        return None
    kind = fields.text("type") or "text"
    if kind == "text":
        return None
    if kind not in ("json_object", "json_schema"):
        raise PenstockError("cannot_translate", f'No other protocol has the response format "{kind}".', param="response_format.type")
    inner = fields.inner("json_schema")
    if inner is None:
        schema = fields.object("schema")
        return Format("json") if schema is None else Format("schema", "answer", schema)
    if "schema" not in inner.left and ("type" in inner.left or "properties" in inner.left):
        return Format("schema", "answer", inner.left)  # bare, as Workers AI wants it
    schema, name = inner.object("schema"), inner.text("name") or "answer"
    return Format("schema", name, schema, inner.flag("strict"), inner.text("description") or "")


def _rest(fields: Fields, asked: Asked) -> None:
    spoken = fields.list("modalities")
    if "audio" in spoken:
        raise PenstockError("cannot_translate", "The provider of this model gives no spoken answers.", param="modalities")
    if spoken and spoken != ["text"]:
        asked.other["modalities"] = spoken
    asked.user = fields.text("user") or fields.text("safety_identifier")
    asked.metadata = fields.object("metadata") or None
    asked.service_tier = fields.text("service_tier")
    asked.cache_key = fields.text("prompt_cache_key")
    asked.store = fields.flag("store")
    fields.any("stream_options")
    asked.other |= {name: value for name, value in fields.left.items() if value is not None}
