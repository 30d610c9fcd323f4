"""Tools in: tools and the choice among them, nested as in chats, flat as in Responses, or as Anthropic has them."""

from __future__ import annotations

from typing import Any

from penstock.upstream.bridges.chat.fields import Fields, wrong
from penstock.upstream.bridges.chat.parts_in import mark
from penstock.upstream.bridges.conversation import Choice, Tool

_MODES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


def tools(given: list[Any], where: str) -> list[Tool]:
    """The list of tools."""
    return [_tool(one, f"{where}[{index}]") for index, one in enumerate(given) if one is not None]


def functions(given: list[Any]) -> list[Tool]:
    """The functions of before there were tools."""
    return [_function(Fields(one, f"functions[{index}]"), None) for index, one in enumerate(given)]


def _tool(value: Any, where: str) -> Tool:
    fields = Fields(value, where)
    kind = fields.text("type") or ""
    cache = mark(fields.any("cache_control"))
    if kind == "custom" and ("custom" in fields.left or "input_schema" not in fields.left):
        inner = fields.inner("custom") or fields
        return Tool(inner.needed("name"), inner.text("description") or "", kind="custom", raw=value, cache=cache)
    if kind in ("", "function", "custom"):
        return _function(fields.inner("function") or fields, cache)
    return Tool(kind, kind="hosted", raw=value, cache=cache)


def _function(fields: Fields, cache: str | None) -> Tool:
    name = fields.needed("name")
    schema = fields.object("parameters") or fields.object("input_schema")
    return Tool(name, fields.text("description") or "", schema, fields.flag("strict"), cache=cache or mark(fields.any("cache_control")))


def web_search(options: dict[str, Any]) -> Tool:
    """`web_search_options` as the hosted tool that it is in Responses."""
    raw: dict[str, Any] = {"type": "web_search", **options}
    place = raw.get("user_location")
    if isinstance(place, dict) and isinstance(place.get("approximate"), dict):
        raw["user_location"] = {"type": "approximate", **place["approximate"]}
    return Tool("web_search", kind="hosted", raw=raw)


def choice(value: Any, given: list[Tool]) -> tuple[Choice | None, list[Tool]]:
    """`tool_choice`, and the tools that it leaves."""
    if value is None:
        return None, given
    if isinstance(value, str):
        if value not in _MODES:
            raise wrong("tool_choice", "auto, none, required, or an object that names a tool")
        return Choice(_MODES[value]), given  # type: ignore[arg-type]  # the values are modes
    fields = Fields(value, "tool_choice")
    kind = fields.text("type") or "function"
    if kind in _MODES:
        return Choice(_MODES[kind]), given  # type: ignore[arg-type]  # as above
    if kind == "allowed_tools":
        return _allowed(fields.inner("allowed_tools") or fields, given)
    inner = fields.inner("function") or fields.inner("custom") or fields
    if kind in ("function", "custom", "tool"):
        return Choice("named", inner.needed("name")), given
    return Choice("named", kind), given


def _allowed(fields: Fields, given: list[Tool]) -> tuple[Choice, list[Tool]]:
    mode = fields.text("mode") or "auto"
    if mode not in _MODES:
        raise wrong(fields.at("mode"), "auto or required")
    names = {_name(one, f"{fields.at('tools')}[{index}]") for index, one in enumerate(fields.list("tools"))}
    return Choice(_MODES[mode]), [tool for tool in given if tool.name in names]  # type: ignore[arg-type]  # as above


def _name(value: Any, where: str) -> str:
    fields = Fields(value, where)
    kind = fields.text("type") or "function"
    inner = fields.inner("function") or fields.inner("custom") or fields
    return inner.needed("name") if kind in ("function", "custom") else kind


def function_call(value: Any) -> Choice | None:
    """`function_call`, the choice of before there were tools."""
    if value is None:
        return None
    if isinstance(value, str):
        if value not in ("auto", "none"):
            raise wrong("function_call", "auto, none, or an object with a name")
        return Choice(_MODES[value])  # type: ignore[arg-type]  # as above
    return Choice("named", Fields(value, "function_call").needed("name"))
