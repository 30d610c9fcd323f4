"""Serving: `penstock serve`, from the first look at the port to the last charge on the books.

One process serves by itself. Several share the socket that the process which started them listens on; that one only
watches over them, and they leave all signals to it.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from urllib.parse import unquote, urlsplit

import uvicorn

from penstock.accounts.tickets import first_admin_token
from penstock.app import BACKLOG, build, server_config
from penstock.channels.configured import channels_from
from penstock.channels.pools import Pools
from penstock.channels.service import has_channels
from penstock.hello import First, hello
from penstock.infra import logs, schema
from penstock.infra.database import Database
from penstock.infra.secrets import open_secrets
from penstock.keys.service import Keys
from penstock.kit.ending import end_process
from penstock.kit.errors import PenstockError
from penstock.kit.pulse import Pulse
from penstock.kit.tasks import spawn
from penstock.settings import Settings, SettingsError
from penstock.telemetry.sender import MISSING, is_installed

FIRST_KEY = "first"
FILES_BESIDE = 1000
"""Open files of a process beside the two of each client: its own connection and one to a provider."""
FEW_FILES = 4096
"""Fewer than this are worth a warning."""
PAUSE_S = 1
"""Between the death of a worker and the start of the next."""
FAILED = 3
"""The exit status of a server that could not start."""
_log = logging.getLogger("penstock.serving")


def serve(settings: Settings) -> int:
    """Listen, prepare the database and the first key, say hello as soon as requests are answered, and serve until told to stop.

    The first SIGTERM or SIGINT stops gracefully, the next one cuts what still runs; every charge is made durable either
    way. Returns the exit status. Raises OSError when the address cannot be listened on, and SettingsError.
    """
    configure_logs(settings)
    allow_files(settings)
    check(settings)
    with listen(settings.host, settings.port) as listener:
        settings = asyncio.run(settled(settings))
        first = asyncio.run(prepare(settings))
        greeting = hello(settings, listener.getsockname()[1], first)

        def greet() -> None:
            sys.stdout.write(greeting)
            sys.stdout.flush()

        return serve_alone(settings, listener, greet) if settings.workers == 1 else Crew(settings, listener, greet).run()


def configure_logs(settings: Settings) -> None:
    """Logs as the settings say, without the secrets that may stand in URLs."""
    secrets = [secret.get_secret_value() for secret in (settings.access_token, settings.api_sec_key) if secret is not None]
    if settings.smtp_url is not None:
        secrets.append(unquote(urlsplit(settings.smtp_url.get_secret_value()).password or ""))
    logs.configure(settings.log_format, settings.log_level, secrets=[secret for secret in secrets if secret])


def allow_files(settings: Settings) -> None:
    """Raise this process's limit of open files as far as it may to what `connection_limit` needs; workers inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * settings.connection_limit + FILES_BESIDE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    if allowed < FEW_FILES:
        _log.warning("only %d files may be open, enough for some %d clients at once", allowed, max(0, allowed - FILES_BESIDE) // 2)


def check(settings: Settings) -> None:
    """Raise SettingsError for credentials, base URLs and a CA file that cannot be used, before anything has been made."""
    here = {settings.host, "127.0.0.1", "localhost", "::1"}
    for name, url in (("OPENAI_BASE_URL", settings.openai_base_url), ("ANTHROPIC_BASE_URL", settings.anthropic_base_url)):
        parts = urlsplit(url)
        if parts.port == settings.port and parts.hostname in here:
            raise SettingsError([f"{name}: {url} is this gateway itself; set it only where programs run that use the gateway"])
    if settings.otel_endpoint and not is_installed():
        raise SettingsError([MISSING])
    try:
        channels_from(settings, Pools(settings, Pulse(1)), None)
    except ValueError as wrong:
        raise SettingsError([str(wrong)]) from None


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; whoever connects already waits until requests are answered. Raises OSError, in words for an operator."""
    try:
        family, _, _, _, address = min(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))  # IPv4 first
        return socket.create_server((str(address[0]), port), family=family, backlog=BACKLOG)
    except OSError as failure:
        reason = (failure.strerror or str(failure)).partition(" (while")[0]
        raise OSError(f"{host}:{port} cannot be listened on: {reason}. Choose another with --host or --port.") from failure


async def settled(settings: Settings) -> Settings:
    """The settings, with `own_keys` where there are channels in the database: their credentials are not for everybody.

    Migrates. Raises SettingsError for a secret key that cannot be used.
    """
    try:
        open_secrets(settings.data, settings.secret_key.get_secret_value() if settings.secret_key else None)
    except ValueError as wrong:
        raise SettingsError([str(wrong)]) from None
    if not (settings.transparent or settings.open):
        return settings
    database = Database(settings.database_url, settings.durability)
    try:
        await schema.migrate(database)
        return settings.model_copy(update={"own_keys": await has_channels(database)})
    finally:
        await database.close()


async def prepare(settings: Settings) -> First:
    """Migrate, and on the first start make a key and a way in for an administrator, where there may be use for them."""
    database = Database(settings.database_url, settings.durability)
    try:
        await schema.migrate(database)
        if settings.transparent or settings.open or settings.access_token is not None:
            return First()
        return First(await _first_key(Keys(database)), await first_admin_token(database))
    finally:
        await database.close()


async def _first_key(keys: Keys) -> str | None:
    if await keys.list():
        return None
    try:
        return (await keys.create(FIRST_KEY)).token
    except PenstockError:
        return None  # another server that starts on this database has just made it, and shows it


class Server(uvicorn.Server):
    """uvicorn's server. Told to stop, it is graceful; told again, it cuts what still runs, and even then closes the books.

    `orders` is a worker's line to the process that started it: what comes through it, and its end, means to stop.
    """

    def __init__(self, settings: Settings, ready: Callable[[], None], orders: Connection | None = None) -> None:
        app, self.parts = build(settings)
        super().__init__(server_config(settings, app))
        self._ready = ready
        self._orders = orders
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cutting = False

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop. A signal that comes after that, when uvicorn has put back what was there, changes nothing."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)
        super().run(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self._loop = loop = asyncio.get_running_loop()
        if self._orders is not None:
            loop.add_reader(self._orders.fileno(), self._ordered, self._orders, loop)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal; uvicorn would send it again when all is done, and the exit status would not be 0."""
        if self._orders is None:
            self.tell()

    def tell(self) -> None:
        """Stop; told again, at once. May be called from a signal handler."""
        if self.should_exit and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cut)
        self.should_exit = True

    def _ordered(self, orders: Connection, loop: asyncio.AbstractEventLoop) -> None:
        try:
            orders.recv()
        except (EOFError, OSError):  # whoever started this worker is gone
            loop.remove_reader(orders.fileno())
        self.tell()

    def _cut(self) -> None:
        if not self._cutting:
            self._cutting = True
            spawn(self.parts.cut(), name="cut")


