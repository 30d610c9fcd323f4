"""The commands for records: what was on the wire. They read what the gateway has written; what it wrote a second ago may not be there."""
# ruff: noqa: PLC0415, PLR0913, PLR0917  an option is a parameter

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer

from penstock.cli.frame import AsJson, Config, Data, moment_ms, settings_of, show_json, span_s, stop, table, with_database
from penstock.kit.clock import iso, now_ms

if TYPE_CHECKING:
    from penstock.infra.database import Database
    from penstock.records.exports import Format
    from penstock.records.noted import Noted
    from penstock.records.service import Filters, Policy, Records
    from penstock.settings import Settings

T = TypeVar("T")
NONE = "none"
PAGE = 200
DAYS_MAX = 3650
record = typer.Typer(help="Records: requests and answers as they were on the wire.", no_args_is_help=True)

Account = Annotated[str | None, typer.Option(help="Whose shelf: id or e-mail address. Default: the operator's own account.")]
Operator = Annotated[bool, typer.Option("--operator", help="The operator's shelf: what is recorded of everybody.")]
Since = Annotated[str | None, typer.Option(help="From when on: 2h, which is a span before now, a date, or ISO 8601.")]
Until = Annotated[str | None, typer.Option(help="Before when.")]
Key = Annotated[str | None, typer.Option(help="Id of the key.")]
Model = Annotated[str | None, typer.Option(help="Name of the model, with * and ?.")]
Status = Annotated[str | None, typer.Option(help="A status such as 429, or a class such as 5xx.")]
Text = Annotated[str | None, typer.Option(help="Somewhere in a body.")]


class _Shelf(NamedTuple):
    """The shelf that is meant."""

    account: str | None
    operator: bool = False


