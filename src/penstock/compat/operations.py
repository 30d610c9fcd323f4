"""Operations: what load balancers, supervisors, Prometheus and the probes of client programs ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

import penstock

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Check = Callable[[], Awaitable[str | None]]
"""Returns None where all is well, else the reason why not, in words for an operator."""


def router(checks: Mapping[str, Check], metrics: Callable[[], bytes], check_s: float = 2.0) -> APIRouter:
    """The operations endpoints. `metrics` makes the Prometheus page.

    `checks` (by name) decide whether this worker is ready; one that takes longer than `check_s` has failed, for a probe must be
    answered.
    """
    routes = APIRouter(tags=["operations"])

    @routes.get("/")
    async def root() -> dict[str, str]:
        """What this is: also what programs probe before they send a request."""
        return {"name": "penstock", "version": penstock.__version__, "api": "/v1", "health": "/healthz"}

    @routes.get("/healthz")
    async def healthz() -> dict[str, bool]:
        """The process answers: restart it when this fails."""
        return {"alive": True}

    @routes.get("/readyz", responses={503: {"description": "Not ready; the reasons are listed by check."}})
    async def readyz() -> JSONResponse:
        """Requests can be served: send none while this fails."""
        reasons = await _reasons(checks, check_s)
        return JSONResponse({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    @routes.get("/metrics", response_class=Response)
    async def prometheus() -> Response:
        """Metrics in the Prometheus text format, all workers together; listed in docs/metrics.md."""
        return Response(metrics(), media_type=METRICS_TYPE)

    @routes.head("/", include_in_schema=False)
    @routes.head("/api/hello", include_in_schema=False)
    @routes.get("/api/hello", include_in_schema=False)
    @routes.head("/healthz", include_in_schema=False)
    async def hello() -> Response:
        return Response()

    return routes


async def _reasons(checks: Mapping[str, Check], within_s: float) -> dict[str, str]:
    answers = await asyncio.gather(*(_answer(check, within_s) for check in checks.values()))
    return {name: answer for name, answer in zip(checks, answers, strict=True) if answer is not None}


async def _answer(check: Check, within_s: float) -> str | None:
    try:
        async with asyncio.timeout(within_s):
            return await check()
    except TimeoutError:
        return f"no answer within {within_s:g} s"
