"""One request to the demo provider, and how its body and its wishes are read."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from penstock.upstream.demo.answer import RefusedError
from penstock.upstream.demo.forms import Form, parse_form
from penstock.upstream.demo.manners import PLAIN, Manners, UnknownMannersError, manners_of
from penstock.upstream.demo.stock import Stock

T = TypeVar("T")

_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


def _decoder(wanted: type[T]) -> msgspec.json.Decoder[T]:
    if wanted not in _decoders:
        _decoders[wanted] = msgspec.json.Decoder(wanted)
    return _decoders[wanted]


class Request:
    """A request whose body has arrived. Header names are in lower case; of a repeated header the last counts."""

    __slots__ = ("_digest", "body", "headers", "keep_alive", "manners", "method", "path", "query", "rest", "stock", "version")

    def __init__(self, method: str, target: bytes, headers: dict[bytes, bytes], body: bytes, stock: Stock) -> None:
        path, _, query = target.partition(b"?")
        self.method = method
        self.path = path.decode("latin-1")
        self.query = query
        self.headers = headers
        self.body = body
        self.stock = stock
        self.version = "1.1"
        self.keep_alive = True
        self.manners: Manners = PLAIN
        self.rest = ""
        self._digest = ""

    @property
    def dialect(self) -> str:
        """Whose errors and headers this request expects: "openai" or "anthropic"."""
        if self.path.startswith("/v1/messages") or self.path == "/v1/complete" or b"anthropic-version" in self.headers:
            return "anthropic"
        return "openai"

    @property
    def digest(self) -> str:
        """24 hex digits that are the same for the same request; ids are made of them."""
        if not self._digest:
            self._digest = blake2b(self.body, digest_size=12, key=self.path.encode()[:64]).hexdigest()
        return self._digest

    def param(self, name: str) -> str | None:
        """A query parameter."""
        return dict(parse_qsl(self.query.decode("latin-1"))).get(name)

    def read(self, wanted: type[T]) -> T:
        """The JSON body as `wanted`. Raises `RefusedError` 400 or 415."""
        self._refuse_encoded()
        try:
            return _decoder(wanted).decode(self.body)
        except msgspec.ValidationError as exc:
            raise RefusedError(400, f"Invalid request: {exc}") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise RefusedError(400, "We could not parse the JSON body of your request.") from None

    def form(self) -> Form:
        """The multipart or url-encoded body. Raises `RefusedError` 400 or 415."""
        self._refuse_encoded()
        return parse_form(self.body, self.headers.get(b"content-type", b""))

    def behave(self, model: str, user: str | None = None) -> Manners:
        """Learn from the model's name how to answer. Raises the `RefusedError` that the name asks for."""
        try:
            manners = self.manners = manners_of(model, user)
        except UnknownMannersError as exc:
            message = f"The model `{model}` does not exist: the demo provider knows no suffix `{exc}`. See docs/demo.md."
            raise RefusedError(404, message, code="model_not_found", param="model") from None
        if manners.status:
            headers = b"retry-after: 1\r\n" if manners.status in (429, 503, 529) else b""
            raise RefusedError(manners.status, f"The demo provider fails with {manners.status}, as the model's name asks.", headers=headers)
        if manners.flaky and not self.stock.seen(self.digest):
            raise RefusedError(503, "The demo provider fails once, as the model's name asks. Try again.")
        return manners

    def _refuse_encoded(self) -> None:
        if self.headers.get(b"content-encoding", b"identity") != b"identity":
            raise RefusedError(415, "The demo provider does not read compressed bodies.")