@record.command("list")
def list_(
    account: Account = None,
    operator: Operator = False,
    since: Since = None,
    until: Until = None,
    key: Key = None,
    model: Model = None,
    status: Status = None,
    text: Text = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    as_json: AsJson = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """List records, the latest first, without bodies."""

    async def act(records: Records, shelf: str, _: Noted) -> list[dict[str, Any]]:
        from penstock.records.shown import entry_shown

        filters = _filters(since, until, key, model, status, text)
        rows: list[dict[str, Any]] = []
        cursor = None
        while len(rows) < limit:
            found = await records.list(shelf, filters, cursor=cursor, limit=min(PAGE, limit - len(rows)))
            rows += [entry_shown(entry) for entry in found.entries]
            if (cursor := found.cursor) is None:
                break
        return rows

    rows = _with_records(data, config, _Shelf(account, operator), act)
    if as_json:
        show_json(rows)
        return
    if not rows and not operator:
        typer.echo("nothing is on this shelf; --operator shows what is recorded of everybody", err=True)
    else:
        table(rows, ("created_at", "id", "status", "model", "channel", "duration_ms", "cost_nano", "key_id", "path"))


@record.command()
def show(
    ref: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    account: Account = None,
    operator: Operator = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Print one record as JSON, layer by layer."""

    async def act(records: Records, shelf: str, _: Noted) -> dict[str, Any]:
        from penstock.records.shown import opened_shown

        return opened_shown(await records.get(shelf, ref))

    show_json(_with_records(data, config, _Shelf(account, operator), act))


@record.command()
def export(
    format_: Annotated[str, typer.Option("--format", help="csv, json, jsonl or har.")] = "csv",
    account: Account = None,
    operator: Operator = False,
    since: Since = None,
    until: Until = None,
    key: Key = None,
    model: Model = None,
    status: Status = None,
    text: Text = None,
    data: Data = None,
    config: Config = None,
) -> None:
    """Write records to stdout, with their bodies, the latest first."""
    from penstock.records.exports import MEDIA_TYPES

    if format_ not in MEDIA_TYPES:
        raise typer.BadParameter(f"The format is one of {', '.join(MEDIA_TYPES)}.")
    form: Format = format_

    async def act(records: Records, shelf: str, _: Noted) -> None:
        from penstock.records.exports import export as written

        filters = _filters(since, until, key, model, status, text)
        async for piece in written(records.read(shelf, filters, newest_first=True), form):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()

    _with_records(data, config, _Shelf(account, operator), act)


@record.command()
def clear(
    account: Account = None,
    operator: Operator = False,
    since: Since = None,
    until: Until = None,
    key: Key = None,
    model: Model = None,
    status: Status = None,
    text: Text = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Delete records from a shelf: all of them, or those that are meant."""
    if not yes and not typer.confirm("Delete these records for good?", err=True):
        stop(["nothing was deleted"])

    async def act(_: Records, shelf: str, noted: Noted) -> int:
        from penstock.accounts.identity import CLI

        return await noted.clear(CLI, shelf, _filters(since, until, key, model, status, text))

    count = _with_records(data, config, _Shelf(account, operator), act)
    typer.echo(f"{count} records were deleted", err=True)


@record.command()
def policy(
    account: Annotated[str | None, typer.Option(help="Whose: id or e-mail address. Default: the operator's.")] = None,
    record_: Annotated[bool | None, typer.Option("--record/--no-record", help="Record everything of the account.")] = None,
    days: Annotated[str | None, typer.Option(help="For how many days records are kept; none: as long as the operator keeps any.")] = None,
    path: Annotated[list[str] | None, typer.Option(help="A path in JSON bodies to cover, as messages.*.content. Again for more.")] = None,
    pattern: Annotated[list[str] | None, typer.Option(help="An RE2 pattern to cover. Again for more; none: no more.")] = None,
    as_json: AsJson = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Show what an account wants of its records, after changing what is given. `none` takes a restriction away."""
    given: dict[str, Any] = {} if record_ is None else {"record": record_}
    if days is not None:
        given["retention_days"] = None if days == NONE else _whole(days)
    for name, values in (("redact_paths", path), ("redact_patterns", pattern)):
        if values:
            given[name] = () if values == [NONE] else tuple(values)

    async def act(records: Records, owner: str, noted: Noted) -> Policy:
        import msgspec

        from penstock.accounts.identity import CLI

        found = await records.policy(owner)
        return await noted.set_policy(CLI, owner, msgspec.structs.replace(found, **given)) if given else found

    found = _with_records(data, config, _Shelf(account), act)
    facts = {
        "record": found.record, "retention_days": found.retention_days, "redact_paths": list(found.redact_paths),
        "redact_patterns": list(found.redact_patterns), "updated_at": iso(found.updated_at_ms) if found.updated_at_ms else None,
    }  # fmt: skip
    if as_json:
        show_json(facts)
    else:
        table([{"what": name.removesuffix("_at"), "value": value} for name, value in facts.items()], ("what", "value"))


def _with_records(data: Path | None, config: Path | None, meant: _Shelf, act: Callable[[Records, str, Noted], Awaitable[T]]) -> T:
    """What `act` returns when it is given the records, a shelf, and what notes down what is done."""
    settings = settings_of(data=data, config=config)

    async def run(database: Database) -> T:
        from penstock.accounts.models import OPERATOR
        from penstock.accounts.service import Accounts
        from penstock.records.entries import OPERATOR_SHELF
        from penstock.records.noted import Noted

        owner = OPERATOR if meant.account is None else (await Accounts(database).find(meant.account)).id
        records = _records(settings, database)
        return await act(records, OPERATOR_SHELF if meant.operator else owner, Noted(database, records))

    return with_database(data, config, run)


def _records(settings: Settings, database: Database) -> Records:
    """The records; nothing is recorded here."""
    from penstock.infra.secrets import open_secrets
    from penstock.records.keeping import Keeper
    from penstock.records.policies import Policies
    from penstock.records.recorder import Recorder
    from penstock.records.service import Records
    from penstock.records.vault import Vault, open_store

    try:
        secrets = open_secrets(settings.data, settings.secret_key.get_secret_value() if settings.secret_key else None)
        vault = Vault(open_store(settings.data, settings.records_url), secrets, encrypt=settings.records_encrypt)
    except ValueError as wrong:
        stop([str(wrong)])
    policies = Policies(database)
    return Records(database, vault, Recorder(database, vault, 0, policies), policies, Keeper(database, vault))


def _filters(since: str | None, until: str | None, key: str | None, model: str | None, status: str | None, text: str | None) -> Filters:
    from penstock.records.service import Filters

    number = int(status) if status is not None and status.isdigit() else status
    return Filters(from_ms=_before(since), until_ms=_before(until), key_id=key, model=model, status=number, text=text)


def _before(text: str | None) -> int | None:
    """An option such as `2h`, which is before now here, or a moment."""
    if text is not None and text[:1].isdigit() and text[-1:] in "smhdw":
        return now_ms() - span_s(text) * 1000
    return moment_ms(text)


def _whole(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) <= DAYS_MAX):
        raise typer.BadParameter(f"Write days as a whole number from 1 to {DAYS_MAX}: {text!r}.")
    return int(text)
