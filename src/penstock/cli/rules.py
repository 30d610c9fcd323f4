"""The commands for rules: what requests become before they go out. Those for everybody (`--all`) are the operator's."""
# ruff: noqa: PLC0415, PLR0913, PLR0917  an option is a parameter

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer

from penstock.cli.frame import AsJson, Config, Data, settings_of, show_json, stop, table, with_database

if TYPE_CHECKING:
    from penstock.infra.database import Database
    from penstock.rules.imports import Report
    from penstock.rules.models import RuleRow
    from penstock.rules.service import Rules

T = TypeVar("T")
rule = typer.Typer(help="Rules: what requests become before they go out.", no_args_is_help=True)

Ref = Annotated[str, typer.Argument(metavar="NAME|ID", show_default=False)]
Owner = Annotated[str | None, typer.Option("--account", help="Whose: id or e-mail address. Default: the operator's.")]
Everybody = Annotated[bool, typer.Option("--all", help="Those for everybody's requests.")]
File = Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="- is stdin.")]


class Kind(StrEnum):
    """What a file is."""

    auto = "auto"
    penstock = "penstock"
    rewrites = "rewrites"
    new_api = "new-api"


class _Desk(NamedTuple):
    """What a command acts on."""

    rules: Rules
    database: Database
    account_id: str


@rule.command("list")
def list_(account: Owner = None, everybody: Everybody = False, as_json: AsJson = False, data: Data = None, config: Config = None) -> None:
    """List rules, in the order in which they are applied."""

    async def read(desk: _Desk) -> list[dict[str, Any]]:
        from penstock.rules.shown import facts_of
        from penstock.rules.statistics import Uses

        rows = await desk.rules.all(_wanted(desk, everybody=everybody))
        used = await Uses(desk.database).of([row.id for row in rows])
        return [facts_of(row, used.get(row.id)) for row in rows]

    rows = _with_rules(data, config, account, read)
    if as_json:
        show_json(rows)
        return
    shown = [{**row, "does": [action["do"] for action in row["then"]]} for row in rows]
    table(shown, ("name", "id", "priority", "enabled", "shadow", "does", "hits", "errors", "last_at"))


@rule.command()
def show(ref: Ref, account: Owner = None, data: Data = None, config: Config = None) -> None:
    """Show a rule, as JSON."""

    async def read(desk: _Desk) -> dict[str, Any]:
        from penstock.rules.shown import facts_of
        from penstock.rules.statistics import Uses

        row = await desk.rules.get(ref, _owner(desk, account))
        return facts_of(row, (await Uses(desk.database).of([row.id])).get(row.id))

    show_json(_with_rules(data, config, account, read))


@rule.command()
def enable(ref: Ref, account: Owner = None, data: Data = None, config: Config = None) -> None:
    """Have a rule count. Servers see it within a second."""
    _switch(ref, account, data, config, enabled=True)


@rule.command()
def disable(ref: Ref, account: Owner = None, data: Data = None, config: Config = None) -> None:
    """Have a rule not count until it is enabled again."""
    _switch(ref, account, data, config, enabled=False)


@rule.command()
def delete(ref: Ref, account: Owner = None, data: Data = None, config: Config = None) -> None:
    """Delete a rule for good, and its statistics."""

    async def act(desk: _Desk) -> str:
        from penstock.accounts.identity import CLI

        (row,) = await desk.rules.delete(CLI, [ref], _owner(desk, account))
        return row.name

    typer.echo(f"deleted '{_with_rules(data, config, account, act)}'", err=True)


@rule.command("import")
def import_(
    file: File,
    kind: Annotated[Kind, typer.Option("--format", help="What it is; auto looks.")] = Kind.auto,
    name: Annotated[str, typer.Option(help="What rules without a name are called by.")] = "imported",
    priority: Annotated[int, typer.Option(help="Of rules without one; the first one's.")] = 0,
    everybody: Everybody = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    account: Owner = None,
    data: Data = None,
    config: Config = None,
) -> None:
    """Bring rules in, all or none: a set of ours, a=>b,c=>d, or new-api's overrides. A rule of the same name becomes what the set says."""
    raw = _read(file)

    async def act(desk: _Desk) -> Report:
        from penstock.accounts.identity import CLI
        from penstock.rules.imports import bring_in
        from penstock.rules.sets import Reading, read_set

        entries = read_set(raw, kind.value, Reading(name, priority, "all" if everybody else "own"))
        return await bring_in(desk.rules, CLI, desk.account_id, entries, dry_run=dry_run)

    report = _with_rules(data, config, account, act)
    verb = "would be " if dry_run else ""
    for words, names in ((f"{verb}made", report.created), (f"{verb}changed", report.changed), ("as it was", report.unchanged)):
        for each in names:
            typer.echo(f"{words}: {each}")


