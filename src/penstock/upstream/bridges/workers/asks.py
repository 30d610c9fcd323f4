"""Requests: a client's chat completion as Workers AI takes it. What need not be changed stays, unknown fields too.

Sources: https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility/, the models' input schemas, and what they reject
besides.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.dropped import Dropped, refuse
from penstock.upstream.bridges.workers.messages import plain_messages
from penstock.upstream.wires import asks

WIRE = "workers_chat"
DEFAULT_OUTPUT_TOKENS = 8192
"""Asked for where the client sets no bound: Cloudflare's own default is 256 for many models, which cuts answers off."""
DROPS = (
    "store", "metadata", "service_tier", "safety_identifier", "prompt_cache_retention", "prompt_cache_options", "prediction", "verbosity",
)  # fmt: skip
"""Left out with a note: the answer is right without them."""
REFUSES = ("n", "logprobs", "top_logprobs", "modalities", "audio", "web_search_options", "functions", "function_call")
"""Refused where they ask for something: the client would miss it in the answer."""
_CAPS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_NUMBERS = ("temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty", "repetition_penalty")
_QUIET = ("user", "prompt_cache_key", "stream_options", "reasoning", *_CAPS)
"""Put in other words, or of use to us alone."""
_EFFORTS = {"minimal": "low", "xhigh": "high", "max": "high"}
_BODY = msgspec.json.Decoder(dict[str, Any])


class Sent(NamedTuple):
    """The request to Workers AI and what of it matters for the answer."""

    body: bytes
    tools: frozenset[str]
    """Names of the tools that the model may call."""
    shows_usage: bool
    """The client wants the usage of a stream."""
    stream: bool
    session: str
    """What `x-session-affinity` is made of: requests that share it find their prefix cached. Empty: nothing."""


def write(body: bytes, model: str, dropped: Dropped) -> Sent:
    """The request for `model`. Raises PenstockError: `invalid_json`, `invalid_request`, `cannot_translate`."""
    asked = {name: value for name, value in asks.read_fields(_BODY, body).items() if value is not None}
    _refuse_what_it_has_not(asked)
    for name in DROPS:
        if name in asked:
            dropped.note(name)
    stream = asks.flag(asked.get("stream"), "stream")
    options = asked.get("stream_options")
    sent = {name: value for name, value in asked.items() if name not in DROPS and name not in REFUSES and name not in _QUIET}
    sent["model"] = model
    sent["messages"] = plain_messages(asked.get("messages"))
    sent["max_tokens"] = _cap(asked)
    for name in _NUMBERS:
        if isinstance(value := sent.get(name), str):
            sent[name] = _number(value, name)
    _put_effort(asked, sent)
    tools = _put_tools(sent)
    _put_format(sent, model)
    if stream:
        sent["stream_options"] = {"include_usage": True}
    shows = isinstance(options, dict) and options.get("include_usage") is True
    return Sent(_encoded(sent), tools, shows, stream, _session(asked))


def session_line(session: str) -> bytes:
    """The header that keeps a conversation where its beginning is cached. Whose it is cannot be read from it."""
    if not session:
        return b""
    return b"x-session-affinity: ses_%b\r\n" % blake2b(session.encode("utf-8", "replace"), digest_size=16).hexdigest().encode()


def _refuse_what_it_has_not(asked: dict[str, Any]) -> None:
    if asked.get("n") not in (None, 1):
        raise refuse("More than one answer (n)", WIRE, "n")
    if asked.get("logprobs") or asked.get("top_logprobs"):
        raise refuse("logprobs", WIRE, "logprobs")
    modalities = asked.get("modalities")
    if asked.get("audio") or (isinstance(modalities, list) and modalities != ["text"]):
        raise refuse("An answer that is not text", WIRE, "audio" if asked.get("audio") else "modalities")
    if "web_search_options" in asked:
        raise refuse("Web search", WIRE, "web_search_options")
    if asked.get("functions") or asked.get("function_call"):
        raise refuse("The old way to name functions", WIRE, "functions" if asked.get("functions") else "function_call")


def _cap(asked: dict[str, Any]) -> int:
    for name in _CAPS:
        value = asked.get(name)
        if isinstance(value, str):
            value = _number(value, name)
        cap = asks.cap(value) if isinstance(value, int | float) else None
        if cap is not None:
            return cap
        if value is not None:
            raise PenstockError("invalid_request", f'The field "{name}" must be a whole number above 0.', param=name)
    return DEFAULT_OUTPUT_TOKENS


