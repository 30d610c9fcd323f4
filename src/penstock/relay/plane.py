"""The plane: everything a walk may look at, made once when the process starts."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.billing.door import Books, Holds, Treasury
from penstock.catalog.door import Catalog
from penstock.channels.door import ChannelDoor
from penstock.keys.door import KeyRing
from penstock.kit.pulse import Pulse
from penstock.records.door import Policies, Recorder
from penstock.relay.lists import Lists
from penstock.relay.metrics import Metrics
from penstock.relay.route import Known
from penstock.rules.door import RuleBook
from penstock.settings import Settings
from penstock.upstream.channel import Channel

if TYPE_CHECKING:
    from penstock.relay.drain import Drain
    from penstock.relay.edge import Edge
    from penstock.relay.watch import Watch


class TickLimits(NamedTuple):
    """The client's time limits, in ticks of the pulse."""

    client_head: int
    client_body: int
    client_stall: int
    keep_alive: int
    linger: int
    comment_every: int

    @classmethod
    def of(cls, settings: Settings, pulse: Pulse) -> TickLimits:
        """The limits that the settings give in seconds."""
        return cls(
            client_head=pulse.ticks(settings.client_head_s),
            client_body=pulse.ticks(settings.client_body_s),
            client_stall=pulse.ticks(settings.client_stall_s),
            keep_alive=pulse.ticks(settings.keep_alive_s),
            linger=pulse.ticks(2),
            comment_every=pulse.ticks(settings.comment_every_s),
        )


@dataclass
class Plane:
    """What the relay has at hand. `keys` None: callers come with the provider's own credentials, which are forwarded."""

    settings: Settings
    pulse: Pulse
    limits: TickLimits
    channels: tuple[Channel, ...]
    tls: Callable[[], SSLContext]
    """How certificates of others are checked."""
    door: ChannelDoor
    """What knows of every model that the channels serve by name."""
    keys: KeyRing | None
    catalog: Catalog
    books: Books
    recorder: Recorder
    policies: Policies
    """Whose traffic is recorded whatever their keys say."""
    rules: RuleBook
    metrics: Metrics
    holds: Holds
    treasury: Treasury
    records_all: bool
    rewrites: dict[str, str] = field(default_factory=dict)
    routes: dict[tuple[str, ...], Known] = field(default_factory=dict)
    """Lanes that were found already, by wire, model and tags. Whoever changes `channels` empties it."""
    stopping: bool = False
    record_limit: int = 0
    """Bytes of each body that are recorded, where an exchange is."""
    shows: bool = False
    """Settings add headers of ours to answers."""
    watch: Watch | None = None
    """Who is told of each exchange that has ended."""
    timed: bool = False
    """Answers say where their time went."""
    attempts: int = 1
    """How many channels are tried at most."""
    connections: set[Edge] = field(default_factory=set)
    """The clients' connections, as uvicorn keeps them."""
    balance: Callable[[str], Coroutine[Any, Any, int]] | None = None
    """What an account has, paid and free, in nano-dollars, as the database says."""
    lists: Lists = field(default_factory=Lists)
    drains: set[Drain] = field(default_factory=set)
    """Answers that are read on although their clients have left."""

    def __post_init__(self) -> None:
        settings = self.settings
        self.record_limit = settings.record_body_limit
        self.shows = settings.show_cost or settings.show_channel or settings.show_overhead
        self.timed = settings.show_timing
        self.attempts = settings.retries + 1
