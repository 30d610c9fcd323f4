"""The doctor: looks at what a gateway needs, from the outside, and says what to do where something is missing."""

from __future__ import annotations

import asyncio
import errno
import http.client
import json
import os
import shutil
import socket
import ssl
import stat
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import select

from penstock import native
from penstock.billing.models import Worker
from penstock.channels.configured import configured
from penstock.infra import schema
from penstock.infra.database import Database, DatabaseAway
from penstock.infra.mail import MailError, SmtpMail, read_smtp_url
from penstock.kit.clock import iso, now_ms
from penstock.records.vault import STORE_FAILURES, open_store
from penstock.settings import Settings

UVICORN = "0.54"
"""The uvicorn whose protocol class the edge was proved on; tests/test_doctor.py insists that it is the one installed."""
DISK_BYTES = 256 * 1024 * 1024
CONNECT_S = 3
CLOCK_MS = 5000
_MADE_MS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1000
_OTHERS = 0o007


class Finding(NamedTuple):
    """One thing that was looked at. `remedy` is empty where all is well."""

    check: str
    found: str
    remedy: str = ""

    @property
    def well(self) -> bool:
        """Nothing needs to be done."""
        return not self.remedy


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything; the findings, in the order of the checks. Changes nothing."""
    provided = _providers(settings)
    checks: list[Callable[[], Awaitable[Finding]]] = [
        lambda: asyncio.to_thread(_data, settings),
        lambda: asyncio.to_thread(_disk, settings),
        lambda: _database(settings),
        lambda: _workers(settings),
        lambda: asyncio.to_thread(_journal, settings),
        lambda: _records(settings),
        lambda: asyncio.to_thread(_port, settings),
        lambda: asyncio.to_thread(_certificates, settings),
        *(lambda name=name, url=url: _provider(name, url) for name, url in provided.items()),
        *([lambda: _mail(settings)] if settings.smtp_url is not None or settings.registration != "off" else []),
        lambda: asyncio.to_thread(_uvicorn),
        lambda: asyncio.to_thread(_native),
        lambda: _clock(settings),
    ]
    return [Finding("settings", _origin(settings)), *await asyncio.gather(*(check() for check in checks))]


def _origin(settings: Settings) -> str:
    mode = "demo provider" if settings.demo else "forwarding clients' own credentials" if settings.transparent else "own keys"
    return f"read from {settings.config or 'the environment alone'}; {mode}"


def _data(settings: Settings) -> Finding:
    path = settings.data.absolute()
    there = _nearest(path)
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding("data", f"{there} cannot be written to", f"Give it to the user that runs Penstock: chown -R USER {there}")
    if there != path:
        return Finding("data", f"{path} will be made")
    if not path.is_dir():
        return Finding("data", f"{path} is not a directory", "Name another with --data.")
    for private in (path, *path.glob("penstock.db*")):
        mode = stat.S_IMODE(private.stat().st_mode)
        if mode & _OTHERS:
            return Finding("data", f"{private} is open to every user (mode {mode:04o})", f"Close it: chmod o-rwx {private}")
    return Finding("data", f"{path} is writable and private")


def _nearest(path: Path) -> Path:
    """The path, or the nearest of its parents that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def _disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(_nearest(settings.data.absolute())).free
    found = f"{free // 1024**2:,} MiB free"
    if free < DISK_BYTES:
        return Finding("disk", found, "Make room: without it nothing billable is accepted.")
    return Finding("disk", found)


async def _database(settings: Settings) -> Finding:
    database = Database(settings.database_url, settings.durability)
    kind = "PostgreSQL" if database.path is None else str(database.path)
    try:
        at = await schema.current(database)
    except DatabaseAway as away:
        remedy = "Start it, and check PENSTOCK_DATABASE_URL." if database.path is None else "Check that its owner runs Penstock."
        return Finding("database", f"{kind} cannot be reached: {away}", remedy)
    finally:
        await database.close()
    if at == schema.head():
        return Finding("database", f"{kind} is at migration {at}")
    if at is not None and not schema.known(at):
        return Finding("database", f"{kind} is at migration {at}, which is newer than this program", "Install the newer Penstock again.")
    found = "is yet to be made" if at is None else f"is at migration {at}"
    return Finding("database", f"{kind} {found}", "Run: penstock migrate (penstock serve does it as well)")


