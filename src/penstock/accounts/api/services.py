"""Services: those of accounts, as annotations of the parameters of routes."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from penstock.accounts.export import Exports
from penstock.accounts.joining import Joining
from penstock.accounts.recovery import Recovery
from penstock.accounts.service import Accounts
from penstock.accounts.sessions import Sessions
from penstock.accounts.signing import Signing
from penstock.accounts.tickets import Tickets
from penstock.accounts.tiers import Tiers
from penstock.accounts.trail import Trail


def _accounts(request: Request) -> Accounts:
    return cast(Accounts, request.app.state.accounts)


def _exports(request: Request) -> Exports:
    return cast(Exports, request.app.state.exports)


def _joining(request: Request) -> Joining:
    return cast(Joining, request.app.state.joining)


def _recovery(request: Request) -> Recovery:
    return cast(Recovery, request.app.state.recovery)


def _sessions(request: Request) -> Sessions:
    return cast(Sessions, request.app.state.sessions)


def _signing(request: Request) -> Signing:
    return cast(Signing, request.app.state.signing)


def _tickets(request: Request) -> Tickets:
    return cast(Tickets, request.app.state.tickets)


def _tiers(request: Request) -> Tiers:
    return cast(Tiers, request.app.state.tiers)


def _trail(request: Request) -> Trail:
    return cast(Trail, request.app.state.trail)


TheAccounts = Annotated[Accounts, Depends(_accounts)]
TheExports = Annotated[Exports, Depends(_exports)]
TheJoining = Annotated[Joining, Depends(_joining)]
TheRecovery = Annotated[Recovery, Depends(_recovery)]
TheSessions = Annotated[Sessions, Depends(_sessions)]
TheSigning = Annotated[Signing, Depends(_signing)]
TheTickets = Annotated[Tickets, Depends(_tickets)]
TheTiers = Annotated[Tiers, Depends(_tiers)]
TheTrail = Annotated[Trail, Depends(_trail)]
