"""What a wire is: a protocol as it is on the wire, and how the few facts we need are read from its bytes."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar, Protocol

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.usage import Usage


class Ask(msgspec.Struct, gc=False):
    """The facts learned from a request body. `model` is None where the protocol names none."""

    model: str | None = None
    stream: bool = False
    output_cap: int | None = None
    """The caller's own bound on output tokens (`max_tokens` and its kin), times `n` where the wire has one."""
    input_size: int = 0
    """Bytes of the body that the input is estimated from, 4 to a token; base64 and files count as a 64th of their size."""
    hides_usage: bool = False
    """The stream's usage chunk was asked for by us and must not be shown to the client."""
    stream_options: bool = False
    """The body has `stream_options`: they are to be edited, not added."""
    respelled: bool = False
    """The body says in another wire's way what this one has its own way for; whoever speaks only this one would not understand it."""
    quantity: Usage | None = None
    """What is already known to be consumed whatever the answer says (characters to speak, images asked for)."""


class Verdict(IntEnum):
    """What to do with one event of a stream."""

    PASS = 0
    """Forward it."""
    HIDE = 1
    """Do not show it to the client."""
    LAST = 2
    """It tells the client that the answer is complete: hold it, and all after it, until the charge is durable."""


class Cut(msgspec.Struct, gc=False):
    """A stream that is ended before the provider has ended it, and what its last events are to be like."""

    ask: Ask
    request: bytes
    """The request's body."""
    request_id: str
    first: bytes
    """The stream's first event, or the beginning of a long one; empty if there was none."""
    last: bytes
    """The end of what the client was shown: some whole events."""
    usage: Usage
    """What has been used, mostly an estimate."""


class StreamMeter(Protocol):
    """Reads one streamed answer, in constant memory.

    The relay forwards bytes and calls `event` for some of the first events, until the meter has `learned` from them, and then
    only for those that contain one of `marks`; events without a mark are only counted by size through `skip`. An event is one
    SSE event, `data:` lines and all, without its final blank line.
    """

    marks: tuple[bytes, ...]

    @property
    def learned(self) -> bool:
        """It has read enough to estimate by sizes what is in the events that it does not read."""

    def event(self, event: bytes) -> Verdict:
        """Learn from an event that contains a mark."""

    def skip(self, size_bytes: int, events: int) -> None:
        """Count events that were forwarded unread, for the estimate if the stream breaks off."""

    def usage(self) -> tuple[Usage, bool]:
        """The usage, and whether it is estimated (True when the provider's own figures did not arrive)."""


class Dialect(Protocol):
    """How a family of protocols writes errors, and keeps a silent stream alive."""

    name: str

    def error(self, exc: PenstockError, request_id: str) -> bytes:
        """The JSON body of an error."""

    def stream_error(self, exc: PenstockError, request_id: str) -> bytes:
        """The SSE event (or events) that ends a stream that has begun, blank line included."""

    keep_alive: bytes
    """What may be sent between two events of a silent stream so that clients do not give up."""


class Wire(Protocol):
    """One protocol. Instances are stateless and shared; one module of this package each, found by discovery."""

    name: ClassVar[str]
    dialect: Dialect
    paths: ClassVar[tuple[str, ...]]
    """Normalised paths, e.g. "/v1/chat/completions"; POST only, but for the platform's own, which say their `methods`."""
    accepts_forms: ClassVar[bool]
    """Bodies may be multipart or url-encoded forms; then `peek_form` is used."""
    forms_as_json: ClassVar[bool]
    """A form is only another spelling of the JSON body: it is made one by `from_form` before anything else looks at it."""
    addressed: ClassVar[bool]
    """Which model and what is to be done with it stands in the URL, as at Google. Then it has no `paths` but `claims` them, `peek_at`
    is used instead of `peek`, and a request for another model goes to its `renamed_path`.
    """

    def claims(self, path: str) -> bool:
        """Whether a POST to this normalised path, which is none of any wire's `paths`, is of this wire."""

    def peek_at(self, path: str, query: bytes, body: bytes) -> Ask:
        """Learn the facts from where a JSON body was posted, and from the body. Raises as `peek` does."""

    def renamed_path(self, path: str, model: str) -> str:
        """The path that asks another model for the same."""

    def peek(self, body: bytes) -> Ask:
        """Learn the facts from a JSON body. Raises `PenstockError("invalid_json" | "missing_model")`."""

    def peek_form(self, fields: dict[str, str], size_bytes: int) -> Ask:
        """Learn the facts from the plain fields of a form."""

    def from_form(self, fields: dict[str, str]) -> bytes:
        """The JSON body that means the same as a form, where `forms_as_json`."""

    def prepare(self, body: bytes, ask: Ask, model: str | None) -> bytes:
        """The body to send: `body` itself unless the model is to be renamed to `model` or usage must be asked for.

        Only what changes is changed; every other byte and the order of the fields stay. Where forms are accepted, url-encoded
        ones are renamed as well.
        """

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader for one streamed answer."""

    def cut_short(self, error: PenstockError, cut: Cut) -> bytes:
        """The events that end a stream in good order for the reason `error`: as one whose output reached its bound, where the
        wire knows that, with the code of the error in a place that the official SDKs keep and do not stumble over.
        """

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """The usage of a whole plain answer, and whether it is estimated. Never raises: a body that cannot be
        read is estimated by its size. For long answers the relay passes only the last bytes.
        """
