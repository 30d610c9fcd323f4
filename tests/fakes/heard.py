"""What a client's program has heard, whichever SDK it uses, and what it wants to be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import pydantic

from live_gateway import LiveGateway

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A picture of one pixel, in base64."""
PDF = "JVBERi0xLjEKJSVFT0YK"
"""As little as can be called a PDF, in base64."""
PICTURE_URL = "https://pictures.example/one.png"


class City(pydantic.BaseModel):
    """What structured answers are parsed into."""

    name: str
    inhabitants: int


@dataclass
class Got:
    """A tool call as the client's program sees it."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass
class Heard:
    """An answer. `stop` is in the words of the client's protocol. Of what was read, `read` is all, `cached` and `written` are parts."""

    text: str = ""
    thought: str = ""
    refusal: str = ""
    calls: list[Got] = field(default_factory=list)
    stop: Any = None
    sequence: str | None = None
    read: int = 0
    cached: int = 0
    written: int = 0
    output: int = 0
    reasoning: int | None = None
    """None: the protocol does not say."""
    model: str = ""
    parsed: Any = None


@dataclass
class Wants:
    """Settings of a request, in no SDK's words. `form` is what the answer is parsed into."""

    cap: int | None = None
    stop: list[str] | None = None
    thinks: bool = False
    tools: bool = False
    forced: bool = False
    form: type[pydantic.BaseModel] | None = None
    system: str = ""
    more: dict[str, Any] = field(default_factory=dict)
    """Options of the SDK's own."""


WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Which one"}, "days": {"type": "integer"}},
    "required": ["city"],
}
"""The parameters of the tool that all of them have, `weather`."""


class Talker(Protocol):
    """A program that talks to a model by an SDK, and keeps the conversation as people do: with what the SDK has given it."""

    wire: str

    def say(self, text: str) -> None:
        """The user says something."""

    def show(self, text: str, kind: str) -> None:
        """The user shows a `png`, a picture at a `url`, or a `pdf`, and says something."""

    def results(self, given: list[tuple[Got, str]]) -> None:
        """What the tools have given."""

    def plain(self, wants: Wants) -> Heard:
        """Ask, and keep the answer."""

    def streamed(self, wants: Wants) -> Heard:
        """Ask for a stream, let the SDK's own accumulator put it together, and keep the answer."""

    def raw(self, wants: Wants) -> Heard:
        """Ask for a stream and read each event, by the SDK's types, strictly. Nothing is kept."""

    def headers(self) -> dict[str, str]:
        """The headers of a plain answer."""

    def counted(self) -> int:
        """The tokens of the conversation, where the SDK has a call for it."""

    def close(self) -> None:
        """The program ends."""


MakeTalker = Callable[[LiveGateway, str], Talker]
