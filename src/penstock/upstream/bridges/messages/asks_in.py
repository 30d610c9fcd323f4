"""Asks that come in: a client's Messages request, read."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Asked, Choice, Document, Format, Image, Role, Text, Tool, ToolResult, Turn
from penstock.upstream.bridges.messages.blocks_in import Left, cache_of, parts, texts
from penstock.upstream.bridges.messages.reading import count, fields, number, objects, text, truth, wrong
from penstock.upstream.wires import asks

ONLY_ANTHROPICS = {"mcp_servers": "MCP servers", "container": "A container", "thread": "A conversation that the provider holds"}
"""Fields that are refused: without them the answer would be another one."""

_KNOWN = {
    "model", "messages", "system", "max_tokens", "tools", "tool_choice", "stop_sequences", "temperature", "top_k", "top_p", "stream",
    "thinking", "output_config", "output_format", "metadata", "service_tier", "cache_control", *ONLY_ANTHROPICS,
}  # fmt: skip
_TOOL_KNOWN = {"type", "name", "description", "input_schema", "strict", "cache_control"}
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_EFFORTS = ("low", "medium", "high", "xhigh", "max")

_OBJECT = msgspec.json.Decoder(dict[str, Any])


def read_ask(body: bytes) -> Asked:
    """The client's request."""
    return asked_of(asks.read_fields(_OBJECT, body))


def asked_of(given: dict[str, Any], *, counting: bool = False) -> Asked:
    """The client's request from its JSON. `counting`: nothing is to be answered, so there is no bound, and nothing is refused."""
    try:
        return _asked(given, counting=counting)
    except RecursionError:
        raise PenstockError("invalid_json", "The body is nested too deeply.") from None


def _asked(given: dict[str, Any], *, counting: bool) -> Asked:
    model = given.get("model")
    if model is not None and type(model) is not str:
        raise wrong("model", "Input should be a string.")
    left: Left = {name: value for name, value in given.items() if name not in _KNOWN and value is not None}
    asked = Asked(model or "", _turns(given, left), other=left)
    if not counting:
        for name, what in ONLY_ANTHROPICS.items():
            if given.get(name):
                raise PenstockError("cannot_translate", f"{what} can only be used with Anthropic's own API.", param=name)
        asked.output_cap = _cap(given.get("max_tokens"))
    asked.tools = [_tool(tool, f"tools[{index}]", left) for index, tool in enumerate(objects(given.get("tools"), "tools"))]
    _read_choice(asked, fields(given.get("tool_choice"), "tool_choice"))
    _read_bounds(asked, given)
    _read_thinking(asked, fields(given.get("thinking"), "thinking"))
    _read_output(asked, given, left)
    if mark := cache_of(given, "cache_control"):
        _mark_last(asked.turns, mark)
    return asked


def _cap(value: Any) -> int:
    cap = count(value, "max_tokens")
    if cap is None:
        raise wrong("max_tokens", "Field required.")
    if cap < 1:
        raise wrong("max_tokens", "Input should be at least 1.")
    return cap


def _turns(given: dict[str, Any], left: Left) -> list[Turn]:
    turns = []
    if system := texts(given.get("system"), "system"):
        turns.append(Turn("system", [*system]))
    messages = objects(given.get("messages"), "messages")
    if not messages:
        raise wrong("messages", "At least one message is required." if "messages" in given else "Field required.")
    for index, message in enumerate(messages):
        at = f"messages[{index}]"
        role = _ROLES.get(text(message.get("role"), f"{at}.role"))
        if role is None:
            raise wrong(f"{at}.role", "Input should be 'user' or 'assistant'.")
        turns.append(Turn(role, parts(message.get("content"), f"{at}.content", left)))
    return turns


