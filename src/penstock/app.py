"""The composition root: builds everything from the settings, starts it in order, stops it in the opposite order."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from operator import attrgetter
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

import penstock
from penstock.billing import recalls
from penstock.billing.door import Books, Holds, Treasury
from penstock.billing.presence import Presence, withdraw_interrupted
from penstock.billing.treasury import Sizes
from penstock.catalog.door import Catalog
from penstock.channels.breakers import SharedBreakers
from penstock.channels.door import ChannelDoor
from penstock.channels.pools import tls_context
from penstock.compat import operations, team, worker
from penstock.compat.dashboard import Dashboard
from penstock.control import Control
from penstock.infra import schema
from penstock.infra.database import Database, DatabaseAway
from penstock.infra.revisions import Feed
from penstock.infra.secrets import open_secrets
from penstock.jobs import Job, Jobs
from penstock.keys.door import KeyRing
from penstock.keys.service import Keys
from penstock.kit.memory import Heap, return_large_buffers
from penstock.kit.pulse import Pulse
from penstock.kit.tasks import spawn, until
from penstock.records.door import Recorder
from penstock.records.keeping import Keeper
from penstock.records.noted import Noted
from penstock.records.policies import Policies
from penstock.records.replay import Replays
from penstock.records.service import Records
from penstock.records.sharing import Sharing
from penstock.records.vault import Vault, open_store
from penstock.relay.edge import Edge
from penstock.relay.metrics import Metrics
from penstock.relay.plane import Plane, TickLimits
from penstock.relay.running import running_charges
from penstock.relay.sweep import interrupt_all, sweep
from penstock.relay.tally import Tally
from penstock.relay.watch import watch_of
from penstock.relay.within import Within
from penstock.rules.door import RuleBook
from penstock.settings import Settings
from penstock.telemetry.door import Telemetry
from penstock.upstream.demo import server as demo

BACKLOG = 4096
"""Clients that may wait to be accepted."""
SETTLE_S = 5
"""After the time to stop is over: how long interrupted exchanges have to settle."""
FLUSH_S = 1
"""And how long clients that are cut off have to read what is left for them."""
_log = logging.getLogger("penstock.app")


class Parts:
    """Everything one process is made of. Made without a loop, database or network; `running` starts and stops it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        url = settings.database_url
        self.database = Database(url, settings.durability)
        self.pulse = Pulse(_beat_s(settings))
        self.feed = Feed(self.database, alone=settings.workers == 1)
        self.secrets = open_secrets(settings.data, settings.secret_key.get_secret_value() if settings.secret_key else None)
        self.channels = ChannelDoor(settings, self.database, self.secrets, self.pulse, self.feed, on_change=self._channels_changed)
        self.breakers = SharedBreakers(self.database, self.feed, lambda: self.channels.channels)
        self.keys = Keys(self.database)
        self.rules = RuleBook(self.database, self.feed)
        vault = Vault(open_store(settings.data, settings.records_url), self.secrets, encrypt=settings.records_encrypt)
        self.policies = Policies(self.database, self.feed)
        self.recorder = Recorder(self.database, vault, settings.record_queue_limit, self.policies)
        self.keeper = Keeper(self.database, vault, days=settings.records_days, size_limit=settings.records_size_limit)
        self.records = Records(self.database, vault, self.recorder, self.policies, self.keeper)
        self.plane = Plane(
            settings=settings,
            pulse=self.pulse,
            limits=TickLimits.of(settings, self.pulse),
            channels=(),
            tls=partial(tls_context, settings),
            door=self.channels,
            keys=None if settings.transparent or settings.open else KeyRing(self.database, self.feed, given=settings.proxy_api_key),
            catalog=Catalog(settings, self.database, self.feed),
            books=Books(url, settings.durability, settings.data, withdraw=partial(withdraw_interrupted, self.database)),
            recorder=self.recorder,
            policies=self.policies,
            rules=self.rules,
            metrics=Metrics(),
            holds=Holds(),
            treasury=Treasury(self.database, Sizes(settings.lease_least_nano, settings.lease_most_nano, settings.funds_wait_s)),
            records_all=settings.records_all,
            rewrites=settings.rewrites,
        )
        self.presence = Presence(self.database, self.plane.treasury, lambda: running_charges(self.plane), lease_s=settings.lease_s)
        self.control = Control(settings, self.database, self.plane.catalog, self.keys, self.channels, lambda: self.rules.operators)
        self.control.follow(self.feed)
        self.plane.balance = self.control.balance
        self.plane.catalog.sold = self.channels.roster
        keeping = (Job("keep records", 60, self.keeper.run), Job("tidy records", 86_400, self.keeper.tidy))
        self.jobs = Jobs(self.database, (*self.control.jobs(), *keeping))
        self.feed.follow(recalls.REVISION, self._recalled)
        self.telemetry = Telemetry(settings) if settings.otel_endpoint else None
        self.plane.watch = watch_of(self.plane, self.telemetry)
        self.tally = Tally(self.plane.metrics, settings.data / "run")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start in order, stop in the opposite order: exchanges are settled before the books close."""
        plane = self.plane
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.database.close)
            await schema.migrate(self.database)
            if self.telemetry is not None:
                await self.telemetry.start()
                stack.push_async_callback(self.telemetry.stop)
            await plane.catalog.start()
            stack.push_async_callback(plane.catalog.stop)
            await self.policies.load()
            await self.recorder.start()
            stack.push_async_callback(self.recorder.stop)
            await self.presence.start()
            stack.push_async_callback(self.presence.stop)
            await plane.books.start()
            stack.push_async_callback(plane.books.stop)
            if plane.keys is not None:
                await plane.keys.start()
                stack.push_async_callback(plane.keys.stop)
            await self.rules.start()
            stack.push_async_callback(self.rules.stop)
            await self.feed.start()
            stack.push_async_callback(self.feed.stop)
            stack.push_async_callback(self.control.stop)
            await self.jobs.start()
            stack.push_async_callback(self.jobs.stop)
            demo_port = None
            if self.settings.demo:
                provider = await demo.start("127.0.0.1", 0)
                stack.push_async_callback(provider.close)
                demo_port = provider.port
            stack.push_async_callback(self.channels.stop)
            await self.channels.start(demo_port)
            await self.breakers.start()
            stack.push_async_callback(self.breakers.stop)
            self._channels_changed()
            if any(channel.provider.name != "demo" for channel in plane.channels):
                plane.catalog.load()
            self._watch()
            await self.tally.start()
            stack.push_async_callback(self.tally.stop)
            self.pulse.add(lambda: sweep(plane))
            self.pulse.start()
            stack.callback(self.pulse.stop)
            stack.push_async_callback(self.cut)
            _spare_the_collector()
            return_large_buffers()
            self.pulse.add(Heap.of_process(self.pulse).sweep)
            yield

    def _recalled(self) -> None:
        spawn(self.presence.recalled(), name="recall")

    def _channels_changed(self) -> None:
        self.plane.channels = self.channels.channels
        self.plane.routes.clear()
        self.breakers.look()

    async def cut(self) -> None:
        """End what still runs and hang up on every client, who is told why if they read. What was consumed is charged."""
        await self._interrupt()
        connections = self.plane.connections
        for connection in list(connections):
            connection.transport.close()
        await until(lambda: not connections, FLUSH_S)
        for connection in list(connections):
            connection.transport.abort()

    async def _interrupt(self) -> None:
        """End what still runs when the time to stop is over, and wait until it is settled."""
        self.plane.stopping = True
        left = interrupt_all(self.plane)
        if left:
            _log.warning("%d exchanges were still open and have been ended", left)
        await until(lambda: not self._in_flight(), SETTLE_S)

    def _in_flight(self) -> int:
        return sum(getattr(connection, "active", None) is not None for connection in self.plane.connections) + len(self.plane.drains)

    def _watch(self) -> None:
        plane, metrics = self.plane, self.plane.metrics
        pools = self.channels.pools
        metrics.gauge("in_flight", self._in_flight)
        metrics.gauge("client_connections", lambda: len(plane.connections))
        metrics.gauge("charges_queued", lambda: plane.books.depth)
        metrics.gauge("records_queued", lambda: self.recorder.depth)
        metrics.gauge("records_queued_bytes", lambda: self.recorder.size_bytes)
        metrics.gauge("records_stopped", lambda: int(not self.recorder.state().running))
        metrics.gauge("open_holds", lambda: plane.holds.open)
        metrics.gauge("leased_nano", plane.treasury.leased)
        metrics.gauge("charges_journalled", lambda: plane.books.journalled)
        metrics.counter("lease_fills", lambda: plane.treasury.fills)
        metrics.counter("lease_failures", lambda: plane.treasury.failures)
        metrics.counter("charge_failures", lambda: plane.books.failures)
        metrics.counter("workers_swept", lambda: self.presence.swept)
        metrics.gauge("upstream_connections", lambda: sum(pool.idle for pool in pools.all()), "idle")
        metrics.gauge("upstream_connections", lambda: sum(pool.busy for pool in pools.all()), "busy")
        metrics.counter("records_dropped", lambda: self.recorder.dropped)
        metrics.counter("rule_counts_dropped", lambda: self.rules.counts.dropped)
        metrics.counter("telemetry_dropped", lambda: self.telemetry.dropped if self.telemetry is not None else 0)
        self.pulse.add(lambda: metrics.loop_was_late(self.pulse.late_us))

    async def database_ready(self) -> str | None:
        """Readiness: the database answers and is migrated."""
        try:
            at = await schema.current(self.database)
        except DatabaseAway as exc:
            return f"the database is away: {exc}"
        if at is None:
            return "the database is gone"
        return None if at == schema.head() else f"the database is at migration {at}, not {schema.head()}"

    async def books_ready(self) -> str | None:
        """Readiness: charges can be made durable."""
        return None if self.plane.books.available else "charges cannot be made durable"

    async def running_on(self) -> str | None:
        """Readiness: not stopping."""
        return "stopping" if self.plane.stopping else None


def _spare_the_collector() -> None:
    """Have the cyclic collector pass over what lives as long as the process: looking at it all takes some 40 ms each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def _beat_s(settings: Settings) -> float:
    """How often the pulse beats: often enough for the shortest limit, and not more than four times a second."""
    shortest = min(
        settings.client_head_s, settings.client_body_s, settings.client_stall_s, settings.first_byte_s, settings.idle_s, settings.total_s,
        settings.comment_every_s, settings.keep_alive_s, settings.upstream_keep_alive_s,
    )  # fmt: skip
    return min(0.25, max(0.02, shortest / 4))


