"""The side of Gemini's own protocol."""

from __future__ import annotations

from typing import ClassVar

from penstock.upstream.bridges.conversation import Asked, Failure, Reply
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.gemini import asks_in, asks_out, failures, replies
from penstock.upstream.bridges.gemini.listening import GeminiListener
from penstock.upstream.bridges.gemini.telling import GeminiTeller
from penstock.upstream.bridges.side import About, Listener, Side, Teller
from penstock.upstream.wires.addressed import path_at
from penstock.upstream.wires.gemini import STREAMING


class GeminiSide:
    """`generateContent` and `streamGenerateContent`, both ways. Streams are server-sent events: what a client gets without `alt=sse`
    is for whoever answers it.
    """

    wire: ClassVar[str] = "gemini"

    def read_ask(self, body: bytes) -> Asked:
        """The client's request; model and `stream` are in its URL and not set here. Raises PenstockError."""
        return asks_in.read_ask(body)

    def write_ask(self, asked: Asked, model: str, dropped: Dropped) -> bytes:
        """The body of the request to Google. Raises PenstockError `cannot_translate`."""
        return asks_out.write_ask(asked, model, dropped)

    def path(self, asked: Asked, model: str) -> tuple[str, bytes]:
        """Where it is posted."""
        if asked.stream:
            return path_at("/v1beta", model, STREAMING), b"alt=sse"
        return path_at("/v1beta", model, "generateContent"), b""

    def read_reply(self, body: bytes) -> Reply:
        """Google's whole answer. Raises ValueError."""
        return replies.read_reply(body)

    def write_reply(self, reply: Reply, about: About) -> bytes:
        """The client's whole answer."""
        return replies.write_reply(reply, about)

    def listener(self, teller: Teller) -> Listener:
        """A reader for Google's stream."""
        return GeminiListener(teller)

    def teller(self, about: About) -> Teller:
        """A writer for the client's stream."""
        return GeminiTeller(about)

    def read_failure(self, status: int, body: bytes) -> Failure:
        """Google's error."""
        return failures.read_failure(status, body)

    def write_failure(self, failure: Failure, request_id: str) -> tuple[int, bytes]:
        """The client's error."""
        return failures.write_failure(failure)


SIDE: Side = GeminiSide()
