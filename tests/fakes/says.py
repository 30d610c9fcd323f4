"""What a model says, in no vendor's words; vendors write it each in their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError


@dataclass
class Call:
    """A call of a tool."""

    id: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass
class Says:
    """One answer. `proof` is the vendor's own signature of the thought, which it wants back in a loop of tools.

    Of the tokens read, `fresh` are new, `cached` were kept and `written` are kept from now on; `output` contains `reasoning`.
    `breaks` in the middle of a stream: "error" is one of the vendor's own, "cut" is a closed connection.
    """

    text: str = ""
    thought: str = ""
    proof: str = ""
    calls: tuple[Call, ...] = ()
    refusal: str = ""
    stop: str = "end"
    sequence: str | None = None
    fresh: int = 19
    cached: int = 0
    written: int = 0
    output: int = 10
    reasoning: int = 0
    breaks: str = ""

    @property
    def used(self) -> dict[str, int]:
        """What a charge must say."""
        return {
            "input_tokens": self.fresh,
            "cache_read_tokens": self.cached,
            "cache_write_5m_tokens": self.written,
            "output_tokens": self.output,
            "reasoning_tokens": self.reasoning,
        }


def pieces(text: str, size: int = 3) -> list[str]:
    """Text as it is streamed."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def misfit(kind: TypeAdapter[Any], names: frozenset[str], body: dict[str, Any]) -> str:
    """What is wrong with a request, going by the types of the vendor's own SDK; empty if nothing is."""
    if unknown := sorted(set(body) - names):
        return f"Unknown parameter: {unknown[0]}"
    try:
        _exhaust(kind.validate_python({name: value for name, value in body.items() if name != "stream"}))
    except ValidationError as error:
        return str(error)[:2000]
    return ""


def _exhaust(value: Any) -> None:
    """Iterables are checked as they are read."""
    if isinstance(value, dict):
        for one in value.values():
            _exhaust(one)
    elif not isinstance(value, str | bytes) and hasattr(value, "__iter__"):
        for one in value:
            _exhaust(one)
