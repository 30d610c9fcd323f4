"""Asks in: a client's request, read."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Asked, Format, Text, Turn
from penstock.upstream.bridges.responses.fields import count, flag, number, rows, stateful, table, text, wrong
from penstock.upstream.bridges.responses.items_in import Reading
from penstock.upstream.bridges.responses.tools_in import Tools, choice_of
from penstock.upstream.wires import asks

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_READ = frozenset(
    (
        "model",
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_output_tokens",
        "reasoning",
        "text",
        "temperature",
        "top_p",
        "top_logprobs",
        "include",
        "stream",
        "store",
        "background",
        "previous_response_id",
        "conversation",
        "prompt",
        "metadata",
        "user",
        "safety_identifier",
        "prompt_cache_key",
        "service_tier",
    )
)
_ECHOED = ("instructions", "max_tool_calls", "metadata", "reasoning", "safety_identifier", "tool_choice", "tools", "user")
REFUSES = ("previous_response_id", "conversation", "prompt", "background", "include: message.output_text.logprobs")
"""Fields that only OpenAI can serve. Besides, as items of `input`: `item_reference`, `compaction`, `compaction_trigger`."""
DROPS = (
    "top_logprobs",
    "include.*",
    "max_tool_calls",
    "truncation",
    "input.* (calls of OpenAI's own tools)",
    "tools.tool_search",
    "tools.web_search",
)
"""What is read as `other`, and so noted as dropped by whoever writes the request; and every field that is not known. Of searches for
tools those that the provider would run, of those in the web the ones that are kept from the web (`external_web_access` false).
"""
_MEANINGLESS = frozenset(("generate", "stream_options", "background_options"))
"""Dropped without a word: they say how OpenAI's own service is to deliver, and nothing about the answer."""
_HARMLESS = {"truncation": "disabled"}
"""What these say when they say nothing."""
_BODY = msgspec.json.Decoder(dict[str, Any])


class ResponsesAsked(Asked):
    """What a client of this wire has asked. `echo` are the fields that a response repeats, as they were sent; `homes` are the
    namespaces of tools, and their names there, by the names that they have in `tools`; with `searches` the client itself searches
    for tools when `tool_search` is called.
    """

    echo: dict[str, Any] = msgspec.field(default_factory=dict)
    homes: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)
    searches: bool = False


def read_ask(body: bytes) -> Asked:
    """The request. Raises PenstockError: `invalid_json`, `invalid_request` or `cannot_translate`, with `param`."""
    sent = {name: value for name, value in asks.read_fields(_BODY, body).items() if value is not None}
    _refuse_state(sent)
    reading, tools = Reading(), Tools()
    if "instructions" in sent:
        instructions = text(sent["instructions"], "instructions")
        reading.turns += [Turn("system", [Text(instructions)])] if instructions else []
    if "input" not in sent:
        raise wrong("input", "given: a string or a list of items")
    reading.all(sent["input"])
    tools.all(sent.get("tools"), "tools")
    for param, more in reading.more_tools:
        tools.all(more, param)
    choice, allowed = choice_of(sent.get("tool_choice"), tools.tools)
    asked = ResponsesAsked(asks.optional_model(_scalar(sent.get("model"), "model")) or "", reading.turns, allowed, choice)
    asked.homes, asked.searches = tools.homes, tools.searches
    asked.other = _others(sent, reading.dropped + tools.dropped)
    _take_numbers(asked, sent)
    _take_thinking(asked, sent)
    _take_text(asked, sent)
    _take_names(asked, sent)
    asked.echo = {name: sent[name] for name in _ECHOED if name in sent}
    return asked


def _scalar(value: Any, param: str) -> asks.Scalar:
    if isinstance(value, dict | list):
        raise wrong(param, "a string")
    return value  # type: ignore[no-any-return]  # what else JSON has


