"""A bridge: how a request on the client's wire is put to a channel that speaks another one, and the answer brought back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from penstock.upstream.wires.wire import Ask, Wire


@dataclass(frozen=True, slots=True)
class Spot:
    """What a bridge needs to know of the exchange besides the body."""

    model: str
    """The model as the provider knows it."""
    public: str
    """The model as the client asked for it."""
    path: str
    """The normalised path that the client has called."""
    query: bytes
    content_type: bytes
    request_id: str
    created: int
    """Now, in seconds since 1970."""


class StreamCrossing(Protocol):
    """One streamed answer on its way."""

    @property
    def ended(self) -> bool:
        """What was given last ends the client's stream: it is to be held back until the charge is durable."""

    def event(self, event: bytes) -> bytes:
        """One whole SSE event of the provider's, in the client's words: none, one or several events."""

    def over(self) -> bytes:
        """The provider's stream has ended in good order: what still has to be said."""


class Crossing(Protocol):
    """One exchange on its way over a bridge: the request to send, and how to read what comes back."""

    wire: Wire
    """What the provider speaks: its meter and `read` know the usage."""
    ask: Ask
    """What to go by when the provider's answer is metered."""
    method: bytes
    path: str
    query: bytes
    body: bytes
    """Empty, with a method that has none."""
    headers: bytes
    """Whole header lines that describe the body, `content-type` among them."""
    dropped: bytes
    """A header line for the client that says what could not be said; empty if all was."""
    passes: bool
    """A good plain answer goes to the client as it is (sound, a picture)."""

    def whole(self, status: int, content_type: bytes, body: bytes) -> tuple[int, bytes, bytes]:
        """A plain answer or an error in the client's words: status, content-type, body. Never raises: what cannot be read becomes
        an error of status 502.
        """

    def stream(self) -> StreamCrossing:
        """Begin with a streamed answer."""

    def replay(self, body: bytes) -> bytes | None:
        """A whole answer, sent where a stream was asked for, as a stream; None if it cannot be read."""


class Bridge(Protocol):
    """From one wire to another. Stateless and shared."""

    source: str
    """The wire of the client."""
    target: str
    """The wire of the channel."""

    def cross(self, body: bytes, spot: Spot) -> Crossing:
        """The request on the other side. Raises PenstockError: 400 for what cannot be read, or cannot be said there."""
