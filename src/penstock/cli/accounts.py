"""The commands for accounts. An id, or the token of a link, is the only thing that is written to stdout."""
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

import typer

from penstock.cli.frame import AsJson, Config, Data, settings_of, show_json, stop, table, with_database
from penstock.kit.clock import iso

if TYPE_CHECKING:
    from penstock.accounts.models import Account
    from penstock.accounts.parts import Parts
    from penstock.infra.database import Database

T = TypeVar("T")
account = typer.Typer(help="Accounts: who pays, who may sign in, and who administers.", no_args_is_help=True)


class Role(StrEnum):
    """What an account may do."""

    admin = "admin"
    member = "member"


class State(StrEnum):
    """Which accounts to list."""

    active = "active"
    disabled = "disabled"
    deleted = "deleted"


Ref = Annotated[str, typer.Argument(metavar="EMAIL|ID", show_default=False)]
Email = Annotated[str, typer.Argument(metavar="EMAIL", show_default=False)]
AsRole = Annotated[Role, typer.Option(help="admin administers everything; member acts on their own account.")]


@account.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    email: Annotated[str | None, typer.Option(help="Address to sign in with. Default: nobody signs in.")] = None,
    role: AsRole = Role.member,
    postpaid: Annotated[bool, typer.Option("--postpaid", help="Only count what it consumes, whatever its balance.")] = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Make an account and print its id."""

    async def act(parts: Parts) -> Account:
        from penstock.accounts.identity import CLI
        from penstock.accounts.service import Draft

        return await parts.accounts.create(CLI, Draft(name, email, role=role.value, prepaid=not postpaid))

    made = _with_accounts(data, config, act)
    _say(made, "made")
    if made.email is not None:
        typer.echo(f"its owner chooses a password with the token of: penstock account password-reset {made.email}", err=True)
    typer.echo(made.id)


@account.command("list")
def list_(
    search: Annotated[str | None, typer.Option(help="Part of a name, an e-mail address or an id.")] = None,
    state: Annotated[State | None, typer.Option(help="active, disabled or deleted. Default: all but deleted ones.")] = None,
    as_json: AsJson = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """List accounts, newest first, the operator's before all others."""

    async def act(parts: Parts) -> list[dict[str, Any]]:
        from penstock.accounts.service import Wanted
        from penstock.kit.pages import LIMIT_MAX, Place, decode

        rows: list[dict[str, Any]] = []
        place = Place(None, LIMIT_MAX)
        while True:
            page = await parts.accounts.list(Wanted(search, state=cast(Any, state and state.value)), place)
            rows += map(_facts, page.data)
            if page.next is None:
                return rows
            place = Place(decode(page.next), LIMIT_MAX)

    rows = _with_accounts(data, config, act)
    if as_json:
        show_json(rows)
    else:
        table(rows, ("name", "id", "email", "role", "state", "prepaid", "created_at"))


@account.command()
def disable(ref: Ref, data: Data = None, config: Config = None) -> None:
    """Refuse the keys and the sign-ins of an account until it is enabled again."""
    _change(ref, "disable", data, config)


@account.command()
def enable(ref: Ref, data: Data = None, config: Config = None) -> None:
    """Accept a disabled account again."""
    _change(ref, "enable", data, config)


@account.command()
def delete(
    ref: Ref,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Forget for good who an account was. Its keys open nothing any more; its charges stay."""
    if not yes:
        typer.confirm(f"Delete the account {ref} for good?", abort=True, err=True)

    async def act(parts: Parts) -> Account:
        from penstock.accounts.identity import CLI

        found = await parts.accounts.find(ref)
        await parts.accounts.delete(CLI, found.id)
        return found

    _say(_with_accounts(data, config, act), "deleted")


@account.command()
def role(
    ref: Ref, as_role: Annotated[Role, typer.Argument(metavar="admin|member", show_default=False)], data: Data = None, config: Config = None
) -> None:
    """Make an account an administrator's, or a member's."""

    async def act(parts: Parts) -> Account:
        from penstock.accounts.identity import CLI

        return await parts.accounts.change(CLI, (await parts.accounts.find(ref)).id, role=as_role.value)

    _say(_with_accounts(data, config, act), f"{as_role.value}:")


@account.command()
def invite(email: Email, role: AsRole = Role.member, data: Data = None, config: Config = None) -> None:
    """Print the token of a link that makes an account for this address, once. Pass the link on."""

    async def act(parts: Parts) -> str:
        from penstock.accounts.identity import CLI

        return await parts.joining.ticket(CLI, email, role.value)

    _show(_with_accounts(data, config, act), "join", data, config)


@account.command()
def password_reset(ref: Ref, data: Data = None, config: Config = None) -> None:
    """Print the token of a link to choose another password, once, within an hour. Pass the link on."""

    async def act(parts: Parts) -> str:
        from penstock.accounts.identity import CLI

        return await parts.recovery.ticket(CLI, (await parts.accounts.find(ref)).id)

    _show(_with_accounts(data, config, act), "reset", data, config)


@account.command()
def first_admin(data: Data = None, config: Config = None) -> None:
    """Print another token to set up the gateway with, as long as no administrator can sign in. Earlier ones stop working."""

    async def act(parts: Parts) -> str | None:
        return await parts.tickets.first_admin(again=True)

    token = _with_accounts(data, config, act)
    if token is None:
        stop(["there is an administrator who can sign in already; use penstock account password-reset"])
    _show(token, "setup", data, config)


def _change(ref: str, action: Literal["disable", "enable"], data: Path | None, config: Path | None) -> None:
    async def act(parts: Parts) -> Account:
        from penstock.accounts.identity import CLI

        accounts = parts.accounts
        found = await accounts.find(ref)
        return await (accounts.disable if action == "disable" else accounts.enable)(CLI, found.id)

    _say(_with_accounts(data, config, act), f"{action}d")


def _with_accounts(data: Path | None, config: Path | None, act: Callable[[Parts], Awaitable[T]]) -> T:
    settings = settings_of(data=data, config=config)

    async def run(database: Database) -> T:
        from penstock.accounts.parts import Others, Parts
        from penstock.infra.mail import ConsoleMail
        from penstock.leaving import ENDINGS

        return await act(Parts(database, ConsoleMail(), settings, Others(endings=ENDINGS)))

    return with_database(data, config, run)


def _show(token: str, page: str, data: Path | None, config: Path | None) -> None:
    from penstock.accounts.parts import letters_of

    typer.echo(f"the link, which works once: {letters_of(settings_of(data=data, config=config)).link(page, token)}", err=True)
    typer.echo(token)


def _say(found: Account, what: str) -> None:
    typer.echo(f"{what} '{found.email or found.name}' ({found.id})", err=True)


def _facts(found: Account) -> dict[str, Any]:
    deleted, disabled = found.deleted_at_ms is not None, found.disabled_at_ms is not None
    return {
        "name": found.name,
        "id": found.id,
        "email": found.email,
        "role": found.role,
        "state": "deleted" if deleted else "disabled" if disabled else "active",
        "prepaid": found.prepaid,
        "limits": found.limits,
        "created_at": iso(found.created_at_ms),
    }