def serve_alone(settings: Settings, listener: socket.socket, ready: Callable[[], None]) -> int:
    """Serve in this process until told to stop; the exit status."""
    server = Server(settings, ready)
    server.run([listener])
    return 0 if server.started else FAILED


def _work(settings: Settings, listener: socket.socket, orders: Connection) -> None:
    """What a worker process does."""
    configure_logs(settings)
    server = Server(settings, lambda: orders.send(None), orders)
    server.run([listener])
    end_process(0)


class Crew:
    """Worker processes that share a socket, and the watch over them: one that dies is replaced."""

    def __init__(self, settings: Settings, listener: socket.socket, ready: Callable[[], None]) -> None:
        self._settings = settings
        self._listener = listener
        self._ready: Callable[[], None] | None = ready
        self._spawn = multiprocessing.get_context("spawn")
        self._lines: dict[Connection, SpawnProcess] = {}
        self._stopping = False
        self._status = 0

    def run(self) -> int:
        """Serve until told to stop; the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.tell())
        for _ in range(self._settings.workers):
            self._start()
        while self._lines:
            for line in wait(list(self._lines)):
                assert isinstance(line, Connection)  # noqa: S101  nothing else is waited for
                self._hear(line)
        return self._status

    def tell(self) -> None:
        """Tell all workers to stop; told again, they cut what still runs."""
        self._stopping = True
        for line in list(self._lines):
            _order(line)

    def _start(self) -> None:
        ours, theirs = self._spawn.Pipe()
        process = self._spawn.Process(target=_work, args=(self._settings, self._listener, theirs))
        process.start()
        theirs.close()
        self._lines[ours] = process
        if self._stopping:
            _order(ours)

    def _hear(self, line: Connection) -> None:
        """A worker is ready, or has ended."""
        try:
            line.recv()
        except (EOFError, OSError):
            self._ended(line)
            return
        if self._ready is not None:
            self._ready()
            self._ready = None

    def _ended(self, line: Connection) -> None:
        process = self._lines.pop(line)
        line.close()
        process.join()
        if self._stopping:
            return
        # One that fails before any was ready has said why, and the next would fail in the same way. Later the database may be away.
        if process.exitcode == FAILED and self._ready is not None:
            self._status = FAILED
            self.tell()
            return
        _log.error("worker %s ended with status %s; another one takes its place", process.pid, process.exitcode)
        time.sleep(PAUSE_S)
        self._start()


def _order(line: Connection) -> None:
    try:
        line.send(None)
    except OSError:
        pass  # it has just ended
