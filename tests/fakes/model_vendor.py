"""A vendor of models on loopback: it speaks all four protocols, checks requests as the real ones do, and says what a test tells it."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import chat_words
import claude_words
import google_words
import responses_words
from fake_answers import answer, chunk, head, stream_head
from fake_provider import FakeProvider, Line, Received, Step, close
from says import Says

SPEAK: dict[str, Any] = {"chat": chat_words, "responses": responses_words, "messages": claude_words, "gemini": google_words}


@dataclass
class Fault:
    """An answer that is an error: `message` in the vendor's own words, or `body` as it is."""

    status: int
    message: str = "The vendor says no."
    body: bytes = b""
    kind: str = "application/json"
    headers: tuple[str, ...] = ()


@dataclass
class Asked:
    """A request that came."""

    wire: str
    model: str
    body: dict[str, Any]
    received: Received = field(repr=False)


def wire_of(path: str) -> str:
    """The protocol of a path."""
    if path.endswith("/chat/completions"):
        return "chat"
    if path.endswith("/responses"):
        return "responses"
    return "gemini" if ":" in path.rsplit("/", 1)[-1] else "messages"


@dataclass
class ModelVendor(FakeProvider):
    """Says what `say` has told it, one after another; after the last, that it is `idle`."""

    idle: Says = field(default_factory=lambda: Says("Hello."))
    asked: list[Asked] = field(default_factory=list)
    tokens: int = 31
    """What it counts."""
    bad: dict[str, Fault] = field(default_factory=dict)
    """What it says to whoever comes with such a credential."""
    trouble: Fault | None = None
    """What it says to everybody."""
    checks: bool = True
    """It takes only what the real ones take."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.plans: deque[Says | Fault] = deque()

    def say(self, *plans: Says | Fault) -> None:
        """What it says to the next requests."""
        self.plans.extend(plans)

    def forget(self) -> None:
        """Be as new."""
        self.plans.clear()
        self.bad.clear()
        self.trouble = None
        self.asked.clear()
        self.requests.clear()

    async def _answer(self, line: Line, received: Received) -> None:
        self.requests.append(received)
        await line.body(received)
        await self._play(line, self._steps(received))
        await self._tell()

    def _steps(self, received: Received) -> tuple[Step, ...]:
        path = received.target.partition("?")[0]
        body = json.loads(received.body or b"{}")
        wire = wire_of(path)
        model = unquote(path.rsplit("/", 1)[-1].partition(":")[0]) if wire == "gemini" else body.get("model", "")
        asked = Asked(wire, model, body, received)
        self.asked.append(asked)
        if path.endswith("/count_tokens"):
            return (answer({"input_tokens": self.tokens}),)
        if path.endswith(":countTokens"):
            return (answer({"totalTokens": self.tokens}),)
        if path.endswith(":streamGenerateContent"):
            assert received.target.endswith("alt=sse"), received.target
        words = SPEAK[wire]
        fault = self.trouble or next((fault for secret, fault in self.bad.items() if secret.encode() in received.raw_head), None)
        if fault is not None:
            return (_fault(fault, wire),)
        unfit = "" if not self.checks else words.wrong(body, model) if wire == "gemini" else words.wrong(body)
        plan = Fault(400, f"unfit: {unfit}") if unfit else self.plans.popleft() if self.plans else self.idle
        if isinstance(plan, Fault):
            return (_fault(plan, wire),)
        if not (body.get("stream") or path.endswith(":streamGenerateContent")):
            return (answer(words.plain(plan, body)),)
        return (stream_head(), *(chunk(one) for one in words.events(plan, body)), *((close,) if plan.breaks == "cut" else (b"0\r\n\r\n",)))


def _fault(fault: Fault, wire: str) -> bytes:
    body = fault.body or json.dumps((chat_words if wire == "responses" else SPEAK[wire]).failure(fault.status, fault.message)).encode()
    return head(fault.status, f"content-length: {len(body)}", *fault.headers, kind=fault.kind) + body
