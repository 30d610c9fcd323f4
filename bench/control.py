"""How long the control API takes to answer twenty users while the relay carries a steady load.

    control.py [--rate 5000] [--seconds 30] [--users 20] [--pause-ms 200] [--workers 1] [--engine sqlite|postgresql]

Each user is a member with money of their own who lists keys, looks at the balance, at a page of charges and at the usage, one after
the other, and waits `--pause-ms` after each answer. Meanwhile their keys send plain chats to a mock provider, so many a second in all,
as far as the machine gives that: what it gave is printed. Prints the median, the 95th and the 99th percentile of each kind of call in
milliseconds; ends with 1 if a call failed or 95 % of all calls took longer than the limit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

import uvloop
from programs import HERE, PATH, Program, environment
from run import postgresql, prepare

from penstock.accounts.identity import CLI
from penstock.accounts.service import Accounts, Draft
from penstock.accounts.trail import Trail
from penstock.billing.ledger import Ledger, Movement
from penstock.billing.membership import Memberships
from penstock.infra import schema
from penstock.infra.database import Database
from penstock.keys.service import Keys

LIMIT_MS = 20
MOCK_PORT, PORT = 9100, 9204
CONNECTIONS = 64
MONEY_NANO = 10**15
WARM_S = 2
CALLS = {"keys": "/api/keys", "balance": "/api/balance", "charges": "/api/charges?limit=50", "usage": "/api/usage?by=day"}
CHAT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"Write a short poem about rivers and gates."}]}'


@dataclass(frozen=True)
class User:
    """A member: the token of the key that calls the control API, and of the one that calls the relay."""

    managing: str
    token: str


@dataclass
class Seen:
    """What the users have seen: the times of each kind of call, and how many failed."""

    times_ms: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in CALLS})
    failed: int = 0


async def make_users(url: str, count: int) -> list[User]:
    """So many members in a fresh database."""
    database = Database(url)
    try:
        await schema.migrate(database)
        accounts, keys, trail = Accounts(database), Keys(database), Trail(database)
        ledger = Ledger(database, trail, Memberships(database, trail))
        users = []
        for number in range(count):
            account = await accounts.create(CLI, Draft(f"user {number}"))
            async with database.session() as session:
                await ledger.top_up(session, CLI, Movement(account.id, MONEY_NANO))
            made = [await keys.create(kind, account_id=account.id, kind=kind) for kind in ("management", "key")]
            users.append(User(*(one.token for one in made)))
        return users
    finally:
        await database.close()


class Line:
    """One connection that sends a request and reads its answer. Only what our own gateway answers is understood."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def ask(self, request: bytes) -> int:
        """The status of the answer, which has been read to its end."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        size = int(head.partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
        await self._reader.readexactly(size)
        return int(head[9:12])

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def use(user: User, seen: Seen, until_s: float, pause_s: float) -> None:
    """One user, until then."""
    loop, line = asyncio.get_running_loop(), Line(PORT)
    await line.open()
    try:
        while True:
            for name, path in CALLS.items():
                began_s = loop.time()
                if began_s >= until_s:
                    return
                head = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {user.managing}\r\n\r\n"
                seen.failed += await line.ask(head.encode()) != 200
                seen.times_ms[name].append((loop.time() - began_s) * 1e3)
                await asyncio.sleep(pause_s)
    finally:
        line.close()


async def watch(users: list[User], seconds: float, pause_s: float) -> Seen:
    """All users at once, each beginning at another moment of the first pause."""
    seen, until_s = Seen(), asyncio.get_running_loop().time() + seconds

    async def one(place: int) -> None:
        await asyncio.sleep(place * pause_s / len(users))
        await use(users[place], seen, until_s, pause_s)

    await asyncio.gather(*(one(place) for place in range(len(users))))
    return seen


async def load(tokens: list[str], rate: float, seconds: float) -> dict[str, float]:
    """Send chats at that rate over some connections, each in its turn; a connection that is behind sends at once."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    done = failed = 0

    async def send(place: int) -> None:
        nonlocal done, failed
        line, token, turn = Line(PORT), tokens[place % len(tokens)], place
        head = f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"
        request = head.encode() + b"content-length: %d\r\n\r\n" % len(CHAT) + CHAT
        await line.open()
        while (due_s := turn / rate) < seconds and loop.time() - began_s < seconds:
            wait_s = began_s + due_s - loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            failed += await line.ask(request) != 200
            done += 1
            turn += CONNECTIONS
        line.close()

    await asyncio.gather(*(send(place) for place in range(CONNECTIONS)))
    return {"per_s": done / (loop.time() - began_s), "failed": failed}


