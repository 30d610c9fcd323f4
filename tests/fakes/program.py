"""The program `penstock` in processes of its own, as people run it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from penstock.settings import Settings, names

PATIENCE_S = 60


def environment(**given: str) -> dict[str, str]:
    """The developer's environment without settings of ours, and what is given."""
    ours = {name for field in Settings.model_fields for name in names(field)}
    ours.add("PYTHONDONTWRITEBYTECODE")  # compiling all of it takes longer than everything else that a start does
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, "PYTHONPATH": os.pathsep.join(sys.path), "PENSTOCK_DISCOVER_S": "0", **given}


def run(*arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; `given` are environment variables."""
    command = [sys.executable, "-m", "penstock", *arguments]
    return subprocess.run(command, env=environment(**given), capture_output=True, text=True, check=False, timeout=PATIENCE_S)


class Program:
    """`penstock serve` while the block runs. Killed if it is still there at the end."""

    def __init__(self, data: Path, *arguments: str, **given: str) -> None:
        self.data = data
        self._out, self._err = data.with_name(f"stdout-{id(self)}"), data.with_name(f"stderr-{id(self)}")
        command = [sys.executable, "-m", "penstock", "serve", *arguments]
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(command, env=environment(PENSTOCK_DATA=str(data), **given), stdout=out, stderr=err)

    def __enter__(self) -> Self:
        self.until(lambda: "http://" in self.out)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)

    @property
    def out(self) -> str:
        """All that it has printed."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """All that it has logged."""
        return self._err.read_text()

    @property
    def url(self) -> str:
        """Where it says that it is."""
        found = re.search(r"http://[\w.]+:\d+", self.out)
        assert found is not None, self.out + self.err
        return found[0]

    @property
    def key(self) -> str:
        """The key that it has made."""
        found = re.search(r"shown only now: (sk-\w+)$", self.out, re.MULTILINE)
        assert found is not None, self.out + self.err
        return found[1]

    @property
    def curl(self) -> str:
        """The command that it says to try."""
        (line,) = [line for line in self.out.splitlines() if line.startswith("  curl ")]
        return line

    def until(self, true: object) -> None:
        """Wait until something is true; the program must be running still."""
        assert callable(true)
        end = time.monotonic() + PATIENCE_S
        while not true():
            assert self.process.poll() is None, self.err
            assert time.monotonic() < end, self.out + self.err
            time.sleep(0.02)

    def tell(self, number: int = signal.SIGTERM) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the end; the exit status."""
        return self.process.wait(PATIENCE_S)
