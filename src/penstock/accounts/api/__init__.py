"""The control API of accounts: signing in and out, one's own account, all accounts, tiers, the audit trail."""

from __future__ import annotations

from fastapi import FastAPI

from penstock.accounts.api import accounts, events, joining, me, password_resets, sessions, setup, tiers
from penstock.accounts.api.gate import Gate
from penstock.accounts.parts import Parts

routers = tuple(part.routes for part in (setup, sessions, joining, password_resets, me, accounts, tiers, events))
"""What `install` mounts."""


def install(app: FastAPI, parts: Parts, gate: Gate) -> None:
    """Mount the routes of accounts, on these services, and the gate that lets in for all routes."""
    app.state.gate = gate
    for name, service in vars(parts).items():
        setattr(app.state, name, service)
    for routes in routers:
        app.include_router(routes)