def report(seen: Seen, carried: dict[str, float]) -> bool:
    """Print what was seen; whether it is what is promised."""
    every = [time_ms for times_ms in seen.times_ms.values() for time_ms in times_ms]
    print(f"the relay carried {carried['per_s']:,.0f} requests/s, {carried['failed']:.0f} failed")
    print(f"{'call':10} {'calls':>7} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8}")
    p95_ms = 0.0
    for name, times_ms in [*seen.times_ms.items(), ("all", every)]:
        if len(times_ms) < 2:
            continue  # the run was too short for it
        cuts = quantiles(times_ms, n=100, method="inclusive")
        p95_ms = cuts[94]
        print(f"{name:10} {len(times_ms):>7} {cuts[49]:>8.1f} {p95_ms:>8.1f} {cuts[98]:>8.1f}")
    print(f"{seen.failed} calls failed; 95 % of all calls within {p95_ms:.1f} ms, promised {LIMIT_MS}")
    return p95_ms <= LIMIT_MS and not seen.failed and not carried["failed"]


def measure(args: argparse.Namespace, work: Path, url: str | None) -> bool:
    """One run on a fresh gateway."""
    url = url or f"sqlite:///{work / 'penstock.db'}"
    users = uvloop.run(make_users(url, args.users))
    env = {
        "PENSTOCK_DATA": str(work),
        "PENSTOCK_PORT": str(PORT),
        "PENSTOCK_DATABASE_URL": url,
        "OPENAI_BASE_URL": f"http://127.0.0.1:{MOCK_PORT}/v1",
        "OPENAI_API_KEY": "sk-mock",
    }
    command = [str(Path(sys.executable).parent / "penstock"), "serve", "--workers", str(args.workers)]
    mock = Program("mock", MOCK_PORT, [sys.executable, str(HERE / "mock.py"), str(MOCK_PORT)])
    gateway = Program("penstock", PORT, command, env, users[0].token, work)
    with ExitStack() as stack:
        for program in (mock, gateway):
            stack.callback(program.stop)
            program.start(work)
        given = json.dumps([[user.token for user in users], args.rate, args.seconds + 3 * WARM_S])
        loader = subprocess.Popen(
            [sys.executable, str(HERE / "control.py"), "--load", given], stdout=subprocess.PIPE, text=True, env=environment({})
        )
        stack.callback(loader.kill)

        async def run() -> Seen:
            await asyncio.sleep(WARM_S)
            await watch(users, WARM_S, 0.1)
            return await watch(users, args.seconds, args.pause_ms / 1e3)

        seen = uvloop.run(run())
        carried = json.loads(loader.communicate(timeout=60)[0])
    return report(seen, carried)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=5000, help="chats per second")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--pause-ms", type=float, default=200, help="what a user waits after each answer")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--load", help=argparse.SUPPRESS)  # how this program starts its own load, in a process of its own
    args = parser.parse_args()
    if args.load:
        print(json.dumps(uvloop.run(load(*json.loads(args.load)))))
        return 0
    prepare()
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as folder, ExitStack() as stack:
        url = stack.enter_context(postgresql(Path(folder))) if args.engine == "postgresql" else None
        return 0 if measure(args, Path(folder), url) else 1


if __name__ == "__main__":
    sys.exit(main())
