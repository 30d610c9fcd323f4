"""Metrics: plain integers that the hot path adds to, and the Prometheus page that is made of them when it is asked for."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from operator import attrgetter
from typing import NamedTuple

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

import penstock
from penstock.kit.money import NANO_PER_DOLLAR
from penstock.records.door import PHASES
from penstock.relay.buckets import count_between, count_in
from penstock.relay.phases import Marks
from penstock.upstream.usage import Usage

TALLIED = 256
"""So many ended exchanges are added up at once."""
_KINDS = (
    "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens",
)  # fmt: skip
FRESH_S = 5
"""A worker that has not written for this long is not running: its gauges no longer count, its counters still do."""

_OVERHEAD_US = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000)
_FIRST_BYTE_US = tuple(
    ms * 1000 for ms in (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000)
)


_PHASE_US = (10, 50, 100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 20_000_000, 60_000_000)
_PHASE_NS = tuple(end * 1000 for end in _PHASE_US)
_LATE_US = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)


class Watched(NamedTuple):
    """A value that someone else keeps and we read: its Prometheus name, its one label if it has one, what it says."""

    name: str
    meaning: str
    label: str | None = None


GAUGES = {
    "in_flight": Watched("penstock_in_flight", "Exchanges that are open."),
    "charges_queued": Watched("penstock_charges_queued", "Charges that are not durable yet."),
    "records_queued": Watched("penstock_records_queued", "Records that are not written yet."),
    "records_queued_bytes": Watched("penstock_records_queued_bytes", "Memory held by records that are not written yet."),
    "records_stopped": Watched("penstock_records_stopped", "Workers whose recording has stopped, as their store or database fails."),
    "open_holds": Watched("penstock_open_holds", "Holds that are neither settled nor released."),
    "leased_nano": Watched("penstock_leased_nano", "Money that workers have on lease and have not spent, in nano-dollars."),
    "charges_journalled": Watched("penstock_charges_journalled", "Charges that wait in journals for the database."),
    "upstream_connections": Watched("penstock_upstream_connections", "Connections to providers.", "state"),
    "client_connections": Watched("penstock_client_connections", "Connections of clients."),
    "resident_bytes": Watched("process_resident_memory_bytes", "Resident memory, all workers."),
    "open_fds": Watched("process_open_fds", "Open file descriptors, all workers."),
}
COUNTERS = {
    "telemetry_dropped": Watched("penstock_telemetry_dropped", "Exchanges and spans that did not reach the OpenTelemetry collector."),
    "records_dropped": Watched("penstock_records_dropped", "Records that were dropped: the queue was full, or they could not be written."),
    "rule_counts_dropped": Watched("penstock_rule_counts_dropped", "Uses of rules that are missing in their statistics."),
    "lease_fills": Watched("penstock_lease_fills", "Transactions that filled leases."),
    "lease_failures": Watched("penstock_lease_failures", "Leases that the database could not fill."),
    "charge_failures": Watched("penstock_charge_failures", "Attempts to write charges that the database or the journal refused."),
    "workers_swept": Watched("penstock_workers_swept", "Workers that had died and whose leases were returned."),
    "cpu_seconds": Watched("process_cpu_seconds", "User and system CPU time, all workers."),
}
_PROCESS = {
    "process_resident_memory_bytes": "resident_bytes",
    "process_open_fds": "open_fds",
    "process_cpu_seconds_total": "cpu_seconds",
}


class Spread(msgspec.Struct):
    """A histogram: how many values fell into each bucket (the last one has no upper end), and their sum in microseconds."""

    counts: list[int]
    sum_us: int = 0

    def add_us(self, ends_us: tuple[int, ...], values_us: Iterable[int]) -> None:
        """Add microseconds; those that are 0 were not measured."""
        self.sum_us += count_in(self.counts, ends_us, [value for value in values_us if value])

    def take(self, other: Spread) -> None:
        """Take in another's values."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.sum_us += other.sum_us


_TOKENS = [(name, attrgetter(name)) for name in Usage.__struct_fields__ if name in _KINDS]