async def _workers(settings: Settings) -> Finding:
    """What the processes that serve say of themselves: all of them, on whatever machines."""
    database = Database(settings.database_url, settings.durability)
    try:
        if await schema.current(database) != schema.head():
            return Finding("workers", "not known before the database is at this version's migration")
        async with database.session(read_only=True) as session:
            found = (await session.execute(select(Worker.node, database.now_ms - Worker.seen_at_ms))).all()
    except DatabaseAway:
        return Finding("workers", "not known without the database")
    finally:
        await database.close()
    silent_ms = [age_ms for _, age_ms in found if age_ms > settings.lease_s * 1000]
    if silent_ms:
        remedy = "If they run, see whether they reach the database; what dead ones held is given back as soon as one runs: penstock serve."
        return Finding("workers", f"{len(silent_ms)} of {len(found)} were not seen for {max(silent_ms) // 1000} s", remedy)
    return Finding("workers", f"{len(found)} on {len({node for node, _ in found})} nodes" if found else "none runs")


def _journal(settings: Settings) -> Finding:
    """Charges that the database has yet to take, of processes that live or are gone."""
    folder = settings.data / "journal"
    damaged = sorted(folder.glob("*.damaged"))
    if damaged:
        remedy = "Keep them: they name requests that were served and may not be on the books. docs/cluster.md says what to do."
        return Finding("journal", f"{len(damaged)} could not be read: {damaged[0]}", remedy)
    waiting = [path.stat().st_size for path in folder.glob("*.journal")]
    if sum(waiting):
        found = f"{sum(map(bool, waiting))} have charges that the database is yet to take, {sum(waiting):,} bytes"
        return Finding("journal", found, "Bring the database back, and start penstock serve with this data folder: it writes them.")
    return Finding("journal", "no charge waits for the database")


async def _records(settings: Settings) -> Finding:
    """Where bodies of records are kept: that a folder can be written to, that another store answers."""
    url = settings.records_url
    if not url or url.startswith("file://"):
        folder = (settings.data / "records").absolute() if not url else Path(url.removeprefix("file://"))
        there = _nearest(folder)
        if not os.access(there, os.W_OK | os.X_OK):
            return Finding("records", f"{there} cannot be written to", f"Give it to the user that runs Penstock: chown -R USER {there}")
        free = shutil.disk_usage(there).free
        found = f"{folder} is writable, {free // 1024**2:,} MiB free"
        return Finding("records", found, "Make room: recording stops when there is none." if free < DISK_BYTES else "")
    remedy = "Check PENSTOCK_RECORDS_URL, its credentials in the environment, and the network. Until then records wait in memory."
    try:
        async with asyncio.timeout(CONNECT_S):
            async for _ in open_store(settings.data, url).list_async():
                break
    except (*STORE_FAILURES, ValueError) as failure:
        reason = str(failure).splitlines()[0] if str(failure) else "no answer in time"
        return Finding("records", f"{url} cannot be used: {reason[:200]}", remedy)
    return Finding("records", f"{url} answers")


async def _mail(settings: Settings) -> Finding:
    if settings.smtp_url is None:
        found = f"registration is {settings.registration}, and letters go to the log alone"
        return Finding("mail", found, "Name a mail server with PENSTOCK_SMTP_URL." if settings.registration == "open" else "")
    mail = SmtpMail(read_smtp_url(settings.smtp_url.get_secret_value()), settings.mail_from, settings.ca_file, timeout_s=CONNECT_S)
    try:
        await mail.knock()
    except MailError as failure:
        return Finding("mail", f"the mail server cannot be used: {failure}", "Check PENSTOCK_SMTP_URL and the network.")
    return Finding("mail", "the mail server lets us in")