@rule.command()
def export(account: Owner = None, everybody: Everybody = False, data: Data = None, config: Config = None) -> None:
    """Write rules to stdout as JSON, to be kept or brought in elsewhere."""

    async def read(desk: _Desk) -> bytes:
        from penstock.rules.sets import write_set

        return write_set(await desk.rules.all(_wanted(desk, everybody=everybody)))

    typer.echo(_with_rules(data, config, account, read).decode(), nl=False)


@rule.command("test")
def try_(
    file: Annotated[Path, typer.Argument(metavar="BODY", show_default=False, help="The body of a request, JSON; - is stdin.")],
    wire: Annotated[str, typer.Option(help="The protocol.")] = "chat",
    key: Annotated[str | None, typer.Option(help="A key of the account, by its id or name.")] = None,
    channel: Annotated[str | None, typer.Option(help="The channel it would go to, by its name.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag of the channel. Again for more.")] = None,
    as_json: AsJson = False,
    account: Owner = None,
    data: Data = None,
    config: Config = None,
) -> None:
    """Say which rules a request meets, why the others are not met, and what becomes of it. Nothing is sent, and nothing is counted."""
    body = _body(file)

    async def act(desk: _Desk) -> dict[str, Any]:
        from penstock.accounts.identity import CLI
        from penstock.keys.service import Keys
        from penstock.rules.trial import Asked, Trials

        asked = Asked(wire=wire, key=key, channel=channel, channel_tags=tag or (), body=body)
        return await Trials(desk.rules, Keys(desk.database)).run(CLI, desk.account_id, asked)

    found = _with_rules(data, config, account, act)
    if as_json:
        show_json(found)
        return
    rows = [{**row, "why": row["why"] or "; ".join(row["skipped"]) or None} for row in found["rules"]]
    table(rows, ("name", "scope", "matched", "applied", "why"))
    for stage in found["stages"]:
        for each in (*stage["body"], *stage["beside"]):
            typer.echo(f"{each['kind']} {each['path']}: {_brief(each['old'])} -> {_brief(each['new'])}")
    if found["refusal"] is not None:
        typer.echo(f"refused with {found['refusal']['status']}: {found['refusal']['message']}")


def _switch(ref: str, account: str | None, data: Path | None, config: Path | None, *, enabled: bool) -> None:
    async def act(desk: _Desk) -> RuleRow:
        from penstock.accounts.identity import CLI

        (row,) = await desk.rules.switch(CLI, [ref], enabled=enabled, account_id=_owner(desk, account))
        return row

    row = _with_rules(data, config, account, act)
    typer.echo(f"{'enabled' if enabled else 'disabled'} '{row.name}' ({row.id})", err=True)


def _with_rules(data: Path | None, config: Path | None, account: str | None, act: Callable[[_Desk], Awaitable[T]]) -> T:
    async def run(database: Database) -> T:
        from penstock.accounts.models import OPERATOR
        from penstock.accounts.service import Accounts
        from penstock.rules.service import Limits, Rules

        rules = Rules(database, Limits(settings.rules_limit, settings.operator_rules_limit))
        account_id = OPERATOR if account is None else (await Accounts(database).find(account)).id
        return await act(_Desk(rules, database, account_id))

    settings = settings_of(data=data, config=config)
    return with_database(data, config, run)


def _owner(desk: _Desk, account: str | None) -> str | None:
    """Whose a rule must be that is named; None: anybody's by its id, the operator's by its name."""
    return None if account is None else desk.account_id


def _wanted(desk: _Desk, *, everybody: bool) -> Any:
    from penstock.accounts.models import OPERATOR
    from penstock.rules.service import Wanted

    return Wanted(OPERATOR, "all") if everybody else Wanted(desk.account_id, "own")


def _read(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as failure:
        stop([f"{file}: {failure.strerror or failure}"])


def _body(file: Path) -> dict[str, Any]:
    try:
        body = json.loads(_read(file))
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        stop(["the body is no JSON object"])
    return body


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."
