"""A side: one wire's half of every bridge that it is an end of. It reads and writes requests, replies, streams and errors.

One package each, found by discovery: a package of `bridges` whose module defines `SIDE`. From n sides come n * (n - 1) bridges.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from penstock.upstream.bridges.conversation import Asked, Failure, Image, Reply, Stop
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.usage import Usage


@dataclass(slots=True)
class About:
    """What whoever writes an answer may need to know of its request."""

    asked: Asked
    model: str
    """The name that the client asked for: used where the provider does not say which model has answered."""
    request_id: str
    created: int
    """Now, in seconds since 1970."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Names of tools as they were sent to the provider, by which the client's own are found, where they had to be changed."""


class Teller(Protocol):
    """Writes one stream in a wire's own grammar, whatever order it is told things in.

    Blocks open and close by themselves: `text` after `thought` ends the thought. Tool calls are told apart by `index`, any
    number that is theirs alone; where the wire lets only one be open, what is told of another one waits until its turn. What is told
    before `begin` begins the stream. After `end` or `fail`, `ended` is true and nothing more is written.
    """

    ended: bool

    def begin(self, reply_id: str = "", model: str = "", usage: Usage | None = None) -> None:
        """The reply begins; `usage` is what is known of it, its input perhaps. A second one is ignored."""

    def text(self, delta: str) -> None:
        """More text."""

    def thought(self, delta: str) -> None:
        """More reasoning."""

    def signed(self, signature: str, wire: str) -> None:
        """The reasoning that was told last (or none) is proved by this, which providers of `wire` can read."""

    def redacted(self, data: str, wire: str, item_id: str = "") -> None:
        """Reasoning that only a provider of `wire` can read."""

    def refusal(self, delta: str) -> None:
        """More of why the model will not answer."""

    def image(self, image: Image) -> None:
        """A picture that the model has made, whole."""

    def tool(self, index: int, call_id: str, name: str, *, custom: bool = False, signature: str = "") -> None:
        """A tool call begins."""

    def arguments(self, index: int, delta: str) -> None:
        """More of a call's arguments."""

    def end(self, stop: Stop, usage: Usage, stop_sequence: str | None = None) -> None:
        """The reply is whole."""

    def fail(self, failure: Failure) -> None:
        """The provider has reported an error in the middle."""

    def take(self) -> bytes:
        """What is to be written now: whole SSE events of the client's wire."""


class Listener(Protocol):
    """Reads one stream of a provider's and tells a `Teller` of it. Nothing that a provider sends makes it raise."""

    def event(self, event: bytes) -> None:
        """One whole SSE event, with or without its blank line; comments and pings are events too."""

    def over(self) -> None:
        """The provider's stream has ended in good order. If the reply was not said to be whole, `Teller.end` is told all the same
        when it had a reason to stop, else `Teller.fail` (status 502, kind "upstream_broken").
        """


class Side(Protocol):
    """One wire, both ways."""

    wire: ClassVar[str]
    """Its name in `WIRES`."""

    def read_ask(self, body: bytes) -> Asked:
        """The client's request. Raises PenstockError `invalid_json`, or `invalid_request` with `param`, for what makes no sense."""

    def write_ask(self, asked: Asked, model: str, dropped: Dropped) -> bytes:
        """The body of the request to a provider, which knows the model as `model`. Raises PenstockError `cannot_translate`."""

    def path(self, asked: Asked, model: str) -> tuple[str, bytes]:
        """Where that body is posted: a normalised path such as "/v1/messages", and a query string."""

    def read_reply(self, body: bytes) -> Reply:
        """A provider's whole answer. Raises ValueError for one that cannot be read or has nothing in it."""

    def write_reply(self, reply: Reply, about: About) -> bytes:
        """The client's whole answer."""

    def listener(self, teller: Teller) -> Listener:
        """A reader for a provider's stream."""

    def teller(self, about: About) -> Teller:
        """A writer for the client's stream."""

    def read_failure(self, status: int, body: bytes) -> Failure:
        """A provider's error; what cannot be read becomes a message of its own words. Never raises."""

    def write_failure(self, failure: Failure, request_id: str) -> tuple[int, bytes]:
        """The client's error: status and JSON body."""