def _number(value: str, name: str) -> int | float:
    try:
        number = float(value)
    except ValueError:
        raise PenstockError("invalid_request", f'The field "{name}" must be a number.', param=name) from None
    if not abs(number) < 1e15:  # not a number included
        raise PenstockError("invalid_request", f'The field "{name}" is out of any range.', param=name)
    return int(number) if number.is_integer() else number


def _put_effort(asked: dict[str, Any], sent: dict[str, Any]) -> None:
    """How hard to think, in the words that the models' schemas have. OpenRouter and Responses say it in `reasoning`."""
    reasoning = asked.get("reasoning")
    effort = sent.pop("reasoning_effort", None) or (reasoning.get("effort") if isinstance(reasoning, dict) else None)
    if effort == "none":
        template = sent.get("chat_template_kwargs")
        sent["chat_template_kwargs"] = {**(template if isinstance(template, dict) else {}), "enable_thinking": False}
    elif effort is not None:
        sent["reasoning_effort"] = _EFFORTS.get(effort, effort) if isinstance(effort, str) else effort


def _put_tools(sent: dict[str, Any]) -> frozenset[str]:
    """Write tools and the choice among them as chat completions have them; the names of those that may be called."""
    given = sent.pop("tools", None)
    choice = _choice(sent.pop("tool_choice", None))
    if given is not None and not isinstance(given, list):
        raise PenstockError("invalid_request", 'The field "tools" must be a list.', param="tools")
    tools = [_tool(tool, index) for index, tool in enumerate(given or ())]
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        choice, tools = _allowed(choice, tools)
    if not tools:
        return frozenset()
    sent["tools"] = tools
    if choice is not None:
        sent["tool_choice"] = choice
    return frozenset() if choice == "none" else frozenset(tool["function"]["name"] for tool in tools)


def _tool(tool: Any, index: int) -> dict[str, Any]:
    kind = tool.get("type", "function") if isinstance(tool, dict) else None
    if not isinstance(kind, str):
        raise PenstockError("invalid_request", f"tools[{index}] must be an object with a type.", param=f"tools[{index}]")
    if kind != "function":
        raise refuse(f"A tool of the type {kind[:64]!r}", WIRE, f"tools[{index}].type")
    function = tool.get("function")
    if not isinstance(function, dict):
        function = {key: value for key, value in tool.items() if key != "type"}  # as Responses has them, and Cursor sends here
    if not isinstance(function.get("name"), str) or not function["name"]:
        raise PenstockError("invalid_request", f"tools[{index}] has no name.", param=f"tools[{index}].function.name")
    kept = {key: value for key, value in function.items() if value is not None and key != "strict"}
    kept.setdefault("parameters", {"type": "object", "properties": {}})
    return {"type": "function", "function": kept}


def _choice(choice: Any) -> Any:
    if choice == "any":
        return "required"
    if not isinstance(choice, dict):
        return choice
    kind = choice.get("type")
    if kind in ("auto", "none"):
        return kind
    if kind in ("any", "required"):
        return "required"
    name = choice.get("name")
    if kind in ("function", "tool") and isinstance(name, str):
        return {"type": "function", "function": {"name": name}}
    return choice


def _allowed(choice: dict[str, Any], tools: list[dict[str, Any]]) -> tuple[Any, list[dict[str, Any]]]:
    """Only the tools that may be called are offered at all: that says the same."""
    allowed = choice.get("allowed_tools")
    allowed = allowed if isinstance(allowed, dict) else choice
    listed = allowed.get("tools")
    names: set[str] = set()
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict):
            function = one.get("function")
            name = (function if isinstance(function, dict) else one).get("name")
            if isinstance(name, str):
                names.add(name)
    mode = "required" if allowed.get("mode") == "required" else "auto"
    return mode, [tool for tool in tools if tool["function"]["name"] in names]


def _put_format(sent: dict[str, Any], model: str) -> None:
    """Cloudflare's own models want the bare schema, without OpenAI's name and strictness around it."""
    wanted = sent.get("response_format")
    if not isinstance(wanted, dict):
        return
    if wanted.get("type") == "text":
        del sent["response_format"]
        return
    about = wanted.get("json_schema")
    if model.startswith("@") and isinstance(about, dict) and isinstance(about.get("schema"), dict):
        sent["response_format"] = {"type": "json_schema", "json_schema": about["schema"]}


def _session(asked: dict[str, Any]) -> str:
    for name in ("prompt_cache_key", "user"):
        if isinstance(value := asked.get(name), str) and value:
            return value
    return ""


def _encoded(sent: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(sent)
    except (OverflowError, RecursionError, ValueError, msgspec.MsgspecError):
        raise PenstockError("invalid_json", "The body has a number or a nesting beyond what JSON readers take.") from None
