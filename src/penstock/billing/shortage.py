"""Shortage: which purses a request finds too little in, whether something may come back to them, and how it is refused if not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from penstock.billing.funds import Funds, Share
from penstock.billing.purses import DURABLE, MONEY
from penstock.infra.database import DatabaseAway
from penstock.kit import clock
from penstock.kit.errors import PenstockError

_NO_MONEY = ("insufficient_funds", "The account cannot pay for this request. Top it up, then try again.")
_REFUSALS = {
    "paid": _NO_MONEY,
    "free": _NO_MONEY,
    "rpm": ("too_many_requests", "The limit of requests per minute is reached."),
    "tpm": ("too_many_requests", "The limit of tokens per minute is reached."),
    "concurrency": ("too_many_requests", "The limit of requests at once is reached."),
}


class Need(NamedTuple):
    """So many units that a share should have room for."""

    share: Share
    units: int


class Answer:
    """What a request waits for: that these purses have been asked for."""

    def __init__(self, purse_ids: set[str]) -> None:
        self.left = purse_ids
        self.told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.away: DatabaseAway | None = None
        """Why some of them could not be."""

    def hear(self, asked: Iterable[str], away: DatabaseAway | None) -> bool:
        """These have been asked for, unless the database was away; whether that is all that was waited for."""
        if not self.left.isdisjoint(asked):
            self.away = self.away or away
            self.left = self.left.difference(asked)
        if not self.left and not self.told.done():
            self.told.set_result(None)
        return self.told.done()


def short_of(funds: Funds, nano: int, tokens: int) -> list[Need]:
    """The shares that do not have what a request needs to be held for in full, or of which that is not known."""
    return [one for one in needs(funds, nano, tokens) if one.share.lease_id is None or one.share.changed or one.share.room < one.units]


def needs(funds: Funds, nano: int, tokens: int) -> list[Need]:
    """What each share has to have for a request to be held for in full."""
    money = [share for share in (funds.free, funds.paid) if share is not None]
    return [
        *(Need(share, nano) for share in (*money, *funds.caps)),
        *(Need(share, tokens) for share in funds.tpm),
        *(Need(share, 1) for share in (*funds.rpm, *funds.slots)),
    ]


def empty_of(funds: Funds, short: list[Need], nano: int) -> list[Share]:
    """The shares among the short ones that have nothing at all; of free and paid money both must have nothing."""
    empty = [need.share for need in short if need.units and need.share.room <= 0]
    rest = [share for share in empty if share.want.kind not in MONEY]
    money = [share for share in (funds.free, funds.paid) if share is not None]
    return empty if nano and len(empty) - len(rest) == len(money) else rest


def may_return(empty: list[Share]) -> bool:
    """Whether somebody has something of each of these purses that could come back; of free and paid money one is enough."""
    money = [share for share in empty if share.want.kind in MONEY]
    rest = [share for share in empty if share.want.kind not in MONEY]
    return (not money or any(map(_is_out, money))) and all(map(_is_out, rest))


def may_grow(short: list[Need]) -> bool:
    """Whether requests that are being served here hold some of the money or the caps that are short."""
    return any(need.share.held > 0 for need in short if need.share.want.kind in DURABLE)


def refusal(empty: list[Share], now_ms: int) -> PenstockError:
    """What a request is told that finds these empty: 402, or 429 where waiting helps. A limit is named before the money."""
    share = next((share for share in empty if share.want.kind not in MONEY), empty[0])
    kind = share.want.kind
    if kind not in _REFUSALS:
        whose = "account" if share.want.purse_id.startswith("acc_") else "key"
        renewal = f"; it is renewed at {clock.iso(share.until_ms)}" if share.until_ms else ""
        return PenstockError("budget_exceeded", f"The {whose}'s cap of spending ({kind}) is used up{renewal}.")
    code, message = _REFUSALS[kind]
    if code == "insufficient_funds":
        return PenstockError(code, message)
    wait_s = 1 if share.until_ms is None else max(1, -(-(share.until_ms - now_ms) // 1000))
    return PenstockError(code, message, retry_after_s=wait_s)


def _is_out(share: Share) -> bool:
    return share.held > 0 or share.elsewhere > 0
