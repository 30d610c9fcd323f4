"""The control plane of one process: its services, by the names that routes know them under, and the routes themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from fastapi import FastAPI

from penstock.accounts.api import accounts, errors, events, joining, me, password_resets, sessions, setup, tiers
from penstock.accounts.api.gate import Gate
from penstock.accounts.parts import Others, purge
from penstock.accounts.parts import Parts as AccountParts
from penstock.accounts.throttle import Throttle
from penstock.billing import grants as expiring
from penstock.billing.api import bill, codes, membership, money
from penstock.billing.bill import Bill
from penstock.billing.codes import Codes
from penstock.billing.grants import Grants
from penstock.billing.leases import forget_windows, square_late
from penstock.billing.leaving import export_money
from penstock.billing.ledger import Ledger
from penstock.billing.membership import Memberships
from penstock.billing.receipts import Receipts
from penstock.billing.rollup import roll_up
from penstock.billing.usage import Statistics
from penstock.catalog import api as prices
from penstock.catalog.door import Catalog
from penstock.catalog.service import Prices
from penstock.channels import api as channels
from penstock.channels.discovery import LOOK_S, Discovery
from penstock.channels.door import ChannelDoor
from penstock.channels.service import Channels
from penstock.channels.trial import Trials
from penstock.compat import envelope, platform_keys, platform_pay, platform_rules
from penstock.contract import describe
from penstock.infra.database import Database
from penstock.infra.mail import open_mail
from penstock.infra.revisions import Feed
from penstock.jobs import Job
from penstock.keys import api as keys
from penstock.keys.leaving import export_keys
from penstock.keys.managing import ManagementKeys
from penstock.keys.names import names_of
from penstock.keys.service import Keys
from penstock.kit import clock
from penstock.leaving import ENDINGS
from penstock.records import sharing
from penstock.records.api import reading, replaying
from penstock.records.api import sharing as shares
from penstock.records.leaving import export_policy
from penstock.rules import api as rules
from penstock.rules.counts import forget_days
from penstock.rules.door import NO_RULES, RuleSet
from penstock.rules.leaving import export_rules
from penstock.rules.service import Limits, Rules
from penstock.rules.statistics import Uses
from penstock.rules.trial import Trials as RuleTrials
from penstock.settings import Settings

ROUTES = (
    accounts.routes, events.routes, joining.routes, me.routes, password_resets.routes, sessions.routes, setup.routes, tiers.routes,
    keys.routes, rules.routes, channels.routes, prices.routes, money.routes, codes.routes, membership.routes, bill.routes,
    platform_keys.router(), platform_pay.routes, platform_rules.routes, shares.routes, replaying.routes, reading.routes, shares.shared,
)  # fmt: skip


class Control:
    """Everything that the control API stands on. `install` puts it into an application.

    `operators` gives the rules for everybody as this process knows them.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        catalog: Catalog,
        keys_: Keys,
        door: ChannelDoor,
        operators: Callable[[], RuleSet] = lambda: NO_RULES,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._database = database
        mail = open_mail(settings.smtp_url.get_secret_value() if settings.smtp_url else None, settings.mail_from, settings.ca_file)
        exporters = (export_keys, export_rules, export_money, export_policy, sharing.export_shares)
        others = Others(exporters=exporters, endings=ENDINGS)
        self.accounts = AccountParts(database, mail, settings, others)
        trail = self.accounts.trail
        management = ManagementKeys(database)
        self.gate = Gate(self.accounts.sessions, self.accounts.accounts, (management.find,), settings.public_url)
        memberships = Memberships(database, trail)
        self._ledger = Ledger(database, trail, memberships)
        billed = Bill(database, partial(names_of, database))
        rows = Channels(database, door.secrets)
        self._discovery = Discovery(settings, database, rows, door.pulse)
        made = Rules(database, Limits(settings.rules_limit, settings.operator_rules_limit))
        self._services = {
            "settings": settings,
            "database": database,
            "mail": mail,
            "gate": self.gate,
            "keys": keys_,
            "catalog": catalog,
            "channels": rows,
            "channel_door": door,
            "trials": Trials(settings, rows, door.pulse),
            "discovery": self._discovery,
            "rules": made,
            "rule_uses": Uses(database),
            "rule_trials": RuleTrials(made, keys_, operators),
            "prices": Prices(database, jump_factor=settings.price_jump_factor),
            "ledger": self._ledger,
            "grants": Grants(database, trail),
            "codes": Codes(database, trail, memberships, Throttle(database)),
            "membership": memberships,
            "usage": Statistics(database),
            "bill": billed,
            "receipts": Receipts(database, billed, catalog),
            **{name: part for name, part in vars(self.accounts).items() if not name.startswith("_")},
        }

    def follow(self, feed: Feed) -> None:
        """Remember management keys between changes."""
        self.gate.remember()
        for name in ("keys", "accounts"):
            feed.follow(name, self.gate.forget)

    def install(self, app: FastAPI) -> None:
        """Add the routes, their services, and the shapes of what goes wrong."""
        for name, service in self._services.items():
            setattr(app.state, name, service)
        for routes in ROUTES:
            app.include_router(routes)
        errors.install(app, {envelope.PREFIX: envelope.refused})
        describe(app)

    async def balance(self, account_id: str) -> int:
        """What an account has, paid and free, in nano-dollars."""
        found = await self._ledger.balance(account_id)
        return found.paid_nano + found.free_nano

    def jobs(self) -> Sequence[Job]:
        """What one process of all does now and then."""
        database = self._database

        async def purged() -> None:
            await purge(database, clock.now_ms())
            await forget_windows(database, clock.now_ms())
            await sharing.purge(database, clock.now_ms())
            await forget_days(database, clock.now_ms())

        async def expired() -> None:
            await expiring.expire(database, clock.now_ms())

        async def squared() -> None:
            await square_late(database, clock.now_ms())

        async def rolled_up() -> None:
            await roll_up(database)

        return (
            Job("purge", 3600, purged),
            Job("expire grants", 60, expired),
            Job("square leases", 5, squared),
            Job("roll up", 5, rolled_up),
            Job("discover", LOOK_S, self._discovery.run),
        )

    async def stop(self) -> None:
        """Let what is under way end."""
        await self.accounts.stop()
