"""The commands for money: top-ups, grants, corrections, balances, redemption codes. Amounts are dollars, exact to the nano-dollar.

Codes are the only thing that `code create` writes to stdout.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from penstock.cli.frame import AsJson, Config, Data, moment_ms, show_json, table, with_database
from penstock.kit.clock import iso
from penstock.kit.money import dollars, parse_dollars
from penstock.kit.pages import Place

if TYPE_CHECKING:
    from penstock.accounts.models import Account
    from penstock.billing.codes import Batch, Codes
    from penstock.billing.ledger import Balance, Movement
    from penstock.billing.membership import Held
    from penstock.infra.database import Database

T = TypeVar("T")
money = typer.Typer()
code = typer.Typer(help="Redemption codes: whoever has one gets what it is worth, once.", no_args_is_help=True)

Whose = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its id or e-mail address.", show_default=False)]
Amount = Annotated[str, typer.Argument(metavar="AMOUNT", help="In dollars, as 20 or 0.0005.", show_default=False)]
Note = Annotated[str, typer.Option(help="For people. The account sees it.")]
Ref = Annotated[str | None, typer.Option(help="A number of your own, such as the order's. The same one moves money once.")]
_EVERYTHING = 1_000_000


@money.command("top-up")
def top_up(account: Whose, amount: Amount, ref: Ref = None, note: Note = "", data: Data = None, config: Config = None) -> None:
    """Add what an account has paid. It may earn membership."""
    _move(account, _amount_nano(amount), ref=ref, note=note, where=(data, config))


@money.command(context_settings={"ignore_unknown_options": True})
def adjust(  # noqa: PLR0913, PLR0917  each is an option
    account: Whose,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="In dollars: 5 adds, -5 takes away.", show_default=False)],
    note: Annotated[str, typer.Option(help="Why. The account sees it.", show_default=False)],
    ref: Ref = None,
    force: Annotated[bool, typer.Option("--force", help="Even if the balance falls below zero.")] = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Correct what an account has paid."""
    _move(account, _amount_nano(amount, signed=True), ref=ref, note=note, force=force, where=(data, config), correct=True)


@money.command()
def grant(
    account: Whose,
    amount: Amount,
    expires: Annotated[str | None, typer.Option(help="When what is left of it ends: 30d, 2026-12-31 or ISO 8601. Default: never.")] = None,
    note: Note = "",
    data: Data = None,
    config: Config = None,
) -> None:
    """Give an account free money, which is spent before what it has paid."""
    amount_nano, expires_at_ms = _amount_nano(amount), moment_ms(expires)

    async def act(desk: _Desk) -> tuple[Account, Balance]:
        from penstock.billing.grants import Gift, Grants

        found = await desk.accounts.find(account)
        async with desk.database.session() as session:
            await Grants(desk.database, desk.trail).grant(session, desk.who, Gift(found.id, amount_nano, expires_at_ms, note))
        return found, await desk.ledger.balance(found.id)

    _say(*_at_desk(data, config, act), f"granted {dollars(amount_nano)}")


@money.command()
def balance(account: Whose, as_json: AsJson = False, data: Data = None, config: Config = None) -> None:
    """Say what an account has, in dollars, and its membership."""

    async def act(desk: _Desk) -> tuple[Account, Balance, Held]:
        found = await desk.accounts.find(account)
        return found, await desk.ledger.balance(found.id), await desk.memberships.of(found.id)

    found, has, held = _at_desk(data, config, act)
    standing = held.standing
    until_at = None if standing.until_ms is None else iso(standing.until_ms)
    if as_json:
        amounts = {"paid_nano": has.paid_nano, "free_nano": has.free_nano, "on_lease_nano": has.on_lease_nano}
        tier = {"tier": standing.tier.name, "until_at": until_at}
        show_json({"account_id": found.id, "total_nano": has.paid_nano + has.free_nano, **amounts, **tier})
        return
    row: dict[str, Any] = {"account": found.id, "total": dollars(has.paid_nano + has.free_nano), "paid": dollars(has.paid_nano)}
    row |= {"free": dollars(has.free_nano), "on lease": dollars(has.on_lease_nano), "tier": standing.tier.name, "until_at": until_at}
    table([row], tuple(row))


@code.command()
def create(  # noqa: PLR0913, PLR0917  each is an option
    amount: Amount,
    count: Annotated[int, typer.Option(help="How many.")] = 1,
    grant_days: Annotated[
        str | None, typer.Option(help="Make them free money that ends so many days after it is redeemed; 'never': does not end.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Capital letters and digits before the code that say what it is for.")] = "",
    expires: Annotated[str | None, typer.Option(help="When they end that were not redeemed: 30d, 2026-12-31. Default: never.")] = None,
    data: Data = None,
    config: Config = None,
) -> None:
    """Make redemption codes and print them, this once. What they are worth counts as paid, unless it is granted."""
    from penstock.billing.codes import Plan

    kind, days = ("top_up", None) if grant_days is None else ("grant", _days(grant_days))
    plan = Plan(count, kind, _amount_nano(amount), prefix, days, moment_ms(expires))

    async def act(desk: _Desk) -> Any:
        async with desk.database.session() as session:
            return await desk.codes.create(session, desk.who, plan)

    issued = _at_desk(data, config, act)
    typer.echo(f"made batch {issued.batch.id}; its codes are shown only now:", err=True)
    for _, secret in issued.codes:
        typer.echo(secret)


