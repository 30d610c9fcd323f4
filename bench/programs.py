"""Programs under measurement: starting them, waiting until they answer, and what they use, from /proc."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
PATH = "/v1/chat/completions"
BODY = '{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'


def environment(given: dict[str, str]) -> dict[str, str]:
    """The environment of a program: this process's without anything that would configure a gateway, plus what is given."""
    foreign = ("PENSTOCK_", "OPENAI_", "OPENAPI_", "ANTHROPIC_", "API_", "ACCESS_TOKEN")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | given


@dataclass
class Program:
    """Something that listens on `port` of the loopback address, with the environment of this process plus `env`."""

    name: str
    port: int
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    key: str = "sk-test"
    folder: Path = HERE
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where chat completions are asked for."""
        return f"http://127.0.0.1:{self.port}{PATH}"

    def start(self, logs: Path, *, within_s: float = 30) -> None:
        """Start it, and return once it answers a chat request with 200. Raises SystemExit with the end of its log if it does not."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            raise SystemExit(f"{self.name} needs port {self.port}, and something listens there already")
        log = logs / f"{self.name}.log"
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                self.command, stdout=out, stderr=out, cwd=self.folder, env=environment(self.env), start_new_session=True
            )
        end_s = time.monotonic() + within_s
        while (answer := self._answer()) != 200:
            if time.monotonic() > end_s or self.process.poll() is not None:
                self.stop()
                raise SystemExit(f"{self.name} does not answer (last: {answer}):\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)

    def _answer(self) -> int | str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {
            "authorization": f"Bearer {self.key}",
            "content-type": "application/json",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": "http://127.0.0.1:9100/v1",
        }
        try:
            connection.request("POST", PATH, BODY, headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException) as exc:
            return repr(exc)
        finally:
            connection.close()

    def stop(self) -> None:
        """End it and everything it has started: politely first."""
        if self.process is None:
            return
        for how, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            try:
                os.killpg(self.process.pid, how)
                self.process.wait(seconds)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self.process = None

    def cpu_s(self) -> float:
        """User and system CPU time of the whole process tree so far."""
        total = 0
        for pid in self._tree():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def resident_kb(self) -> int:
        """Resident memory of the whole process tree."""
        total = 0
        for pid in self._tree():
            try:
                found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
            except OSError:
                continue
            total += int(found[1]) if found else 0
        return total

    def _tree(self) -> list[int]:
        assert self.process is not None
        pids, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            pids.append(pid)
            for path in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    todo += [int(child) for child in path.read_text().split()]
                except OSError:
                    continue
        return pids
