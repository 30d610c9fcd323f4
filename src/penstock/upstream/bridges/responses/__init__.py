"""Responses: OpenAI's Responses as one end of bridges."""

from __future__ import annotations

from typing import ClassVar

from penstock.upstream.bridges.conversation import Asked, Failure, Reply
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.responses import asks_in, asks_out, failures, replies
from penstock.upstream.bridges.responses.listening import ResponsesListener
from penstock.upstream.bridges.responses.telling import ResponsesTeller
from penstock.upstream.bridges.side import About, Listener, Side, Teller


class ResponsesSide:
    """POST /v1/responses."""

    wire: ClassVar[str] = "responses"

    def read_ask(self, body: bytes) -> Asked:
        """The client's request. Raises PenstockError."""
        return asks_in.read_ask(body)

    def write_ask(self, asked: Asked, model: str, dropped: Dropped) -> bytes:
        """The body of the request to a provider. Raises PenstockError `cannot_translate`."""
        return asks_out.write_ask(asked, model, dropped)

    def path(self, asked: Asked, model: str) -> tuple[str, bytes]:
        """Where that body is posted."""
        return "/v1/responses", b""

    def read_reply(self, body: bytes) -> Reply:
        """A provider's whole answer. Raises ValueError."""
        return replies.read_reply(body)

    def write_reply(self, reply: Reply, about: About) -> bytes:
        """The client's whole answer."""
        return replies.write_reply(reply, about)

    def listener(self, teller: Teller) -> Listener:
        """A reader for a provider's stream."""
        return ResponsesListener(teller)

    def teller(self, about: About) -> Teller:
        """A writer for the client's stream."""
        return ResponsesTeller(about)

    def read_failure(self, status: int, body: bytes) -> Failure:
        """A provider's error. Never raises."""
        return failures.read_failure(status, body)

    def write_failure(self, failure: Failure, request_id: str) -> tuple[int, bytes]:
        """The client's error."""
        return failures.write_failure(failure)


SIDE: Side = ResponsesSide()
