"""Breakers: what has failed of late, and is left alone for a while.

A breaker counts failures in a row, opens, and after a pause lets one request through to see (it is half-open); a success closes it,
a failure opens it for twice as long. In the normal case there is none, and `Breakers.troubled` is all that is looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable
from typing import NamedTuple

import msgspec
from mypy_extensions import mypyc_attr

from penstock.upstream.faults import Fault, fault_of, read_fault

IN_A_ROW = 3
WITHIN_S = 60.0
"""So many failures in a row, in so long, open a breaker if one alone does not."""
PROBE_S = 60.0
"""A request that was let through and has told nothing by then is forgotten."""
RETRY_AFTER_LIMIT_S = 600.0
FORGET_S = 3600.0
"""A breaker that nobody has asked for so long since its pause ended is no more."""
SLACK_S = 5.0
"""So much clocks of several machines may differ."""
MODELS_LIMIT = 512
"""Breakers for models: their names may be the invention of clients."""
PRUNE_EVERY_S = 10.0
MOST_OPENINGS = 30


class Pauses(NamedTuple):
    """How long a breaker is open the first time, and at most; it doubles in between."""

    first_s: float
    last_s: float


LONG = Pauses(60, 1800)
"""For what somebody has to put right: credentials, quotas, models."""
SHORT = Pauses(5, 300)


@mypyc_attr(native_class=False)
class State(msgspec.Struct, frozen=True):
    """An open breaker, as others need to know it. Times are seconds since 1970, to the millisecond."""

    model: str
    """As the provider knows it; empty: all models."""
    at_s: float
    until_s: float
    """When it lets a request through to see."""
    failures: int
    """How often it has opened since a success."""
    reason: str


class _Breaker:
    """One of them: counting while `until_s` is 0, open before `until_s`, half-open after it."""

    __slots__ = ("at_s", "failures", "pause_s", "probe_s", "reason", "recent", "text", "until_s")

    def __init__(self) -> None:
        self.recent: tuple[float, ...] = ()
        """When the last failures came that it did not open for."""
        self.failures = 0
        self.at_s = self.until_s = self.pause_s = 0.0
        self.probe_s: float | None = None
        self.reason = self.text = ""

    def waits(self, now_s: float) -> bool:
        """It is open, and its pause is not over. After the clock was set back nobody knows: it counts as over."""
        return now_s < self.until_s <= now_s + self.pause_s + SLACK_S

    def probed(self, now_s: float) -> bool:
        """A request has been let through, and may still tell."""
        return self.probe_s is not None and 0 <= now_s - self.probe_s < PROBE_S

    def blocks(self, now_s: float) -> str | None:
        """Why no request may pass now."""
        if not self.until_s:
            return None
        if self.waits(now_s):
            return self.text
        return f"{self.reason}, being tried again" if self.probed(now_s) else None

    def wait_s(self, now_s: float) -> float:
        """How long it blocks from now on; a probe may take less than is said here."""
        if not self.until_s:
            return 0.0
        if self.waits(now_s):
            return self.until_s - now_s
        return PROBE_S - (now_s - self.probe_s) if self.probe_s is not None and self.probed(now_s) else 0.0

    def count(self, now_s: float) -> bool:
        """One more failure; whether there were too many."""
        self.recent = (*(at_s for at_s in self.recent if 0 <= now_s - at_s < WITHIN_S), now_s)
        return len(self.recent) >= IN_A_ROW

    def open(self, pause_s: float, reason: str, now_s: float) -> None:
        """Open from now on."""
        self.set(State("", round(now_s, 3), round(now_s + pause_s, 3), self.failures, reason))
        self.probe_s = None
        self.recent = ()

    def set(self, state: State) -> None:
        """Be open as the state says."""
        self.at_s, self.until_s, self.failures, self.reason = state.at_s, state.until_s, state.failures, state.reason
        self.pause_s = self.until_s - self.at_s
        self.text = f"{state.reason}, until {time.strftime('%H:%M:%S', time.gmtime(state.until_s))} UTC"

    def idle(self, now_s: float) -> bool:
        """Nobody needs it any more."""
        if self.until_s:
            return now_s - self.until_s > FORGET_S
        return not any(0 <= now_s - at_s < WITHIN_S for at_s in self.recent)


class Breakers:
    """The breakers of one channel with one credential: one for each model, and one for all of them.

    Models are named as the provider knows them; None is a request without one. Before a request is sent, and only if `troubled`,
    `enter` says whether it may be; its outcome is told to `failed` or `succeeded`. Times are seconds since 1970.
    """

    __slots__ = ("_models", "_pruned_s", "_whole", "changed", "troubled")

    def __init__(self) -> None:
        self.troubled = False
        """There is something to look at, and successes must be told."""
        self.changed: Callable[[str], None] | None = None
        """Told the model ("" for all) whose breaker has opened or closed here."""
        self._whole: _Breaker | None = None
        self._models: dict[str, _Breaker] = {}
        self._pruned_s = 0.0

    def blocks(self, model: str | None, now_s: float) -> str | None:
        """Why no request may be sent now; None if one may."""
        if not self.troubled:
            return None
        if self._whole is not None and (why := self._whole.blocks(now_s)) is not None:
            return why
        own = self._models.get(model) if model is not None else None
        return own.blocks(now_s) if own is not None else None

    def wait_s(self, model: str | None, now_s: float) -> float:
        """How long it takes until a request may be sent; 0 if one may be now."""
        if not self.troubled:
            return 0.0
        return max((breaker.wait_s(now_s) for breaker in self._about(model)), default=0.0)

    def enter(self, model: str | None, now_s: float) -> str | None:
        """As `blocks`, for a request that is sent now unless it is blocked: after a pause it is the one by which is seen how things are."""
        why = self.blocks(model, now_s)
        if why is None and self.troubled:
            for breaker in self._about(model):
                if breaker.until_s:
                    breaker.probe_s = now_s
        return why

    def failed(self, model: str | None, fault: Fault, now_s: float) -> None:
        """A request has failed in a way that speaks against the channel."""
        self._prune(now_s)
        for breaker in self._about(model):
            breaker.probe_s = None
        heavy = fault.kind in ("quota", "model") or (fault.kind == "status" and fault.status in (401, 402, 403))
        if fault.kind in ("connect", "quota") or (heavy and fault.kind == "status"):
            scope = ""
        elif model and (fault.kind != "status" or fault.status in (408, 429) or fault.status >= 500):
            scope = model
        else:
            return
        asked_s = fault.retry_after_s if fault.status == 429 else None
        self._hit(scope, fault.reason, now_s, LONG if heavy else SHORT, asked_s)
        self.troubled = self._whole is not None or bool(self._models)

    def _hit(self, scope: str, reason: str, now_s: float, pauses: Pauses, asked_s: float | None) -> None:
        breaker = self._find(scope)
        half_open = bool(breaker.until_s) and not breaker.waits(now_s)
        if breaker.until_s and not half_open:
            # What was sent before it opened tells nothing new, unless it asks for far more patience.
            pause_s = pauses.first_s if asked_s is None else min(asked_s, RETRY_AFTER_LIMIT_S)
            if (pauses is SHORT and asked_s is None) or pause_s < 2 * breaker.pause_s:
                return
        elif asked_s is not None:
            pause_s = min(asked_s, RETRY_AFTER_LIMIT_S)
        else:
            if pauses is SHORT and not half_open and not breaker.count(now_s):
                return
            breaker.failures = min(breaker.failures + 1, MOST_OPENINGS)
            pause_s = min(pauses.first_s * 2 ** (breaker.failures - 1), pauses.last_s)
        breaker.open(pause_s, reason, now_s)
        if self.changed is not None:
            self.changed(scope)

    def succeeded(self, model: str | None, now_s: float, sent_s: float | None = None) -> None:
        """A request has been answered well. One that was sent (`sent_s`) before a breaker opened does not close it."""
        if not self.troubled:
            return
        self._prune(now_s)
        if self._whole is not None and self._closes(self._whole, sent_s, now_s):
            self._drop("")
        if model and (own := self._models.get(model)) is not None and self._closes(own, sent_s, now_s):
            self._drop(model)

    def _closes(self, breaker: _Breaker, sent_s: float | None, now_s: float) -> bool:
        breaker.recent = ()
        return not breaker.waits(now_s) or sent_s is None or sent_s >= breaker.at_s

    def states(self) -> list[State]:
        """The breakers that are open, or half-open."""
        named = [("", self._whole), *self._models.items()]
        return [State(model, one.at_s, one.until_s, one.failures, one.reason) for model, one in named if one is not None and one.until_s]

    def load(self, states: Iterable[State], keep: Container[str] = ()) -> None:
        """Know what others know: open what is open there, close what is not. The models in `keep` have changed here since."""
        found = {state.model: state for state in states if state.model not in keep}
        for model, state in found.items():
            breaker = self._find(model)
            if state.at_s > breaker.at_s:
                breaker.set(state)
                breaker.recent = ()
        for mine in self.states():
            if mine.model not in found and mine.model not in keep:
                self._forget(mine.model)
        self.troubled = self._whole is not None or bool(self._models)

    def reset(self, model: str | None = None) -> None:
        """Close the breaker of a model ("" for that of all), or every one, as the operator says."""
        for scope in ("", *self._models) if model is None else (model,):
            if scope in self._models or (not scope and self._whole is not None):
                self._drop(scope)

    def _about(self, model: str | None) -> list[_Breaker]:
        """Those that a request for the model depends on."""
        own = self._models.get(model) if model else None
        return [one for one in (self._whole, own) if one is not None]

    def _find(self, scope: str) -> _Breaker:
        if not scope:
            if self._whole is None:
                self._whole = _Breaker()
            return self._whole
        found = self._models.get(scope)
        if found is None:
            if len(self._models) >= MODELS_LIMIT:
                self._forget(min(self._models, key=lambda model: self._models[model].until_s))
            found = self._models[scope] = _Breaker()
        return found

    def _drop(self, scope: str) -> None:
        """Close a breaker, and tell if it was open."""
        opened = self._forget(scope)
        if opened and self.changed is not None:
            self.changed(scope)

    def _forget(self, scope: str) -> bool:
        """Have no such breaker; whether it was open."""
        gone = self._models.pop(scope, None) if scope else self._whole
        if not scope:
            self._whole = None
        self.troubled = self._whole is not None or bool(self._models)
        return gone is not None and bool(gone.until_s)

    def _prune(self, now_s: float) -> None:
        """Now and then forget what nobody needs any more."""
        if 0 <= now_s - self._pruned_s < PRUNE_EVERY_S:
            return
        self._pruned_s = now_s
        for model in [model for model, breaker in self._models.items() if breaker.idle(now_s)]:
            self._forget(model)
        if self._whole is not None and self._whole.idle(now_s):
            self._forget("")


__all__ = ["Breakers", "Fault", "State", "fault_of", "read_fault"]
