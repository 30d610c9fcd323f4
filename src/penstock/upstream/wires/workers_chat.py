"""Workers AI's chat completions as they come from Cloudflare. Clients do not speak it: they come over a bridge."""

from __future__ import annotations

from typing import Any, ClassVar

from penstock.kit.sse import payload
from penstock.upstream.usage import Usage
from penstock.upstream.wires.answers import Reader
from penstock.upstream.wires.chat import ChatMeter, ChatWire
from penstock.upstream.wires.openai_figures import Answer, Figures
from penstock.upstream.wires.openai_usage import normalised
from penstock.upstream.wires.streams import DONE
from penstock.upstream.wires.wire import Ask, StreamMeter, Verdict, Wire


class Result(Answer, gc=False):
    """What Cloudflare's envelope holds; some models say `metrics` for usage."""

    metrics: Figures | None = None
    choices: Any = None
    response: Any = None
    tool_calls: Any = None

    @property
    def said(self) -> Figures | None:
        """The usage, by either name."""
        if self.figures is not None:
            return self.figures
        return self.metrics if self.metrics is not None and self.metrics.stated else None


class WorkersAnswer(Result, gc=False):
    """What we read of a plain answer and of an event, with and without the envelope."""

    result: Result | None = None
    success: Any = None
    errors: Any = None

    @property
    def empty(self) -> bool:
        """It is an error, whatever its status, or has nothing in it: nothing is charged for it."""
        if self.success is False or self.errors or self.error:
            return True
        inner = self if self.result is None else self.result
        return inner.choices is None and inner.response is None and inner.tool_calls is None


_ANSWER = Reader(WorkersAnswer, b"{", b'{"result":{')


class WorkersChatMeter(ChatMeter):
    """Reads a stream. Usage may be in every event, cumulated: the largest figures count, and they are final at `[DONE]`."""

    overhead_bytes: ClassVar[int] = 60

    def event(self, event: bytes) -> Verdict:
        """Learn from one event."""
        data = payload(event)
        if data.startswith(DONE):
            self._final = True
            return Verdict.LAST
        chunk = _ANSWER.read(data)
        if chunk is None:
            return Verdict.PASS
        inner = chunk if chunk.result is None else chunk.result
        self._failed = self._failed or bool(chunk.error) or bool(chunk.errors) or chunk.success is False
        self._estimate.read(_text(inner), event)
        figures = chunk.said or inner.said
        if figures is not None:
            usage = normalised(figures, None)
            if self._usage is None or _size(usage) >= _size(self._usage):
                self._usage = usage
            self._final = inner.choices == []
        return Verdict.PASS


def _text(inner: Result) -> str:
    """The text in an event, roughly."""
    if isinstance(inner.response, str):
        return inner.response
    choices = inner.choices
    delta = choices[0].get("delta") if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
    if not isinstance(delta, dict):
        return ""
    texts = [delta.get(name) for name in ("content", "reasoning_content", "reasoning")]
    calls = delta.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            texts.append(function.get("arguments"))
    return "".join(text for text in texts if isinstance(text, str))


def _size(usage: Usage) -> int:
    return usage.context_tokens() + usage.output_tokens


class WorkersChatWire(ChatWire):
    """POST /ai/v1/chat/completions."""

    name: ClassVar[str] = "workers_chat"
    paths: ClassVar[tuple[str, ...]] = ()

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader for one stream."""
        return WorkersChatMeter(ask)

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """The usage of a plain answer, from wherever it is in it."""
        answer = _ANSWER.read(body)
        if answer is None:
            return self.guess(ask, len(body)), True
        figures = answer.said or (answer.result.said if answer.result is not None else None)
        if figures is not None:
            return normalised(figures, None), False
        if body[:1] == b"{" and answer.empty:
            return Usage(calls=0), False
        return self.guess(ask, len(body)), True


WIRE: Wire = WorkersChatWire()
