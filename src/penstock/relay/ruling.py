"""Ruling: what the rules of the account and of the operator make of a request, before it is routed and at each attempt.

An account without rules, under an operator without any, costs one look into a dictionary.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import msgspec

from penstock.kit.errors import PenstockError
from penstock.relay.bodies import peek, renamed_form
from penstock.relay.forms import is_multipart, is_urlencoded
from penstock.relay.route import facts_of
from penstock.rules.door import NO_RULES, CompiledRule, Facts, Refusal, RuleSet, Verdict, apply_late, two_stages
from penstock.upstream.wires.jsonwire import MODEL
from penstock.upstream.wires.wire import Ask

if TYPE_CHECKING:
    from penstock.keys.door import Caller
    from penstock.relay.exchange import Exchange
    from penstock.relay.headers import Sifted
    from penstock.relay.plane import Plane
    from penstock.upstream.channel import Channel

_MODEL_PARAMETER = b"model="
NAMED = 50
"""Rules that a client is told of: many clients take no more than 8 KB of headers."""


class Ruling:
    """What rules have done to one request. `came` is the body as the client sent it, `asked` the model that it named."""

    __slots__ = (
        "_ask", "_body", "_facts", "_fired", "_first", "_late", "_shadowed", "_sifted", "_tries", "asked", "came", "fallbacks", "fired",
        "shadowed", "tags",
    )  # fmt: skip

    def __init__(self, came: bytes, asked: str | None, verdict: Verdict, ask: Ask, facts: Facts, exchange: Exchange) -> None:
        self.came = came
        self.asked = asked
        self.fired = self._fired = verdict.fired
        self.shadowed = self._shadowed = verdict.shadowed
        self.tags = verdict.tags or ()
        self.fallbacks = verdict.fallbacks
        self._late: tuple[CompiledRule, ...] = verdict.late
        self._facts = facts
        self._ask, self._first = ask, msgspec.structs.replace(ask) if verdict.late else ask
        self._tries: dict[str, _Try] = {}
        """By the names of channels."""
        self._body: bytes | None = exchange.body
        self._sifted: Sifted = exchange.sifted

    def expected(self, channel: Channel, exchange: Exchange, plane: Plane) -> Ask:
        """What would be asked for on a channel, so that money is held for what the rules for it add. Raises PenstockError as `on` does."""
        return self._on(channel, exchange, plane).ask if self._late else self._first

    def on(self, channel: Channel, exchange: Exchange, plane: Plane) -> None:
        """Apply the rules that depend on the channel, anew for each attempt: what they did for another channel is undone.

        The ask of this exchange becomes that of the attempt: by it the answer is metered. Raises PenstockError as `under_rules` does.
        """
        if not self._late:
            return
        verdict, ask = self._on(channel, exchange, plane)
        for name in ask.__struct_fields__:
            setattr(self._ask, name, getattr(ask, name))
        exchange.sifted = self._sifted
        if self._body is not None:  # else it is an upload, which rules do not change, and which may have come whole since
            exchange.body = self._body
        self.fired, self.shadowed = self._fired, self._shadowed
        if verdict is None:
            return
        plane.rules.count(verdict, time.time_ns() // 1_000_000)
        self.fired += verdict.fired
        self.shadowed += verdict.shadowed
        if verdict.refusal is not None:
            raise _refused(verdict.refusal)
        if verdict.headers:
            exchange.sifted = _forwarding(self._facts.after(verdict), exchange.sifted)
        if verdict.body is not None:
            exchange.body = verdict.body

    def _on(self, channel: Channel, exchange: Exchange, plane: Plane) -> _Try:
        found = self._tries.get(channel.name)
        if found is None:
            verdict = apply_late(self._late, self._facts, channel.name, frozenset(channel.terms.tags))
            ask = self._first
            if verdict is not None and verdict.body is not None:
                ask = _read(verdict, exchange, _bounded(verdict, plane))
            found = self._tries[channel.name] = _Try(verdict, ask)
        return found


class _Try(NamedTuple):
    """What the rules that depend on the channel make of an attempt, and what is asked for then."""

    verdict: Verdict | None
    ask: Ask


def known_rules(caller: Caller, plane: Plane) -> RuleSet | None:
    """The rules of whoever asks; None when they have to be loaded first."""
    return NO_RULES if caller.account_id is None else plane.rules.find(caller.account_id)


def under_rules(own: RuleSet, caller: Caller, ask: Ask, exchange: Exchange, plane: Plane, *, counts: bool = True) -> Ask:
    """What is asked for once the rules have had their say; `exchange` is changed with it. `counts`: it goes into their statistics.

    Raises PenstockError 403 `refused_by_rule` (or another 4xx, where the rule says so), and 400 where what rules have made of
    the body cannot be read.
    """
    kind, body, asked = exchange.sifted.content_type, exchange.body, ask.model
    is_form = exchange.upload is not None or (exchange.wire.accepts_forms and (is_multipart(kind) or is_urlencoded(kind)))
    facts = facts_of(ask, caller, exchange, None if is_form else body, plane)
    verdict = two_stages(own, plane.rules.operators, facts)
    if verdict is None:
        return ask
    if counts:
        plane.rules.count(verdict, facts.now_ms)
    if verdict.refusal is not None:
        raise _refused(verdict.refusal)
    if verdict.record is not None:
        exchange.for_owner = verdict.record
    if verdict.headers:
        exchange.sifted = _forwarding(facts.after(verdict), exchange.sifted)
    if verdict.body is not None:
        exchange.body = _bounded(verdict, plane)
    if verdict.model is not None or verdict.body is not None:
        ask = _reread(verdict, ask, is_form, exchange)
    facts = facts_of(ask, caller, exchange, None if is_form else exchange.body, plane)
    exchange.ruling = Ruling(body or b"", asked, verdict, ask, facts, exchange)
    if verdict.fired:
        more = ",..." if len(verdict.fired) > NAMED else ""
        exchange.notes += b"x-penstock-rules: %b%b\r\n" % (",".join(verdict.fired[:NAMED]).encode(), more.encode())
    return ask


def _reread(verdict: Verdict, ask: Ask, is_form: bool, exchange: Exchange) -> Ask:
    """What the changed request asks for. Raises PenstockError 400 for what cannot be read any more."""
    model = verdict.model
    if is_form:
        return ask if model is None or ask.model is None else renamed_form(exchange, ask, model)
    if model is not None and model != ask.model:
        _rename(model, exchange)
    return _read(verdict, exchange, exchange.body or b"")


def _read(verdict: Verdict, exchange: Exchange, body: bytes) -> Ask:
    """What a body asks for that rules have made. Raises PenstockError 400, which names the rules."""
    try:
        return peek(exchange, body)
    except PenstockError as error:
        message = f"{error.message} Rules have changed this request: {', '.join(verdict.fired)}."
        raise PenstockError(error.code, message, param=error.param) from None


def _refused(refusal: Refusal) -> PenstockError:
    return PenstockError("refused_by_rule", refusal.message, status=refusal.status)


def _rename(model: str, exchange: Exchange) -> None:
    wire, target = exchange.wire, exchange.target
    if wire.addressed:
        exchange.target = replace(target, path=wire.renamed_path(target.path, model))
    elif wire.name == "realtime":
        kept = [part for part in target.query.split(b"&") if part and not part.startswith(_MODEL_PARAMETER)]
        named = _MODEL_PARAMETER + quote(model, safe="").encode()
        exchange.target = replace(target, query=b"&".join((named, *kept)))
    else:
        exchange.body = MODEL.replaced(exchange.body or b"{}", msgspec.json.encode(model))


def _bounded(verdict: Verdict, plane: Plane) -> bytes:
    """The body that rules have made. Raises PenstockError 413 for one that nobody could have sent."""
    body, limit = verdict.body or b"", plane.settings.body_limit
    if len(body) > limit:
        rules = ", ".join(verdict.fired)
        raise PenstockError("body_too_large", f"Rules have made the body larger than the limit of {limit} bytes: {rules}.")
    return body


def _forwarding(facts: Facts, sifted: Sifted) -> Sifted:
    """The headers as the rules have left them; a known head is shared by many requests, so it is copied."""
    return replace(sifted, forward=facts.headers)