def _refuse_state(sent: dict[str, Any]) -> None:
    whole = "Send the whole conversation in `input` instead."
    if sent.get("previous_response_id"):
        raise stateful("Stored responses (`previous_response_id`) are", whole, "previous_response_id")
    if sent.get("conversation"):
        raise stateful("Stored conversations are", whole, "conversation")
    if sent.get("prompt"):
        raise stateful("Stored prompts are", "Send the prompt's text in `instructions` or `input` instead.", "prompt")
    if flag(sent.get("background"), "background"):
        raise stateful("Background responses are", "Leave `background` out, and use `stream` for long answers.", "background")


def _take_numbers(asked: Asked, sent: dict[str, Any]) -> None:
    asked.stream = asks.flag(_scalar(sent.get("stream"), "stream"), "stream")
    asked.parallel = flag(sent.get("parallel_tool_calls"), "parallel_tool_calls")
    asked.store = flag(sent.get("store"), "store") or None  # who asks that nothing be kept loses nothing anywhere
    asked.output_cap = count(sent.get("max_output_tokens"), "max_output_tokens", 1)
    asked.temperature = number(sent.get("temperature"), "temperature")
    asked.top_p = number(sent.get("top_p"), "top_p")
    count(sent.get("top_logprobs"), "top_logprobs", 0)
    included = [text(name, f"include[{index}]") for index, name in enumerate(rows(sent.get("include"), "include"))]
    if "message.output_text.logprobs" in included:
        message = "Log probabilities are not available for models of other providers. Leave message.output_text.logprobs out of `include`."
        raise PenstockError("cannot_translate", message, param="include")
    for name in included:
        if name != "reasoning.encrypted_content":  # thoughts are given with all that is needed to send them back
            asked.other[f"include.{name}"] = True
    if sent.get("top_logprobs"):
        asked.other["top_logprobs"] = sent["top_logprobs"]


def _take_thinking(asked: Asked, sent: dict[str, Any]) -> None:
    reasoning = table(sent.get("reasoning"), "reasoning")
    effort = text(reasoning.get("effort"), "reasoning.effort")
    if effort and effort not in EFFORTS:
        raise wrong("reasoning.effort", "one of " + ", ".join(EFFORTS))
    asked.effort = effort or None
    summary = reasoning.get("summary") or reasoning.get("generate_summary")
    if text(summary, "reasoning.summary") not in ("", "none"):
        asked.shows_thoughts = True


def _take_text(asked: Asked, sent: dict[str, Any]) -> None:
    about = table(sent.get("text"), "text")
    asked.verbosity = text(about.get("verbosity"), "text.verbosity") or None
    form = table(about.get("format"), "text.format")
    kind = text(form.get("type"), "text.format.type") or "text"
    if kind == "json_object":
        asked.format = Format("json")
    elif kind == "json_schema":
        param = "text.format"
        if type(form.get("json_schema")) is dict:  # as chat has it
            form, param = form["json_schema"], "text.format.json_schema"
        asked.format = Format(
            "schema",
            text(form.get("name"), f"{param}.name"),
            table(form.get("schema"), f"{param}.schema"),
            flag(form.get("strict"), f"{param}.strict"),
            text(form.get("description"), f"{param}.description"),
        )
    elif kind != "text":
        raise wrong("text.format.type", "text, json_object or json_schema")


def _take_names(asked: Asked, sent: dict[str, Any]) -> None:
    asked.user = text(sent.get("user"), "user") or text(sent.get("safety_identifier"), "safety_identifier") or None
    asked.cache_key = text(sent.get("prompt_cache_key"), "prompt_cache_key") or None
    asked.service_tier = text(sent.get("service_tier"), "service_tier") or None
    asked.metadata = table(sent.get("metadata"), "metadata") or None


def _others(sent: dict[str, Any], dropped: list[str]) -> dict[str, Any]:
    found = {name: value for name, value in sent.items() if name not in _READ and name not in _MEANINGLESS and value != _HARMLESS.get(name)}
    return found | dict.fromkeys(dropped, True)
