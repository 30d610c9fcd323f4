"""The messages side: Anthropic's Messages, as a client's wire and as a provider's. Source: Anthropic's reference of the API, and
the types of the official SDK.
"""

from __future__ import annotations

from typing import ClassVar

from penstock.upstream.bridges.conversation import Asked, Failure, Reply
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.messages import asks_in, asks_out, failures, replies
from penstock.upstream.bridges.messages.listening import MessagesListener
from penstock.upstream.bridges.messages.telling import MessagesTeller
from penstock.upstream.bridges.side import About, Listener, Side, Teller


class MessagesSide:
    """POST /v1/messages."""

    wire: ClassVar[str] = "messages"

    def read_ask(self, body: bytes) -> Asked:
        """The client's request."""
        return asks_in.read_ask(body)

    def write_ask(self, asked: Asked, model: str, dropped: Dropped) -> bytes:
        """The body of the request to a provider."""
        return asks_out.write_ask(asked, model, dropped)

    def path(self, asked: Asked, model: str) -> tuple[str, bytes]:
        """Where it is posted."""
        return "/v1/messages", b""

    def read_reply(self, body: bytes) -> Reply:
        """A provider's whole message."""
        return replies.read_reply(body)

    def write_reply(self, reply: Reply, about: About) -> bytes:
        """The client's whole message."""
        return replies.write_reply(reply, about)

    def listener(self, teller: Teller) -> Listener:
        """A reader for a provider's stream."""
        return MessagesListener(teller)

    def teller(self, about: About) -> Teller:
        """A writer for the client's stream."""
        return MessagesTeller(about)

    def read_failure(self, status: int, body: bytes) -> Failure:
        """A provider's error."""
        return failures.read_failure(status, body)

    def write_failure(self, failure: Failure, request_id: str) -> tuple[int, bytes]:
        """The client's error."""
        return failures.write_failure(failure, request_id)


SIDE: Side = MessagesSide()
