"""CORS preflight: answered before any authentication, since browsers send no credentials with it."""

from __future__ import annotations

from penstock.relay.exchange import Exchange

_USUAL = (
    b"authorization, content-type, x-api-key, api-key, anthropic-version, anthropic-beta, openai-organization, openai-project, openai-beta"
)


def answer_preflight(exchange: Exchange) -> None:
    """Answer an OPTIONS request: everything that is asked for is allowed; keys, not origins, guard the API."""
    wanted = b", ".join(value for name, value in exchange.headers if name == b"access-control-request-headers") or _USUAL
    private = any(name == b"access-control-request-private-network" for name, _ in exchange.headers)
    lines = [
        b"access-control-allow-methods: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n",
        b"access-control-allow-headers: %b\r\n" % wanted,
        b"access-control-max-age: 86400\r\n",
        b"vary: access-control-request-headers\r\n",
    ]
    if private:
        lines.append(b"access-control-allow-private-network: true\r\n")
    if exchange.sifted.origin is None:
        lines.append(b"access-control-allow-origin: *\r\n")
    if exchange.upload is not None and not exchange.upload.done:
        exchange.close = True
    exchange.write(exchange.head(204, lines, b""))
    exchange.finish()
