"""The side of chat completions: OpenAI's own, and all that copy it."""

from __future__ import annotations

from typing import ClassVar

from penstock.upstream.bridges.chat.asks_in import read_ask
from penstock.upstream.bridges.chat.asks_out import write_ask
from penstock.upstream.bridges.chat.failures import read_failure, write_failure
from penstock.upstream.bridges.chat.listening import ChatListener
from penstock.upstream.bridges.chat.replies_in import read_reply
from penstock.upstream.bridges.chat.replies_out import write_reply
from penstock.upstream.bridges.chat.telling import ChatTeller
from penstock.upstream.bridges.conversation import Asked, Failure, Reply
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.side import About, Listener, Side, Teller


class ChatSide:
    """`/v1/chat/completions`, both ways."""

    wire: ClassVar[str] = "chat"

    def read_ask(self, body: bytes) -> Asked:
        """The client's request."""
        return read_ask(body)

    def write_ask(self, asked: Asked, model: str, dropped: Dropped) -> bytes:
        """The request to a provider."""
        return write_ask(asked, model, dropped)

    def path(self, asked: Asked, model: str) -> tuple[str, bytes]:
        """Always the same."""
        return "/v1/chat/completions", b""

    def read_reply(self, body: bytes) -> Reply:
        """A provider's whole answer."""
        return read_reply(body)

    def write_reply(self, reply: Reply, about: About) -> bytes:
        """The client's whole answer."""
        return write_reply(reply, about)

    def listener(self, teller: Teller) -> Listener:
        """A reader of chunks."""
        return ChatListener(teller)

    def teller(self, about: About) -> Teller:
        """A writer of chunks."""
        return ChatTeller(about)

    def read_failure(self, status: int, body: bytes) -> Failure:
        """A provider's error."""
        return read_failure(status, body)

    def write_failure(self, failure: Failure, request_id: str) -> tuple[int, bytes]:
        """The client's error."""
        return write_failure(failure)


SIDE: Side = ChatSide()
