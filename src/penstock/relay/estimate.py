"""Estimate: what a request would cost at most and whether it would be let through, without making it. `POST /v1/estimate`.

It takes the body of the real call and goes the same steps up to the hold, which it does not take.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec

from penstock.infra.database import DatabaseAway
from penstock.kit.errors import PenstockError
from penstock.kit.tasks import spawn
from penstock.relay.admit import find_caller, funds_of, look_up
from penstock.relay.bodies import read_held, read_upload
from penstock.relay.forms import is_multipart, is_urlencoded
from penstock.relay.outcome import COMPLETE
from penstock.relay.paths import Target, find_target
from penstock.relay.permit import permit
from penstock.relay.route import Route, choose, estimate, price_of
from penstock.relay.ruling import known_rules, under_rules
from penstock.upstream.usage import Usage

if TYPE_CHECKING:
    from penstock.keys.door import Caller
    from penstock.relay.exchange import Exchange
    from penstock.relay.plane import Plane
    from penstock.upstream.wires.wire import Ask

ESTIMATE_PATH = "/v1/estimate"
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"


_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


async def answer_estimate(exchange: Exchange, plane: Plane) -> None:
    """Answer one exchange. Raises PenstockError for what is wrong with the question itself: no key, no model, no JSON."""
    if exchange.target.method != b"POST":
        refusal = PenstockError("method_not_allowed", f"{ESTIMATE_PATH} takes a POST with the body of the call that is meant.")
        plane.metrics.refused(refusal.code)
        exchange.refuse(refusal, [b"allow: POST\r\n"])
        return
    caller = find_caller(exchange, plane) or await look_up(exchange, plane)  # 401 503
    rules = known_rules(caller, plane) or await plane.rules.load(caller.account_id or "")  # 503
    ask = await _read(exchange, plane)  # 400 404 413
    found: dict[str, Any] = {"object": "estimate", "path": exchange.target.path, "model": ask.model}
    error: PenstockError | None = None
    try:
        permit(caller, exchange, plane)  # 403
        ask = under_rules(rules, caller, ask, exchange, plane, counts=False)  # 400 403
        found["model"] = ask.model
        route = choose(caller, ask, exchange, plane)  # 402 403 404 503
        found |= _cost(route, caller, ask, exchange, plane)
        await _cover(route, caller, ask, exchange, plane)  # 402 429 503
    except PenstockError as refused:
        if refused.code == "address_not_allowed":
            raise  # who may not call from there is not told about the account either
        error = refused
    balance_nano = await _balance(caller, plane)
    body = msgspec.json.encode(
        dict.fromkeys(_COST) | found | {"balance_nano": balance_nano, "allowed": error is None, "refusal": _told(error)}
    )
    exchange.write(exchange.head(200, [b"content-type: application/json\r\n"], b"content-length: %d\r\n" % len(body)) + body)
    plane.metrics.exchange_ended("estimate", 200, COMPLETE, 0, 0, None, 0)
    exchange.finish()


_COST = (
    "object", "path", "model", "served_model", "provider", "channel", "price_version", "multiplier_micro", "input_tokens_estimated",
    "output_cap", "lines", "at_most_nano",
)  # fmt: skip


def _cost(route: Route, caller: Caller, ask: Ask, exchange: Exchange, plane: Plane) -> dict[str, Any]:
    """The channel that would be asked first, and what the hold would be, line by line."""
    lane = route.lanes[0]
    price = price_of(lane, caller, plane)
    nano, tokens = estimate(price, ask, route, caller, exchange, plane)
    ask = ask if exchange.ruling is None else exchange.ruling.expected(lane.channel, exchange, plane)
    cap = ask.output_cap if ask.output_cap is not None else plane.catalog.output_cap(lane.channel.provider.price_name, lane.served or "")
    usage = Usage(input_tokens=tokens - cap, output_tokens=cap, calls=0)
    return {
        "served_model": lane.served,
        "provider": lane.channel.provider.price_name,
        "channel": lane.channel.name,
        "price_version": price.version if price is not None else None,
        "multiplier_micro": price.multiplier_micro if price is not None else caller.multiplier_micro,
        "input_tokens_estimated": tokens - cap,
        "output_cap": cap,
        "lines": msgspec.to_builtins(price.lines(usage)) if price is not None else [],
        "at_most_nano": nano,
    }


async def _cover(route: Route, caller: Caller, ask: Ask, exchange: Exchange, plane: Plane) -> None:
    """Raise what the walk would raise for want of funds. What this takes on lease for that is not held, and goes back when idle."""
    funds = funds_of(caller, plane)
    nano, tokens = estimate(price_of(route.lanes[0], caller, plane), ask, route, caller, exchange, plane)
    if funds.counted and not funds.covers(nano, tokens, perf_counter_ns()):
        await plane.treasury.reserve(funds, nano, tokens)


def _told(error: PenstockError | None) -> dict[str, Any] | None:
    return {name: getattr(error, name) for name in ("status", "code", "message", "param")} if error is not None else None


async def _balance(caller: Caller, plane: Plane) -> int | None:
    """What the account has, paid and free; None where no balance is kept, or it cannot be read now."""
    if not caller.prepaid or caller.account_id is None or plane.balance is None:
        return None
    try:
        balance: int = await spawn(plane.balance(caller.account_id), name="balance", awaited=True)
    except DatabaseAway:
        return None
    return balance


async def _read(exchange: Exchange, plane: Plane) -> Ask:
    """The facts of the call that is meant. From here on the exchange looks like that call."""
    meant = parse_qs(exchange.target.query.decode("ascii")).get("path")
    kind, upload = exchange.sifted.content_type, exchange.upload
    form = upload is not None and (is_multipart(kind) or is_urlencoded(kind))
    if upload is not None and not form:
        upload.invite()
        exchange.body, exchange.upload = await upload.whole(), None
    path = meant[-1] if meant else ("/v1/audio/transcriptions" if form else _path(exchange))
    target = find_target(b"POST", path.encode("ascii", "replace"))
    if target.wire is None or target.refused:
        raise PenstockError("not_found", f"There is no call {path!r} to be estimated.", param="path")
    exchange.target, exchange.wire = Target(b"POST", target.path, b"", target.wire), target.wire
    return await read_upload(exchange, plane, whole=True) if exchange.upload is not None else read_held(exchange, plane)


def _path(exchange: Exchange) -> str:
    """What a body without a path is probably for; a body that cannot be read is refused by whoever reads it next."""
    try:
        fields = _FIELDS.decode(exchange.body or b"")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        fields = {}
    if "max_tokens_to_sample" in fields:
        return "/v1/complete"
    if "messages" in fields:
        return MESSAGES if exchange.is_anthropic else CHAT
    if "voice" in fields:
        return "/v1/audio/speech"
    if "input" in fields:
        vectors = "dimensions" in fields or "encoding_format" in fields or b"embed" in bytes(fields.get("model", b""))
        return "/v1/embeddings" if vectors else RESPONSES
    if "prompt" in fields:
        return "/v1/images/generations" if "size" in fields or "quality" in fields else "/v1/completions"
    return MESSAGES if exchange.is_anthropic else CHAT
