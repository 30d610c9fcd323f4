"""Workers AI's embeddings as they come from Cloudflare. Clients do not speak it: they come over a bridge."""

from __future__ import annotations

from typing import ClassVar

from penstock.upstream.usage import Usage
from penstock.upstream.wires.answers import Reader
from penstock.upstream.wires.embeddings import EmbeddingsWire
from penstock.upstream.wires.openai_usage import normalised
from penstock.upstream.wires.wire import Ask, Wire
from penstock.upstream.wires.workers_chat import WorkersAnswer

_ANSWER = Reader(WorkersAnswer, b"{", b'{"result":{')


class WorkersEmbeddingsWire(EmbeddingsWire):
    """POST /ai/v1/embeddings."""

    name: ClassVar[str] = "workers_embeddings"
    paths: ClassVar[tuple[str, ...]] = ()

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """The usage, which not every model states."""
        answer = _ANSWER.read(body)
        figures = None if answer is None else answer.said or (answer.result.said if answer.result is not None else None)
        if figures is not None:
            return normalised(figures, None), False
        if answer is not None and (answer.success is False or answer.errors or answer.error):
            return Usage(calls=0), False
        return self.guess(ask, len(body)), True


WIRE: Wire = WorkersEmbeddingsWire()
