"""Report: what was measured against what is promised, as two tables and a JSON file."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from loads import Run


@dataclass
class Figure:
    """One promise and what came of it. `limit` None means that the figure is only told."""

    name: str
    measured: float
    unit: str
    limit: float | None = None

    @property
    def verdict(self) -> str:
        """pass, FAIL, or nothing where nothing was promised."""
        if self.limit is None:
            return ""
        return "pass" if self.measured <= self.limit else "FAIL"


class Report:
    """Every run by load and program; every figure in the order in which it was added."""

    def __init__(self) -> None:
        self.runs: dict[tuple[str, str], list[Run]] = defaultdict(list)
        self.figures: list[Figure] = []
        self.resident_mb: dict[str, float] = {}

    def add(self, load: str, program: str, run: Run) -> None:
        """Keep one run, and say so: a bench takes minutes."""
        self.runs[load, program].append(run)
        gap = f"  gap {run.gap_s:.3f} s" if run.gap_s else ""
        print(
            f"{load:10} {program:14} {run.per_s:9.0f}/s  {run.cpu_us:9.1f} us  p50 {run.p50_s * 1e3:8.2f}  p99 {run.p99_s * 1e3:8.2f} ms"
            f"  failed {run.failed}{gap}",
            flush=True,
        )

    def middle(self, load: str, program: str, what: str) -> float:
        """The median over the rounds."""
        return median(getattr(run, what) for run in self.runs[load, program])

    def times_nginx(self, load: str, program: str) -> float:
        """CPU per request as a multiple of nginx's: the median of the rounds, each against the nginx run of its own round."""
        pairs = zip(self.runs[load, program], self.runs[load, "nginx"], strict=False)
        return median(ours.cpu_us / theirs.cpu_us for ours, theirs in pairs if theirs.cpu_us)

    def failed(self, load: str, program: str) -> int:
        """How many requests failed, all rounds together."""
        return sum(run.failed for run in self.runs[load, program])

    def expect(self, name: str, measured: float, unit: str, limit: float | None = None) -> None:
        """Add a figure."""
        self.figures.append(Figure(name, measured, unit, limit))

    def print(self) -> None:
        """Both tables."""
        print(f"\n{'load':10} {'program':14} {'requests/s':>10} {'CPU us':>9} {'x nginx':>8} {'p50 ms':>9} {'p99 ms':>9} {'failed':>6}")
        for load, program in self.runs:
            if not self.middle(load, program, "requests"):
                print(f"{load:10} {program:14} {'answered none':>10} {self.failed(load, program):50}")
                continue
            values = [self.middle(load, program, what) for what in ("per_s", "cpu_us", "p50_s", "p99_s")]
            times = f"{self.times_nginx(load, program):8.2f}" if self.runs.get((load, "nginx")) else " " * 8
            print(
                f"{load:10} {program:14} {values[0]:10.0f} {values[1]:9.1f} {times} {values[2] * 1e3:9.2f} {values[3] * 1e3:9.2f}"
                f" {self.failed(load, program):6}"
            )
        print("\nresident at the end: " + ", ".join(f"{name} {size:.0f} MB" for name, size in self.resident_mb.items()))
        print(f"\n{'figure':58} {'measured':>12} {'limit':>12}")
        for figure in self.figures:
            limit = "" if figure.limit is None else f"{figure.limit:g} {figure.unit}"
            print(f"{figure.name:58} {f'{figure.measured:.4g} {figure.unit}':>12} {limit:>12}  {figure.verdict}")

    def write(self, path: Path) -> None:
        """The same as JSON, every round in it."""
        runs = [{"load": load, "program": program, **asdict(run)} for (load, program), rounds in self.runs.items() for run in rounds]
        figures = [asdict(figure) | {"verdict": figure.verdict} for figure in self.figures]
        path.write_text(json.dumps({"figures": figures, "resident_mb": self.resident_mb, "runs": runs}, indent=1))

    @property
    def kept(self) -> bool:
        """Every promise was kept."""
        return all(figure.verdict != "FAIL" for figure in self.figures)