def _port(settings: Settings) -> Finding:
    where = f"{settings.host}:{settings.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as failure:
        if failure.errno != errno.EADDRINUSE:
            return Finding("port", f"{where} cannot be listened on: {failure.strerror}", "Choose another with --host and --port.")
        if served := _served(settings):
            return Finding("port", f"{where} is served by Penstock {served}")
        return Finding("port", f"{where} is taken by another program", "Stop that, or choose another port with --port.")
    return Finding("port", f"{where} is free")


def _served(settings: Settings) -> str | None:
    """The version of the Penstock that answers there, if one does."""
    connection = http.client.HTTPConnection(settings.host, settings.port, timeout=CONNECT_S)
    try:
        connection.request("GET", "/")
        answer = json.loads(connection.getresponse().read(4096))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return str(answer.get("version")) if isinstance(answer, dict) and answer.get("name") == "penstock" else None


def _certificates(settings: Settings) -> Finding:
    remedy = "Install your system's ca-certificates package, or name a PEM file with PENSTOCK_CA_FILE."
    if settings.ca_file is not None:
        try:
            ssl.create_default_context(cafile=str(settings.ca_file))
        except OSError as failure:  # ssl.SSLError is one
            return Finding("certificates", f"{settings.ca_file} cannot be used: {failure.strerror or failure}", remedy)
        return Finding("certificates", f"{settings.ca_file} is readable")
    paths = ssl.get_default_verify_paths()
    for place in (paths.cafile, paths.capath):
        if place and (Path(place).is_file() or any(Path(place).iterdir())):
            return Finding("certificates", f"the system's, in {place}")
    return Finding("certificates", "no certificate authorities are installed", remedy)


def _providers(settings: Settings) -> dict[str, str]:
    """The base URLs that will be called with a credential of ours."""
    return {found.provider.name: found.base_url for found in configured(settings) if found.secret is not None}


async def _provider(name: str, url: str) -> Finding:
    parts = urlsplit(url)
    if name == "anthropic" and parts.path.rstrip("/").endswith("/v1"):
        return Finding(name, f"{url} ends in /v1", "Leave /v1 out: Anthropic's SDKs add it themselves.")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, UnicodeError) as failure:
        reason = "no answer in time" if isinstance(failure, TimeoutError) else str(failure)
        return Finding(name, f"{url} cannot be connected to: {reason}", f"Check PENSTOCK_{name.upper()}_BASE_URL and the network.")
    writer.close()
    return Finding(name, f"{url} can be connected to")


def _uvicorn() -> Finding:
    installed = version("uvicorn")
    if installed.rsplit(".", 1)[0] == UVICORN:
        return Finding("uvicorn", installed)
    return Finding("uvicorn", f"{installed} is not one that this version was proved on", f"Install it: pip install 'uvicorn=={UVICORN}.*'")


def _native() -> Finding:
    if native.state == native.COMPILED:
        return Finding("hot path", "compiled")
    remedy = "Compile it again: make native" if native.state == native.STALE else ""
    return Finding("hot path", f"interpreted: {native.state}", remedy)


async def _clock(settings: Settings) -> Finding:
    at_ms = now_ms()
    remedy = "Set the clock, and keep it set with NTP: expiries and prices go by it."
    if at_ms < _MADE_MS:
        return Finding("clock", f"{iso(at_ms)} is long ago", remedy)
    database = Database(settings.database_url)
    try:
        if database.path is None:
            async with database.session(read_only=True) as session:
                there_ms = (await session.scalars(select(database.now_ms))).one()
            if abs(there_ms - now_ms()) > CLOCK_MS:
                return Finding("clock", f"{iso(at_ms)} here, {iso(there_ms)} in the database", remedy)
    except DatabaseAway:
        pass  # said by its own check
    finally:
        await database.close()
    return Finding("clock", iso(at_ms))