def build(settings: Settings) -> tuple[FastAPI, Parts]:
    """The application of one process and the parts behind it. The relay is reached below it, through `Edge`."""
    parts = Parts(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with parts.running():
            yield {"plane": parts.plane}

    app = FastAPI(
        title="Penstock",
        version=penstock.__version__,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load their scripts from another host, which no page of ours does
        redoc_url=None,
        generate_unique_id_function=attrgetter("name"),
    )
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"], expose_headers=["x-request-id"])
    parts.control.install(app)
    _serve_records(app, parts)
    checks = {"database": parts.database_ready, "books": parts.books_ready, "running": parts.running_on}
    app.include_router(operations.router(checks, parts.tally.page))
    app.include_router(worker.router(parts.recorder, parts.records, settings))
    if parts.plane.keys is not None:
        app.include_router(Dashboard(parts.plane.keys, app.state.usage, app.state.ledger, app.state.grants).router())
    if settings.access_token is not None:
        app.include_router(team.router(parts.keys, settings))
    return app, parts


def _serve_records(app: FastAPI, parts: Parts) -> None:
    """The services behind the routes of records. A replay goes through the relay, which only this file knows."""
    within = Within(parts.plane, server_config(parts.settings, app))
    app.state.records = parts.records
    app.state.noted = Noted(parts.database, parts.records)
    app.state.sharing = Sharing(parts.database, parts.records)
    app.state.replays = Replays(parts.records, parts.plane.keys, app.state.bill, within.send)


def server_config(settings: Settings, app: FastAPI) -> uvicorn.Config:
    """How uvicorn is run, in production and in tests alike."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=Edge,
        loop="uvloop",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=int(settings.keep_alive_s),
        timeout_graceful_shutdown=int(settings.stop_s),
        backlog=BACKLOG,
        ws="none",
    )
