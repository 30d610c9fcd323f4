"""Asks that go out: a request to Anthropic's Messages, written."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Asked, Text, Tool, Turn
from penstock.upstream.bridges.custom_tools import as_function
from penstock.upstream.bridges.dropped import Dropped, refuse
from penstock.upstream.bridges.messages.families import Family, family_of
from penstock.upstream.bridges.messages.media_out import Block, keep_last_marks, marked
from penstock.upstream.bridges.messages.schemas import can_be_closed, closed, instruction
from penstock.upstream.bridges.messages.thinking import write_thinking
from penstock.upstream.bridges.messages.turns_out import Telling, text_block
from penstock.upstream.bridges.messages.words import sent_name

CACHE_MARKS = 4
"""Anthropic takes no more; the last ones are kept."""

DROPS = {
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "logit_bias": "logit_bias",
    "verbosity": "verbosity",
    "metadata": "metadata",
    "store": "store",
    "cache_key": "prompt_cache_key",
}
"""Fields that an answer can do without, and what they are called where they come from."""

REFUSES = (("choices", 1, "More than one choice", "n"), ("logprobs", None, "Log probabilities", "logprobs"))
"""Fields that an answer cannot do without. So are tools of another provider's own, sound, other vendors' files, and files that are
neither PDF nor text.
"""

_TIERS = {"auto": "auto", "default": "standard_only", "standard": "standard_only", "standard_only": "standard_only"}


def write_ask(asked: Asked, model: str, dropped: Dropped) -> bytes:
    """The body of the request."""
    try:
        return msgspec.json.encode(_written(asked, model, dropped))
    except (RecursionError, msgspec.MsgspecError, ValueError):
        words = "The request cannot be written: it is nested too deeply, or its text is not Unicode."
        raise PenstockError("invalid_request", words) from None


def _written(asked: Asked, model: str, dropped: Dropped) -> dict[str, Any]:
    _refuse(asked)
    family = family_of(model)
    sent: dict[str, Any] = {"model": model}
    told, system = _told(asked.turns, dropped)
    sent["messages"] = told
    _write_tools(asked, family, sent, dropped)
    _write_format(asked, family, sent, system)
    if system:
        sent["system"] = system
    keep_last_marks([*sent.get("tools", ()), *system, *(block for message in told for block in message["content"])], CACHE_MARKS)
    write_thinking(asked, family, sent, dropped)
    _write_rest(asked, sent, dropped)
    return sent


def _refuse(asked: Asked) -> None:
    for name, without, what, param in REFUSES:
        if getattr(asked, name) != without:
            raise refuse(what, "messages", param)
    for tool in asked.tools:
        if tool.kind == "hosted":
            raise refuse(f"The tool {tool.name}", "messages", "tools")


def _told(turns: list[Turn], dropped: Dropped) -> tuple[list[dict[str, Any]], list[Block]]:
    leading = next((index for index, turn in enumerate(turns) if turn.role != "system"), len(turns))
    if leading == len(turns) > 0:
        leading -= 1  # nobody else says anything: then the last word is the user's
    telling = Telling(dropped)
    for turn in turns[leading:]:
        telling.add(turn)
    system = [
        block for turn in turns[:leading] for part in turn.parts if isinstance(part, Text) and (block := text_block(part)) is not None
    ]
    return telling.finish(), system


def _write_tools(asked: Asked, family: Family, sent: dict[str, Any], dropped: Dropped) -> None:
    if not asked.tools:
        _declare_called(sent)
        return
    sent["tools"] = [_tool(tool, family) for tool in asked.tools]
    for tool in asked.tools:
        if (name := sent_name(tool.name)) != tool.name:
            dropped.aliases[name] = tool.name
    choice: dict[str, Any] = {"type": "auto"}
    match asked.choice.mode if asked.choice is not None else "auto":
        case "required":
            choice = {"type": "any"}
        case "none":
            choice = {"type": "none"}
        case "named":
            choice = {"type": "tool", "name": sent_name(asked.choice.name if asked.choice is not None else "")}
    if asked.parallel is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    if asked.choice is not None or len(choice) > 1:
        sent["tool_choice"] = choice


def _declare_called(sent: dict[str, Any]) -> None:
    """Tools that have been called and are not to be called any more: a conversation with calls must say what there is to call."""
    blocks = (block for message in sent["messages"] for block in message["content"])
    names = dict.fromkeys(block["name"] for block in blocks if block["type"] == "tool_use")
    if names:
        sent["tools"] = [{"name": name, "input_schema": {"type": "object"}} for name in names]
        sent["tool_choice"] = {"type": "none"}


def _tool(tool: Tool, family: Family) -> Block:
    if tool.kind == "custom":
        tool = as_function(tool)
    block: Block = {"name": sent_name(tool.name)}
    if tool.description:
        block["description"] = tool.description
    schema = tool.schema or {}
    strict = bool(tool.strict and family.schemas and can_be_closed(schema))
    if strict:
        schema = closed(schema)
        block["strict"] = True
    block["input_schema"] = schema if schema.get("type") == "object" else {**schema, "type": "object"}
    return marked(block, tool.cache)


def _write_format(asked: Asked, family: Family, sent: dict[str, Any], system: list[Block]) -> None:
    wanted = asked.format
    if wanted is None:
        return
    if wanted.kind == "schema" and wanted.schema and family.schemas and can_be_closed(wanted.schema):
        sent["output_config"] = {"format": {"type": "json_schema", "schema": closed(wanted.schema)}}
    else:
        system.append({"type": "text", "text": instruction(wanted.schema if wanted.kind == "schema" else None)})


def _write_rest(asked: Asked, sent: dict[str, Any], dropped: Dropped) -> None:
    if asked.stream:
        sent["stream"] = True
    if stop := [sequence for sequence in asked.stop if sequence.strip()]:
        sent["stop_sequences"] = stop
    if len(stop) < len(asked.stop):
        dropped.note("stop")
    if asked.user:
        sent["metadata"] = {"user_id": asked.user}
    if asked.service_tier is not None:
        if tier := _TIERS.get(asked.service_tier):
            sent["service_tier"] = tier
        else:
            dropped.note("service_tier")
    for name, shown in DROPS.items():
        if getattr(asked, name) not in (None, {}):
            dropped.note(shown)
    for name in asked.other:
        dropped.note(name)