def _tool(tool: dict[str, Any], at: str, left: Left) -> Tool:
    kind = text(tool.get("type"), f"{at}.type")
    if kind and kind != "custom":
        return Tool(kind, kind="hosted", raw=tool)
    name = text(tool.get("name"), f"{at}.name")
    if not name:
        raise wrong(f"{at}.name", "Field required.")
    for extra in tool:
        if extra not in _TOOL_KNOWN:
            left[f"tools.{extra}"] = True
    schema = fields(tool.get("input_schema"), f"{at}.input_schema")
    strict = truth(tool.get("strict"), f"{at}.strict")
    return Tool(name, text(tool.get("description"), f"{at}.description"), schema or None, strict, cache=cache_of(tool, at))


def _read_choice(asked: Asked, choice: dict[str, Any]) -> None:
    if not choice:
        return
    match choice.get("type"):
        case "auto":
            asked.choice = Choice("auto")
        case "any":
            asked.choice = Choice("required")
        case "none":
            asked.choice = Choice("none")
        case "tool":
            name = text(choice.get("name"), "tool_choice.name")
            if not name:
                raise wrong("tool_choice.name", "Field required.")
            asked.choice = Choice("named", name)
        case _:
            raise wrong("tool_choice.type", "Input should be 'auto', 'any', 'tool' or 'none'.")
    if truth(choice.get("disable_parallel_tool_use"), "tool_choice.disable_parallel_tool_use"):
        asked.parallel = False


def _read_bounds(asked: Asked, given: dict[str, Any]) -> None:
    asked.temperature = number(given.get("temperature"), "temperature")
    asked.top_p = number(given.get("top_p"), "top_p")
    asked.top_k = count(given.get("top_k"), "top_k")
    asked.stream = bool(truth(given.get("stream"), "stream"))
    stop = given.get("stop_sequences")
    if stop is not None and type(stop) is not list:
        raise wrong("stop_sequences", "Input should be a list.")
    asked.stop = [text(sequence, f"stop_sequences[{index}]") for index, sequence in enumerate(stop or ())]
    metadata = fields(given.get("metadata"), "metadata")
    asked.user = text(metadata.get("user_id"), "metadata.user_id") or None
    tier = text(given.get("service_tier"), "service_tier")
    asked.service_tier = {"": None, "standard_only": "default"}.get(tier, tier)


def _read_thinking(asked: Asked, thinking: dict[str, Any]) -> None:
    if not thinking:
        return
    kind = thinking.get("type")
    if kind == "enabled":
        asked.thinking_tokens = count(thinking.get("budget_tokens"), "thinking.budget_tokens")
        if not asked.thinking_tokens:
            raise wrong("thinking.budget_tokens", "Field required.")
    elif kind == "adaptive":
        asked.adaptive = True
    elif kind in ("disabled", "between_tools"):
        asked.effort = "none"
        asked.shows_thoughts = False if kind == "disabled" else None
        return
    else:
        raise wrong("thinking.type", "Input should be 'enabled', 'adaptive' or 'disabled'.")
    asked.shows_thoughts = thinking.get("display") != "omitted"


def _read_output(asked: Asked, given: dict[str, Any], left: Left) -> None:
    config = fields(given.get("output_config"), "output_config")
    effort = text(config.get("effort"), "output_config.effort")
    if effort and effort not in _EFFORTS:
        raise wrong("output_config.effort", "Input should be 'low', 'medium', 'high', 'xhigh' or 'max'.")
    asked.effort = asked.effort or effort or None
    left.update(
        (f"output_config.{name}", value) for name, value in config.items() if name not in ("effort", "format") and value is not None
    )
    where = "output_config.format" if config.get("format") is not None else "output_format"
    wanted = fields(config.get("format") or given.get("output_format"), where)
    if not wanted:
        return
    if wanted.get("type") != "json_schema":
        raise wrong(f"{where}.type", "Input should be 'json_schema'.")
    asked.format = Format("schema", schema=fields(wanted.get("schema"), f"{where}.schema"))


def _mark_last(turns: list[Turn], mark: str) -> None:
    for turn in reversed(turns):
        for part in reversed(turn.parts):
            if isinstance(part, Text | Image | Document | ToolResult):
                part.cache = part.cache or mark
                return
