"""Bodies: from what the client sends to what is known of it, held whole where it is JSON, streamed where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.kit.errors import PenstockError
from penstock.relay.compression import TooLarge, expand_strictly
from penstock.relay.forms import is_multipart, is_urlencoded, multipart_fields, urlencoded_fields
from penstock.relay.tunnel import session_ask
from penstock.upstream.wires.wire import Ask

if TYPE_CHECKING:
    from penstock.relay.exchange import Exchange
    from penstock.relay.plane import Plane
    from penstock.relay.upload import Upload

FIRST_LOOK = 16 * 1024


async def read_ask(exchange: Exchange, plane: Plane) -> Ask:
    """What is asked for. Afterwards `exchange.body` is the held body, or `exchange.upload` still streams.

    Raises PenstockError 400 or 413.
    """
    upload = exchange.upload
    if exchange.wire.name == "realtime":
        return session_ask(exchange)
    if upload is None:
        body = exchange.body or b""
        if exchange.sifted.content_encoding:
            body = exchange.body = _expanded(exchange, body, plane)
        return _peek(exchange, body)
    exchange.edge.send_continue()
    kind = exchange.sifted.content_type
    wire = exchange.wire
    if plane.records_all or plane.settings.record_body_limit:
        upload.record_limit = plane.settings.record_body_limit
    if is_multipart(kind) and wire.accepts_forms and not exchange.sifted.content_encoding:
        return await _find_fields(exchange, upload, plane)
    if is_multipart(kind) or wire.name == "passthrough" and not _is_json(kind):
        return Ask(input_size=exchange.sifted.length or 0)
    body = await upload.whole()
    if upload.too_large:
        raise _too_large(plane)
    exchange.upload = None
    exchange.body = body = _expanded(exchange, body, plane)
    return _peek(exchange, body)


def _peek(exchange: Exchange, body: bytes) -> Ask:
    if exchange.wire.accepts_forms and is_urlencoded(exchange.sifted.content_type):
        return exchange.wire.peek_form(urlencoded_fields(body), len(body))
    return exchange.wire.peek(body)


async def _find_fields(exchange: Exchange, upload: Upload, plane: Plane) -> Ask:
    """Wait for as much of a form as holds its `model`; files that come before it are held, up to the body limit."""
    wanted = FIRST_LOOK
    kind = exchange.sifted.content_type
    while True:
        prefix = await upload.prefix(wanted)
        if upload.too_large:
            raise _too_large(plane)
        fields = multipart_fields(prefix, kind)
        if "model" in fields or upload.done:
            break
        wanted = max(wanted, len(prefix)) * 2
    size = exchange.sifted.length or upload.size
    ask = exchange.wire.peek_form({name: field.value for name, field in fields.items()}, size)
    new = plane.rewrites.get(ask.model) if ask.model is not None else None
    if new is not None:
        field = fields["model"]
        upload.replace(prefix[: field.start] + new.encode() + prefix[field.end :])
    return ask


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


def _is_json(content_type: bytes) -> bool:
    return not content_type or b"json" in content_type.lower()
