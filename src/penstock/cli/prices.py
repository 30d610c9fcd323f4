"""The commands for prices: the operator's own, those that wait, whole sets, multipliers. Dollars are exact decimal text."""
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from penstock.cli.frame import AsJson, Config, Data, moment_ms, settings_of, show_json, table, with_database
from penstock.kit.clock import iso
from penstock.kit.money import decimal_of_micro, micro_of_decimal

if TYPE_CHECKING:
    from penstock.catalog.service import Listed, Prices, Waiting
    from penstock.infra.database import Database

T = TypeVar("T")
UNITS = ("mtok", "mchars", "kcount", "hours", "count")
EVERYTHING = 1_000_000
"""More rows than there are."""
price = typer.Typer(help="Prices: what models cost here.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(metavar="MODEL", show_default=False)]
PriceId = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
Provider = Annotated[str, typer.Option(help="Whose model it is; * is anybody's.")]
From = Annotated[str | None, typer.Option("--from", help="When it begins: 30d, 2026-12-31 or ISO 8601. Default: now.")]
Confirm = Annotated[bool, typer.Option("--confirm", help="It is meant, however far it is from the price in force.")]


@price.command("list")
def list_(
    retired: Annotated[bool, typer.Option("--retired", help="Those that were retired, too.")] = False,
    as_json: AsJson = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """List your own prices, newest first, and official ones that wait to be confirmed."""

    async def read(prices: Prices) -> tuple[Sequence[Listed], Sequence[Waiting]]:
        from penstock.kit.pages import Place

        return (await prices.list(Place(None, EVERYTHING), retired=retired)).data, await prices.waiting()

    listed, waiting = _with_prices(data, config, read)
    rows = [*(_facts(one) for one in listed), *(_facts_of_waiting(one) for one in waiting)]
    if as_json:
        show_json(rows)
        return
    shown = [{**row, "rates": "free" if row["free"] else _brief(row["rates"])} for row in rows]
    table(shown, ("id", "provider", "model", "state", "rates", "effective_at"))


@price.command("set")
def set_(  # noqa: PLR0913, PLR0917  each is an option
    model: Model,
    rates: Annotated[list[str], typer.Argument(metavar="RATE...", show_default=False)],
    provider: Provider = "*",
    from_: From = None,
    output_cap: Annotated[int | None, typer.Option(help="Output tokens to hold funds for when a request sets no bound.")] = None,
    confirm: Confirm = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Set a price of your own for a model, or for all that a glob matches: input=2.5 output=10. It replaces the official one, whole."""
    cards = _cards(rates)
    effective_at_ms = moment_ms(from_)

    async def act(prices: Prices) -> Listed:
        from penstock.accounts.identity import CLI
        from penstock.catalog.sets import Wish

        wish = Wish(provider, model, rates=cards, effective_at_ms=effective_at_ms, output_cap=output_cap)
        return await prices.put(CLI, wish, confirm=confirm)

    _say(_with_prices(data, config, act))


@price.command()
def free(model: Model, provider: Provider = "*", from_: From = None, data: Data = None, config: Config = None) -> None:
    """Give a model away, or all that a glob matches: requests for it cost nothing."""
    effective_at_ms = moment_ms(from_)

    async def act(prices: Prices) -> Listed:
        from penstock.accounts.identity import CLI
        from penstock.catalog.sets import Wish

        return await prices.put(CLI, Wish(provider, model, free=True, effective_at_ms=effective_at_ms))

    _say(_with_prices(data, config, act))


@price.command()
def confirm(price_id: PriceId, data: Data = None, config: Config = None) -> None:
    """Have a price that waits count from now on: your own, or an official one."""

    async def act(prices: Prices) -> None:
        from penstock.accounts.identity import CLI

        await prices.confirm(CLI, price_id)

    _with_prices(data, config, act)
    typer.echo(f"confirmed {price_id}", err=True)


@price.command()
def retire(price_id: PriceId, data: Data = None, config: Config = None) -> None:
    """Have a price of your own no longer count. The one before it, or the official one, is in force again."""

    async def act(prices: Prices) -> None:
        from penstock.accounts.identity import CLI

        await prices.retire(CLI, price_id)

    _with_prices(data, config, act)
    typer.echo(f"retired {price_id}", err=True)


@price.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    confirm: Confirm = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Set a whole set of prices, all or none: what `export` writes, or LiteLLM's list of model prices. - is stdin."""
    raw = sys.stdin.buffer.read() if str(file) == "-" else _read(file)

    async def act(prices: Prices) -> Any:
        from penstock.accounts.identity import CLI
        from penstock.catalog.sets import read_set
        from penstock.upstream.providers import PROVIDERS

        return await prices.bring_in(CLI, read_set(raw, frozenset(PROVIDERS)), confirm=confirm, dry_run=dry_run)

    report = _with_prices(data, config, act)
    for verdict in report.verdicts:
        typer.echo(f"{verdict.wish.provider}/{verdict.wish.model}{'' if verdict.jump is None else f': {verdict.jump}'}")
    for words in report.skipped:
        typer.echo(f"skipped: {words}", err=True)
    done = "would be set" if dry_run else "set"
    typer.echo(f"{len(report.verdicts)} prices and {report.multipliers} multipliers {done}, {report.unchanged} as they were", err=True)


@price.command()
def export(data: Data = None, config: Config = None) -> None:
    """Print your own prices and multipliers as JSON, to be imported elsewhere."""

    async def act(prices: Prices) -> Any:
        from penstock.catalog.sets import write_set

        return write_set(await prices.export())

    typer.echo(json.dumps(_with_prices(data, config, act), indent=2, ensure_ascii=False))


@price.command()
def multiplier(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", show_default=False)] = None,
    times: Annotated[str | None, typer.Argument(metavar="[NUMBER]", show_default=False)] = None,
    delete: Annotated[bool, typer.Option("--delete", help="No longer multiply this model's prices.")] = False,
    as_json: AsJson = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """List multipliers, or multiply the prices of a model, or of all that a glob matches, by a number such as 1.25."""
    if (model is None) is not (times is None and not delete) or (times is not None and delete):
        raise typer.BadParameter("give a model and a number, or a model and --delete, or nothing to list all")
    micro = None if times is None else _micro(times)

    async def act(prices: Prices) -> Any:
        from penstock.accounts.identity import CLI

        if model is None:
            return await prices.multipliers()
        return await (prices.delete_multiplier(CLI, model) if micro is None else prices.put_multiplier(CLI, model, micro))

    found = _with_prices(data, config, act)
    if model is not None:
        typer.echo(f"'{model}' is no longer multiplied" if delete else f"'{model}' is multiplied by {times}", err=True)
    elif as_json:
        show_json([{"model": row.model, "multiplier_micro": row.multiplier_micro, "changed_at": iso(row.changed_at_ms)} for row in found])
    else:
        rows = [
            {"model": row.model, "multiplier": decimal_of_micro(row.multiplier_micro), "changed_at": iso(row.changed_at_ms)}
            for row in found
        ]
        table(rows, ("model", "multiplier", "changed_at"))


def _cards(rates: Sequence[str]) -> dict[str, dict[str, str]]:
    """Rates written as NAME=DOLLARS or TIER.NAME=DOLLARS; a name without its unit is one for a million tokens."""
    cards: dict[str, dict[str, str]] = {}
    for text in rates:
        name, equals, dollars = text.partition("=")
        tier, _, name = name.rpartition(".")
        if not equals or not name:
            raise typer.BadParameter(f"'{text}' is not NAME=DOLLARS")
        whole = name if name.rpartition("_")[2] in UNITS else f"{name}_mtok"
        cards.setdefault(tier or "standard", {})[whole] = dollars
    return cards


def _with_prices(data: Path | None, config: Path | None, act: Callable[[Prices], Awaitable[T]]) -> T:
    jump_factor = settings_of(data=data, config=config).price_jump_factor

    async def run(database: Database) -> T:
        from penstock.catalog.service import Prices

        return await act(Prices(database, jump_factor=jump_factor))

    return with_database(data, config, run)


def _say(listed: Listed) -> None:
    row = listed.row
    when = "from now on" if listed.state == "in_force" else f"from {iso(row.effective_at_ms)} on"
    typer.echo(f"the price of {row.provider}/{row.model} is set {when} ({row.id})", err=True)


def _facts(listed: Listed) -> dict[str, Any]:
    row = listed.row
    return {
        "id": row.id,
        "provider": row.provider,
        "model": row.model,
        "state": listed.state,
        "free": row.free,
        "rates": row.card,
        "output_cap": row.output_cap,
        "effective_at": iso(row.effective_at_ms),
    }


def _facts_of_waiting(one: Waiting) -> dict[str, Any]:
    from penstock.catalog.cards import write_cards

    rates = None if one.waiting is None else write_cards(one.waiting)
    facts = {"id": one.id, "provider": one.provider, "model": one.model, "state": "waiting", "free": False, "rates": rates}
    return facts | {"output_cap": None, "effective_at": iso(one.since_ms)}


def _brief(rates: Mapping[str, Mapping[str, Any]] | None) -> str:
    """The rates in a line: those of the standard service tier, and which others there are."""
    if rates is None:
        return "-"
    steps = {
        name: rate if isinstance(rate, str) else "/".join(step["dollars"] for step in rate) for name, rate in rates["standard"].items()
    }
    return " ".join((*(f"{name}={text}" for name, text in steps.items()), *(f"+{tier}" for tier in rates if tier != "standard")))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as failure:
        raise typer.BadParameter(f"{file}: {failure.strerror or failure}") from None


def _micro(text: str) -> int:
    try:
        return micro_of_decimal(text)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from None
