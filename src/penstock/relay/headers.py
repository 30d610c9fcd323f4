"""Headers: which go on, which stay here, in both directions."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.keys.door import Caller
from penstock.kit.errors import PenstockError

KEEP, DROP, CREDENTIAL, ORIGIN, TYPE, ENCODING, PROTOCOL, LENGTH, CHUNKED, CONNECTION = range(10)

_HOP = (
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade",
)  # fmt: skip
_ROLES: dict[bytes, int] = {
    **dict.fromkeys(_HOP, DROP),
    **dict.fromkeys((b"host", b"expect", b"cookie", b"forwarded", b"via", b"x-real-ip", b"true-client-ip"), DROP),
    **dict.fromkeys((b"http2-settings", b"referer", b"x-request-id", b"cdn-loop"), DROP),
    # With these some servers answer another request than the one that was metered.
    **dict.fromkeys((b"x-http-method-override", b"x-http-method", b"x-method-override", b"x-original-url", b"x-rewrite-url"), DROP),
    **dict.fromkeys((b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"), CREDENTIAL),
    b"connection": CONNECTION,
    b"content-length": LENGTH,
    b"transfer-encoding": CHUNKED,
    b"origin": ORIGIN,
    b"content-type": TYPE,
    b"content-encoding": ENCODING,
    # Asked for as it is: usage cannot be read from a compressed answer without expanding it.
    b"accept-encoding": DROP,
    b"sec-websocket-protocol": PROTOCOL,
    b"sec-websocket-key": DROP,
    b"sec-websocket-version": DROP,
    b"sec-websocket-extensions": DROP,
}
_PREFIXES = (b"x-forwarded-", b"cf-", b"sec-fetch-", b"sec-ch-", b"x-penstock-", b"access-control-")
NAMING = frozenset((b"openai-organization", b"openai-project", b"anthropic-organization-id"))
"""In an answer they say whose credential it was."""
_ANSWER_DROPS = frozenset(
    (*_HOP, b"content-length", b"set-cookie", b"x-request-id", b"server", b"alt-svc", b"strict-transport-security", b"www-authenticate",
     *NAMING,
     b"x-penstock-cost", b"x-penstock-channel", b"x-penstock-overhead-ms",
     b"access-control-allow-origin", b"access-control-expose-headers", b"access-control-allow-headers",
     b"access-control-allow-methods", b"access-control-allow-credentials", b"access-control-max-age", b"nel", b"report-to")
)  # fmt: skip
_USUAL = frozenset((b"keep-alive", b"Keep-Alive", b"close", b"Close"))
"""Values of `connection` that name no header."""
REMEMBERED = 1024
PROTOCOL_KEY = b"openai-insecure-api-key."
"""Before a key in the name of a WebSocket subprotocol."""


@dataclass
class Sifted:
    """A request's headers, sorted out: what to forward (whole lines), credentials in order of trust, and the few values we read."""

    forward: bytes
    credentials: list[bytes]
    own_credentials: bytes
    """The credential lines as they came, for forwarding with the client's own."""
    origin: bytes | None
    content_type: bytes
    content_encoding: bytes
    length: int | None
    """Bytes of the body, None when it is chunked."""
    caller: Caller | None = None
    """Who was admitted with these credentials, at `epoch` of the keys: a known head need not be asked again."""
    epoch: int = -1


def _role(name: bytes) -> int:
    role = DROP if name.startswith(_PREFIXES) else KEEP
    if len(_ROLES) < REMEMBERED and len(name) <= 64:
        _ROLES[name] = role
    return role


def sift(headers: list[tuple[bytes, bytes]], query: bytes) -> Sifted:
    """Sort a request's headers out. Names are lower case. Headers that `connection` names are dropped too.

    Raises PenstockError 400 for a transfer-encoding other than chunked.
    """
    lines: list[bytes] = []
    credentials: list[bytes] = []
    own: list[bytes] = []
    origin: bytes | None = None
    content_type = content_encoding = b""
    connection = b""
    length: int | None = 0
    for name, value in headers:
        role = _ROLES.get(name)
        if role is None:
            role = _role(name)
        if role == KEEP:
            lines.append(b"%b: %b\r\n" % (name, value))
        elif role == DROP:
            continue
        elif role == LENGTH:
            length = int(value)
        elif role == CONNECTION:
            if value not in _USUAL:
                connection += b"," + value
        elif role == CHUNKED:
            if length is None or value.strip().lower() != b"chunked":
                raise PenstockError("invalid_request", "The transfer-encoding must be chunked, once.")
            length = None
        elif role == CREDENTIAL:
            if token := _token(value):
                credentials.append(token)
            own.append(b"%b: %b\r\n" % (name, value))
        elif role == TYPE:
            content_type = value
        elif role == ORIGIN:
            origin = value
        elif role == ENCODING:
            content_encoding += (b"," if content_encoding else b"") + value.strip().lower()
        elif role == PROTOCOL:
            credentials.extend(_protocol_tokens(value))
    if query and b"key=" in query:
        credentials.extend(part[4:] for part in query.split(b"&") if part.startswith(b"key="))
    if content_type:
        # The one that we go by, should several have been sent.
        lines.append(b"content-type: %b\r\n" % content_type)
    if connection:
        lines = _without(lines, connection)
    return Sifted(b"".join(lines), credentials, b"".join(own), origin, content_type, content_encoding, length)


def _token(value: bytes) -> bytes:
    scheme = value[:7].lower()
    return value[7:].strip() if scheme in (b"bearer ", b"bearer") else value.strip()


def _protocol_tokens(value: bytes) -> list[bytes]:
    """Browsers can't set headers on a WebSocket; OpenAI's convention puts the key into a subprotocol's name."""
    return [item.strip()[len(PROTOCOL_KEY) :] for item in value.split(b",") if item.strip().startswith(PROTOCOL_KEY)]


def _without(lines: list[bytes], connection: bytes) -> list[bytes]:
    named = {part.strip().lower() for part in connection.split(b",")} - {b"keep-alive", b"close", b""}
    return [line for line in lines if line.partition(b":")[0] not in named] if named else lines


def without_upgrade(headers: list[tuple[bytes, bytes]]) -> bytes:
    """The header lines of a request as if it had not offered another protocol."""
    lines: list[bytes] = []
    for name, value in headers:
        if name == b"connection":
            kept = b",".join(token for token in value.split(b",") if token.strip().lower() not in (b"upgrade", b"http2-settings"))
            lines.append(b"connection: %b\r\n" % kept)
        elif name != b"upgrade":
            lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines)


def without_key(query: bytes) -> bytes:
    """A query string without the credential in it."""
    if b"key=" not in query:
        return query
    return b"&".join(part for part in query.split(b"&") if not part.startswith(b"key="))


def answer_lines(headers: list[tuple[bytes, bytes]], *, length: bool) -> list[bytes]:
    """The header lines of an answer that go on to the client; `length`: content-length among them."""
    lines: list[bytes] = []
    connection = b""
    for pair in headers:
        name = pair[0]
        if name not in _ANSWER_DROPS:
            lines.append(b"%b: %b\r\n" % pair)
        elif name == b"x-request-id":
            lines.append(b"x-provider-request-id: %b\r\n" % pair[1])
        elif length and name == b"content-length":
            lines.append(b"content-length: %b\r\n" % pair[1])
        elif name == b"connection" and pair[1] not in _USUAL:
            connection += b"," + pair[1]
    return _without(lines, connection) if connection else lines
