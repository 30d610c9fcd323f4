"""Bodies: from what the client sends to what is known of it, held whole where it is JSON, streamed where it is not."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from penstock.kit.errors import PenstockError
from penstock.relay.compression import TooLarge, expand_strictly
from penstock.relay.forms import is_json, is_multipart, is_urlencoded, multipart_fields, urlencoded_fields
from penstock.relay.tunnel import session_ask
from penstock.upstream.wires.wire import Ask

if TYPE_CHECKING:
    from penstock.relay.exchange import Exchange
    from penstock.relay.plane import Plane
    from penstock.relay.upload import Upload

FIRST_LOOK = 16 * 1024
_FILE = re.compile(rb"\r\ncontent-disposition:[^\r\n]*;[ \t]*filename\*?=", re.IGNORECASE)
MODELLESS = ("/v1/files", "/v1/uploads", "/v1/containers", "/v1/vector_stores")
"""Forms to these paths are files and nothing else: no model is looked for."""


def read_held(exchange: Exchange, plane: Plane) -> Ask:
    """What is asked for by a body that is here. Raises PenstockError 400 or 413."""
    body = exchange.body or b""
    if exchange.sifted.content_encoding:
        body = exchange.body = _expanded(exchange, body, plane)
    return peek(exchange, body)


async def read_upload(exchange: Exchange, plane: Plane, *, whole: bool) -> Ask:
    """What is asked for by a body that is coming. Afterwards `exchange.body` holds it, or `exchange.upload` still streams.

    `whole`: a form is waited for to its end, since not every model may be used, or there are rules, and a second `model` may come last.

    Raises PenstockError 400 or 413.
    """
    upload = exchange.upload
    assert upload is not None  # noqa: S101  the caller looked
    upload.invite()
    kind = exchange.sifted.content_type
    wire = exchange.wire
    plain_form = is_multipart(kind) and not exchange.sifted.content_encoding
    if wire.name == "passthrough" and (exchange.target.path.startswith(MODELLESS) or not (plain_form or is_json(kind))):
        return Ask(input_size=exchange.sifted.length or 0)
    if wire.forms_as_json and (is_multipart(kind) or is_urlencoded(kind)):
        return _respelled(exchange, _expanded(exchange, await upload.whole(), plane))
    if plain_form and wire.accepts_forms:
        return await _find_fields(exchange, upload, whole=whole)
    body = _expanded(exchange, await upload.whole(), plane)
    if wire.accepts_forms and (is_multipart(kind) or is_urlencoded(kind)):
        return _held_form(exchange, body)
    exchange.upload = None
    exchange.body = body
    return peek(exchange, body)


def peek(exchange: Exchange, body: bytes) -> Ask:
    """What a body that is held asks for. Raises PenstockError 400."""
    # Whatever its content-type: a provider may not look at that either, and nothing passes unread.
    wire = exchange.wire
    if wire.addressed:
        return wire.peek_at(exchange.target.path, exchange.target.query, body)
    return session_ask(exchange) if wire.name == "realtime" else wire.peek(body)


def _respelled(exchange: Exchange, body: bytes) -> Ask:
    """A form, where that is only another spelling of JSON: from here on it is that."""
    sifted = exchange.sifted
    kind = sifted.content_type
    values = _part_values(body, kind) if is_multipart(kind) else urlencoded_fields(body)
    forward = sifted.forward.replace(b"content-type: %b\r\n" % kind, b"content-type: application/json\r\n")
    exchange.sifted = replace(sifted, forward=forward, content_type=b"application/json", content_encoding=b"")
    exchange.upload, exchange.body = None, exchange.wire.from_form(values)
    return peek(exchange, exchange.body)


def _part_values(body: bytes, kind: bytes) -> dict[str, str]:
    if _FILE.search(body):
        raise PenstockError("invalid_request", "This call takes no files: send a picture as its URL, or as a data URL.")
    return {name: field.value for name, field in multipart_fields(body, kind, len(body)).items()}


def _held_form(exchange: Exchange, body: bytes) -> Ask:
    """A form that had to be held whole: url-encoded, or compressed."""
    kind = exchange.sifted.content_type
    exchange.upload, exchange.body = None, body
    if not is_multipart(kind):
        return exchange.wire.peek_form(urlencoded_fields(body), len(body))
    fields = multipart_fields(body, kind)
    exchange.naming = fields.get("model")
    return exchange.wire.peek_form({name: field.value for name, field in fields.items()}, len(body))


def renamed_form(exchange: Exchange, ask: Ask, model: str) -> Ask:
    """What a form asks for once it names another model, which is written into it wherever it is."""
    upload, kind = exchange.upload, exchange.sifted.content_type
    if upload is not None:
        upload.rename(model)
        upload.naming = multipart_fields(upload.waiting(), kind).get("model")
        return msgspec.structs.replace(ask, model=model)
    body = exchange.body or b""
    if exchange.naming is not None:
        return _held_form(exchange, exchange.naming.replaced(body, model))
    return _held_form(exchange, exchange.wire.prepare(body, ask, model))


async def _find_fields(exchange: Exchange, upload: Upload, *, whole: bool) -> Ask:
    """Wait for as much of a form as holds its `model`; files that come before it are held, up to the body limit."""
    wanted = FIRST_LOOK
    kind = exchange.sifted.content_type
    while True:
        prefix = await upload.prefix(wanted)
        fields = multipart_fields(prefix, kind)
        if upload.done or ("model" in fields and not whole):
            break
        wanted = max(wanted, len(prefix)) * 2
    size = exchange.sifted.length or upload.size
    upload.naming = fields.get("model")
    return exchange.wire.peek_form({name: field.value for name, field in fields.items()}, size)


def _expanded(exchange: Exchange, body: bytes, plane: Plane) -> bytes:
    encoding = exchange.sifted.content_encoding
    if not encoding or encoding == b"identity" or not body:
        return body
    try:
        return expand_strictly(body, encoding, plane.settings.body_limit)
    except TooLarge:
        raise _too_large(plane) from None
    except ValueError as exc:
        raise PenstockError("invalid_encoding", f"The body cannot be read: {exc}.") from None


def _too_large(plane: Plane) -> PenstockError:
    return PenstockError("body_too_large", f"The body is larger than the limit of {plane.settings.body_limit} bytes.")
