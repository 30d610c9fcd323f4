"""The commands for keys. A key is the only thing that `create` and `rotate` write to stdout."""
# ruff: noqa: PLC0415, PLR0913  an option is a parameter

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from penstock.cli.frame import AsJson, Config, Data, moment_ms, show_json, span_s, table, with_database
from penstock.kit.clock import iso, now_ms
from penstock.kit.money import dollars, parse_dollars

if TYPE_CHECKING:
    from penstock.infra.database import Database
    from penstock.keys.models import Key
    from penstock.keys.service import Keys, Made

T = TypeVar("T")
NONE = "none"
"""What takes a restriction away."""
_WITHOUT = {"models": "all", "wires": "all", "networks": "all", "expires_at": "never"}
"""What is said where there is no restriction."""
key = typer.Typer(help="Keys: what programs show to be let in.", no_args_is_help=True)

Ref = Annotated[str, typer.Argument(metavar="NAME|ID", show_default=False)]
Owner = Annotated[str | None, typer.Option("--account", help="Whose it is: id or e-mail address. Default: the operator's.")]
Models = Annotated[str | None, typer.Option(help="Models it may use: names with * and ?, separated by commas.")]
Wires = Annotated[str | None, typer.Option(help="Protocols it may use, such as chat,responses,messages.")]
Networks = Annotated[str | None, typer.Option(help="Addresses it may be used from: 10.0.0.0/8,2001:db8::/32.")]
Expires = Annotated[str | None, typer.Option(help="When it ends: 30d, 2026-12-31 or ISO 8601.")]
CapTotal = Annotated[str | None, typer.Option(help="Dollars it may spend in all, as in 2.50.")]
CapDay = Annotated[str | None, typer.Option(help="Dollars it may spend in a day.")]
CapWeek = Annotated[str | None, typer.Option(help="Dollars it may spend in a week.")]
CapMonth = Annotated[str | None, typer.Option(help="Dollars it may spend in a month.")]
Window = Annotated[str | None, typer.Option(help="What a day, week and month is: calendar or rolling.")]
Rpm = Annotated[str | None, typer.Option(help="Requests in a minute.")]
Fallback = Annotated[
    list[str] | None, typer.Option(help="MODEL=>OTHER,OTHER: models that answer when none of a model's channels can; more than once.")
]
Tpm = Annotated[str | None, typer.Option(help="Tokens in a minute.")]
Concurrency = Annotated[str | None, typer.Option(help="Requests at once.")]


@key.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    *,
    models: Models = None,
    wires: Wires = None,
    networks: Networks = None,
    fallback: Fallback = None,
    expires: Expires = None,
    cap_total: CapTotal = None,
    cap_day: CapDay = None,
    cap_week: CapWeek = None,
    cap_month: CapMonth = None,
    window: Window = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    concurrency: Concurrency = None,
    record: Annotated[bool, typer.Option("--record", help="Record its requests and answers.")] = False,
    management: Annotated[bool, typer.Option("--management", help="It may call the control API of its account.")] = False,
    account: Owner = None,
    data: Data = None,
    config: Config = None,
) -> None:
    """Make a key and print it, this once. Without options it may do everything."""
    caps = {"total_nano": cap_total, "day_nano": cap_day, "week_nano": cap_week, "month_nano": cap_month}
    limits = _limits(caps, {"rpm": rpm, "tpm": tpm, "concurrency": concurrency}, window)
    given = _terms({"models": models, "wires": wires, "networks": networks}, fallback, expires, limits) | {
        "record": record,
        "kind": "management" if management else "key",
    }
    _show(_with_keys(data, config, account, lambda keys, by: keys.create(name, **given, **by)), "made")


