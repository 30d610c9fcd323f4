"""Asks read: a request for `generateContent` as a conversation."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Asked, Choice, Format, Text, Tool, Turn
from penstock.upstream.bridges.gemini.fields import Fields, wrong
from penstock.upstream.bridges.gemini.parts_in import Reader
from penstock.upstream.bridges.gemini.schemas import json_schema
from penstock.upstream.wires import asks

_ROLES = {"user": "user", "model": "assistant", "function": "user", "tool": "user", "": "user"}
_KNOWN = frozenset(
    (
        "contents", "systemInstruction", "system_instruction", "tools", "toolConfig", "tool_config", "generationConfig",
        "generation_config", "model", "serviceTier", "service_tier", "labels", "store",
    )
)  # fmt: skip
_CONFIG_OTHER = ("speechConfig", "mediaResolution", "audioTimestamp", "enableEnhancedCivicAnswers", "routingConfig")
_ONLY_GOOGLE = ("cachedContent", "cached_content")
_BODY = msgspec.json.Decoder(dict[str, Any])


def read_ask(body: bytes) -> Asked:
    """The request; whether it streams and which model is asked is in the URL. Raises PenstockError."""
    ask = Fields(asks.read_fields(_BODY, body))
    for name in _ONLY_GOOGLE:
        if ask.values.get(name):
            raise _only_google("A cache that Google keeps", name)
    other: dict[str, Any] = {name: value for name, value in ask.values.items() if name not in _KNOWN}
    turns = _system(ask)
    reader = Reader(other)
    contents = ask.objects("contents")
    if not contents:
        raise PenstockError("invalid_request", 'The field "contents" must have at least one content.', param="contents")
    for content in contents:
        role = _ROLES.get(content.text("role") or "")
        if role is None:
            raise wrong(content.at("role"), '"user" or "model"')
        turns.append(Turn("user" if role == "user" else "assistant", reader.parts(content)))
    asked = Asked(model="", turns=turns, other=other)
    asked.tools = _tools(ask)
    _take_choice(asked, ask)
    _take_config(asked, ask.object("generationConfig") or Fields({}, "generationConfig"))
    tier = ask.text("serviceTier")
    asked.service_tier = tier.lower().removeprefix("service_tier_") if tier else None
    labels = ask.object("labels")
    asked.metadata = labels.values if labels is not None else None
    asked.store = ask.flag("store")
    return asked


def _only_google(what: str, param: str) -> PenstockError:
    return PenstockError(
        "cannot_translate", f"{what} cannot be used with this model, which another provider serves. Leave it out.", param=param
    )


def _system(ask: Fields) -> list[Turn]:
    found = ask.get("systemInstruction")
    if isinstance(found, str):
        return [Turn("system", [Text(found)])] if found else []
    content = ask.object("systemInstruction")
    texts = [part.text("text") for part in content.objects("parts")] if content is not None else []
    parts = [Text(text) for text in texts if text]
    return [Turn("system", [*parts])] if parts else []


def _tools(ask: Fields) -> list[Tool]:
    tools: list[Tool] = []
    for entry in ask.objects("tools"):
        tools += [_function(declaration) for declaration in entry.objects("functionDeclarations")]
        for name, value in entry.values.items():
            if name not in ("functionDeclarations", "function_declarations") and value is not None:
                tools.append(Tool(name, kind="hosted", raw={name: value}))
    return tools


def _function(declaration: Fields) -> Tool:
    name = declaration.text("name")
    if not name:
        raise wrong(declaration.at("name"), "a name")
    schema = declaration.object("parametersJsonSchema")
    if schema is not None:
        return Tool(name, declaration.text("description") or "", schema.values)
    parameters = declaration.object("parameters")
    return Tool(name, declaration.text("description") or "", json_schema(parameters.values) if parameters is not None else None)


def _take_choice(asked: Asked, ask: Fields) -> None:
    config = ask.object("toolConfig")
    calling = config.object("functionCallingConfig") if config is not None else None
    if calling is None:
        return
    mode = (calling.text("mode") or "").upper()
    allowed = calling.texts("allowedFunctionNames")
    if mode == "NONE":
        asked.choice = Choice("none")
    elif mode == "ANY" and len(allowed) == 1:
        asked.choice = Choice("named", allowed[0])
    elif mode == "ANY":
        asked.choice = Choice("required")
    elif mode in ("AUTO", "VALIDATED"):
        asked.choice = Choice("auto")
    elif mode not in ("", "MODE_UNSPECIFIED"):
        raise wrong(calling.at("mode"), "AUTO, ANY, NONE or VALIDATED")
    if len(allowed) > 1 and mode in ("ANY", "VALIDATED"):
        asked.tools = [tool for tool in asked.tools if tool.kind != "function" or tool.name in allowed]


def _take_config(asked: Asked, config: Fields) -> None:
    asked.temperature = config.number("temperature")
    asked.top_p = config.number("topP")
    asked.top_k = config.whole("topK")
    asked.output_cap = config.whole("maxOutputTokens")
    asked.stop = config.texts("stopSequences")
    asked.choices = max(1, config.whole("candidateCount") or 1)
    asked.seed = config.whole("seed")
    asked.presence_penalty = config.number("presencePenalty")
    asked.frequency_penalty = config.number("frequencyPenalty")
    if config.flag("responseLogprobs"):
        asked.logprobs = config.whole("logprobs") or 0
    for modality in config.texts("responseModalities"):
        if modality.upper() not in ("TEXT", "MODALITY_UNSPECIFIED"):
            raise _only_google(f"The response modality {modality[:40]!r}", config.at("responseModalities"))
    for name in _CONFIG_OTHER:
        if config.get(name) is not None:
            asked.other[name] = config.get(name)
    asked.format = _format(config)
    thinking = config.object("thinkingConfig")
    if thinking is not None:
        _take_thinking(asked, thinking)


def _take_thinking(asked: Asked, thinking: Fields) -> None:
    asked.shows_thoughts = thinking.flag("includeThoughts")
    level = (thinking.text("thinkingLevel") or "").lower()
    asked.effort = level if level not in ("", "thinking_level_unspecified") else None
    budget = thinking.whole("thinkingBudget")
    if budget is None:
        return
    if budget < 0:
        asked.adaptive = True
    elif budget == 0:
        asked.effort = asked.effort or "none"
    else:
        asked.thinking_tokens = budget


def _format(config: Fields) -> Format | None:
    if config.get("responseFormat") is not None:
        raise _only_google("responseFormat", config.at("responseFormat"))
    kind = (config.text("responseMimeType") or "").lower()
    if kind == "text/x.enum":
        raise _only_google("An answer that is one of a list of words", config.at("responseMimeType"))
    if kind in ("", "text/plain"):
        return None
    if kind != "application/json":
        raise wrong(config.at("responseMimeType"), "text/plain or application/json")
    given = config.get("responseJsonSchema")
    if isinstance(given, dict):
        return Format("schema", "response", given)
    schema = config.object("responseSchema")
    return Format("schema", "response", json_schema(schema.values)) if schema is not None else Format("json")
