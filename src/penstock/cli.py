"""The command line: `penstock serve`, keys, and what an operator needs. Described in docs/cli.md; a test insists.

Everything heavy is imported where it is used, so that every command starts quickly. A key is the only thing that
`key create` and `key rotate` write to stdout: `K=$(penstock key create me)` works.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

import penstock
from penstock.kit.clock import iso, now_ms, parse_moment_ms, parse_span_s
from penstock.kit.errors import PenstockError

if TYPE_CHECKING:
    from penstock.infra.database import Database
    from penstock.keys.models import Key
    from penstock.keys.service import Keys, Made
    from penstock.settings import Settings

T = TypeVar("T")
REFUSED = 1
MISCONFIGURED = 2

cli = typer.Typer(
    name="penstock",
    help="A self-hosted gateway for language-model APIs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
key = typer.Typer(help="Keys: what programs show to be let in.", no_args_is_help=True)
cli.add_typer(key, name="key")

Data = Annotated[Path | None, typer.Option(help="Folder of the database and the records.")]
Config = Annotated[Path | None, typer.Option(help="TOML file with settings.")]
Ref = Annotated[str, typer.Argument(metavar="NAME|ID", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve.")] = None,
    data: Data = None,
    config: Config = None,
    demo: Annotated[bool, typer.Option("--demo", help="Serve the built-in demo provider.")] = False,
) -> None:
    """Run the gateway until it is told to stop."""
    settings = _settings(host=host, port=port, workers=workers, data=data, config=config, demo=demo or None)
    with _in_words():
        from penstock.serving import serve as run

        raise typer.Exit(run(settings))


@cli.command()
def demo_provider(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 9100,
) -> None:
    """Run the demo provider alone, for trying things out and for load tests."""
    from penstock.upstream.demo.server import run

    try:
        run(host, port)
    except OSError as failure:
        _stop([str(failure)], REFUSED)


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
    expires_at_ms = _moment_ms(expires)
    made = _with_keys(data, config, lambda keys: keys.create(name, models=globs, expires_at_ms=expires_at_ms, record=record))
    _show(made, "made")


@key.command("list")
def list_(as_json: AsJson = False, data: Data = None, config: Config = None) -> None:
    """List all keys, oldest first, without their secrets."""
    rows = [_facts(found) for found in _with_keys(data, config, lambda keys: keys.list())]
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    columns = ("name", "id", "key", "state", "models", "record", "created_at", "expires_at")
    lines = [
        [column.removesuffix("_at").upper() for column in columns],
        *([_cell(column, row[column]) for column in columns] for row in rows),
    ]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


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
    grace_s, expires_at_ms = _span_s(grace), _moment_ms(expires)
    _show(_with_keys(data, config, lambda keys: keys.rotate(ref, grace_s=grace_s, expires_at_ms=expires_at_ms)), "rotated")


@key.command()
def delete(ref: Ref, data: Data = None, config: Config = None) -> None:
    """Delete a key for good; its name becomes free, its charges stay."""
    _say(_with_keys(data, config, lambda keys: keys.delete(ref)), "deleted")


@cli.command()
def doctor(as_json: AsJson = False, data: Data = None, config: Config = None) -> None:
    """Check what the gateway needs and say what to do about what is missing. Fails if anything is."""
    import asyncio

    from penstock.doctor import Finding, examine
    from penstock.settings import SettingsError, load

    try:
        findings = asyncio.run(examine(load(data=data, config=config)))
    except SettingsError as wrong:
        findings = [Finding("settings", problem, "Correct it; docs/settings.md lists them all.") for problem in wrong.problems]
    if as_json:
        checks = [{"check": one.check, "well": one.well, "found": one.found, "remedy": one.remedy or None} for one in findings]
        typer.echo(json.dumps({"well": all(one.well for one in findings), "checks": checks}, indent=2, ensure_ascii=False))
    else:
        for one in findings:
            typer.echo(f"{'ok  ' if one.well else 'FAIL'}  {one.check:<12}  {one.found}{'' if one.well else f' -> {one.remedy}'}")
    if not all(one.well for one in findings):
        raise typer.Exit(REFUSED)


@cli.command()
def migrate(data: Data = None, config: Config = None) -> None:
    """Bring the database to this version's schema. `serve` does it as well."""
    from penstock.infra import schema

    async def run(database: Database) -> bool:
        return await schema.migrate(database)

    changed = _with_database(data, config, run)
    typer.echo(f"the database is {'now' if changed else 'already'} at migration {schema.head()}", err=True)


@cli.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"penstock {penstock.__version__}")


def main() -> None:
    """The program `penstock`."""
    cli()


def _settings(**given: Any) -> Settings:
    from penstock.settings import SettingsError, load

    try:
        return load(**given)
    except SettingsError as wrong:
        _stop(wrong.problems, MISCONFIGURED)


def _with_database(data: Path | None, config: Path | None, act: Callable[[Database], Awaitable[T]]) -> T:
    import asyncio

    from penstock.infra.database import Database

    settings = _settings(data=data, config=config)

    async def run() -> T:
        database = Database(settings.database_url, settings.durability)
        try:
            return await act(database)
        finally:
            await database.close()

    with _in_words():
        return asyncio.run(run())


def _with_keys(data: Path | None, config: Path | None, act: Callable[[Keys], Awaitable[T]]) -> T:
    from penstock.infra import schema
    from penstock.keys.service import Keys

    async def run(database: Database) -> T:
        await schema.migrate(database)
        return await act(Keys(database))

    return _with_database(data, config, run)


@contextmanager
def _in_words() -> Iterator[None]:
    """What goes wrong on purpose, as a line and an exit status instead of a traceback."""
    from penstock.infra.database import DatabaseAway
    from penstock.infra.schema import NewerDatabaseError
    from penstock.settings import SettingsError

    try:
        yield
    except SettingsError as wrong:
        _stop(wrong.problems, MISCONFIGURED)
    except PenstockError as refused:
        _stop([refused.message], REFUSED)
    except DatabaseAway as away:
        _stop([f"the database cannot be reached: {away}"], REFUSED)
    except (NewerDatabaseError, OSError) as failure:
        _stop([str(failure)], REFUSED)


def _stop(problems: Sequence[str], status: int) -> NoReturn:
    for problem in problems:
        typer.echo(f"penstock: {problem}", err=True)
    raise typer.Exit(status)


def _moment_ms(text: str | None) -> int | None:
    try:
        return None if text is None else parse_moment_ms(text, now_ms())
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from None


def _span_s(text: str) -> int:
    try:
        return parse_span_s(text)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from None


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


def _cell(column: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(value)
    return {"models": "all", "expires_at": "never"}[column] if value is None else str(value)
