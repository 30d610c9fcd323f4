"""Funds: what this process has on lease of the purses that a caller draws on. All in memory; `treasury` fills it."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING

from penstock.billing.purses import MONEY, Want
from penstock.kit.ids import new_id

if TYPE_CHECKING:
    from penstock.billing.leases import Filled, Order
    from penstock.billing.treasury import Treasury

FOREVER_NS = 1 << 62


class Share:
    """This process's part of one purse: `amount` on lease, `spent` and `held` of it. A limit's share is replaced when its window ends.

    `asked_ns` is when the database was last asked for more; `dry` says that it then had less than was wanted, `elsewhere`
    how much other processes had on lease and had not spent, `left` what remained in the purse.
    """

    __slots__ = (
        "amount", "asked_ns", "changed", "dry", "elsewhere", "filling", "held", "lease_id", "left", "low", "next_id", "previous",
        "quiet_ticks", "spent", "spent_before", "spent_seen", "until_ms", "until_ns", "want",
    )  # fmt: skip

    def __init__(self, want: Want) -> None:
        self.want = want
        self.lease_id: str | None = None
        self.next_id = new_id("lse")
        """What its next lease is called: a transaction that is tried again makes no second one."""
        self.previous: str | None = None
        """The lease of the window before, to be ended when this one gets its own."""
        self.amount = self.spent = self.held = 0
        self.low = 0
        """Below this room more is asked for, in the background."""
        self.left = self.elsewhere = 0
        self.asked_ns = 0
        self.spent_before = 0
        """What was spent when it was last filled."""
        self.spent_seen = self.quiet_ticks = 0
        """What was spent a second ago, and for how many seconds nothing has moved."""
        self.dry = self.filling = False
        self.changed = False
        """Its limit is another one than the database has last heard of."""
        self.until_ms: int | None = None
        self.until_ns = FOREVER_NS
        """When its window ends, on the clock of `perf_counter_ns`."""

    @property
    def room(self) -> int:
        """What can be held or spent; below zero when more was spent than was on lease."""
        return self.amount - self.spent - self.held

    def filled(self, order: Order, filled: Filled, now_ms: int) -> None:
        """Take over what came of an order."""
        if filled.fresh:
            if self.lease_id is not None:
                # ours was closed, because we were thought dead: what was spent stays with it
                self.spent = self.spent_before = 0
            self.next_id = new_id("lse")
        self.lease_id = filled.lease_id
        self.previous = None
        self.amount = filled.amount
        self.changed = self.want != order.want
        self.left, self.elsewhere = filled.left, filled.elsewhere
        self.dry = filled.given < order.target
        self.until_ms = filled.until_ms
        self.until_ns = FOREVER_NS if filled.until_ms is None else perf_counter_ns() + (filled.until_ms - now_ms) * 1_000_000
        self.low = 0 if self.dry else order.low


class Funds:
    """What covers one caller's requests: the account's money if it is prepaid, caps, and limits per minute and at once."""

    __slots__ = (
        "caps", "counted", "free", "keys", "limited", "open", "paid", "ready", "rest", "rpm", "slots", "tpm", "treasury", "until_ns",
        "used_ns", "wants",
    )  # fmt: skip

    def __init__(self, treasury: Treasury, wants: tuple[Want, ...]) -> None:
        self.treasury = treasury
        self.wants = wants
        self.counted = bool(wants)
        """There is something to be covered at all."""
        self.paid: Share | None = None
        self.free: Share | None = None
        self.caps: list[Share] = []
        self.rpm: list[Share] = []
        self.tpm: list[Share] = []
        self.slots: list[Share] = []
        self.rest: list[Share] = []
        """All shares but that of paid money."""
        self.limited = any(want.kind not in MONEY for want in wants)
        self.ready = False
        """All shares have a lease, and the limits of now."""
        self.keys: set[str | None] = set()
        """Who draws on these purses."""
        self.open = 0
        """Holds that are not resolved."""
        self.used_ns = 0
        self.until_ns = 0

    def take(self, shares: list[Share]) -> None:
        """Draw on these from now on."""
        self.paid = self.free = None
        self.caps, self.rpm, self.tpm, self.slots = [], [], [], []
        kinds: dict[str, list[Share]] = {"rpm": self.rpm, "tpm": self.tpm, "concurrency": self.slots}
        for share in shares:
            kind = share.want.kind
            if kind == "paid":
                self.paid = share
            elif kind == "free":
                self.free = share
            else:
                kinds.get(kind, self.caps).append(share)
        self.rest = [share for share in shares if share.want.kind != "paid"]
        self.until_ns = min((share.until_ns for share in shares), default=FOREVER_NS)
        self.ready = all(share.lease_id is not None and not share.changed for share in shares)

    def covers(self, nano: int, tokens: int, now_ns: int) -> bool:
        """Whether a request can be held for in full, here and now."""
        self.used_ns = now_ns
        if not self.ready or now_ns >= self.until_ns:
            return False
        paid = self.paid
        if paid is not None and nano:
            room = paid.amount - paid.spent - paid.held
            free = self.free
            if free is not None:
                spare = free.amount - free.spent - free.held
                if spare > 0:
                    room += spare
            if room < nano:
                return False
        if not self.limited:
            return True
        for share in self.caps:
            if share.amount - share.spent - share.held < nano:
                return False
        for share in self.tpm:
            if share.amount - share.spent - share.held < tokens:
                return False
        for share in self.rpm:
            if share.amount <= share.spent:
                return False
        for share in self.slots:  # noqa: SIM110  a generator costs more than the loop
            if share.amount - share.held < 1:
                return False
        return True


class _Uncounted(Funds):
    """The funds of a caller that pays nothing and has no limits: of all there is to funds, only this."""

    __slots__ = ()

    def __init__(self) -> None:
        self.counted = self.limited = False

    def covers(self, nano: int, tokens: int, now_ns: int) -> bool:
        """Always."""
        return True


UNCOUNTED: Funds = _Uncounted()
