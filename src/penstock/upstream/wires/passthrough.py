"""Everything that no other wire claims: forwarded as it is, metered as a call."""

from __future__ import annotations

from typing import ClassVar

from penstock.kit.errors import PenstockError
from penstock.upstream.usage import Usage
from penstock.upstream.wires import asks
from penstock.upstream.wires.jsonwire import JsonWire
from penstock.upstream.wires.openai_usage import normalised
from penstock.upstream.wires.streams import DONE, TOKENS_MARK
from penstock.upstream.wires.typed import TypedMeter
from penstock.upstream.wires.wire import Ask, StreamMeter, Wire


class PassthroughMeter(TypedMeter):
    """Reads usage where there is some. Whether it is charged depends on the request: see `PassthroughWire`."""

    marks: tuple[bytes, ...] = (TOKENS_MARK, b"message_stop", b"response.completed", b"response.failed", b"response.incomplete", DONE)
    ends = frozenset(("message_stop", "response.completed", "response.failed", "response.incomplete"))

    @property
    def learned(self) -> bool:
        """Always: nothing is estimated."""
        return True

    def usage(self) -> tuple[Usage, bool]:
        """What the provider stated, else one call."""
        return (Usage() if self._ask.model is None or self._usage is None else self._usage), False


class PassthroughWire(JsonWire):
    """Any method and path, any body.

    Usage counts only where the request names a model. Without one it could not be priced; and what shows a stored answer
    again (`GET /v1/responses/ID`) has usage in it that was charged when it was made.
    """

    name: ClassVar[str] = "passthrough"
    accepts_forms: ClassVar[bool] = True

    def peek(self, body: bytes) -> Ask:
        """Learn the model, if the body is a JSON object that names one. Never raises."""
        model = None
        if body.lstrip(b" \t\r\n")[:1] == b"{":
            try:
                model = asks.optional_model(asks.read_fields(self.fields, body).model)
            except PenstockError:
                model = None
        return Ask(model=model, input_size=asks.text_size(body))

    def peek_form(self, fields: dict[str, str], size_bytes: int) -> Ask:
        """Learn the model, if the form names one. Never raises."""
        try:
            model = asks.optional_model(fields.get("model"))
        except PenstockError:
            model = None
        return Ask(model=model, input_size=asks.form_size(fields, size_bytes))

    def prepare(self, body: bytes, ask: Ask, model: str | None) -> bytes:
        """The body with the model renamed, if it named one."""
        return body if ask.model is None else super().prepare(body, ask, model)

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader for one stream."""
        return PassthroughMeter(ask)

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """What the answer states, else one call."""
        answer = self._answer.read(body) if ask.model is not None else None
        figures = answer.figures if answer is not None else None
        if answer is None or figures is None:
            failed = answer is not None and answer.failed
            return Usage(calls=0 if failed else 1), False
        return normalised(figures, answer.service_tier), False


WIRE: Wire = PassthroughWire()
