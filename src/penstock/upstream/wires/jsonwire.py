"""What the wires have in common whose request is a JSON object that names a model."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import quote_plus, unquote_to_bytes

import msgspec
from mypy_extensions import mypyc_attr

from penstock.kit.errors import PenstockError
from penstock.kit.jsonfield import Field
from penstock.upstream.dialects import openai
from penstock.upstream.usage import Usage
from penstock.upstream.wires import asks, estimate
from penstock.upstream.wires.answers import Reader
from penstock.upstream.wires.fields import Fields
from penstock.upstream.wires.openai_figures import Answer
from penstock.upstream.wires.openai_usage import Kind, normalised
from penstock.upstream.wires.wire import Ask, Cut, Dialect

MODEL = Field("model")


def _renamed_form(body: bytes, model: str) -> bytes:
    """A url-encoded form with another model, in every field of that name."""
    pairs = body.split(b"&")
    for index, pair in enumerate(pairs):
        key = pair.partition(b"=")[0]
        if unquote_to_bytes(key) == b"model":
            pairs[index] = key + b"=" + quote_plus(model).encode()
    return b"&".join(pairs)


@mypyc_attr(allow_interpreted_subclasses=True)
class JsonWire:
    """The parts of a `Wire` that are the same for most. Answers are read as OpenAI writes them."""

    dialect: Dialect = openai.DIALECT
    paths: ClassVar[tuple[str, ...]] = ()
    accepts_forms: ClassVar[bool] = False
    forms_as_json: ClassVar[bool] = False
    addressed: ClassVar[bool] = False
    fields: ClassVar[msgspec.json.Decoder[Fields]] = msgspec.json.Decoder(Fields)
    reads: ClassVar[Kind] = "text"
    """What kind of token the input is where the answer does not say."""
    writes: ClassVar[Kind] = "text"
    """What kind of token the output is where the answer does not say."""

    _answer: ClassVar[Reader[Answer]] = Reader(Answer)

    def peek(self, body: bytes) -> Ask:
        """Learn the facts from a JSON body."""
        fields = asks.read_fields(self.fields, body)
        return Ask(
            model=asks.model_of(fields.model),
            stream=asks.flag(fields.stream, "stream"),
            output_cap=asks.cap(fields.cap),
            input_size=asks.text_size(body),
        )

    def peek_form(self, fields: dict[str, str], size_bytes: int) -> Ask:
        """Refuse: this wire takes no forms."""
        raise PenstockError("invalid_json", "The body must be a JSON object with content-type application/json, not a form.")

    def claims(self, path: str) -> bool:
        """Whether a path that is not one of `paths` is of this wire."""
        return False

    def peek_at(self, path: str, query: bytes, body: bytes) -> Ask:
        """Learn the facts from the body alone: the path says nothing."""
        return self.peek(body)

    def renamed_path(self, path: str, model: str) -> str:
        """The path itself: no model is in it."""
        return path

    def from_form(self, fields: dict[str, str]) -> bytes:
        """The fields as a JSON object, all of them text."""
        return msgspec.json.encode(fields)

    def prepare(self, body: bytes, ask: Ask, model: str | None) -> bytes:
        """The body with the model renamed."""
        if model is None or model == ask.model or not body:
            return body
        if self.accepts_forms and body.lstrip()[:1] != b"{":
            return _renamed_form(body, model)
        return MODEL.replaced(body, msgspec.json.encode(model))

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """The usage of a plain answer."""
        answer = self._answer.read(body)
        figures = answer.figures if answer is not None else None
        if answer is not None and figures is not None:
            return normalised(figures, answer.service_tier, reads=self.reads, writes=self.writes), False
        if answer is not None and answer.failed:
            return Usage(calls=0), False
        return self.guess(ask, len(body)), True

    def cut_short(self, error: PenstockError, cut: Cut) -> bytes:
        """The dialect's error event: on most wires nothing else ends a stream early."""
        return self.dialect.stream_error(error, cut.request_id)

    def guess(self, ask: Ask, answer_bytes: int) -> Usage:
        """The usage of an answer that does not state it."""
        return estimate.plain(ask, answer_bytes)