@key.command("list")
def list_(
    account: Annotated[str | None, typer.Option(help="Whose: id or e-mail address. Default: everybody's.")] = None,
    as_json: AsJson = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """List keys, oldest first, without their secrets."""
    rows = [_facts(found) for found in _with_keys(data, config, account, lambda keys, by: keys.list(by.get("account_id")))]
    if as_json:
        show_json(rows)
        return
    shown = [{**row, "account": row["account_id"], **{name: row[name] or word for name, word in _WITHOUT.items()}} for row in rows]
    several = len({row["account_id"] for row in rows}) > 1
    table(shown, ("name", "id", *(["account"] if several else []), "key", "state", "models", "record", "created_at", "expires_at"))


@key.command()
def show(ref: Ref, account: Owner = None, as_json: AsJson = False, data: Data = None, config: Config = None) -> None:
    """Show all that is known of a key, without its secret."""
    facts = _facts(_with_keys(data, config, account, lambda keys, by: keys.get(ref, by.get("account_id"))))
    if as_json:
        show_json(facts)
        return
    limits = facts.pop("limits")
    if all(value is None for name, value in limits.items() if name != "window"):
        del limits["window"]
    shown = {
        **{name.removesuffix("_at"): _WITHOUT.get(name) if value is None else value for name, value in facts.items()},
        **{
            f"{name[:-5]} cap": f"{dollars(value)} dollars"
            for name, value in limits.items()
            if name.endswith("_nano") and value is not None
        },
        **{name: value for name, value in limits.items() if not name.endswith("_nano") and value is not None},
    }
    table([{"what": name, "value": value} for name, value in shown.items()], ("what", "value"))


@key.command()
def change(
    ref: Ref,
    *,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    models: Models = None,
    wires: Wires = None,
    networks: Networks = None,
    fallback: Fallback = None,
    expires: Expires = None,
    cap_total: CapTotal = None,
    cap_day: CapDay = None,
    cap_week: CapWeek = None,
    cap_month: CapMonth = None,
    window: Window = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    concurrency: Concurrency = None,
    record: Annotated[bool | None, typer.Option(help="Record its requests and answers.")] = None,
    management: Annotated[bool | None, typer.Option(help="It may call the control API of its account.")] = None,
    account: Owner = None,
    data: Data = None,
    config: Config = None,
) -> None:
    """Change what is given of a key; `none` takes a restriction away."""
    caps = {"total_nano": cap_total, "day_nano": cap_day, "week_nano": cap_week, "month_nano": cap_month}
    limits = _limits(caps, {"rpm": rpm, "tpm": tpm, "concurrency": concurrency}, window)
    kind = None if management is None else "management" if management else "key"
    others = {"name": name, "record": record, "kind": kind}
    given = _terms({"models": models, "wires": wires, "networks": networks}, fallback, expires, limits) | {
        field: value for field, value in others.items() if value is not None
    }
    if not given:
        raise typer.BadParameter("Say what is to be changed; --help lists what can be.")
    _say(_with_keys(data, config, account, lambda keys, by: keys.change(ref, **given, **by)), "changed")


@key.command()
def disable(ref: Ref, account: Owner = None, data: Data = None, config: Config = None) -> None:
    """Refuse a key until it is enabled again."""
    _say(_with_keys(data, config, account, lambda keys, by: keys.disable(ref, **by)), "disabled")


@key.command()
def enable(ref: Ref, account: Owner = None, data: Data = None, config: Config = None) -> None:
    """Accept a disabled key again."""
    _say(_with_keys(data, config, account, lambda keys, by: keys.enable(ref, **by)), "enabled")


@key.command()
def rotate(
    ref: Ref,
    grace: Annotated[str, typer.Option(help="How long the old one works on: 24h, 7d.")] = "0s",
    expires: Annotated[str | None, typer.Option(help="A new end, written as for create. Default: as it was.")] = None,
    account: Owner = None,
    data: Data = None,
    config: Config = None,
) -> None:
    """Replace the secret of a key and print the new one, this once."""
    terms: dict[str, Any] = {"grace_s": span_s(grace), "expires_at_ms": moment_ms(expires)}
    _show(_with_keys(data, config, account, lambda keys, by: keys.rotate(ref, **terms, **by)), "rotated")


@key.command()
def delete(ref: Ref, account: Owner = None, data: Data = None, config: Config = None) -> None:
    """Delete a key for good; its name becomes free, its charges stay."""
    _say(_with_keys(data, config, account, lambda keys, by: keys.delete(ref, **by)), "deleted")


def _with_keys(data: Path | None, config: Path | None, account: str | None, act: Callable[[Keys, dict[str, Any]], Awaitable[T]]) -> T:
    """What `act` returns when it is given the keys, and who does it to whose: `account_id` is left out where no account is named."""

    async def run(database: Database) -> T:
        from penstock.accounts.identity import CLI
        from penstock.accounts.service import Accounts
        from penstock.keys.service import Keys

        owner = {} if account is None else {"account_id": (await Accounts(database).find(account)).id}
        return await act(Keys(database), {**owner, "who": CLI})

    return with_database(data, config, run)


def _terms(
    lists: dict[str, str | None], fallback: list[str] | None, expires: str | None, limits: dict[str, Any]
) -> dict[str, Any]:  # fmt: skip
    """What is given, as the service takes it."""
    terms: dict[str, Any] = {"limits": limits} if limits else {}
    for name, text in lists.items():
        if text is not None:
            terms[name] = None if text == NONE else [part.strip() for part in text.split(",")]
    if fallback:
        terms["fallbacks"] = None if fallback == [NONE] else dict(map(_fallback, fallback))
    if expires is not None:
        terms["expires_at_ms"] = None if expires == NONE else moment_ms(expires)
    return terms


def _fallback(text: str) -> tuple[str, list[str]]:
    model, arrow, others = (part.strip() for part in text.partition("=>"))
    if not arrow or not model:
        raise typer.BadParameter(f"Write fallbacks as MODEL=>OTHER,OTHER: {text!r}.")
    return model, [other.strip() for other in others.split(",")]


def _limits(caps: dict[str, str | None], rates: dict[str, str | None], window: str | None) -> dict[str, Any]:
    limits: dict[str, Any] = {} if window is None else {"window": window}
    for given, read in ((caps, parse_dollars), (rates, _count)):
        for name, text in given.items():
            try:
                if text is not None:
                    limits[name] = None if text == NONE else read(text)
            except ValueError as wrong:
                raise typer.BadParameter(str(wrong)) from None
    return limits


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"'{text}' is not a whole number")
    return int(text)


def _show(made: Made, what: str) -> None:
    _say(made.key, what)
    if made.key.expires_at_ms is not None:
        typer.echo(f"it expires at {iso(made.key.expires_at_ms)}", err=True)
    typer.echo("the key is shown only now:", err=True)
    typer.echo(made.token)


def _say(found: Key, what: str) -> None:
    typer.echo(f"{what} '{found.name}' ({found.id})", err=True)


def _facts(found: Key) -> dict[str, Any]:
    from penstock.keys.facts import facts

    shown = facts(found, now_ms())
    return {"name": shown.pop("name"), **shown}