@code.command("list")
def list_(
    batch: Annotated[str | None, typer.Argument(metavar="[BATCH]", help="One batch, code by code.", show_default=False)] = None,
    as_json: AsJson = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """List the batches, newest first, or the codes of one, without their secrets."""
    if batch is None:
        found = _at_desk(data, config, lambda desk: desk.codes.batches(Place(None, _EVERYTHING))).data
        rows = [_facts(one) for one in found]
        columns: tuple[str, ...] = ("id", "kind", "dollars", "count", "redeemed", "disabled", "prefix", "created_at", "expires_at")
    else:
        rows = _at_desk(data, config, lambda desk: _codes_of(desk.codes, batch))
        columns = ("id", "state", "account_id", "redeemed_at", "disabled_at")
    if as_json:
        show_json(rows)
    else:
        table(rows, columns)


@code.command()
def disable(
    ref: Annotated[str, typer.Argument(metavar="BATCH|CODE_ID", show_default=False)], data: Data = None, config: Config = None
) -> None:
    """Let a batch, or one code by its id, be worth nothing. What was redeemed stays."""

    async def act(desk: _Desk) -> int:
        async with desk.database.session() as session:
            if ref.startswith("bat_"):
                return await desk.codes.disable_batch(session, desk.who, ref)
            return await desk.codes.disable_code(session, desk.who, ref)

    typer.echo(f"disabled {_at_desk(data, config, act)} of {ref}", err=True)


class _Desk:
    """The services that the commands use."""

    def __init__(self, database: Database) -> None:
        from penstock.accounts.identity import CLI
        from penstock.accounts.service import Accounts
        from penstock.accounts.throttle import Throttle
        from penstock.accounts.trail import Trail
        from penstock.billing.codes import Codes
        from penstock.billing.ledger import Ledger
        from penstock.billing.membership import Memberships

        self.who = CLI
        self.database = database
        self.accounts = Accounts(database)
        self.trail = Trail(database)
        self.memberships = Memberships(database, self.trail)
        self.ledger = Ledger(database, self.trail, self.memberships)
        self.codes = Codes(database, self.trail, self.memberships, Throttle(database))


def _at_desk(data: Path | None, config: Path | None, act: Callable[[_Desk], Awaitable[T]]) -> T:
    async def run(database: Database) -> T:
        return await act(_Desk(database))

    return with_database(data, config, run)


def _move(account: str, amount_nano: int, *, where: tuple[Path | None, Path | None], correct: bool = False, **more: Any) -> None:
    """Top up or correct, and say what there is now."""

    async def act(desk: _Desk) -> tuple[Account, Balance]:
        from penstock.billing.ledger import Movement

        found = await desk.accounts.find(account)
        movement: Movement = Movement(found.id, amount_nano, **more)
        if amount_nano < 0 and not movement.force:
            await desk.ledger.gather(found.id, -amount_nano)
        async with desk.database.session() as session:
            await (desk.ledger.adjust if correct else desk.ledger.top_up)(session, desk.who, movement)
        return found, await desk.ledger.balance(found.id)

    found, has = _at_desk(*where, act)
    _say(found, has, f"{'adjusted by' if correct else 'topped up by'} {dollars(amount_nano)}")


def _say(account: Account, has: Balance, what: str) -> None:
    typer.echo(f"{what}: '{account.name}' ({account.id}) has {dollars(has.paid_nano + has.free_nano)} dollars", err=True)


def _amount_nano(text: str, *, signed: bool = False) -> int:
    sign = -1 if signed and text.startswith("-") else 1
    try:
        return sign * parse_dollars(text.removeprefix("-").removeprefix("+") if signed else text)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from None


def _days(text: str) -> int | None:
    if text == "never":
        return None
    if not (text.isascii() and text.isdigit()):
        raise typer.BadParameter(f"'{text}' is no number of days; write 30, or never")
    return int(text)


async def _codes_of(codes: Codes, batch: str) -> list[dict[str, Any]]:
    from penstock.billing.codes import state_of
    from penstock.kit.clock import now_ms

    return [
        {
            "id": one.id,
            "state": state_of(one, now_ms()),
            "account_id": one.account_id,
            "redeemed_at": one.redeemed_at_ms and iso(one.redeemed_at_ms),
            "disabled_at": one.disabled_at_ms and iso(one.disabled_at_ms),
        }
        for one in (await codes.list(batch, Place(None, _EVERYTHING))).data
    ]


def _facts(batch: Batch) -> dict[str, Any]:
    return {
        "id": batch.id,
        "kind": batch.kind,
        "amount_nano": batch.amount_nano,
        "dollars": dollars(batch.amount_nano),
        "count": batch.count,
        "redeemed": batch.redeemed,
        "disabled": batch.disabled,
        "prefix": batch.prefix,
        "grant_days": batch.grant_days,
        "created_at": iso(batch.created_at_ms),
        "expires_at": None if batch.expires_at_ms is None else iso(batch.expires_at_ms),
    }
