"""Tools in: the tools of a request, and how far the model is free to call them."""

from __future__ import annotations

from typing import Any

from penstock.upstream.bridges.conversation import Choice, Tool
from penstock.upstream.bridges.names import fitted
from penstock.upstream.bridges.responses.fields import flag, given, rows, table, text, wrong

SEARCH = "tool_search"
"""The name of the function that stands for the client's search for tools."""


def flat_name(namespace: str, name: str) -> str:
    """The one name of a tool that is in a namespace, as clients run it that group tools (Codex, for each MCP server)."""
    if not namespace:
        return name
    return fitted(f"{namespace}{'' if namespace.endswith('__') else '__'}{name}")


class Tools:
    """Tools as they are read. Those of a namespace, which the client runs like any other, are taken out of it."""

    def __init__(self) -> None:
        self.tools: list[Tool] = []
        self._known: set[str] = set()
        self.homes: dict[str, tuple[str, str]] = {}
        """The namespace of a tool, and its name there, by the name that it has here."""
        self.dropped: list[str] = []
        self.searches = False
        """The client itself searches for tools that it has not named yet."""

    def all(self, value: Any, param: str) -> None:
        """Read a list of tools."""
        for index, entry in enumerate(rows(value, param)):
            where = f"{param}[{index}]"
            raw = table(entry, where)
            if raw.get("type") == "namespace":
                home = given(raw.get("name"), f"{where}.name")
                for n, one in enumerate(rows(raw.get("tools"), f"{where}.tools")):
                    self._one(table(one, f"{where}.tools[{n}]"), f"{where}.tools[{n}]", home)
            else:
                self._one(raw, where, "")

    def _one(self, raw: dict[str, Any], param: str, home: str) -> None:
        kind = text(raw.get("type"), f"{param}.type") or "function"
        if kind == "tool_search" and raw.get("execution") == "client":
            self.searches = True
            about = text(raw.get("description"), f"{param}.description")
            self._add(Tool(SEARCH, about, table(raw.get("parameters"), f"{param}.parameters")))
            return
        if kind == "tool_search" or (kind == "web_search" and raw.get("external_web_access") is False):
            # There is nothing to search for where all tools are given at once; and what OpenAI keeps of the web nobody else has.
            self.dropped.append(f"tools.{kind}")
            return
        if kind not in ("function", "custom"):
            self._add(Tool(kind, kind="hosted", raw=raw))
            return
        flat = raw
        if type(raw.get(kind)) is dict:  # as chat has it
            flat, param = raw[kind], f"{param}.{kind}"
        inner = given(flat.get("name"), f"{param}.name")
        name = flat_name(home, inner)
        if home:
            self.homes[name] = (home, inner)
        description = text(flat.get("description"), f"{param}.description")
        if kind == "custom":
            self._add(Tool(name, description, kind="custom", raw={**flat, "type": "custom", "name": name}))
            return
        given_as = "input_schema" if flat.get("parameters") is None else "parameters"  # the first is Anthropic's word, which Cursor uses
        schema = table(flat[given_as], f"{param}.{given_as}") if flat.get(given_as) is not None else None
        self._add(Tool(name, description, schema, flag(flat.get("strict"), f"{param}.strict")))

    def _add(self, tool: Tool) -> None:
        """Add a tool. Functions that a search has found may be there already."""
        if tool.kind == "hosted" or tool.name not in self._known:
            self._known.add(tool.name)
            self.tools.append(tool)


def choice_of(value: Any, tools: list[Tool]) -> tuple[Choice | None, list[Tool]]:
    """The choice, and the tools that remain: `allowed_tools` takes the others away."""
    if value is None:
        return None, tools
    if type(value) is str:
        if value not in ("auto", "none", "required"):
            raise wrong("tool_choice", "auto, none, required or an object")
        return Choice(value), tools  # type: ignore[arg-type]  # checked above
    choice = table(value, "tool_choice")
    kind = given(choice.get("type"), "tool_choice.type")
    inner = choice[kind] if type(choice.get(kind)) is dict else choice
    if kind == "allowed_tools":
        return _allowed(inner, tools)
    name = text(inner.get("name"), "tool_choice.name")
    if kind in ("function", "custom"):
        return Choice("named", flat_name(text(inner.get("namespace"), "tool_choice.namespace"), given(name, "tool_choice.name"))), tools
    return Choice("named", name or kind), tools


def _allowed(choice: dict[str, Any], tools: list[Tool]) -> tuple[Choice, list[Tool]]:
    mode = choice.get("mode")
    if mode not in (None, "auto", "required"):
        raise wrong("tool_choice.mode", "auto or required")
    names = set()
    for index, entry in enumerate(rows(choice.get("tools"), "tool_choice.tools")):
        param = f"tool_choice.tools[{index}]"
        one = table(entry, param)
        kind = text(one.get("type"), f"{param}.type")
        inner = one[kind] if type(one.get(kind)) is dict else one
        home, name = text(inner.get("namespace"), f"{param}.namespace"), text(inner.get("name"), f"{param}.name")
        names.add(flat_name(home, name) if name else kind)
    return Choice("required" if mode == "required" else "auto"), [tool for tool in tools if tool.name in names]