class Counts(msgspec.Struct):
    """Everything that is counted per request."""

    requests: dict[tuple[str, int], int] = msgspec.field(default_factory=lambda: defaultdict(int))
    """By wire and HTTP status."""
    outcomes: dict[str, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    refused: dict[str, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    """By error code."""
    overhead: Spread = msgspec.field(default_factory=lambda: Spread([0] * (len(_OVERHEAD_US) + 1)))
    first_byte: Spread = msgspec.field(default_factory=lambda: Spread([0] * (len(_FIRST_BYTE_US) + 1)))
    phases: list[Spread] = msgspec.field(default_factory=lambda: [Spread([0] * (len(_PHASE_US) + 1)) for _ in PHASES])
    """In the order of `PHASES`, of exchanges that were answered."""
    late: Spread = msgspec.field(default_factory=lambda: Spread([0] * (len(_LATE_US) + 1)))
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano: int = 0

    def add(self, other: Counts) -> None:
        """Take in what another worker, or an earlier one, has counted."""
        for name in self.__struct_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, Spread):
                mine.take(theirs)
            elif isinstance(mine, list):
                for spread, more in zip(mine, theirs, strict=True):
                    spread.take(more)
            elif isinstance(mine, int):
                setattr(self, name, mine + theirs)
            else:
                for key, number in theirs.items():
                    mine[key] = mine.get(key, 0) + number


class Snapshot(msgspec.Struct):
    """One worker's figures at one time. `gauges` and `counters` are by name and label ("" where there is none)."""

    version: str
    pid: int
    taken_at_s: float
    counts: Counts
    gauges: dict[tuple[str, str], float]
    counters: dict[tuple[str, str], float]

    def take(self, other: Snapshot) -> None:
        """Take in what another worker has counted, not its gauges."""
        self.counts.add(other.counts)
        for key, value in other.counters.items():
            self.counters[key] = self.counters.get(key, 0) + value


class Metrics:
    """What one worker counts. Adding costs about a microsecond per exchange; reading happens at scrape time."""

    __slots__ = ("_counters", "_counts", "_ended", "_gauges")

    def __init__(self) -> None:
        self._counts = Counts()
        self._ended: list[tuple[str, int, str, int, int, Usage | None, int, Marks]] = []
        self._gauges: dict[tuple[str, str], Callable[[], float]] = {}
        self._counters: dict[tuple[str, str], Callable[[], float]] = {}

    def exchange_ended(  # noqa: PLR0913, PLR0917  the facts of one exchange, handed over once
        self, wire: str, status: int, outcome: str, overhead_us: int, first_byte_us: int, usage: Usage | None, cost_nano: int,
        marks: Marks = (),
    ) -> None:  # fmt: skip
        """Count one exchange, once, when all is over.

        `overhead_us` is the time spent by us, waiting for the provider and for the client left out, and 0 where it was not
        measured. `first_byte_us` is 0 when no byte of an answer came from a provider; `usage` is None when nothing was consumed.
        `marks` are those of `phases.py`, all of them, of an exchange that was answered.
        """
        ended = self._ended
        ended.append((wire, status, outcome, overhead_us, first_byte_us, usage, cost_nano, marks))
        if len(ended) >= TALLIED:
            self._add_up()

    @property
    def counts(self) -> Counts:
        """What was counted up to now."""
        self._add_up()
        return self._counts

    def _add_up(self) -> None:
        """Add what has ended to the counts: many at once cost less than half of one by one, in the middle of other work."""
        if not self._ended:
            return
        ended, self._ended = self._ended, []
        wires, statuses, outcomes, overheads_us, first_bytes_us, usages, costs_nano, marks = zip(*ended, strict=True)
        counts = self._counts
        for key, number in Counter(zip(wires, statuses, strict=True)).items():
            counts.requests[key] += number
        for outcome, number in Counter(outcomes).items():
            counts.outcomes[outcome] += number
        counts.overhead.add_us(_OVERHEAD_US, overheads_us)
        counts.first_byte.add_us(_FIRST_BYTE_US, first_bytes_us)
        sums_ns = count_between([phase.counts for phase in counts.phases], _PHASE_NS, marks)
        for phase, sum_ns in zip(counts.phases, sums_ns, strict=True):
            phase.sum_us += sum_ns // 1000
        counts.cost_nano += sum(costs_nano)
        consumed = [usage for usage in usages if usage is not None]
        for name, quantity in _TOKENS:
            setattr(counts, name, getattr(counts, name) + sum(map(quantity, consumed)))

    def loop_was_late(self, late_us: int) -> None:
        """Count one look at how late the event loop is."""
        self._counts.late.sum_us += count_in(self._counts.late.counts, _LATE_US, [late_us])

    def refused(self, code: str) -> None:
        """Count one error of our own that was shown to a client, by its code."""
        self._counts.refused[code] += 1

    def gauge(self, name: str, read: Callable[[], float], label: str = "") -> None:
        """Have `read` called at scrape time for a name of `GAUGES`; `label` is the value of its label where it has one."""
        self._gauges[_checked(GAUGES, name, label)] = read

    def counter(self, name: str, read: Callable[[], float], label: str = "") -> None:
        """As `gauge`, for a name of `COUNTERS`: a number that only grows while this process lives."""
        self._counters[_checked(COUNTERS, name, label)] = read

    def snapshot(self) -> Snapshot:
        """This worker's figures now. The counts are the live ones, not a copy: encode or add them at once."""
        snapshot = Snapshot(
            penstock.__version__,
            os.getpid(),
            time.time(),
            self.counts,
            {key: read() for key, read in self._gauges.items()},
            {key: read() for key, read in self._counters.items()},
        )
        for family in ProcessCollector(registry=None).collect():
            for sample in family.samples:
                if name := _PROCESS.get(sample.name):
                    (snapshot.gauges if name in GAUGES else snapshot.counters)[name, ""] = sample.value
        return snapshot

    def page(self, others: Iterable[Snapshot] = ()) -> bytes:
        """The Prometheus text page of this worker and the others together."""
        registry = CollectorRegistry()
        registry.register(_Sum([self.snapshot(), *others]))
        return generate_latest(registry)


class _Sum(Collector):
    """Several workers as one: counts and counters of all, gauges of those that run."""

    def __init__(self, snapshots: list[Snapshot]) -> None:
        self._all = Snapshot(penstock.__version__, 0, 0, Counts(), defaultdict(float), {})
        self._workers = 0
        now_s = time.time()
        for snapshot in snapshots:
            self._all.take(snapshot)
            if now_s - snapshot.taken_at_s < FRESH_S:
                self._workers += 1
                for key, value in snapshot.gauges.items():
                    self._all.gauges[key] += value

    def collect(self) -> Iterator[Metric]:
        """The families, in the order of docs/metrics.md."""
        counts = self._all.counts
        build = GaugeMetricFamily("penstock_build_info", "What runs.", labels=("version", "python"))
        build.add_metric((penstock.__version__, platform.python_version()), 1)
        yield build
        yield GaugeMetricFamily("penstock_workers", "Worker processes that run.", value=self._workers)
        requests = CounterMetricFamily("penstock_requests", "Requests that ended.", labels=("wire", "status"))
        for (wire, status), number in sorted(counts.requests.items()):
            requests.add_metric((wire, str(status)), number)
        yield requests
        yield _by_label("penstock_outcomes", "How exchanges ended.", "outcome", counts.outcomes)
        yield _by_label("penstock_refused", "Errors of our own that were shown to clients.", "code", counts.refused)
        yield _seconds("penstock_overhead", "Time spent by Penstock, waiting left out.", _OVERHEAD_US, counts.overhead)
        yield _seconds("penstock_first_byte", "Time until the provider's first byte.", _FIRST_BYTE_US, counts.first_byte)
        phases = HistogramMetricFamily("penstock_phase_seconds", "Where the time of answered requests went.", labels=("phase",))
        for name, spread in zip(PHASES, counts.phases, strict=True):
            phases.add_metric((name,), _buckets(_PHASE_US, spread), spread.sum_us / 1e6)
        yield phases
        yield _seconds("penstock_loop_late", "How late the event loop was, looked at with each tick.", _LATE_US, counts.late)
        tokens = {name.removesuffix("_tokens"): getattr(counts, name) for name in counts.__struct_fields__ if name.endswith("_tokens")}
        yield _by_label("penstock_tokens", "Tokens metered; reasoning is part of output.", "kind", tokens)
        yield CounterMetricFamily("penstock_cost_nano", "Cost of what was metered, in nano-dollars.", value=counts.cost_nano)
        yield CounterMetricFamily("penstock_cost_dollars", "The same in dollars.", value=counts.cost_nano / NANO_PER_DOLLAR)
        for families, values, kind in ((COUNTERS, self._all.counters, CounterMetricFamily), (GAUGES, self._all.gauges, GaugeMetricFamily)):
            for key, (name, meaning, label) in families.items():
                family = kind(name, meaning, labels=(label,) if label else ())
                for (watched, shown), value in sorted(values.items()):
                    if watched == key:
                        family.add_metric((shown,) if label else (), value)
                yield family


def _checked(families: dict[str, Watched], name: str, label: str) -> tuple[str, str]:
    if (families[name].label is None) != (label == ""):
        raise ValueError(f"{name} is shown with the label {families[name].label!r}, not with {label!r}")
    return name, label


def _by_label(name: str, meaning: str, label: str, numbers: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, meaning, labels=(label,))
    for shown, number in sorted(numbers.items()):
        family.add_metric((shown,), number)
    return family


def _seconds(name: str, meaning: str, ends_us: tuple[int, ...], spread: Spread) -> Metric:
    return HistogramMetricFamily(f"{name}_seconds", meaning, buckets=_buckets(ends_us, spread), sum_value=spread.sum_us / 1e6)


def _buckets(ends_us: tuple[int, ...], spread: Spread) -> list[tuple[str, float]]:
    ends = [str(end / 1e6) for end in ends_us] + ["+Inf"]
    return list(zip(ends, accumulate(spread.counts), strict=True))
