"""The commands for keys. A key is the only thing that `create` and `rotate` write to stdout."""
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from penstock.cli.frame import AsJson, Config, Data, moment_ms, show_json, span_s, table, with_database
from penstock.kit.clock import iso, now_ms

if TYPE_CHECKING:
    from penstock.infra.database import Database
    from penstock.keys.models import Key
    from penstock.keys.service import Keys, Made

T = TypeVar("T")
key = typer.Typer(help="Keys: what programs show to be let in.", no_args_is_help=True)

Ref = Annotated[str, typer.Argument(metavar="NAME|ID", show_default=False)]


@key.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    models: Annotated[str | None, typer.Option(help="Models it may use: names with * and ?, separated by commas. Default: all.")] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends: 30d, 2026-12-31 or ISO 8601. Default: never.")] = None,
    record: Annotated[bool, typer.Option("--record", help="Record its requests and answers.")] = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Make a key and print it, this once."""
    globs = None if models is None else [part.strip() for part in models.split(",")]
    expires_at_ms = moment_ms(expires)
    made = _with_keys(data, config, lambda keys: keys.create(name, models=globs, expires_at_ms=expires_at_ms, record=record))
    _show(made, "made")


@key.command("list")
def list_(as_json: AsJson = False, data: Data = None, config: Config = None) -> None:
    """List all keys, oldest first, without their secrets."""
    rows = [_facts(found) for found in _with_keys(data, config, lambda keys: keys.list())]
    if as_json:
        show_json(rows)
        return
    shown = [{**row, "models": row["models"] or "all", "expires_at": row["expires_at"] or "never"} for row in rows]
    table(shown, ("name", "id", "key", "state", "models", "record", "created_at", "expires_at"))


@key.command()
def disable(ref: Ref, data: Data = None, config: Config = None) -> None:
    """Refuse a key until it is enabled again."""
    _say(_with_keys(data, config, lambda keys: keys.disable(ref)), "disabled")


@key.command()
def enable(ref: Ref, data: Data = None, config: Config = None) -> None:
    """Accept a disabled key again."""
    _say(_with_keys(data, config, lambda keys: keys.enable(ref)), "enabled")


@key.command()
def rotate(
    ref: Ref,
    grace: Annotated[str, typer.Option(help="How long the old one works on: 24h, 7d.")] = "0s",
    expires: Annotated[str | None, typer.Option(help="A new end, written as for create. Default: as it was.")] = None,
    data: Data = None,
    config: Config = None,
) -> None:
    """Replace the secret of a key and print the new one, this once."""
    grace_s, expires_at_ms = span_s(grace), moment_ms(expires)
    _show(_with_keys(data, config, lambda keys: keys.rotate(ref, grace_s=grace_s, expires_at_ms=expires_at_ms)), "rotated")


@key.command()
def delete(ref: Ref, data: Data = None, config: Config = None) -> None:
    """Delete a key for good; its name becomes free, its charges stay."""
    _say(_with_keys(data, config, lambda keys: keys.delete(ref)), "deleted")


def _with_keys(data: Path | None, config: Path | None, act: Callable[[Keys], Awaitable[T]]) -> T:
    async def run(database: Database) -> T:
        from penstock.keys.service import Keys

        return await act(Keys(database))

    return with_database(data, config, run)


def _show(made: Made, what: str) -> None:
    _say(made.key, what)
    if made.key.expires_at_ms is not None:
        typer.echo(f"it expires at {_facts(made.key)['expires_at']}", err=True)
    typer.echo("the key is shown only now:", err=True)
    typer.echo(made.token)


def _say(found: Key, what: str) -> None:
    typer.echo(f"{what} '{found.name}' ({found.id})", err=True)


def _facts(found: Key) -> dict[str, Any]:
    expired = found.expires_at_ms is not None and found.expires_at_ms <= now_ms()
    return {
        "name": found.name,
        "id": found.id,
        "kind": found.kind,
        "key": f"{found.prefix}...{found.last_four}",
        "state": "disabled" if found.disabled_at_ms is not None else "expired" if expired else "active",
        "models": found.models,
        "record": found.record,
        "created_at": iso(found.created_at_ms),
        "expires_at": None if found.expires_at_ms is None else iso(found.expires_at_ms),
    }
